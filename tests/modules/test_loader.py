"""The loader's rules where no compiler makes a case for them, and what is said of their reasons."""

from __future__ import annotations

from dataclasses import replace

from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.loader import Judgement, Mismatch, judge, judge_together
from kmpsolve.modules.module import Export, Module
from kmpsolve.modules.symvers import Symvers

_KERNEL = Kernel(
    source="made",
    uname_r="6.4.0-1-default",
    vermagic="6.4.0-1-default SMP preempt mod_unload modversions",
    structure_size=1024,
    symvers=Symvers(
        crcs={"module_layout": "1", "kfree": "2", "gpl": "3", "roomy": "4", "of_driver": "5", "for_kvm": "6"},
        kinds={"kfree": "EXPORT_SYMBOL", "gpl": "EXPORT_SYMBOL_GPL"},
        namespaces={"roomy": "ROOM", "for_kvm": "module:kvm-intel,vfio*"},
        modules={"kfree": "vmlinux", "of_driver": "drivers/net/the-driver"},
    ),
)


def _module(
    name: str,
    needs: dict[str, str | None] | None = None,
    exports: dict[str, str | None] | None = None,
    *,
    weak: tuple[str, ...] = (),
    modinfo: dict[str, str] | None = None,
    structure_size: int = 1024,
) -> Module:
    wanted = {"module_layout": "1", **(needs or {})}
    said = {
        "license": "GPL",
        "vermagic": "6.4.0-1-default SMP preempt mod_unload modversions",
        **(modinfo or {}),
    }
    return Module(
        name=name,
        path=f"{name}.ko",
        versions={symbol: crc for symbol, crc in wanted.items() if crc is not None},
        undefined=tuple(
            sorted(symbol for symbol in wanted if symbol not in weak and symbol != "module_layout")
        ),
        weak=frozenset(weak),
        exports={symbol: Export(crc=crc, kind="EXPORT_SYMBOL") for symbol, crc in (exports or {}).items()},
        modinfo={key: (value,) for key, value in said.items()},
        structure_size=structure_size,
    )


def _short(judgement: Judgement) -> list[tuple[str, str, str | None, str | None, str]]:
    return [
        (found.symbol, found.kind, found.wanted, found.found, found.provider)
        for found in judgement.mismatches
    ]


def _obstacles(judgement: Judgement) -> list[str]:
    return [obstacle.kind for obstacle in judgement.obstacles]


def test_unknown_and_disagrees() -> None:
    judgement = judge(_module("a", {"kfree": "2", "gpl": "9", "gone": "7"}), _KERNEL)
    assert judgement.mismatches == (
        Mismatch(symbol="gone", kind="unknown", wanted="7", found=None),
        Mismatch(symbol="gpl", kind="disagrees", wanted="9", found="3"),
    )
    assert judgement.verdict == "blocked"
    assert judge(_module("a", {"kfree": "2"}), _KERNEL).verdict == "safe"


def test_crcs_are_compared_exactly() -> None:
    """Unlike rpm's comparison of versions, for which 0abc and abc, or 1e5 and 1.e.5, are alike."""
    for crc in ("02", "2.", "20", ""):
        assert judge(_module("a", {"kfree": crc}), _KERNEL).verdict == "blocked"


def test_a_chain_falls_with_its_first_link() -> None:
    first = _module("first", {"gone": "1"}, {"one": "a"})
    second = _module("second", {"one": "a"}, {"two": "b"})
    third = _module("third", {"two": "b"})
    judgements = judge_together([third, second, first], _KERNEL)
    assert [judgement.verdict for judgement in judgements] == ["blocked"] * 3
    assert _short(judgements[0]) == [("two", "unknown", "b", "b", "second")]
    assert _short(judgements[1]) == [("one", "unknown", "a", "a", "first")]
    assert _short(judgements[2]) == [("gone", "unknown", "1", None, "")]
    whole = judge_together([third, second, _module("first", {"kfree": "2"}, {"one": "a"})], _KERNEL)
    assert [judgement.verdict for judgement in whole] == ["safe"] * 3


def test_a_circle_holds_or_falls_as_one() -> None:
    left, right = _module("left", {"r": "1"}, {"l": "2"}), _module("right", {"l": "2"}, {"r": "1"})
    assert [judgement.verdict for judgement in judge_together([left, right], _KERNEL)] == ["safe", "safe"]
    right = _module("right", {"l": "2", "gone": "3"}, {"r": "1"})
    assert [judgement.verdict for judgement in judge_together([left, right], _KERNEL)] == ["blocked"] * 2


