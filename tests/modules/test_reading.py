"""What is read from a module, held against kmod's and binutils' reading of the same file."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.loader import judge_together
from kmpsolve.modules.module import Module, read_module
from kmpsolve.modules.symvers import read_symvers
from tests.modules import debian, kbuild
from tests.modules.debian import DebianKernel

Built = Callable[[DebianKernel], Path]


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _versions_of_kmod(path: Path) -> dict[str, str]:
    lines = (line.split("\t") for line in _output("modprobe", "--dump-modversions", path).splitlines())
    return {symbol: format(int(crc, 16), "x") for crc, symbol in lines}


def _exports_of_binutils(path: Path, symvers: Path) -> dict[str, tuple[str, str, str]]:
    """CRC, type and namespace as modpost wrote them down, for what nm sees in the module."""
    lines = [line.split("\t") for line in symvers.read_text().splitlines()]
    known = {symbol: (format(int(crc, 16), "x"), kind, space) for crc, symbol, _, kind, space in lines}
    names = re.findall(r"__ksymtab_(\w+)$", _output("nm", path), re.MULTILINE)
    return {name: known[name] for name in names}


@pytest.mark.parametrize("number", range(5))
def test_our_modules(
    number: int, kernels: tuple[DebianKernel, ...], rt_kernel: DebianKernel, built: Built
) -> None:
    kernel = (*kernels, rt_kernel)[number]
    folder = built(kernel)
    base, user = folder / "kmpsolve_base.ko", folder / "kmpsolve_user.ko"
    for path in (base, user):
        module = read_module(path)
        assert module.versions == _versions_of_kmod(path)
        assert module.name == path.stem
        assert module.built_for == kernel.uname_r
        undefined = re.findall(r"^ +U (\S+)$", _output("nm", path), re.MULTILINE)
        assert module.undefined == tuple(sorted(undefined))
        assert module.unversioned == ()
        assert module.signature is None
    module = read_module(base)
    exports = {symbol: (found.crc, found.kind, found.namespace) for symbol, found in module.exports.items()}
    assert exports == _exports_of_binutils(base, folder / "Module.symvers")
    assert set(exports) == {"kmpsolve_sum", "kmpsolve_scale", "kmpsolve_hidden"}
    assert exports["kmpsolve_hidden"][1:] == ("EXPORT_SYMBOL_GPL", "KMPSOLVE")
    assert module.modinfo["alias"] == ("kmpsolve:base",)
    assert module.said("supported") == "external"
    assert read_module(user).depends == ("kmpsolve_base",)
    assert read_module(user).modinfo["import_ns"] == ("KMPSOLVE",)


def test_every_module_of_a_kernel(kernels: tuple[DebianKernel, ...]) -> None:
    """The CRCs that the kernel's list gives for its modules are those read from the modules themselves."""
    for kernel in (kernels[0], kernels[2]):
        symvers = kernel.symvers
        found: dict[str, str | None] = {}
        for module in debian.tree_modules(kernel):
            for symbol, export in module.exports.items():
                found[symbol] = export.crc
                assert symvers.kinds[symbol] == export.kind
                assert symvers.namespaces.get(symbol, "") == export.namespace
        from_modules = {name for name, module in symvers.modules.items() if module != "vmlinux"}
        assert found == {name: symvers.crcs[name] for name in from_modules}
        assert len(found) > 1000


def test_in_tree_modules_against_kmod(kernels: tuple[DebianKernel, ...]) -> None:
    for kernel in (kernels[0], kernels[-1]):
        for path in sorted((kernel.tree / "kernel").rglob("*.ko*"))[::25]:
            module = read_module(path)
            assert module.versions == _versions_of_kmod(path)
            said = dict(re.findall(r"^(\w+): +(.*)$", _output("modinfo", path), re.MULTILINE))
            assert said["vermagic"].strip() == module.vermagic
            assert said["name"] == module.name
            assert module.signature is not None
            assert said["sig_hashalgo"] == module.signature.hash_algorithm
            assert said["signer"] == module.signature.signer
            assert said["sig_key"].replace(":", "").lower() == module.signature.key_id


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
        (".zst", lambda content: zstandard.ZstdCompressor(write_content_size=False).compress(content)),
    ],
)
def test_compressed(
    suffix: str,
    pack: Callable[[bytes], bytes],
    kernels: tuple[DebianKernel, ...],
    built: Built,
    tmp_path: Path,
) -> None:
    plain = built(kernels[0]) / "kmpsolve_base.ko"
    packed = tmp_path / f"kmpsolve_base.ko{suffix}"
    packed.write_bytes(pack(plain.read_bytes()))
    assert read_module(packed, "name") == read_module(plain, "name")
    assert read_module(pack(plain.read_bytes()), "name") == read_module(plain, "name")


