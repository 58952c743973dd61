"""Lists of a kernel's symbols in every shape, and kernels made of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.modules.kernel import read_kernels
from kmpsolve.modules.module import module_name
from kmpsolve.modules.symvers import read_symvers
from tests.modules.debian import DebianKernel
from tests.support import rpmbuild
from tests.support.packages import PackageSpec

_SHAPES = {
    "Linux 2.6.16": "0x{crc}\t{symbol}\t{module}\n",
    "Linux 2.6.18": "0x{crc}\t{symbol}\t{module}\t{kind}\n",
    "Linux 5.4": "0x{crc}\t{symbol}\t{namespace}\t{module}\t{kind}\n",
    "Linux 5.7": "0x{crc}\t{symbol}\t{module}\t{kind}\t{namespace}\n",
}
_LINES = [
    {"crc": "037a0cba", "symbol": "kfree", "module": "vmlinux", "kind": "EXPORT_SYMBOL", "namespace": ""},
    {
        "crc": "00000000",
        "symbol": "odd",
        "module": "lib/odd",
        "kind": "EXPORT_SYMBOL_GPL",
        "namespace": "ROOM",
    },
]


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_shapes(shape: str, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / f"symvers-6.4.0-1-default{suffix}"
    path.write_bytes(pack("".join(_SHAPES[shape].format(**line) for line in _LINES).encode()))
    (kernel,) = read_kernels(path)
    symvers = kernel.symvers
    assert (kernel.uname_r, kernel.flavor) == ("6.4.0-1-default", "default")
    assert symvers.crcs == {"kfree": "37a0cba", "odd": "0"}
    assert symvers.modules == {"kfree": "vmlinux", "odd": "lib/odd"}
    kinds = {"kfree": "EXPORT_SYMBOL", "odd": "EXPORT_SYMBOL_GPL"}
    assert symvers.kinds == ({} if "2.6.16" in shape else kinds)
    assert symvers.namespaces == ({"odd": "ROOM"} if "5" in shape else {})
    assert symvers.gap == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lists no symbol"),
        (b"\n\n", "lists no symbol"),
        (b"0x12345678\tkfree\n", "line 1 is not"),
        (b"0x12345678\tkfree\tvmlinux\nhello world again\n", "line 2 is not"),
        (b"0x12345678\tkfree\tvmlinux\n0x87654321\tkfree\tvmlinux\n", "a second version"),
        (b"\x7fELF\xff\xfe\n", "line 1 is not text"),
        (gzip.compress(b"0x12345678\tkfree\tvmlinux\n")[:-6], "damaged or cut short"),
        (gzip.compress(b"\n" * (65 << 20)), "more than 64 MiB"),
    ],
    # Bytes make poor names of tests.
    ids=["empty", "blank", "two columns", "prose", "twice", "binary", "cut short", "a bomb"],
)
def test_damaged_lists(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "Module.symvers"
    path.write_bytes(content)
    with pytest.raises(MetadataError, match=message) as caught:
        read_symvers(path)
    assert caught.value.reference == "unreadable-symvers"
    assert caught.value.where == str(path)


def _symsets(place: Path, sets: dict[str, str], break_hash: bool = False) -> Path:
    """A tarball as SLE 11's kernel build makes it."""
    path = place / "symsets-2.6.32.12-0.7-default.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in sets.items():
            content = text.encode()
            found = hashlib.md5(content + b"x" * break_hash, usedforsecurity=False).hexdigest()[:16]
            member = tarfile.TarInfo(f"symsets-2.6.32.12-0.7-default/{name.partition('#')[0]}.{found}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


_MM = "0x037a0cba\tkfree\tmm/built-in\tEXPORT_SYMBOL\n"


def test_symsets(tmp_path: Path) -> None:
    more = _MM + "0x00000abc\tkmalloc\tmm/built-in\tEXPORT_SYMBOL_GPL\n"
    net = "0x1234abcd\tinit_net\tnet/core/built-in\tEXPORT_SYMBOL\n"
    path = _symsets(tmp_path, {"mm": more, "mm#old": _MM, "net_core": net})
    (kernel,) = read_kernels(path)
    assert kernel.uname_r == "2.6.32.12-0.7-default"
    assert kernel.symvers.crcs == {"kfree": "37a0cba", "kmalloc": "abc", "init_net": "1234abcd"}
    hashes = {
        hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:16].lstrip("0") for text in (more, _MM)
    }
    assert kernel.symvers.symsets["mm"] == hashes
    assert set(kernel.symvers.symsets) == {"mm", "net_core"}


