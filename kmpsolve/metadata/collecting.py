"""From installed packages to the state that an inventory carries: kernels, KMPs, and what KMPs lean on.

A host does not have to send the 28,000 symbols of a kernel that a repository describes as well, nor packages
that no KMP has to do with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmpsolve.metadata.content import kmp_digest, symbol_digest
from kmpsolve.metadata.database import find_database
from kmpsolve.metadata.headers import header_text, headers
from kmpsolve.metadata.inventory import ListedPackage, State
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra

__all__ = ["Seen", "collect_state", "installed_packages", "state_of"]

_KERNEL = re.compile(r"kernel-(?P<flavor>[A-Za-z0-9_]+)(?:-(?:base|(?P<part>extra|optional)))?")
_NOT_A_KMP = re.compile(r"kernel-(?!.*-kmp)|kgraft-patch-")
_ABOUT_KMPS = re.compile(r"kernel-(?!firmware)|kmod\(|ksym\(|\S+-kmp(?![^\s-])")
_LIVEPATCH = re.compile(r"kernel-livepatch-\d|kernel-\w+-livepatch|kgraft-patch-\d")
_MULTIVERSION = "multiversion(kernel)"
_HEADERS = re.compile(r"kernel-\w+-devel")
_MODULES = re.compile(r"(?:/usr)?/lib/modules/([^/]+)/")
_OUTSIDE = re.compile(r"(?:/usr)?/lib/modules/[^/]+/(?:updates|extra)/")
_SYMBOLS = ("ksym(", "kernel(", "kernel-uname-r ")
_IN_TREE = "kmp_in_kernel"
_MODULE_FILE = re.compile(r".+\.ko(?:\.(?:gz|xz|zst))?")
_SIGNS = {2: "<", 4: ">", 8: "=", 10: "<=", 12: ">="}
_MISSING_OK = 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An installed package, with capabilities as rpm prints them.

    Parameters
    ----------
    module_files
        Kernel modules outside of a kernel's own folder.
    owns
        Whether a path is one of its files; asked for files that KMPs require.
    """

    nevra: Nevra
    vendor: str
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    conflicts: tuple[str, ...]
    obsoletes: tuple[str, ...]
    module_files: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    owns: Callable[[str], bool] = lambda _: False


def collect_state(root: Path) -> State:
    """The state of a system from its rpmdb alone: packages, without zypp's settings.

    Raises
    ------
    MetadataError
        If the rpmdb cannot be read.
    """
    return state_of(installed_packages(Root.at(root)), lambda _: False)


def installed_packages(root: Root) -> Iterator[Seen]:
    """Read the rpmdb of a system.

    Raises
    ------
    MetadataError
        If it cannot be read.
    """
    database = find_database(root)
    rpm = load_rpm()
    yield from (
        _seen(rpm, header)
        for header in headers(rpm, database)
        if header_text(header[rpm.RPMTAG_NAME]) != "gpg-pubkey"
    )


def _seen(rpm: Any, header: Any) -> Seen:
    name, version, release, arch, vendor = (
        header_text(header[tag])
        for tag in (
            rpm.RPMTAG_NAME,
            rpm.RPMTAG_VERSION,
            rpm.RPMTAG_RELEASE,
            rpm.RPMTAG_ARCH,
            rpm.RPMTAG_VENDOR,
        )
    )
    evr = Evr(int(header[rpm.RPMTAG_EPOCH] or 0), version, release)

    def capabilities(kind: str) -> tuple[str, ...]:
        names = header[getattr(rpm, f"RPMTAG_{kind}NAME")]
        if not names:
            return ()
        flags, versions = (
            header[getattr(rpm, f"RPMTAG_{kind}FLAGS")],
            header[getattr(rpm, f"RPMTAG_{kind}VERSION")],
        )
        return tuple(
            f"{text} {sign} {header_text(value)}" if value and (sign := _SIGNS.get(flag & 15)) else text
            for text, flag, value in zip(map(header_text, names), flags, versions, strict=False)
            if not (text.startswith("rpmlib(") or (kind == "REQUIRE" and flag & _MISSING_OK))
        )

    folders = [header_text(folder) for folder in header[rpm.RPMTAG_DIRNAMES] or ()]

    def owns(path: str) -> bool:
        folder, slash, base = path.rpartition("/")
        if folder + slash not in folders:
            return False
        at = folders.index(folder + slash)
        entries = zip(header[rpm.RPMTAG_BASENAMES], header[rpm.RPMTAG_DIRINDEXES], strict=False)
        return any(index == at and header_text(one) == base for one, index in entries)

    module_files: tuple[str, ...] = ()
    if any(_MODULES.match(folder) for folder in folders):
        outside = {
            i
            for i, f in enumerate(folders)
            if (m := _MODULES.match(f)) and not f[m.end() :].startswith("kernel/")
        }
        if outside:
            entries = zip(header[rpm.RPMTAG_BASENAMES], header[rpm.RPMTAG_DIRINDEXES], strict=False)
            module_files = tuple(
                sorted(
                    folders[i] + header_text(one)
                    for one, i in entries
                    if i in outside and _MODULE_FILE.fullmatch(header_text(one))
                )
            )
    provides = capabilities("PROVIDE")
    own = frozenset(provides)
    return Seen(
        nevra=Nevra(name, evr, arch or "noarch"),  # as libsolv has it
        vendor=vendor,
        provides=provides,
        # What a package provides itself is not in metadata either (createrepo_c leaves it out).
        requires=tuple(c for c in capabilities("REQUIRE") if c not in own),
        conflicts=capabilities("CONFLICT"),
        obsoletes=capabilities("OBSOLETE"),
        module_files=module_files,
        triggers=tuple(sorted({header_text(one) for one in header[rpm.RPMTAG_TRIGGERNAME] or ()})),
        owns=owns,
    )


