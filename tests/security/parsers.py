"""What reads bytes from elsewhere, each as one function of bytes: whatever they are, nothing but our own errors
comes out, in bounded memory.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from kmpsolve.cache.place import read as read_cache
from kmpsolve.compat.severities import parse_severities
from kmpsolve.config import read_config
from kmpsolve.errors import KmpsolveError
from kmpsolve.machine.initrd import read_initrd
from kmpsolve.machine.modulesdep import INDEX, TEXT, listed_modules
from kmpsolve.machine.tree import ModuleTree, Trees
from kmpsolve.metadata.compression import CorruptError, decompressed
from kmpsolve.metadata.inventories import read_stream
from kmpsolve.metadata.locks import parse_locks
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.repofiles import read_repo_files
from kmpsolve.metadata.repomd import read_repomd
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.trust import dearmored
from kmpsolve.metadata.updateinfo import read_updateinfo
from kmpsolve.metadata.variables import read_variables
from kmpsolve.metadata.vendors import read_vendor_classes
from kmpsolve.metadata.xmlstream import check_prolog
from kmpsolve.metadata.zyppconf import read_zypp_conf
from kmpsolve.model.evr import Evr
from kmpsolve.model.modalias import pattern_to_regex
from kmpsolve.model.needs import parse_need
from kmpsolve.model.nevra import Nevra
from kmpsolve.modules.module import read_module
from kmpsolve.modules.signature import parse_certificates, read_signature, verify
from kmpsolve.modules.symvers import read_symvers
from kmpsolve.zypp.first_stage import Hook
from kmpsolve.zypp.lockfile import HOLD, OwnLock, merged, own_locks

CORPUS = Path(__file__).parent / "corpus"
_ORIGIN = Origin(alias="fuzz", remedy="none")
_DEVICE = "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00"


def repomd(data: bytes) -> None:
    """repomd.xml."""
    read_repomd(io.BytesIO(data), _ORIGIN)


def updateinfo(data: bytes) -> None:
    """updateinfo.xml, and the beginning of primary.xml."""
    with suppress(KmpsolveError):
        check_prolog(data, name="primary.xml", root="metadata", origin=_ORIGIN)
    for patch in read_updateinfo(io.BytesIO(data), name="updateinfo.xml", origin=_ORIGIN):
        assert isinstance(patch.id, str)


def capabilities(data: bytes) -> None:
    """Capabilities, EVRs, NEVRAs and hardware patterns, one a line."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")[:50]
    for line in lines:
        need = parse_need(line)
        assert need is None or str(need)
        evr = Evr.parse(line)
        assert not evr < evr
        with suppress(ValueError):
            assert Nevra.parse(line).name
        pattern_to_regex(line[:200]).fullmatch(_DEVICE)


def elf(data: bytes) -> None:
    """Kernel modules."""
    read_module(data, "fuzz.ko")


def symvers(data: bytes) -> None:
    """Lists of symbols, symsets archives among them."""
    read_symvers(io.BytesIO(data), "fuzz")


class _Deaf(Hook):
    """The plugin without its second stage, which has no part in reading frames."""

    def _ask(self, steps: list[dict[str, str]], disabled: bool = False) -> dict[str, object]:
        return {"action": "pass", "message": [], "journal": {"MESSAGE": f"{len(steps)} {disabled}"}}

    def _failed(self, reason: str) -> bool:
        assert reason
        return True

    def _go_on(self, action: str, message: list[str]) -> bool:
        return action == "pass" and not message


def frames(data: bytes) -> None:
    """What libzypp sends to the commit hook."""
    hook = _Deaf("/nowhere")
    stdout = os.dup(1)
    os.dup2(_nothing(), 1)
    try:
        for frame in data.split(b"\0")[:20]:
            assert hook._handle(frame) in (True, False)
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