def test_extended_versions(kernels: tuple[DebianKernel, ...], built: Built, tmp_path: Path) -> None:
    """Linux 6.14's tables, for symbols with long names; they win over the old one."""
    plain = built(kernels[0]) / "kmpsolve_user.ko"
    versions = read_module(plain).versions
    long = "_RNv" + "x" * 200
    wanted = {**versions, long: "deadbeef"}
    crcs = b"".join(struct.pack("<I", int(crc, 16)) for crc in wanted.values())
    names = b"".join(name.encode() + b"\0" for name in wanted)
    one = kbuild.with_section(plain, "__version_ext_crcs", crcs, tmp_path / "one.ko")
    both = kbuild.with_section(one, "__version_ext_names", names, tmp_path / "both.ko")
    assert read_module(both).versions == wanted
    alone = kbuild.with_section_renamed(both, "__versions", ".was_versions", tmp_path / "alone.ko")
    assert read_module(alone).versions == wanted
    without = kbuild.with_section_renamed(plain, "__versions", ".was_versions", tmp_path / "without.ko")
    assert read_module(without).versions == {}
    assert set(read_module(without).unversioned) == set(read_module(plain).undefined)


def test_stripped_of_local_symbols(kernels: tuple[DebianKernel, ...], built: Built, tmp_path: Path) -> None:
    """The kernel reads its tables, not the symbols that lead to them; so do we."""
    plain, stripped = built(kernels[0]) / "kmpsolve_base.ko", tmp_path / "stripped.ko"
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, plain], check=True)
    assert "__crc_kmpsolve_sum" not in _output("nm", stripped)
    assert read_module(stripped).exports == read_module(plain).exports
    assert not read_module(stripped).stripped


def test_stripped_of_all_symbols(kernels: tuple[DebianKernel, ...], built: Built, tmp_path: Path) -> None:
    """Its versions still agree with the kernel's, but the kernel refuses it ("module has no symbols")."""
    folder, stripped = built(kernels[0]), tmp_path / "stripped.ko"
    subprocess.run(["objcopy", "--strip-all", folder / "kmpsolve_user.ko", stripped], check=True)
    base, kernel = read_module(folder / "kmpsolve_base.ko"), Kernel(source="", symvers=kernels[0].symvers)
    _, found = judge_together((base, read_module(stripped)), kernel)
    assert (found.verdict, found.mismatches) == ("blocked", ())
    assert [(obstacle.kind, obstacle.message) for obstacle in found.obstacles] == [
        ("stripped", "was stripped of its symbol table, and no kernel loads it so")
    ]


def test_the_first_of_two_versions_counts(
    kernels: tuple[DebianKernel, ...], built: Built, tmp_path: Path
) -> None:
    """The kernel's check_version ends at the first entry of a symbol, so a fitting one after it is no help."""
    plain = built(kernels[0]) / "kmpsolve_base.ko"
    table = kbuild.section(plain, "__versions")
    other = struct.pack("<Q", 0xBAD) + b"init_net".ljust(56, b"\0")
    twice = kbuild.with_section(plain, "__versions", other + table, tmp_path / "twice.ko")
    expected = {**read_module(plain).versions, "init_net": "bad"}
    assert read_module(twice).versions == expected
    names = b"init_net\0init_net\0" + b"".join(name.encode() + b"\0" for name in expected)
    crcs = struct.pack("<II", 0xBAD, 0xCAFE) + bytes(4 * len(expected))
    one = kbuild.with_section(plain, "__version_ext_crcs", crcs, tmp_path / "one.ko")
    both = kbuild.with_section(one, "__version_ext_names", names, tmp_path / "both.ko")
    assert read_module(both).versions["init_net"] == "bad"


_SOURCE = """
        .section __versions, "a"
        .{word} {crc:#x}
        .ascii "printk"
        .zero {padding}
        .section .modinfo, "a"
        .asciz "name=made"
        .asciz "license=GPL"
        .section .gnu.linkonce.this_module, "aw"
        .zero 64
        .section __ksymtab_strings, "aMS", %progbits, 1
__kstrtab_plain: .asciz "plain"
__kstrtab_spaced: .asciz "spaced"
__kstrtabns_spaced: .asciz "ROOM"
        .section __ksymtab, "a"
        {entries}
        .section __kcrctab, "a"
        {crcs}
        .section .rodata
        {stored}
        .text
        .global plain, spaced
plain:
spaced:
        .{word} printk, perhaps
        .weak perhaps
        {symbols}
"""