def test_damaged_symsets(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="does not have the hash in its name"):
        read_symvers(_symsets(tmp_path, {"mm": _MM}, break_hash=True))
    changed = _MM.replace("037a0cba", "11111111")
    with pytest.raises(MetadataError, match="a second version"):
        read_symvers(_symsets(tmp_path, {"mm": _MM, "mm#old": changed}))
    whole = gzip.decompress(_symsets(tmp_path, {"mm": _MM * 1}).read_bytes())
    cut = tmp_path / "symsets-cut.tar"
    cut.write_bytes(whole[:520])
    with pytest.raises(MetadataError, match="damaged or cut short"):
        read_symvers(cut)


def _tree(kernel: DebianKernel, place: Path, number: int) -> Path:
    """A /lib/modules/X with some of a kernel's modules."""
    tree = place / "lib" / "modules" / kernel.uname_r
    folder = tree / "kernel" / "fs"
    folder.mkdir(parents=True)
    for file in sorted((kernel.tree / "kernel" / "fs").rglob("*.ko*"))[:number]:
        shutil.copy(file, folder)
    return tree


@pytest.mark.parametrize(
    "place",
    [
        "lib/modules/{0}/symvers.gz",
        "lib/modules/{0}/Module.symvers",
        "boot/symvers-{0}.gz",
        "usr/src/linux-headers-{0}/Module.symvers",
        "usr/src/linux-obj/x86_64/cloud/Module.symvers",
    ],
)
def test_trees(place: str, kernels: tuple[DebianKernel, ...], tmp_path: Path) -> None:
    kernel = kernels[0]
    tree = _tree(kernel, tmp_path, 3)
    # As for depmod, what a module exports that is not on the disk, such as one of -extra, is not there.
    present = {"vmlinux", *(module_name(file.name) for file in (tree / "kernel").rglob("*.ko*"))}
    of = kernel.symvers.modules
    expected = {name: crc for name, crc in kernel.symvers.crcs.items() if module_name(of[name]) in present}
    assert len(present) == 4
    assert 1000 < len(expected) < len(kernel.symvers.crcs)
    symvers = tmp_path / place.format(kernel.uname_r)
    symvers.parent.mkdir(parents=True, exist_ok=True)
    content = kernel.symvers_file.read_bytes()
    symvers.write_bytes(gzip.compress(content) if symvers.suffix == ".gz" else content)
    if "linux-obj" in place:
        # Absolute, as kernel-FLAVOR-devel makes it: it must not lead out of the tree's root.
        (tree / "build").symlink_to("/usr/src/linux-obj/x86_64/cloud")
    for source in (tree, tmp_path):
        (found,) = read_kernels(source)
        assert found.uname_r == kernel.uname_r
        assert found.symvers.crcs == expected
        assert found.symvers.gap == ""
        assert found.vermagic.startswith(f"{kernel.uname_r} SMP")
        assert found.structure_size > 500


def test_a_tree_without_a_list(kernels: tuple[DebianKernel, ...], tmp_path: Path) -> None:
    """Its own modules tell a part, all of it true, and the rest is said to be missing."""
    kernel = kernels[0]
    (found,) = read_kernels(_tree(kernel, tmp_path, 40))
    assert "no symvers file" in found.symvers.gap
    assert found.symvers.crcs.items() <= kernel.symvers.crcs.items()
    assert len(found.symvers.crcs) > 100
    assert found.symvers.crcs["module_layout"] == kernel.symvers.crcs["module_layout"]


