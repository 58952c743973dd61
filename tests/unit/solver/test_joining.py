"""What packages that an inventory only names take from repositories, and from the rest of their host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import solv

from kmpsolve.metadata.content import UNKNOWN_ARCH, symbol_digest
from kmpsolve.metadata.source import open_source
from kmpsolve.request import Policy
from kmpsolve.solver.joining import join, join_hosts, relevant_names
from kmpsolve.solver.relations import RELATIONS
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.packages import SUSE, PackageSpec

ACME = "ACME Inc."
OPENSUSE = "openSUSE"


def spec(
    name: str, evr: str = "1-1", arch: str = "x86_64", vendor: str = "", **more: tuple[str, ...]
) -> PackageSpec:
    epoch, _, rest = evr.rpartition(":")
    version, _, release = rest.partition("-")
    return PackageSpec(
        name=name,
        version=version,
        release=release,
        epoch=int(epoch or 0),
        arch=arch,
        vendor=vendor,
        **more,  # type: ignore[arg-type]
    )


KMP = spec(
    "acme-kmp-default",
    vendor=ACME,
    provides=("kmod(acme.ko)", "multiversion(kernel)"),
    requires=("ksym(default:a) = 1", "ksym(default:b) = 2", "bash"),
    conflicts=("acme-kmp-default-k6.4.0",),
    obsoletes=("old-kmp < 2",),
    supplements=("modalias(pci:v1*)",),
    enhances=("kernel-default",),
)
KERNEL = spec("kernel-default", "6.4.0-20.1", vendor=SUSE, provides=("ksym(default:a) = 1", "kmod(e.ko)"))


def bare(of: PackageSpec, **more: str) -> PackageSpec:
    """Its name only."""
    return spec(of.name, of.evr, more.get("arch", of.arch), more.get("vendor", ""))


def opened(
    folder: Path, system: Sequence[PackageSpec], offered: Mapping[str, Sequence[PackageSpec]], **priority: int
) -> solv.Pool:
    of = Universe(Policy())
    of.load(open_source(str(rpmmd.write(folder / "system", system)), alias=SYSTEM))
    for alias, packages in offered.items():
        content = open_source(str(rpmmd.write(folder / alias, packages)), alias=alias)
        of.load(replace(content, priority=priority.get(alias, 99)))
    return of.pool


def told(solvable: solv.XSolvable) -> list[str]:
    """All that a package says, but its own name, sorted."""
    spell = solvable.pool.dep2str
    every = [spell(c) for key in RELATIONS for c in solvable.lookup_idarray(key)]
    return sorted(text for text in every if not text.startswith((f"{solvable.name} =", f"{solvable.name}(")))


def said(of: PackageSpec) -> list[str]:
    return sorted(of.provides + of.requires + of.conflicts + of.obsoletes + of.supplements + of.enhances)


def joined(
    pool: solv.Pool, listed: Iterable[PackageSpec] | None = None, digests: Mapping[str, str] | None = None
) -> frozenset[int]:
    mine = [str(s) for s in pool.installed.solvables] if listed is None else [one.nevra for one in listed]
    return join(pool, frozenset(mine), digests or {}, Policy().vendor_class)[0]


def installed(pool: solv.Pool, name: str) -> solv.XSolvable:
    (found,) = (s for s in pool.installed.solvables if s.name == name)
    return found


# -- what repositories know ----------------------------------------------------------------------------------


def test_a_listed_package_says_what_the_same_one_in_a_repository_says(tmp_path: Path) -> None:
    plain = replace(KMP, supplements=("bash",))
    pool = opened(tmp_path, [bare(plain), bare(KERNEL, vendor="mine")], {"r": [plain, KERNEL]})
    assert not joined(pool)
    mine = installed(pool, plain.name)
    assert (told(mine), mine.vendor) == (said(plain), ACME)
    assert (told(installed(pool, KERNEL.name)), installed(pool, KERNEL.name).vendor) == (said(KERNEL), "mine")
    provided = [pool.dep2str(c) for c in mine.lookup_idarray(solv.SOLVABLE_PROVIDES)]
    assert len(provided) == len(set(provided))


def test_what_is_not_listed_stays_as_it_is(tmp_path: Path) -> None:
    pool = opened(tmp_path, [bare(KMP), bare(KERNEL)], {"r": [KMP, KERNEL]})
    assert not joined(pool, [KERNEL])
    assert told(installed(pool, KMP.name)) == []


@pytest.mark.parametrize(
    ("listed", "offered", "meant"),
    [
        ("1-1.x86_64", ["1-1.x86_64"], 0),
        ("1-1.x86_64", ["1-2.x86_64", "2-1.x86_64"], None),
        ("1-1.x86_64", ["5:1-1.x86_64"], 0),
        ("1-1.x86_64", ["5:1-1.x86_64", "1-1.x86_64"], 1),
        ("1-1.x86_64", ["5:1-1.x86_64", "6:1-1.x86_64"], None),
        ("1-1.x86_64", ["5:1-1.x86_64", "6:1-2.x86_64"], 0),
        ("5:1-1.x86_64", ["1-1.x86_64", "6:1-1.x86_64"], None),
        ("5:1-1.x86_64", ["5:1-1.x86_64"], 0),
        ("1-1.x86_64", ["1-1.aarch64"], None),
        ("1-1.x86_64", ["1-1.noarch"], 0),
        ("1-1.x86_64", ["1-1.noarch", "1-1.x86_64"], 1),
        ("1-1.x86_64", ["1-1.x86_64", "1-1.noarch"], 0),
        ("1-1.noarch", ["1-1.noarch"], 0),
        ("1-1.unknown", ["1-1.aarch64"], 0),
        ("1-1.unknown", ["1-1.x86_64", "1-1.noarch"], 0),
        ("1-1.unknown", ["1-1.x86_64", "1-1.aarch64"], None),
        ("1-1.unknown", ["1-1.x86_64", "1-2.aarch64"], 0),
        ("1-1.unknown", ["1-1.src", "1-1.nosrc"], None),
        ("1-1.unknown", ["1-1.src", "1-1.i586"], 1),
    ],
)
def test_which_package_is_meant(tmp_path: Path, listed: str, offered: list[str], meant: int | None) -> None:
    def of(text: str, provides: tuple[str, ...] = ()) -> PackageSpec:
        evr, _, arch = text.rpartition(".")
        return spec(KMP.name, evr, arch, provides=provides)

    several = [of(text, (f"number-{number}",)) for number, text in enumerate(offered)]
    pool = opened(
        tmp_path, [of(listed)], {"r": [*several, spec("other-kmp-default", provides=("number-9",))]}
    )
    assert bool(joined(pool)) == (meant is None)
    mine = installed(pool, KMP.name)
    assert told(mine) == ([] if meant is None else [f"number-{meant}"])
    if meant is not None:
        assert mine.arch == several[meant].arch


@pytest.mark.parametrize("aliases", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(("priority", "first"), [({}, "a"), ({"b": 90}, "b"), ({"a": 100}, "b")])
def test_the_best_repository_tells(
    tmp_path: Path, aliases: tuple[str, ...], priority: dict[str, int], first: str
) -> None:
    offered = {alias: [spec(KMP.name, provides=(f"from-{alias}",))] for alias in aliases}
    pool = opened(tmp_path, [bare(KMP)], offered, **priority)
    joined(pool)
    assert told(installed(pool, KMP.name)) == [f"from-{first}"]


@pytest.mark.parametrize(
    ("package", "symbols", "else_"),
    [
        (replace(KMP, supplements=()), KMP.requires, []),
        (KERNEL, KERNEL.provides, ["kernel-uname-r = 6.4.0-20-default", "multiversion(kernel)"]),
    ],
)
def test_the_symbols_that_a_host_told_have_to_agree(
    tmp_path: Path, package: PackageSpec, symbols: tuple[str, ...], else_: list[str]
) -> None:
    for digest, expected in ((symbol_digest(symbols), said(package)), ("0123456789abcdef", else_)):
        pool = opened(tmp_path / digest, [bare(package)], {"r": [package]})
        assert bool(joined(pool, digests={package.nevra: digest})) == (expected == else_)
        assert told(installed(pool, package.name)) == expected


# -- what the rest of the host lets one assume ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "assumed"),
    [
        (spec("kernel-default", "6.4.0-20.1"), ["kernel-uname-r = 6.4.0-20-default"]),
        (spec("kernel-default", "6.4.0-20"), ["kernel-uname-r = 6.4.0-20-default"]),
        (spec("kernel-rt-base", "6.4.0-20.1.5"), ["kernel-uname-r = 6.4.0-20.1-rt"]),
        (spec("kernel-default", "6-1", provides=("kernel-uname-r = x",)), ["kernel-uname-r = x"]),
        (spec("kernel-default-extra", "6.4.0-20.1"), None),
        (spec("kernel-devel", "6.4.0-20.1"), None),
        (spec("kernel-default", provides=("ksym(default:z) = 1",)), None),
        (spec("kernel-default", provides=("kernel(default:z) = 1",)), None),
        (spec("bash-kmp-default"), None),
    ],
    ids=lambda value: getattr(value, "nevra", None),
)
def test_a_kernel_that_nobody_knows_is_taken_to_fit_the_kmps_beside_it(
    tmp_path: Path, kernel: PackageSpec, assumed: list[str] | None
) -> None:
    symset = spec(
        "fs-kmp-default", requires=("kernel(default:fs) = 7", "bash"), provides=("kmod(fs.ko)", "fs")
    )
    other = spec("kernel-other", "1-1", provides=("ksym(other:q) = 1", "kmod(q.ko)"))
    pool = opened(tmp_path, [kernel, KMP, symset, other], {"r": []})
    unread = joined(pool, [kernel])
    mine = installed(pool, kernel.name)
    if assumed is None:
        assert unread == ({mine.id} if "-kmp-" in kernel.name else set())
        assert told(mine) == said(kernel)
        return
    assert unread == {mine.id}
    assert told(mine) == sorted(
        [
            *assumed,
            "kernel(default:fs) = 7",
            "kmod(acme.ko)",
            "kmod(fs.ko)",
            "ksym(default:a) = 1",
            "ksym(default:b) = 2",
            "multiversion(kernel)",
        ]
    )


@pytest.mark.parametrize(
    ("offered", "digest", "in_part"),
    [
        (("a = 1", "b = 2"), ("a = 1", "b = 2"), False),
        (("a = 1", "b = 3"), ("a = 1", "b = 2"), True),
        ((), ("a = 1", "b = 2"), True),
        ((), ("a = 1",), False),
        ((), None, True),
    ],
)
def test_a_kernel_of_which_its_host_alone_tells_some(
    tmp_path: Path, offered: tuple[str, ...], digest: tuple[str, ...] | None, in_part: bool
) -> None:
    """`collect` tells no more of a kernel than what the KMPs beside it need."""

    def with_symbols(symbols: tuple[str, ...]) -> PackageSpec:
        uname_r = "kernel-uname-r = 6.4.0-1-default"
        return spec("kernel-default", provides=(uname_r, *(f"ksym(default:{one})" for one in symbols)))

    mine = with_symbols(("a = 1",))
    pool = opened(tmp_path, [mine, KMP], {"r": [with_symbols(offered)] if offered else []})
    digests = {mine.nevra: symbol_digest(with_symbols(digest).provides)} if digest else {}
    found = join(pool, frozenset([mine.nevra]), digests, Policy().vendor_class)
    kernel = installed(pool, mine.name)
    assert found == (frozenset(), {kernel.id} if in_part else frozenset())


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], ""),
        ([ACME], ACME),
        ([""], ""),
        ([ACME, ACME.upper()], ACME.upper()),
        ([ACME, "Other Corp"], ""),
        ([ACME, ""], ""),
    ],
)
def test_the_vendor_of_what_nobody_knows(tmp_path: Path, others: list[str], expected: str) -> None:
    """That of its namesakes, if they are of one class."""
    offered = [spec(KMP.name, f"2-{number}", vendor=vendor) for number, vendor in enumerate(others)]
    pool = opened(tmp_path, [bare(KMP), bare(KERNEL, vendor="mine")], {"r": [*offered, spec(KERNEL.name)]})
    joined(pool)
    assert (installed(pool, KMP.name).vendor or "") == expected
    assert installed(pool, KERNEL.name).vendor == "mine"


@pytest.mark.parametrize(
    ("arches", "expected"),
    [
        ([], "noarch"),
        (["noarch", "noarch", "x86_64"], "x86_64"),
        (["aarch64", "i586", "i586"], "i586"),
        (["aarch64", "x86_64"], "x86_64"),
        (["unknown", "unknown", "aarch64"], "aarch64"),
    ],
)
def test_the_architecture_of_what_nobody_knows(tmp_path: Path, arches: list[str], expected: str) -> None:
    """That of most packages; what tells its own keeps it."""
    others = [spec(f"p{number}", arch=arch) for number, arch in enumerate(arches)]
    pool = opened(tmp_path, [bare(KMP, arch=UNKNOWN_ARCH), *others], {"r": []})
    joined(pool, [bare(KMP, arch=UNKNOWN_ARCH), *others[:1]])
    assert installed(pool, KMP.name).arch == expected
    if arches[:1] == ["aarch64"]:
        assert installed(pool, "p0").arch == "aarch64"


# -- many hosts ----------------------------------------------------------------------------------------------


def test_each_host_s_kernel_fits_its_own_kmps(tmp_path: Path) -> None:
    """Equal ones are one package; what a repository knows, and what is whole, all hosts have in common."""
    kernel, known = bare(KERNEL), spec("beta-kmp-default")
    one = spec("one-kmp-default", requires=("ksym(default:one) = 1",))
    two = spec("two-kmp-default", requires=("ksym(default:two) = 2",))
    offered = [replace(known, provides=("kmod(beta.ko)",))]
    pool = opened(tmp_path, [kernel, one, two, known], {"r": offered})
    k, first, second, beta = (int(s.id) for s in pool.installed.solvables)
    vendor_class = Policy().vendor_class
    hosts = [[k, first], [k, second], [k, first, beta], [first, beta], [k, first]]
    found, unread = join_hosts(pool, {k: None, beta: None}, [(host, vendor_class) for host in hosts])

    def assumed(handle: int) -> list[str]:
        return [text for text in told(pool.id2solvable(handle)) if text.startswith(("ksym(", "kmod("))]

    assert [host[1:] for host in found] == [host[1:] for host in hosts]
    assert [assumed(host[0]) for host in found] == [
        ["ksym(default:one) = 1"],
        ["ksym(default:two) = 2"],
        ["kmod(beta.ko)", "ksym(default:one) = 1"],
        ["ksym(default:one) = 1"],
        ["ksym(default:one) = 1"],
    ]
    assert found[0][0] == found[4][0] != k
    assert found[3] == [first, beta]
    assert unread == {found[0][0], found[1][0], found[2][0]}
    assert assumed(beta) == ["kmod(beta.ko)"]
    assert assumed(k) == []


def test_a_kmp_that_nobody_knows_is_no_kernel_of_its_host(tmp_path: Path) -> None:
    pool = opened(tmp_path, [bare(KMP, arch=UNKNOWN_ARCH), bare(KERNEL)], {"r": [KERNEL]})
    kmp, kernel = (int(s.id) for s in pool.installed.solvables)
    ((mine, other),), unread = join_hosts(
        pool, {kmp: None, kernel: None}, [([kmp, kernel], Policy().vendor_class)]
    )
    assert (pool.id2solvable(mine).arch, other, unread) == ("x86_64", kernel, frozenset({mine}))


# -- who may have to do with a judgement ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "relevant"),
    [
        (spec("kernel-other"), True),
        (spec("any-kmp-default"), True),
        (spec("driver", provides=("kmod(d.ko)",)), True),
        (spec("driver", provides=("ksym(default:d) = 1",)), True),
        (spec("driver", requires=("ksym(default:d) = 1",)), True),
        (spec("driver", requires=("kernel-uname-r = 6.4.0-20-default",)), True),
        (spec("driver", requires=("(kernel(default:fs) = 1 or nothing)",)), True),
        (spec("bash"), True),
        (spec("shell", provides=("bash = 5",)), True),
        (spec("shell", provides=("acme-kmp-default-k6.4.0",)), True),
        (spec("old-kmp"), True),
        (spec("rich"), True),
        (spec("tool", requires=("acme-libs = 1",)), True),
        (spec("tool", conflicts=("acme-libs",)), True),
        (spec("tool", obsoletes=("acme-kmp-default < 1",)), True),
        (spec("tool", requires=("(nothing or acme-libs)",)), True),
        (spec("tool", conflicts=("kmod(acme.ko)",)), True),
        (spec("tool", requires=("multiversion(kernel)",)), False),
        (spec("tool", provides=("acme-libs",)), False),
        (spec("tool", requires=("coreutils",), provides=("a",)), False),
    ],
    ids=lambda value: f"{value.name} {said(value)}" if isinstance(value, PackageSpec) else None,
)
def test_whose_names_matter(tmp_path: Path, package: PackageSpec, relevant: bool) -> None:
    acme = replace(
        KMP, provides=(*KMP.provides, "acme-libs = 1"), requires=(*KMP.requires, "(rich if nobody)")
    )
    pool = opened(tmp_path, [spec("mine", requires=("acme-libs",))], {"r": [acme, package, spec("far")]})
    assert relevant_names(pool) == {acme.name, *[package.name] * relevant}


def test_what_has_to_go_along_brings_the_names_of_what_leans_on_it(tmp_path: Path) -> None:
    gfx = spec("gfx", requires=("acme-kmp-default = 1-1",), provides=("libgfx.so.1", "shared"))
    old = spec("gfx", "0-1", provides=("libgfx.so.1",))  # an old version may still have stood on its own
    leaning = [spec("player", requires=("gfx = 1",)), spec("viewer", requires=("libgfx.so.1",))]
    further = [spec("lister", requires=("player",)), spec("rival", conflicts=("viewer > 1",))]
    others = [spec("elsewhere", provides=("shared",)), spec("away", requires=("shared",))]
    pool = opened(tmp_path, [], {"r": [KMP, gfx, old, *leaning, *further, *others]})
    assert relevant_names(pool) - {KMP.name} == {"gfx", "player", "viewer", "lister", "rival"}


def test_only_names_that_matter_are_completed(tmp_path: Path) -> None:
    bash, far = spec("bash", provides=("sh",)), spec("far", provides=("away",))
    pool = opened(tmp_path, [bare(bash), bare(far), bare(KMP)], {"r": [bash, far, KMP]})
    assert not joined(pool)
    assert told(installed(pool, "bash")) == ["sh"]
    assert told(installed(pool, "far")) == []