def state_of(installed: Iterable[Seen], known: Callable[[Seen], bool]) -> State:
    """Reduce what is installed to what a verdict may depend on.

    Parameters
    ----------
    known
        Whether a repository describes a kernel or KMP; then its name and a digest are enough.
    """
    kernels: list[Seen] = []
    kmps: list[Seen] = []
    others: list[Seen] = []
    for package in installed:
        if _is_kernel(package):
            kernels.append(package)
        elif _is_kmp(package):
            kmps.append(package)
        else:
            others.append(package)
    flavors = {match["flavor"] for k in kernels if (match := _KERNEL.fullmatch(k.nevra.name))}
    kmps, others = _sorted_out(kmps, flavors, others)
    needed = {_symbol_name(c) for kmp in kmps for c in kmp.requires if c.startswith(_SYMBOLS)}
    modules = {c for kmp in kmps for c in kmp.provides if c.startswith("kmod(")}
    listed_kernels = tuple(_kernel(kernel, known(kernel), needed, modules) for kernel in kernels)
    listed_kmps = tuple(_kmp(kmp, known(kmp)) for kmp in kmps)
    return State(
        arch=kernels[0].nevra.arch if kernels else None,
        kernels=listed_kernels,
        kmps=listed_kmps,
        user_space=tuple(_user_space(kmps, others)),
        gaps=tuple(sorted(set(_in_two_builds((*listed_kernels, *listed_kmps))))),
    )


def _in_two_builds(packages: Iterable[ListedPackage]) -> Iterator[str]:
    """Say what an rpmdb holds twice under one name, with other content: of an inventory only one would be read."""
    first: dict[str, ListedPackage] = {}
    for package in packages:
        if first.setdefault(package.nevra, package) != package:
            yield f"{package.nevra} is installed in two builds of that name"


def _is_kernel(package: Seen) -> bool:
    if not _KERNEL.fullmatch(package.nevra.name):
        return False
    return any(c.startswith((*_SYMBOLS, "kmod(")) for c in package.provides)


def _is_kmp(package: Seen) -> bool:
    if _NOT_A_KMP.match(package.nevra.name) or any(c.startswith(_IN_TREE) for c in package.provides):
        return False
    return (
        "-kmp-" in package.nevra.name
        or any(c.startswith(("ksym(", "kmod(")) for c in package.provides)
        or any(c.startswith(_SYMBOLS) for c in package.requires)
        or any(_OUTSIDE.match(file) for file in package.module_files)
    )


def _sorted_out(kmps: list[Seen], flavors: set[str], others: list[Seen]) -> tuple[list[Seen], list[Seen]]:
    """Packages that are KMPs by their name alone, and of no flavor there is, are user space."""
    real = []
    for kmp in kmps:
        by_content = bool(kmp.module_files) or any(
            c.startswith((*_SYMBOLS, "kmod(")) for c in (*kmp.provides, *kmp.requires)
        )
        if by_content or kmp.nevra.name.rpartition("-kmp-")[2] in flavors:
            real.append(kmp)
        else:
            others.append(kmp)
    return real, others


def _symbol_name(capability: str) -> str:
    return capability.partition(" ")[0]


def _kernel(kernel: Seen, known: bool, needed: set[str], modules: set[str]) -> ListedPackage:
    provides = None
    if not known:
        # What an -extra is for are its modules: the next one comes along, or they are told as lost.
        whole = (match := _KERNEL.fullmatch(kernel.nevra.name)) is None or match["part"] is None
        always = ("kernel-uname-r ",) if whole else ("kernel-uname-r ", "kmod(")
        provides = tuple(
            sorted(
                c
                for c in kernel.provides
                if c.startswith(always) or c == _MULTIVERSION or c in modules or _symbol_name(c) in needed
            )
        )
    return ListedPackage(
        nevra=str(kernel.nevra),
        vendor=kernel.vendor or None,
        digest=symbol_digest(kernel.provides),
        provides=provides,
        requires=None if known else tuple(sorted(c for c in kernel.requires if c.startswith("kernel-"))),
        obsoletes=None if known else tuple(sorted(kernel.obsoletes)),
    )


