"""What is to be checked: a KMP's RPM with the modules in it, or a module on its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cryptography import x509

from kmpsolve.errors import MetadataError
from kmpsolve.model.needs import Need, flavor_of_uname, parse_need
from kmpsolve.modules.kernel import Kernel, is_kernel_rpm
from kmpsolve.modules.module import MODULE_FILE, Export, Module, read_module
from kmpsolve.modules.rpmfile import Rpm, payload, read_rpm
from kmpsolve.modules.signature import parse_certificates

__all__ = [
    "Candidate",
    "ModuleFile",
    "UefiCert",
    "folders_of",
    "is_kmp",
    "read_candidate",
    "read_ueficert",
    "spoken_for",
]

_KMP_NAME = re.compile(r"(?P<base>.+)-kmp-(?P<flavor>[A-Za-z0-9_]+)")
_TREE = re.compile(r"(?:/usr)?/lib/modules/(?P<uname_r>[^/]+)/(?P<folder>[^/]+)/")
_CERTIFICATE = re.compile(r"/etc/uefi/certs/[^/]+\.(?:crt|cer|der|pem)")
_IN_TREE = "kmp_in_kernel"
_MAX_CERTIFICATE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFile:
    """A module's file: `module` is ``None`` if it could not be read, and `damage` says why."""

    path: str
    module: Module | None
    damage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UefiCert:
    """An N-ueficert package: the certificates that it would enrol."""

    name: str
    certificates: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A KMP, or one module.

    Parameters
    ----------
    path
        As the user gave or would find it.
    rpm
        ``None`` for a module on its own.
    files
        The modules in it.
    needs
        The symbols, symsets and kernels that the package requires; damaged ones included.
    declared
        The symbols that the package provides.
    payload_damage
        Why the payload could not be read to its end; empty if it could.
    """

    path: str
    rpm: Rpm | None
    files: tuple[ModuleFile, ...]
    needs: tuple[Need, ...] = ()
    declared: tuple[Need, ...] = ()
    payload_damage: str = ""

    @property
    def nevra(self) -> str | None:
        """``None`` for a module on its own."""
        return str(self.rpm.nevra) if self.rpm else None

    @property
    def arch(self) -> str:
        """The package's architecture; ``noarch`` for a module on its own, which does not tell."""
        return self.rpm.nevra.arch if self.rpm else "noarch"

    @property
    def modules(self) -> tuple[Module, ...]:
        """The modules that could be read."""
        return tuple(file.module for file in self.files if file.module)

    @property
    def absent(self) -> tuple[str, ...]:
        """The modules that the package owns but does not bring: made on the host, or links to what is no module."""
        if self.rpm is None:
            return ()
        brought = {file.path.removeprefix("/usr") for file in self.files}
        links = (
            name
            for name, target in self.rpm.links.items()
            if brought.isdisjoint((name.removeprefix("/usr"), target.removeprefix("/usr")))
        )
        names = {*self.rpm.ghosts, *links}
        return tuple(
            sorted(name for name in names if MODULE_FILE.search(name) and "/weak-updates/" not in name)
        )

    @property
    def readable(self) -> bool:
        """Whether there is a module in it and all of it could be read."""
        whole = bool(self.files) and not self.payload_damage and not self.absent
        return whole and all(file.module for file in self.files)

    @property
    def flavor(self) -> str:
        """Of the name, else of most of its requirements, else of its modules; empty if nothing tells."""
        if self.rpm and (match := _KMP_NAME.fullmatch(self.rpm.nevra.name)):
            return match["flavor"]
        flavors = Counter(need.flavor for need in self.needs if need.flavor)
        flavors = flavors or Counter(flavor_of_uname(module.built_for) for module in self.modules)
        return min(flavors, key=lambda flavor: (-flavors[flavor], flavor), default="")


