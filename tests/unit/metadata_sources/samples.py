"""What the tests of this folder share: sample packages, RPMs with arbitrary headers, libsolv's view."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import solv

from kmpsolve.metadata.content import Content
from kmpsolve.metadata.rpmbinding import load_rpm
from tests.support.packages import PackageSpec

KREL = "6.4.0-150600.23.1"

KERNEL = PackageSpec(
    name="kernel-default",
    version="6.4.0",
    release="150600.23.1",
    provides=(
        f"kernel-uname-r = {KREL}-default",
        "multiversion(kernel)",
        "kmod(loop.ko)",
        "ksym(default:kfree) = 37a0cba",
        "ksym(default:__SCK__tp_func_xdp_exception) = 67b736ee",
    ),
    files=(
        f"/lib/modules/{KREL}-default/kernel/drivers/block/loop.ko.zst",
        f"/boot/vmlinuz-{KREL}-default",
    ),
)

ACME = PackageSpec(
    name="acme-kmp-default",
    version="2.1_k6.4.0_150600.21",
    release="1",
    epoch=2,
    vendor='ACME <"drivers" & more>',
    provides=(
        "kmod(acme.ko)",
        "ksym(default:acme_register) = 1",
        "acme-kmp = 2.1",
        "acme-kmp-default-k6.4.0",
    ),
    requires=(
        "ksym(default:kfree) = 37a0cba",
        "ksym(default:acme_register) = 1",
        "kernel-uname-r = 6.3.6-1-default",
        "kernel(default:vfs) = 0123456789abcdef",
        "modversions",
        "suse-kernel-rpm-scriptlets",
        "(acme-firmware or acme-firmware-legacy)",
        "/etc/acme.conf",
        "/usr/share/elsewhere",
        "libc.so.6()(64bit)",
        "libc.so.6(GLIBC_2.4)(64bit)",
        "libc.so.6(GLIBC_2.34)(64bit)",
        "libc.so.6(GLIBC_PRIVATE)(64bit)",
        "older < 1:2-3",
        "oldest <= 2",
        "newer > 0:7",
        "newest >= 3.0~rc1-1.1",
    ),
    conflicts=("acme-kmp-default-k6.4.0",),
    obsoletes=("acme-kmp-trace < 3",),
    recommends=("acme-tools >= 2",),
    supplements=(
        "modalias(kernel-default:pci:v00001AF4d*sv*sd*bc*sc*i*)",
        "packageand(kernel-default:acme-tools)",
        "(kernel-default and acme-tools)",
    ),
    enhances=("kernel-default",),
    triggers=("kernel-default-devel", "kernel-rt-devel"),
    files=(
        "/etc/acme.conf",
        "/lib/modules/6.4.0-150600.21-default/updates/acme.ko",
        "/usr/lib/modules/6.4.0-150600.21-default/updates/acme_nic.ko.xz",
        "/lib/modules/6.4.0-150600.21-default/updates/acme.ko.debug",
        "/usr/share/doc/acme.ko",
        "/usr/sbin/acme-setup",
        "/opt/acme/bin/Ünï & co",
    ),
    scripts=(("pre", "exit 0"), ("post", "exit 0"), ("pretrans", "exit 0"), ("postun", "exit 0")),
)

TOOLS = PackageSpec(
    name="acme-tools", version="2.1", release="3", arch="noarch", requires=("acme-kmp = 2.1",)
)

_LISTS = (
    "PROVIDES",
    "REQUIRES",
    "CONFLICTS",
    "OBSOLETES",
    "RECOMMENDS",
    "SUGGESTS",
    "SUPPLEMENTS",
    "ENHANCES",
)


def write_rpm(path: Path, tags: Mapping[str, Any], *, latin: bool = False) -> None:
    """Write an RPM with exactly these tags, also with what today's rpmbuild refuses to write.

    With `latin`, each ``ü`` becomes the bytes FC 90, since rpm's binding writes UTF-8 only: a Latin-1
    ``ü`` and a control character that createrepo_c leaves out.
    """
    rpm = load_rpm()
    header = rpm.hdr()
    defaults = {"NAME": "odd", "VERSION": "1", "RELEASE": "1", "ARCH": "x86_64", "OS": "linux"}
    rest = {"SOURCERPM": "odd-1-1.src.rpm", "PAYLOADFORMAT": "cpio", "PAYLOADCOMPRESSOR": "gzip"}
    for tag, value in {**defaults, **rest, **tags}.items():
        if value is not None:
            header[getattr(rpm, f"RPMTAG_{tag}")] = value
    magic = b"\x8e\xad\xe8\x01\0\0\0\0"
    blob = header.unload()
    main = magic + (blob.replace("ü".encode(), b"\xfc\x90") if latin else blob) + b"no payload"
    # One entry: SIGTAG_SIZE (1000), an INT32 (4) at offset 0.
    signature = magic + struct.pack(">6II", 1, 4, 1000, 4, 0, 1, len(main))
    lead = struct.pack(">4sBBhh66shh16x", b"\xed\xab\xee\xdb", 3, 0, 0, 1, b"odd-1-1", 1, 5)
    path.write_bytes(lead + signature + bytes(-len(signature) % 8) + main)


def requirements(*entries: tuple[str | bytes, int, str]) -> dict[str, Sequence[Any]]:
    """Make the three tags for requirements given as name, sense bits, EVR."""
    names, senses, evrs = zip(*entries, strict=True)
    return {"REQUIRENAME": list(names), "REQUIREFLAGS": list(senses), "REQUIREVERSION": list(evrs)}


def createrepo(folder: Path, *options: str) -> None:
    """Run createrepo_c; a package that it leaves out is a failure."""
    done = subprocess.run(
        ["createrepo_c", "--no-database", *options, str(folder)], capture_output=True, text=True, check=True
    )
    assert "Cannot" not in done.stderr, done.stderr


def load(primary: BinaryIO) -> tuple[Any, Any]:
    """Load a primary.xml into libsolv, as the solver does: through the descriptor."""
    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    pool.setarch("x86_64")
    repo = pool.add_repo("loaded")
    assert repo.add_rpmmd(solv.xfopen_fd("primary.xml", os.dup(primary.fileno())), None), pool.errstr
    return pool, repo


def view(content: Content) -> dict[str, dict[str, Any]]:
    """Return everything that libsolv knows about every package and that a plan could depend on.

    Closes the content's file, as whoever loads it has to.
    """
    assert content.primary is not None
    with content.primary as primary:
        pool, repo = load(primary)
    return facts_of(pool, repo)


def facts_of(pool: Any, repo: Any) -> dict[str, dict[str, Any]]:
    """The same of what is loaded."""
    pool.createwhatprovides()
    seen: dict[str, dict[str, Any]] = {}
    for solvable in repo.solvables:
        facts: dict[str, Any] = {
            name: [pool.dep2str(one) for one in solvable.lookup_idarray(getattr(solv, f"SOLVABLE_{name}"))]
            for name in _LISTS
        }
        facts["vendor"] = solvable.vendor
        facts["checksum"] = solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM).hex()
        facts["location"] = solvable.lookup_location()
        facts["source"] = solvable.lookup_sourcepkg()
        facts["license"] = solvable.lookup_str(solv.SOLVABLE_LICENSE)
        for name in ("BUILDTIME", "DOWNLOADSIZE", "INSTALLSIZE"):
            facts[name] = solvable.lookup_num(getattr(solv, f"SOLVABLE_{name}"))
        files = solvable.Dataiterator(solv.SOLVABLE_FILELIST, None, solv.Dataiterator.SEARCH_FILES)
        facts["files"] = sorted(match.str for match in files)
        seen[f"{facts['location'][0]} {solvable}"] = facts
    return seen
