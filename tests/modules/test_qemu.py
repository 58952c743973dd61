"""Real kernels are asked to load modules; the loader's answer must be ours, symbol by symbol."""

from __future__ import annotations

import lzma
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.loader import Judgement, judge_together
from kmpsolve.modules.module import read_module
from kmpsolve.modules.signature import verify
from kmpsolve.modules.symvers import Symvers
from tests.modules import debian, kbuild, qemu
from tests.modules.debian import DebianKernel

Answer = frozenset[tuple[str, str]]

_CALM = ("crypto", "fs/nls", "lib", "net/ipv4", "net/netfilter", "net/sched")
"""Folders of modules that need no hardware."""
_RESTLESS = re.compile(r"test|torture|perf|kunit|bench|fault|tcrypt")

_SAYINGS = (
    (re.compile(r"disagrees about version of symbol (\S+)"), "disagrees"),
    (re.compile(r"Unknown symbol (\S+) \(err -2\)"), "unknown"),
    (re.compile(r"uses symbol \(?(\w+)\)? from namespace \S+, but does not import it"), "namespace"),
    (re.compile(r"exports duplicate symbol (\S+)"), "duplicate-export"),
    (re.compile(r"(version magic) '.*' should be"), "refused"),
    (re.compile(r"section size must match the kernel's built (struct module)"), "refused"),
    (
        re.compile(
            r"can't insert '.*': (bad message|key was rejected|message too long)",
            re.IGNORECASE,
        ),
        "refused",
    ),
)
_WAYS_OF_OPENSSL = {
    "plain": ["-noattr", "-nocerts"],
    "attributes": ["-nocerts"],
    "content": ["-noattr", "-nocerts", "-nodetach"],
    "certificate": ["-noattr"],
    "pss": ["-noattr", "-nocerts", "-keyopt", "rsa_padding_mode:pss"],
}
_REFUSED_SIGNATURE: Answer = frozenset({("refused", "bad message")})
_OF_SIGNATURES = [
    frozenset({("refused", words)}) for words in ("bad message", "key was rejected", "message too long")
]
"""It depends on where the loader stumbles, and on the kernel's age."""
_SIZE_IS_CHECKED_SINCE = (6, 4)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A module to load after some others."""

    module: Path
    after: tuple[Path, ...] = ()


def _image_only(kernel: DebianKernel) -> Kernel:
    """The kernel as it is when no module is loaded yet."""
    symvers = kernel.symvers
    own = read_module(next((kernel.tree / "kernel" / "fs").rglob("*.ko*")))
    return Kernel(
        source=kernel.uname_r,
        uname_r=kernel.uname_r,
        symvers=Symvers(
            crcs={name: crc for name, crc in symvers.crcs.items() if symvers.modules[name] == "vmlinux"},
            kinds=symvers.kinds,
            namespaces=symvers.namespaces,
            modules={name: module for name, module in symvers.modules.items() if module == "vmlinux"},
        ),
        vermagic=own.vermagic,
        structure_size=own.structure_size,
    )


def _answer_of_kernel(output: str) -> Answer:
    return frozenset(
        (kind, match[1].lower() if kind == "refused" else match[1])
        for line in output.splitlines()
        for saying, kind in _SAYINGS
        if (match := saying.search(line))
    )


def _answer_of_ours(judgement: Judgement, kernel: Kernel) -> Answer:
    """The order in which the loader looks: what it refuses early, it does not look at closer."""
    if verify(judgement.module.signature, ()) == "corrupted":
        return _REFUSED_SIGNATURE
    obstacles = {obstacle.kind: obstacle for obstacle in judgement.obstacles}
    major, minor = map(int, kernel.uname_r.split(".")[:2])
    if "module-structure" in obstacles and (major, minor) >= _SIZE_IS_CHECKED_SINCE:
        return frozenset({("refused", "struct module")})
    mismatches: set[tuple[str, str]] = {(mismatch.kind, mismatch.symbol) for mismatch in judgement.mismatches}
    if ("disagrees", "module_layout") in mismatches:
        return frozenset({("disagrees", "module_layout")})
    if "version-magic" in obstacles:
        return frozenset({("refused", "version magic")})
    if "gpl-only" in obstacles:
        mismatches |= {("unknown", symbol) for symbol in obstacles["gpl-only"].symbols}
    if "namespace" in obstacles:
        mismatches |= {("namespace", symbol) for symbol in obstacles["namespace"].symbols}
    if not mismatches and "duplicate-export" in obstacles:
        return frozenset({("duplicate-export", obstacles["duplicate-export"].symbols[0])})
    return frozenset(mismatches)


@cache
def _calm_modules(kernel: DebianKernel) -> tuple[Path, ...]:
    files = (file for folder in _CALM for file in sorted((kernel.tree / "kernel" / folder).rglob("*.ko*")))
    return tuple(file for file in files if not _RESTLESS.search(file.name) and not read_module(file).exports)


def _in_tree(kernel: DebianKernel, number: int, place: Path) -> Iterator[Path]:
    """Some of a kernel's own modules, uncompressed, from all calm folders."""
    files = _calm_modules(kernel)
    for file in files[:: max(1, len(files) // number)][:number]:
        yield _uncompressed(file, place / f"{kernel.uname_r}-{file.name.partition('.')[0]}.ko")


def _uncompressed(file: Path, made: Path) -> Path:
    content = file.read_bytes()
    made.write_bytes(lzma.decompress(content) if file.suffix == ".xz" else content)
    return made


def _variants(built: Path, place: Path) -> Iterator[Attempt]:
    """Modules with something wrong that no compiler lets pass."""
    base, user = built / "kmpsolve_base.ko", built / "kmpsolve_user.ko"
    # The sections' size stays, so that nothing else changes.
    changes = {
        "no-import": (b"import_ns=KMPSOLVE", b"imported_=KMPSOLVE"),
        "proprietary": (b"license=GPL", b"license=XXX"),
    }
    for name, (old, new) in changes.items():
        content = user.read_bytes()
        assert old in content
        made = place / f"{name}.ko"
        made.write_bytes(content.replace(old, new))
        yield Attempt(module=made, after=(base,))
    versions = kbuild.section(user, "__versions")
    records = [versions[place : place + 64] for place in range(0, len(versions), 64)]
    wrong = b"".join(b"\1\2\3\4" + record[4:] if b"kmpsolve_sum" in record else record for record in records)
    yield Attempt(
        module=kbuild.with_section(user, "__versions", wrong, place / "wrong-crc.ko"), after=(base,)
    )
    few = b"".join(record for record in records if b"kmpsolve" not in record)
    yield Attempt(
        module=kbuild.with_section(user, "__versions", few, place / "few-versions.ko"), after=(base,)
    )
    bare = kbuild.with_section_renamed(user, "__versions", ".was_versions", place / "no-versions.ko")
    yield Attempt(module=bare, after=(base,))
    yield from (Attempt(module=made) for made in _signed(built, place))


def _signed(built: Path, place: Path) -> Iterator[Path]:
    """Signed by a stranger, with a signature that is not one, and in ways that loaders are choosy about."""
    key, certificate = kbuild.signing_key(place / "stranger")
    signed = place / "signed.ko"
    subprocess.run(
        [built / "sign-file", "sha256", key, certificate, built / "kmpsolve_base.ko", signed], check=True
    )
    yield signed
    content = bytearray(signed.read_bytes())
    content[len((built / "kmpsolve_base.ko").read_bytes()) + 2] ^= 0xFF
    damaged = place / "damaged-signature.ko"
    damaged.write_bytes(content)
    yield damaged
    for place_in_trailer in (-40, -35):  # the key's algorithm; what is to be zero
        content = bytearray(signed.read_bytes())
        content[place_in_trailer] = 1
        made = place / f"trailer{place_in_trailer}.ko"
        made.write_bytes(content)
        yield made
    pem = place / "stranger.pem"
    subprocess.run(["openssl", "x509", "-inform", "DER", "-in", certificate, "-out", pem], check=True)
    unsigned = built / "kmpsolve_base.ko"
    command = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256", "-in", str(unsigned)]
    command += ["-signer", str(pem), "-inkey", str(key)]
    for name, options in _WAYS_OF_OPENSSL.items():
        message = subprocess.run([*command, *options], check=True, capture_output=True).stdout
        made = place / f"openssl-{name}.ko"
        trailer = struct.pack(">5B3xI", 0, 0, 2, 0, 0, len(message)) + b"~Module signature appended~\n"
        made.write_bytes(unsigned.read_bytes() + message + trailer)
        yield made


def _attempts(
    kernel: DebianKernel,
    kernels: tuple[DebianKernel, ...],
    rt_kernel: DebianKernel,
    built: Callable[[DebianKernel], Path],
    place: Path,
) -> Iterator[Attempt]:
    for other in (*kernels, rt_kernel):
        base, user = built(other) / "kmpsolve_base.ko", built(other) / "kmpsolve_user.ko"
        yield Attempt(module=base)
        yield Attempt(module=user)
        yield Attempt(module=user, after=(base,))
    yield from _variants(built(kernel), place)
    for other in kernels:
        near = other.uname_r.split(".")[:2] == kernel.uname_r.split(".")[:2]
        yield from (Attempt(module=module) for module in _in_tree(other, 18 if near else 5, place))


def _ask(kernel: DebianKernel, attempts: list[Attempt]) -> list[str]:
    files: dict[str, Path | str] = {}
    for attempt in attempts:
        for module in (*attempt.after, attempt.module):
            files.setdefault(_place(module), module)
    script = []
    for attempt in attempts:
        before = [_place(module) for module in attempt.after]
        names = [read_module(module).name for module in (attempt.module, *reversed(attempt.after))]
        script += [f"insmod {path} 2>/dev/null" for path in before]
        script += ["dmesg -c >/dev/null", f"insmod {_place(attempt.module)}", "dmesg -c"]
        script += [f"rmmod {name} 2>/dev/null" for name in names]
        script += ["echo @@ next"]
    output = qemu.run_script(kernel.vmlinuz, "\n".join(script) + "\n", files, busybox=debian.busybox())
    return output.split("@@ next\n")[:-1]


def _place(module: Path) -> str:
    """Modules of several folders have one name."""
    return f"/modules/{module.parent.name}/{module.name}"


@pytest.mark.parametrize("number", range(4))
def test_the_kernel_answers_what_we_say(
    number: int,
    kernels: tuple[DebianKernel, ...],
    rt_kernel: DebianKernel,
    built: Callable[[DebianKernel], Path],
    tmp_path: Path,
) -> None:
    running = kernels[number]
    kernel = _image_only(running)
    attempts = list(_attempts(running, kernels, rt_kernel, built, tmp_path))
    pairs = {attempt.module for attempt in attempts}
    assert len(pairs) >= 50, "200 pairs of module and kernel, over four kernels"
    outputs = _ask(running, attempts)
    assert len(outputs) == len(attempts)
    seen: set[str] = set()
    differing = {}
    for attempt, output in zip(attempts, outputs, strict=True):
        modules = [read_module(path) for path in (*attempt.after, attempt.module)]
        judgement = judge_together(modules, kernel)[-1]
        said = _answer_of_kernel(output)
        if said in _OF_SIGNATURES:
            said = _REFUSED_SIGNATURE
        if said != _answer_of_ours(judgement, kernel):
            differing[attempt] = (said, _answer_of_ours(judgement, kernel), output)
        blocked = judgement.verdict == "blocked" or verify(judgement.module.signature, ()) == "corrupted"
        assert bool(said) == blocked, (attempt, output)
        seen |= {kind for kind, _ in said} or {"loads"}
    assert differing == {}
    assert {"loads", "disagrees", "unknown", "namespace", "refused"} <= seen


def test_what_the_kernel_refuses_in_other_words(
    kernels: tuple[DebianKernel, ...], built: Callable[[DebianKernel], Path], tmp_path: Path
) -> None:
    running = kernels[0]
    base, user = built(running) / "kmpsolve_base.ko", built(running) / "kmpsolve_user.ko"
    closed = tmp_path / "closed.ko"
    closed.write_bytes(base.read_bytes().replace(b"license=GPL", b"license=XXX"))
    foreign = tmp_path / "foreign.ko"
    foreign.write_bytes(base.read_bytes()[:18] + b"\xb7\0" + base.read_bytes()[20:])
    versions = kbuild.section(base, "__versions")
    records = [versions[place : place + 64] for place in range(0, len(versions), 64)]
    few = b"".join(record for record in records if b"module_layout" not in record)
    wide = b"".join(record[:4] + b"\1" + record[5:] for record in records)
    attempts = {
        "safe": Attempt(module=closed),
        "gpl-only": Attempt(module=user, after=(closed,)),
        "architecture": Attempt(module=foreign),
        "module_layout": Attempt(module=kbuild.with_section(base, "__versions", few, tmp_path / "few.ko")),
        "disagrees": Attempt(module=kbuild.with_section(base, "__versions", wide, tmp_path / "wide.ko")),
    }
    kernel = replace(_image_only(running), machine=read_module(base).machine)
    outputs = _ask(running, list(attempts.values()))
    for (expected, attempt), output in zip(attempts.items(), outputs, strict=True):
        assert ("can't insert" not in output) == (expected == "safe"), output
        modules = [read_module(path) for path in (*attempt.after, attempt.module)]
        judgement = judge_together(modules, kernel)[-1]
        found = {obstacle.kind for obstacle in judgement.obstacles} | set(judgement.unverified)
        assert found | {mismatch.kind for mismatch in judgement.mismatches} | {judgement.verdict} >= {
            expected
        }
        assert (judgement.verdict == "safe") == (expected == "safe")


def test_what_is_built_for_a_kernel_with_the_same_symbols_loads(tmp_path: Path) -> None:
    """What a KMP is reused for: another kernel release, not one symbol changed."""
    one, other = debian.identical_pair()
    assert one.uname_r != other.uname_r
    folder = kbuild.modules(one)
    base, user = folder / "kmpsolve_base.ko", folder / "kmpsolve_user.ko"
    attempts = [Attempt(module=base), Attempt(module=user), Attempt(module=user, after=(base,))]
    outputs = _ask(other, attempts)
    kernel = _image_only(other)
    for attempt, output in zip(attempts, outputs, strict=True):
        modules = [read_module(path) for path in (*attempt.after, attempt.module)]
        assert _answer_of_kernel(output) == _answer_of_ours(judge_together(modules, kernel)[-1], kernel)
    assert [bool(_answer_of_kernel(output)) for output in outputs] == [False, True, False]


def test_a_changed_byte_is_refused_by_the_kernel_whose_key_signed_it(
    kernels: tuple[DebianKernel, ...], tmp_path: Path
) -> None:
    kernel = kernels[0]
    nls = sorted((kernel.tree / "kernel" / "fs" / "nls").glob("nls_*.ko*"))
    module = _uncompressed(nls[0], tmp_path / "intact.ko")
    content = bytearray(module.read_bytes())
    place = content.index(b"vermagic=")
    content[place - 1 : place + 1] = b"\0V"
    changed = tmp_path / "changed.ko"
    changed.write_bytes(content)
    good, bad = _ask(kernel, [Attempt(module=module), Attempt(module=changed)])
    assert not _answer_of_kernel(good)
    assert _answer_of_kernel(bad) == {("refused", "key was rejected")}
    signature = read_module(module).signature
    assert signature is not None
    # Debian throws its key away; that the digest is another one can be seen without it.
    assert replace(signature, digest=b"") == replace(read_module(changed).signature or signature, digest=b"")
    assert signature != read_module(changed).signature
