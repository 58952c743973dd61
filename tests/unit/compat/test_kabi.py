"""What two kernels export differently, and which builds that hits."""

from __future__ import annotations

from dataclasses import replace

from kmpsolve.compat.kabi import Changed, KabiDiff, Kernel, SymbolGroup, difference
from kmpsolve.compat.severities import Severities, parse_severities
from kmpsolve.model.package import KmpBuild
from tests.unit.compat.building import TABLE, kernel, kmp

NO_RULES = Severities(())


def of(
    crcs: dict[str, str], modules: dict[str, str] | None = None, spaces: dict[str, str] | None = None
) -> Kernel:
    versions = {name: tuple(values.split()) for name, values in crcs.items()}
    return Kernel(label="k", crcs=versions, modules=modules or {}, namespaces=spaces or {})


def hits(before: str, after: str, *builds: KmpBuild) -> KabiDiff:
    units = kernel(before), kernel(after, uname_r="6.4.0-30-default")
    a, b = (Kernel.of_unit(unit, TABLE) for unit in units)
    return difference(a, b, NO_RULES, builds, units, TABLE)


def test_changed_is_a_version_that_the_second_has_no_more() -> None:
    found = difference(of({"s": "1 2", "t": "1", "u": "1"}), of({"s": "1 3", "t": "1 2", "v": "1"}), NO_RULES)
    assert found.changed == (Changed("s", "2", "1"),)
    assert (found.removed, found.added) == (("u",), ("v",))


def test_a_list_tells_symbols_and_symsets() -> None:
    found = Kernel.of_list(
        "a.symvers",
        {"x": "1"},
        symsets={"fs": frozenset({"3", "2"})},
        modules={},
        namespaces={},
        uname_r="6.4.0-20-default",
    )
    assert list(found.crcs.items()) == [("fs", ("2", "3")), ("x", ("1",))]
    unit = found.unit(["default", ""], TABLE)
    assert dict(unit.exports) == {
        "kernel-uname-r": ("6.4.0-20-default",),
        "ksym(default:x)": ("1",),
        "ksym(x)": ("1",),
        "kernel(default:x)": ("1",),
        "kernel(x)": ("1",),
        "ksym(default:fs)": ("2", "3"),
        "ksym(fs)": ("2", "3"),
        "kernel(default:fs)": ("2", "3"),
        "kernel(fs)": ("2", "3"),
    }


def test_either_kernel_says_where_a_symbol_is() -> None:
    rules = parse_severities("drivers/* PASS\nSPACE PASS\nother/* PASS\n", "rules")
    a, b = {"m": "1", "n": "1", "o": "1"}, {"m": "2", "n": "2", "o": "2"}
    told = {"m": "drivers/m"}, {"n": "SPACE"}
    for found in (
        difference(of(a, *told), of(b), rules),
        difference(of(a), of(b, *told), rules),
        difference(of(a, *told), of(b, {"m": "other/m"}, {"n": "OTHER"}), rules),
    ):
        assert found.tolerated == {"m", "n"}
        assert [rule.line for rule in found.unused] == [3]
        assert found.unjudged == ()
    found = difference(of(a), of(b), parse_severities("drivers/* PASS\nSPACE PASS\nz PASS\n", "rules"))
    assert found.tolerated == frozenset()
    assert [rule.line for rule in found.unused] == [3]
    assert [rule.line for rule in found.unjudged] == [1, 2]


def test_who_is_hit() -> None:
    exact = kmp("exact", "x=1 y=1 exact=6.4.0-20-default")
    builds = [
        kmp("a", "x=1"),
        kmp("b", "x=1 y=1 z=1"),
        kmp("c", "z=1"),
        kmp("never", "x=2"),
        kmp("bare"),
        exact,
    ]
    found = hits("x=1 y=1 z=1", "x=2 z=1", *builds)
    assert [(hit.build, hit.symbols, hit.exact_kernel) for hit in found.hits] == [
        (builds[0], ("x",), False),
        (builds[1], ("x", "y"), False),
        (exact, ("x", "y"), True),
    ]


def test_symbols_by_the_builds_that_they_hit() -> None:
    """Most symbols first, then by the builds; what hits nobody last."""
    one, two = kmp("one", "a=1 b=1 d=1"), kmp("two", "c=1 d=1")
    found = hits("a=1 b=1 c=1 d=1 n=1 o=1 p=1", "c=2 n=2", one, two)
    assert found.groups == (
        SymbolGroup(("a", "b"), (str(one.nevra),)),
        SymbolGroup(("d",), (str(one.nevra), str(two.nevra))),
        SymbolGroup(("c",), (str(two.nevra),)),
        SymbolGroup(("n", "o", "p"), ()),
    )


def test_a_list_of_one_flavor_says_nothing_of_another() -> None:
    lists = [
        Kernel.of_list(name, crcs, symsets={}, modules={}, namespaces={}, uname_r=uname_r)
        for name, crcs, uname_r in (("a", {"x": "1"}, "6.4.0-10-rt"), ("b", {"x": "2"}, "6.4.0-20-rt"))
    ]
    build = kmp("a", "x=1")
    before, after = (one.unit(["default", "rt"], TABLE) for one in lists)
    units = before, after
    assert difference(lists[0], lists[1], NO_RULES, [build], units, TABLE).hits == ()
    for flavor in ("rt", ""):
        hit = replace(build, flavor=flavor)
        (found,) = difference(lists[0], lists[1], NO_RULES, [hit], units, TABLE).hits
        assert found.build is hit
    unnamed = replace(before, flavor=""), replace(after, flavor="")
    assert len(difference(lists[0], lists[1], NO_RULES, [build], unnamed, TABLE).hits) == 1