_LINUX_3 = {
    "entries": ".{word} plain, __kstrtab_plain, spaced, __kstrtab_spaced",
    "crcs": ".{word} __crc_plain, __crc_spaced",
    "symbols": ".global __crc_plain, __crc_spaced\n__crc_plain = 0x0badcafe\n__crc_spaced = 0xfeedf00d",
    "stored": "",
}
_LINUX_4_19 = {
    "entries": ".long plain - ., __kstrtab_plain - .\n.long spaced - ., __kstrtab_spaced - .",
    "crcs": ".long __crc_plain - .\n.long __crc_spaced - .",
    "stored": "__crc_plain: .long 0x0badcafe\n__crc_spaced: .long 0xfeedf00d",
    "symbols": ".global __crc_plain, __crc_spaced",
}
_LINUX_5_4 = {
    "entries": ".{word} plain, __kstrtab_plain, 0, spaced, __kstrtab_spaced, __kstrtabns_spaced",
    "crcs": ".long __crc_plain, __crc_spaced",
    "symbols": ".global __crc_plain, __crc_spaced\n__crc_plain = 0x0badcafe\n__crc_spaced = 0xfeedf00d",
    "stored": "",
}
_LINUX_6 = {
    "entries": ".long plain - ., __kstrtab_plain - ., 0\n.long spaced - ., __kstrtab_spaced - .,"
    " __kstrtabns_spaced - .",
    "crcs": "__crc_plain: .long 0x0badcafe\n__crc_spaced: .long 0xfeedf00d",
    "stored": "",
    "symbols": "",
}
_MACHINES = {
    "64-bit, little end first": (["as", "--64"], 8),
    "32-bit, little end first": (["as", "--32"], 4),
    "64-bit, big end first": (["powerpc-linux-gnu-as", "-a64", "-mbig"], 8),
    "32-bit, big end first": (["powerpc-linux-gnu-as", "-a32", "-mbig"], 4),
}


_ENDINGS = {
    "64-bit, little end first": "X86_64, 64-bit little-endian",
    "32-bit, little end first": "386, 32-bit little-endian",
    "64-bit, big end first": "PPC64, 64-bit big-endian",
    "32-bit, big end first": "PPC, 32-bit big-endian",
}


def _assembled(machine: str, shape: dict[str, str], place: Path) -> Module:
    assembler, size = _MACHINES[machine]
    # POWER's .long has 4 bytes too, and so has x86's; a word is named differently.
    word = {8: "quad", 4: "long"}[size]
    parts = {key: value.format(word=word) for key, value in shape.items()}
    source = place / "made.s"
    source.write_text(_SOURCE.format(word=word, crc=0x1234ABC, padding=64 - size - len("printk"), **parts))
    made = place / "made.ko"
    subprocess.run([*assembler, "-o", made, source], check=True)
    return read_module(made)


@pytest.mark.parametrize("machine", _MACHINES)
@pytest.mark.parametrize(
    ("shape", "namespace"),
    [(_LINUX_3, ""), (_LINUX_4_19, ""), (_LINUX_5_4, "ROOM"), (_LINUX_6, "ROOM")],
    ids=["Linux 3", "Linux 4.19", "Linux 5.4", "Linux 6"],
)
def test_all_shapes_of_tables(machine: str, shape: dict[str, str], namespace: str, tmp_path: Path) -> None:
    """Export tables as they looked over the years, on machines of either word size and byte order."""
    module = _assembled(machine, shape, tmp_path)
    assert module.versions == {"printk": "1234abc"}
    assert module.machine.endswith(_ENDINGS[machine])
    assert (module.undefined, module.weak) == (("printk",), frozenset({"perhaps"}))
    assert {symbol: export.crc for symbol, export in module.exports.items()} == {
        "plain": "badcafe",
        "spaced": "feedf00d",
    }
    assert module.exports["plain"].namespace == ""
    assert module.exports["spaced"].namespace == namespace
    assert module.exports["plain"].kind == "EXPORT_SYMBOL"


def test_export_without_version(tmp_path: Path) -> None:
    """A weak reference that leads nowhere: genksyms could make no CRC."""
    shape = {**_LINUX_4_19, "symbols": ".weak __crc_plain, __crc_spaced", "stored": ""}
    module = _assembled("64-bit, little end first", shape, tmp_path)
    assert {export.crc for export in module.exports.values()} == {None}


def test_symvers_of_our_module(kernels: tuple[DebianKernel, ...], built: Built) -> None:
    folder = built(kernels[0])
    symvers = read_symvers(folder / "Module.symvers")
    module = read_module(folder / "kmpsolve_base.ko")
    assert symvers.crcs == {symbol: export.crc for symbol, export in module.exports.items()}
    assert symvers.kinds == {symbol: export.kind for symbol, export in module.exports.items()}
    assert symvers.namespaces == {"kmpsolve_hidden": "KMPSOLVE"}
