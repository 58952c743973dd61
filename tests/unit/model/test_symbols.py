"""All spellings of a symbol requirement, and what only looks like one."""

from __future__ import annotations

import pytest

from kmpsolve.model.modules import Modules, module_name
from kmpsolve.model.needs import Need, flavor_of_uname, parse_need
from kmpsolve.model.symbols import Exports, SymbolTable


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ("ksym(default:kfree) = 37a0cba", Need("ksym", "default", "kfree", "ksym(default:kfree)", "37a0cba")),
        (
            "ksym(default:kfree) = 037A0CBA",
            Need("ksym", "default", "kfree", "ksym(default:kfree)", "37a0cba"),
        ),
        ("ksym(64kb:a.b) = 0", Need("ksym", "64kb", "a.b", "ksym(64kb:a.b)", "0")),
        (
            "kernel(xen:block) = 00aabbccddeeff11",
            Need("symset", "xen", "block", "kernel(xen:block)", "aabbccddeeff11"),
        ),
        ("kernel(kfree) = 0x037a0cba", Need("ksym", "", "kfree", "kernel(kfree)", "37a0cba")),
        ("ksym(zfs_open) = 0xabc", Need("ksym", "", "zfs_open", "ksym(zfs_open)", "abc")),
        (
            "kernel-uname-r = 6.3.6-1-default",
            Need("exact-kernel", "default", "6.3.6-1-default", "kernel-uname-r", "6.3.6-1-default"),
        ),
    ],
)
def test_understood(capability: str, expected: Need) -> None:
    assert parse_need(capability) == expected


@pytest.mark.parametrize(
    "capability",
    [
        "ksym(default:",
        "ksym(default:?)",
        "ksym(default:a) = xyz",
        "modversions",
        "retpoline",
        "ksym()",
        "kernel(default:a",
    ],
)
def test_damaged(capability: str) -> None:
    need = parse_need(capability)
    assert need is not None
    assert need.kind == "damaged"


@pytest.mark.parametrize(
    "capability",
    [
        "coreutils",
        "kernel-default = 1-1",
        "kernel(x86-64) = 5.1-1",
        "modversions-tools",
        "ksymoops",
        "kmod(a.ko)",
    ],
)
def test_not_a_symbol(capability: str) -> None:
    assert parse_need(capability) is None


@pytest.mark.parametrize(
    ("uname_r", "flavor"),
    [
        ("6.4.0-150600.23.25-default", "default"),
        ("6.4.0-150600.23-64kb", "64kb"),
        ("5.14.0-503.el9.x86_64", ""),
        ("6.4.0-1", ""),
        ("2.6.32.12-0.7-pae", "pae"),
    ],
)
def test_flavor(uname_r: str, flavor: str) -> None:
    assert flavor_of_uname(uname_r) == flavor


def _exports(*capabilities: str) -> tuple[Exports, SymbolTable]:
    table = SymbolTable(capabilities.__getitem__)
    return Exports(lambda: range(len(capabilities)), table), table


def test_comparison_is_exact_where_versions_are_not() -> None:
    exports, _ = _exports("ksym(default:a) = 1e010abc")
    wanted = parse_need("ksym(default:a) = 1e10abc")
    assert wanted is not None
    assert not exports.meets(wanted)


def test_two_values_of_one_symbol_both_count() -> None:
    exports, _ = _exports("ksym(default:a) = 1", "ksym(default:a) = 2", "kmod(a.ko)")
    assert dict(exports) == {"ksym(default:a)": ("1", "2")}


@pytest.mark.parametrize("file", ["snd-hda.ko", "snd_hda.ko.xz", "snd-hda.ko.zst", "snd_hda"])
def test_module_spellings_are_one_module(file: str) -> None:
    assert module_name(file) == "snd_hda"


def test_modules_keep_the_provided_spelling() -> None:
    modules = Modules(lambda: [["kmod(snd-hda.ko)", "ksym(a:b) = 1"], ["kmod(x.ko.xz) = 5"]])
    assert dict(modules) == {"snd_hda": "snd-hda.ko", "x": "x.ko.xz"}


@pytest.mark.parametrize(
    "odd",
    [
        "ksym(default:",
        "ksym(",
        "ksym(default:a",
        "ksym(default:a) = 01",
        "ksym(default:a) = 00",
        "ksym(default:a) = 1A",
        "ksym(default:a) = 0x1",
        "ksym(default:a) = 11111111111111111",
        "ksym(default:a) = 1\n",
        "ksym(default:a) = 1\nksym(default:b) = 2",
        "ksym(default:a:b) = 1",
        "ksym(a b) = 1",
        "kernel(default:a) = 1",
        "kernel-uname-r = 6.4.0-1-default",
        "kmod(a.ko)",
        "",
    ],
)
@pytest.mark.parametrize("others", [(), ("ksym(default:c) = 0", "ksym(64kb:a.b) = f00", "ksym(d) = 1a")])
def test_what_is_spelled_as_usual(odd: str, others: tuple[str, ...]) -> None:
    """Among many or alone, whatever is read with it."""
    texts = [*others, odd, *others]
    table = SymbolTable(texts.__getitem__)
    usual, rest = table.sorted_out(set(range(len(texts))))
    here = len(others)
    assert rest == {here: odd}
    assert usual == {number: text for number, text in enumerate(texts) if number != here}
    for number, text in usual.items():
        key, _, value = text.partition(" = ")
        assert table.version(number) == (key, value)
        assert table.need(number) == parse_need(text)
    need = parse_need(odd)
    expected = None if need is None or need.kind == "damaged" else (need.key, need.value)
    assert table.version(here) == expected


@pytest.mark.parametrize(
    ("needed", "provided"), [("abc", "0abc"), ("0abc", "abc"), ("ABC", "abc"), ("0xabc", "0abc")]
)
def test_a_version_is_provided_however_it_is_spelled(needed: str, provided: str) -> None:
    spelled = (f"ksym(default:a) = {crc}" for crc in (needed, provided))
    table = SymbolTable([*spelled, "ksym(default:b) = 1", "ksym(default:a) = abd"].__getitem__)
    exports = Exports(lambda: [1, 2], table)
    asked = {number: version for number in (0, 2, 3) if (version := table.version(number))}
    assert exports.lacking(asked) == {3: ("ksym(default:a)", "abd")}