def test_a_tree_with_nothing(tmp_path: Path) -> None:
    tree = tmp_path / "lib" / "modules" / "6.4.0-1-default"
    (tree / "kernel").mkdir(parents=True)
    with pytest.raises(MetadataError, match="neither a list of the kernel's symbols nor a module"):
        read_kernels(tree)


def _kernel(
    version: str, release: str, *, name: str = "kernel-default", provides: tuple[str, ...] = ()
) -> PackageSpec:
    return PackageSpec(
        name=name,
        version=version,
        release=release,
        provides=(f"kernel-uname-r = {version}-{release}-default", "multiversion(kernel)", *provides),
    )


def test_kernel_rpms(tmp_path: Path) -> None:
    specs = [
        _kernel("6.4.0", "1", provides=("ksym(default:kfree) = 037a0cba", "ksym(default:odd) = 0")),
        _kernel("6.4.0", "2", provides=("ksym(default:kfree) = 11111111",)),
        PackageSpec(name="glibc", version="1", release="1"),
    ]
    rpms = rpmbuild.build(specs)
    (kernel,) = read_kernels(rpms[0])
    assert kernel.nevra == "kernel-default-6.4.0-1.x86_64"
    assert kernel.uname_r == "6.4.0-1-default"
    assert kernel.symvers.crcs == {"kfree": "37a0cba", "odd": "0"}
    for rpm in rpms:
        shutil.copy(rpm, tmp_path)
    assert [found.uname_r for found in read_kernels(tmp_path)] == ["6.4.0-1-default", "6.4.0-2-default"]
    with pytest.raises(RequestError, match="holds no kernel"):
        read_kernels(rpms[2])


def test_a_kernel_in_two_packages(tmp_path: Path) -> None:
    """Code 11: -base and the full kernel each provide their part, and the list is a file in -base."""
    symvers = gzip.compress(b"0x037a0cba\tkfree\tvmlinux\tEXPORT_SYMBOL\n")
    base = _kernel(
        "2.6.32.12", "0.7", name="kernel-default-base", provides=("kernel(default:mm) = 0011223344556677",)
    )
    base = PackageSpec(
        name=base.name,
        version=base.version,
        release=base.release,
        provides=base.provides,
        contents=(("/boot/symvers-2.6.32.12-0.7-default.gz", symvers),),
    )
    full = _kernel("2.6.32.12", "0.7", provides=("kernel(default:net_core) = 8899aabbccddeeff",))
    for rpm in rpmbuild.build([base, full]):
        shutil.copy(rpm, tmp_path)
    (kernel,) = read_kernels(tmp_path)
    assert kernel.nevra == "kernel-default-2.6.32.12-0.7.x86_64"
    assert kernel.symvers.crcs == {"kfree": "37a0cba"}
    assert kernel.symvers.symsets == {
        "mm": frozenset({"11223344556677"}),
        "net_core": frozenset({"8899aabbccddeeff"}),
    }


def test_rebuilds_of_a_kernel(tmp_path: Path) -> None:
    """They share a uname -r and may differ in what they export; the base, made apart from them, has no more."""
    uname = "kernel-uname-r = 6.4.0-10-default"
    first = replace(_kernel("6.4.0", "10.1"), provides=(uname, "ksym(default:a) = 1", "ksym(default:b) = 1"))
    second = replace(first, release="10.2", provides=(uname, "ksym(default:a) = 2"))
    base = replace(first, name="kernel-default-base", release="10.1.22.7", provides=second.provides)
    for rpm in rpmbuild.build([first, second, base]):
        shutil.copy(rpm, tmp_path)
    kernels = read_kernels(tmp_path)
    assert {kernel.nevra: kernel.symvers.crcs for kernel in kernels} == {
        "kernel-default-6.4.0-10.1.x86_64": {"a": "1", "b": "1"},
        "kernel-default-6.4.0-10.2.x86_64": {"a": "2"},
    }


def test_a_kernel_that_says_nothing() -> None:
    (rpm,) = rpmbuild.build([_kernel("6.4.0", "3")])
    (kernel,) = read_kernels(rpm)
    assert "does not say which symbols it exports" in kernel.symvers.gap