def test_of_two_builds_the_one_that_loads_serves() -> None:
    bad, good = _module("lib", {"gone": "1"}, {"one": "a"}), _module("lib", {}, {"one": "b"})
    judgements = judge_together([bad, good, _module("a", {"one": "a"}), _module("b", {"one": "b"})], _KERNEL)
    assert [judgement.verdict for judgement in judgements] == ["blocked", "safe", "blocked", "safe"]
    assert _short(judgements[2]) == [("one", "disagrees", "a", "b", "")]


def test_the_provider_that_would_not_load_has_another_version() -> None:
    judgements = judge_together(
        [_module("lib", {"gone": "1"}, {"one": "b"}), _module("a", {"one": "a"})], _KERNEL
    )
    assert _short(judgements[1]) == [("one", "disagrees", "a", "b", "lib")]


def test_an_override_takes_the_place_of_the_kernels_module() -> None:
    """depmod prefers updates/ over kernel/: what the kernel's own module exports is then not there."""
    user = _module("user", {"of_driver": "5"})
    override = _module("the_driver", {}, {"of_driver": "f"})
    assert judge(user, _KERNEL).verdict == "safe"
    judgements = judge_together([user, override], _KERNEL)
    assert _short(judgements[0]) == [("of_driver", "disagrees", "5", "f", "")]
    new_user = _module("user", {"of_driver": "f"})
    assert [found.verdict for found in judge_together([new_user, override], _KERNEL)] == ["safe", "safe"]


def test_weak_symbols() -> None:
    assert judge(_module("a", {"gone": "1"}, weak=("gone",)), _KERNEL).verdict == "safe"
    # The kernel looks at the version of a weak symbol too, once it has found it.
    assert judge(_module("a", {"kfree": "1"}, weak=("kfree",)), _KERNEL).verdict == "blocked"


def test_without_versions() -> None:
    partly = judge(_module("a", {"kfree": None, "gpl": "3"}), _KERNEL)
    assert (partly.verdict, partly.unverified) == ("unverified", ("kfree",))
    assert _short(judge(_module("a", {"gone": None}), _KERNEL)) == [("gone", "unknown", None, None, "")]
    needing_nothing = _module("a", {"module_layout": None})
    assert (needing_nothing.versions, needing_nothing.undefined) == ({}, ())
    assert judge(needing_nothing, _KERNEL).verdict == "unverified"
    provider = _module("lib", {}, {"one": None})
    assert judge_together([provider, _module("a", {"one": "a"})], _KERNEL)[1].verdict == "unverified"


def test_doubt_spreads() -> None:
    doubtful = _module("lib", {"kfree": None}, {"one": "a"})
    judgements = judge_together([_module("a", {"one": "a"}), doubtful], _KERNEL)
    assert [judgement.verdict for judgement in judgements] == ["unverified", "unverified"]
    assert judgements[0].unverified == ("one",)


def test_an_incomplete_kernel() -> None:
    part = Kernel(source="made", symvers=Symvers(crcs={"kfree": "2", "module_layout": "1"}, gap="the rest"))
    judgement = judge(_module("a", {"kfree": "2", "gpl": "3"}), part)
    assert (judgement.verdict, judgement.unverified, judgement.mismatches) == ("unverified", ("gpl",), ())
    assert judge(_module("a", {"kfree": "1"}), part).verdict == "blocked"


def test_licenses() -> None:
    for license_, kinds in (
        ("GPL v2", []),
        ("Dual MIT/GPL", []),
        ("Proprietary", ["gpl-only"]),
        ("MIT", ["gpl-only"]),
    ):
        judgement = judge(_module("a", {"gpl": "3"}, modinfo={"license": license_}), _KERNEL)
        assert _obstacles(judgement) == kinds
        assert (judgement.verdict == "blocked") == bool(kinds)
    assert judge(_module("a", {"kfree": "2"}, modinfo={"license": "MIT"}), _KERNEL).verdict == "safe"