def _kmp(kmp: Seen, known: bool) -> ListedPackage:
    folders = tuple(sorted(kmp.module_files))
    if known:
        return ListedPackage(
            nevra=str(kmp.nevra),
            vendor=kmp.vendor or None,
            digest=kmp_digest(kmp.provides, kmp.requires),
            files=folders,
            triggers=kmp.triggers,
        )
    return ListedPackage(
        nevra=str(kmp.nevra),
        vendor=kmp.vendor or None,
        provides=tuple(sorted(kmp.provides)),
        requires=tuple(sorted(kmp.requires)),
        conflicts=tuple(sorted(kmp.conflicts)),
        obsoletes=tuple(sorted(kmp.obsoletes)),
        files=folders,
        triggers=kmp.triggers,
    )


def _user_space(kmps: list[Seen], others: list[Seen]) -> Iterator[ListedPackage]:
    """The packages that KMPs require, that require KMPs, or that exclude them, with no more than that.

    What requires a KMP may have to go along with another build of it, so that the same holds of what requires
    or excludes such a package in turn. Kernels and KMPs that are not there yet are excluded by name as well.
    """

    def about_kmps(capability: str) -> bool:
        return any(name in offered or _ABOUT_KMPS.match(name) for name in _names(capability))

    offered = {
        _symbol_name(c) for kmp in kmps for c in kmp.provides if not c.startswith((*_SYMBOLS, "kmod("))
    } - {_MULTIVERSION}
    following = _following(offered, others)
    offered |= following
    required = {n for kmp in kmps for c in kmp.requires if not c.startswith(_SYMBOLS) for n in _names(c)}
    paths = sorted(name for name in required if name.startswith("/"))
    required |= following
    excluded = {n for kmp in kmps for c in (*kmp.conflicts, *kmp.obsoletes) for n in _names(c)}
    lending = _lending_in_tree(kmps, others)
    for package in others:
        provides = {c for c in package.provides if _symbol_name(c) in required or _symbol_name(c) in excluded}
        provides |= {path for path in paths if package.owns(path)}
        requires = {c for c in package.requires if offered.intersection(_names(c))}
        if requires:  # what goes along with a KMP requires this again, and the host has it
            requires = set(package.requires)
        conflicts = {c for c in package.conflicts if about_kmps(c)}
        obsoletes = {c for c in package.obsoletes if about_kmps(c)}
        name = package.nevra.name
        kept = package in lending or _LIVEPATCH.match(name) or _HEADERS.fullmatch(name)
        if not (kept or provides or requires or conflicts or obsoletes):
            continue
        if package in lending:
            provides |= {c for c in package.provides if c.startswith((*_SYMBOLS, "kmod(", _IN_TREE))}
            requires |= {c for c in package.requires if c.startswith((*_SYMBOLS, "kernel-"))}
        if _LIVEPATCH.match(name):
            provides |= {c for c in package.provides if c.startswith("kmod(")}
        # Without it the next version would replace this one, where it comes to stand beside it.
        provides |= {_MULTIVERSION}.intersection(package.provides)
        yield ListedPackage(
            nevra=str(package.nevra),
            vendor=package.vendor or None,
            provides=tuple(sorted(provides)),
            requires=tuple(sorted(requires)),
            conflicts=tuple(sorted(conflicts)) or None,
            obsoletes=tuple(sorted(obsoletes)) or None,
        )


def _following(offered: set[str], others: list[Seen]) -> set[str]:
    """What only packages offer that require something of `offered`, or of what these offer in turn."""
    known, rest = set(offered), list(others)
    while moving := [p for p in rest if any(known.intersection(_names(c)) for c in p.requires)]:
        rest = [p for p in rest if p not in moving]
        known.update(_symbol_name(c) for p in moving for c in p.provides)
        known -= {_symbol_name(c) for p in rest for c in p.provides} - offered
    return known - offered


def _lending_in_tree(kmps: list[Seen], others: list[Seen]) -> list[Seen]:
    """The in-tree KMPs whose symbols a KMP needs, or one of these in turn: what needs them is broken without."""
    there = [p for p in others if any(c.startswith(_IN_TREE) for c in p.provides)]
    needed = {c for kmp in kmps for c in kmp.requires}
    lending: list[Seen] = []
    while more := [p for p in there if p not in lending and not needed.isdisjoint(_symbols(p))]:
        lending += more
        needed.update(c for p in more for c in p.requires)
    return lending


def _symbols(package: Seen) -> set[str]:
    return {c for c in package.provides if c.startswith(_SYMBOLS)}


_WORDS = re.compile(r"[^\s()]+(?:\([^\s()]*\))?")


def _names(capability: str) -> list[str]:
    """The names in a capability; a rich one has several."""
    return _WORDS.findall(capability) if capability.startswith("(") else [_symbol_name(capability)]