@cache
def _nothing() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def locks(data: bytes) -> None:
    """zypp's locks: every byte that is not ours stays, and ours can be taken out again."""
    text = data.decode("utf-8", "surrogateescape")
    parsed = parse_locks(text)
    assert "".join(block.raw for block in parsed.blocks) == text
    assert merged(text, (), frozenset()) == text
    mine = OwnLock(name="kernel-default", evr="6.4.0-1", comment=HOLD)
    assert mine in own_locks(merged(text, [mine], frozenset((HOLD,))))
    assert not [lock for lock in own_locks(merged(text, [], frozenset((HOLD,)))) if lock.comment == HOLD]


@cache
def _root() -> Path:
    """A root in memory, for what is read from files."""
    root = Path(
        tempfile.mkdtemp(prefix="kmpsolve-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    )
    for folder in (
        "etc/zypp/repos.d",
        "etc/zypp/vendors.d",
        "etc/zypp/vars.d",
        "etc/products.d",
        "boot",
        "cache",
    ):
        (root / folder).mkdir(parents=True)
    return root


def zypp(data: bytes) -> None:
    """zypp.conf, a repository, a vendor class, a variable and a product, with NULs between them."""
    names = ("zypp.conf", "repos.d/r.repo", "vendors.d/v.conf", "vars.d/name", "../products.d/baseproduct")
    for name, text in zip(names, (data.split(b"\0") + [b""] * 5)[:5], strict=True):
        (_root() / "etc" / "zypp" / name).write_bytes(text)
    root = Root.at(_root())
    with suppress(KmpsolveError):
        read_zypp_conf(root)
    variables = read_variables(root, "/etc/zypp/vars.d", arch="x86_64")
    read_repo_files(root, "/etc/zypp/repos.d", variables)
    read_vendor_classes(root, "/etc/zypp/vendors.d").canonical("SUSE LLC")


def inventory(data: bytes) -> None:
    """Inventories in all their forms; ValueError is what their reader tells its caller, which shows it."""
    try:
        for _ in read_stream("fuzz", decompressed(io.BytesIO(data)), None):
            pass
    except (ValueError, CorruptError, OSError) as error:
        assert not isinstance(error, UnicodeEncodeError)


def configuration(data: bytes) -> None:
    """kmpsolve's own configuration, and rules for kABI differences."""
    path = _root() / "kmpsolve.toml"
    path.write_bytes(data)
    with suppress(KmpsolveError):
        read_config(None, path)
    parse_severities(data.decode("utf-8", "replace"), "fuzz")


def cached(data: bytes) -> None:
    """The list of a cache's files: unbelievable ones are no cache."""
    folder = _root() / "cache" / "view"
    folder.mkdir(exist_ok=True)
    (folder / "list.json").write_bytes(data)
    os.environ["KMPSOLVE_CACHE"] = str(folder.parent)
    stored = read_cache("view")
    if stored is not None:
        stored.close()


def signatures(data: bytes) -> None:
    """Signatures behind modules, certificates, armored keys."""
    signature, _ = read_signature(io.BytesIO(data))
    verify(signature, ())
    dearmored(data)
    verify(signature, parse_certificates(data, "fuzz"))


def initrd(data: bytes) -> None:
    """Initrds."""
    (_root() / "boot" / "initrd").write_bytes(data)
    read_initrd(Root.at(_root()), "/boot/initrd")


def modulesdep(data: bytes) -> None:
    """depmod's modules.dep and its index."""
    tree = ModuleTree(uname_r="1-default", path="/boot", files=())
    trees = Trees(root=Root.at(_root()), trees=(tree,), merged=True)
    for name in (TEXT, INDEX):
        (_root() / "boot" / name).write_bytes(data)
        listed_modules(trees, tree, name)


PARSERS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (
        repomd,
        updateinfo,
        capabilities,
        elf,
        symvers,
        frames,
        locks,
        zypp,
        inventory,
        configuration,
        cached,
        signatures,
        initrd,
        modulesdep,
    )
}


def feed(name: str, data: bytes) -> None:
    """Give bytes to a parser; anything but our own error comes out."""
    with suppress(KmpsolveError):
        PARSERS[name](data)