def test_what_uses_a_proprietary_module_is_as_good_as_one() -> None:
    closed = _module("closed", {}, {"one": "a"}, modinfo={"license": "Proprietary"})
    shim = _module("shim", {"one": "a"}, {"two": "b"})
    for user, expected in (
        (_module("user", {"one": "a", "gpl": "3"}), "it uses one of a module whose license is not the GPL"),
        (_module("user", {"two": "b", "gpl": "3"}), "it uses two of a module whose license is not the GPL"),
        (_module("user", {"two": "b", "kfree": "2"}), ""),
        (_module("user", {"gpl": "3"}), ""),
    ):
        for kernel in (_KERNEL, replace(_KERNEL, uname_r="")):
            *others, judgement = judge_together([closed, shim, user], kernel)
            assert [other.verdict for other in others] == ["safe", "safe"]
            assert judgement.verdict == ("blocked" if expected else "safe")
            assert [obstacle.message.partition(",")[0] for obstacle in judgement.obstacles] == (
                [expected] if expected else []
            )
        old = judge_together([closed, shim, user], replace(_KERNEL, uname_r="5.8.18-1-default"))[-1]
        assert old.verdict == "safe"
        open_source = _module("opened", {}, {"one": "a"})
        assert judge_together([closed, open_source, shim, user], _KERNEL)[-1].verdict == "safe"


def test_machines() -> None:
    arm = "AARCH64, 64-bit little-endian"
    foreign = replace(_module("a"), machine=arm)
    assert judge(foreign, _KERNEL).verdict == "safe", "nothing tells what that kernel is for"
    for kernel in (
        replace(_KERNEL, machine="X86_64, 64-bit little-endian"),
        replace(_KERNEL, nevra="kernel-default-6.4.0-1.x86_64"),
    ):
        judgement = judge(foreign, kernel)
        assert _obstacles(judgement) == ["architecture"]
        assert judgement.obstacles[0].message == f"is for {arm}, the kernel for X86_64, 64-bit little-endian"
        assert judge(replace(foreign, machine="X86_64, 64-bit little-endian"), kernel).verdict == "safe"
    assert judge(foreign, replace(_KERNEL, nevra="kernel-default-6.4.0-1.aarch64")).verdict == "safe"
    for arch in ("armv6hl", "armv7hl", "loongarch64", "ppc64", "riscv64", "s390x", "i586"):
        kernel = replace(_KERNEL, nevra=f"kernel-default-6.4.0-1.{arch}")
        assert _obstacles(judge(foreign, kernel)) == ["architecture"], arch


def test_the_version_of_struct_module_is_wanted_too() -> None:
    lacking = _module("a", {"kfree": "2", "module_layout": None})
    assert (judge(lacking, _KERNEL).verdict, judge(lacking, _KERNEL).unverified) == (
        "unverified",
        ("module_layout",),
    )
    old = replace(_KERNEL, symvers=Symvers(crcs={"kfree": "2"}))
    assert judge(lacking, old).verdict == "safe", "a kernel before 2.6.30 does not have it"


def test_namespaces() -> None:
    assert _obstacles(judge(_module("a", {"roomy": "4"}), _KERNEL)) == ["namespace"]
    assert judge(_module("a", {"roomy": "4"}, modinfo={"import_ns": "ROOM"}), _KERNEL).verdict == "safe"
    for name, verdict in (("kvm_intel", "safe"), ("vfio_pci", "safe"), ("kvm", "blocked")):
        assert judge(_module(name, {"for_kvm": "6"}), _KERNEL).verdict == verdict


def test_version_magic() -> None:
    for magic, kinds in (
        ("6.4.0-9-default SMP preempt mod_unload modversions", []),
        ("6.4.0-1-default SMP preempt_rt mod_unload modversions", ["version-magic"]),
        ("6.4.0-1-default SMP preempt mod_unload", ["version-magic"]),
    ):
        assert _obstacles(judge(_module("a", modinfo={"vermagic": magic}), _KERNEL)) == kinds


def test_size_of_struct_module() -> None:
    judgement = judge(_module("a", structure_size=1088), _KERNEL)
    assert _obstacles(judgement) == ["module-structure"]
    assert "1088 bytes, the kernel's has 1024" in judgement.obstacles[0].message


def test_what_the_image_exports_already() -> None:
    judgement = judge(_module("a", {}, {"kfree": "2"}), _KERNEL)
    assert _obstacles(judgement) == ["duplicate-export"]
    assert judge(_module("the_driver", {}, {"of_driver": "5"}), _KERNEL).verdict == "safe"


def test_a_symbol_without_a_version_disagrees_with_nothing() -> None:
    """The one module that exports it does not load: it is missing, whatever its version."""
    broken = _module("broken", {"kfree": "9"}, {"of_broken": "7"})
    user = _module("user", {"of_broken": None})
    _, judgement = judge_together([broken, user], _KERNEL)
    assert _short(judgement) == [("of_broken", "unknown", None, "7", "broken")]