def spoken_for(candidate: Candidate, kernel: Kernel, *, offers: bool) -> tuple[Module, ...]:
    """What a package says and none of its modules does, as one module that needs and exports this.

    rpm and zypper go by what it requires, also where no module needs it; of a package whose modules could not
    all be asked, what it says it exports counts too. Nothing tells licence, version magic and namespaces: they
    are taken to be as the kernel wants them.

    Parameters
    ----------
    offers
        Whether others may use what it says it exports.
    """
    needs = {need.name: need.value for need in candidate.needs if need.kind == "ksym"}
    exports = {need.name: Export(crc=need.value) for need in candidate.declared} if offers else {}
    if candidate.readable:
        asked = {symbol for module in candidate.modules for symbol in module.versions}
        needs, exports = {symbol: crc for symbol, crc in needs.items() if symbol not in asked}, {}
    if not (needs or exports):
        return ()
    modinfo = {
        "license": ("GPL",),
        "vermagic": (kernel.vermagic,),
        "import_ns": tuple(sorted(set(kernel.symvers.namespaces.values()))),
    }
    name = candidate.nevra or candidate.path
    return (Module(name=name, path=candidate.path, versions=needs, exports=exports, modinfo=modinfo),)


def folders_of(files: Iterable[str]) -> list[tuple[str, str]]:
    """The (uname -r, folder) pairs below /lib/modules in which modules lie, sorted: ("X", "updates")."""
    matches = (_TREE.match(file) for file in files if MODULE_FILE.search(file))
    return sorted({(match["uname_r"], match["folder"]) for match in matches if match})


def is_kmp(rpm: Rpm) -> bool:
    """Whether a package carries modules for a kernel that is not its own.

    By what it provides and where its files lie, since names lie (bsc#1185325). Neither kernels nor what a
    kernel's own build makes: kernel-FLAVOR-extra, -optional, dlm, livepatches.
    """
    if is_kernel_rpm(rpm) or any(capability.startswith(_IN_TREE) for capability in rpm.provides):
        return False
    if rpm.nevra.name.startswith("kernel-") and "-kmp-" not in rpm.nevra.name:
        return False
    return (
        bool(folders_of(rpm.files))
        or any(capability.startswith(("kmod(", "ksym(")) for capability in rpm.provides)
        or ("-kmp-" in rpm.nevra.name and bool(_needs(rpm.requires)))
    )


def _needs(capabilities: Iterable[str]) -> tuple[Need, ...]:
    return tuple(need for need in map(parse_need, dict.fromkeys(capabilities)) if need)


def _read_file(source: Path | BinaryIO, path: str) -> ModuleFile:
    try:
        return ModuleFile(path=path, module=read_module(source, path))
    except MetadataError as error:
        return ModuleFile(path=path, module=None, damage=error.message)


def _read_kmp(rpm: Rpm) -> Candidate:
    files: list[ModuleFile] = []
    payload_damage = ""
    try:
        for name, stream in payload(Path(rpm.path), lambda name: bool(MODULE_FILE.search(name))):
            files.append(_read_file(stream, name))
    except MetadataError as error:
        payload_damage = error.message
    return Candidate(
        path=rpm.path,
        rpm=rpm,
        files=tuple(sorted(files, key=lambda file: file.path)),
        needs=_needs(rpm.requires),
        declared=tuple(need for need in _needs(rpm.provides) if need.kind == "ksym"),
        payload_damage=payload_damage,
    )


def read_candidate(path: Path) -> Candidate | Rpm:
    """Read an RPM or a module; an RPM that is no KMP comes back as it is.

    Raises
    ------
    MetadataError
        If it is neither, or damaged so that nothing can be said of it.
    """
    if MODULE_FILE.search(path.name):
        return Candidate(
            path=str(path), rpm=None, files=(ModuleFile(path=str(path), module=read_module(path)),)
        )
    rpm = read_rpm(path)
    return _read_kmp(rpm) if is_kmp(rpm) else rpm


def read_ueficert(rpm: Rpm) -> UefiCert | None:
    """The certificates of an N-ueficert package; ``None`` for another package.

    Raises
    ------
    MetadataError
        If a certificate in it is none.
    """
    if not rpm.nevra.name.endswith("-ueficert"):
        return None
    found: list[x509.Certificate] = []
    for name, stream in payload(Path(rpm.path), lambda name: bool(_CERTIFICATE.fullmatch(name))):
        with stream:
            found += parse_certificates(
                stream.read(_MAX_CERTIFICATE), f"{rpm.path}: {PurePosixPath(name).name}"
            )
    return UefiCert(name=rpm.nevra.name, certificates=tuple(found))
