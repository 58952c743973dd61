"""Kernels to judge against, from whatever is at hand: an RPM, a list of symbols, an unpacked tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path, PurePosixPath

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.model.needs import flavor_of_uname, normal_crc, parse_need, usual_uname
from kmpsolve.model.nevra import Nevra
from kmpsolve.modules.folder import files_below
from kmpsolve.modules.module import MODULE_FILE, Module, module_name, read_module
from kmpsolve.modules.rpmfile import Rpm, payload, read_rpm
from kmpsolve.modules.symvers import Symvers, read_symvers, uname_r_in

__all__ = [
    "IMAGE",
    "Kernel",
    "is_kernel_rpm",
    "kernel_from_capabilities",
    "machine_of",
    "of_modules",
    "read_kernels",
]

IMAGE = "vmlinux"
"""What a list of symbols calls the kernel itself, beside its modules."""

_NAME = re.compile(r"kernel-(?!modules$)(?P<flavor>[A-Za-z0-9_]+)(?:-base)?")
_PART = re.compile(r"kernel-(?:[A-Za-z0-9_]+-(?:extra|optional)|modules(?:-\w+)?)")
_COMPRESSED = ("", ".gz", ".xz", ".zst")
_MACHINES = (
    (r"x86_64\w*|amd64|ia32e", "X86_64, 64-bit little-endian"),
    (r"aarch64", "AARCH64, 64-bit little-endian"),
    (r"ppc64le", "PPC64, 64-bit little-endian"),
    (r"ppc64(?:p7)?", "PPC64, 64-bit big-endian"),
    (r"ppc", "PPC, 32-bit big-endian"),
    (r"s390x", "S390, 64-bit big-endian"),
    (r"s390", "S390, 32-bit big-endian"),
    (r"riscv64", "RISCV, 64-bit little-endian"),
    (r"loongarch64", "LOONGARCH, 64-bit little-endian"),
    (r"ia64", "IA_64, 64-bit little-endian"),
    (r"i[3-6]86|athlon|geode", "386, 32-bit little-endian"),
    (r"armv[5-8]\w*l", "ARM, 32-bit little-endian"),
)
"""RPM's architectures, and what their kernels run on."""


def machine_of(arch: str) -> str:
    """What the kernels of an RPM's architecture run on, in the words of `Module.machine`; empty if unknown."""
    return next((machine for archs, machine in _MACHINES if re.fullmatch(archs, arch)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What a module meets when it is loaded.

    Parameters
    ----------
    source
        Where it was read from.
    symvers
        What it exports, with the modules that belong to it.
    uname_r
        Empty if unknown.
    nevra
        Of its package, if it was read from one.
    vermagic
        The version magic of its own modules; empty if unknown.
    machine
        What its own modules were compiled for; empty if unknown. See `Module.machine`.
    structure_size
        Bytes of struct module in its own modules; 0 if unknown.
    whole
        Whether its package's capabilities, where it was read from one, are all known.
    """

    source: str
    symvers: Symvers
    uname_r: str = ""
    nevra: str | None = None
    vermagic: str = ""
    machine: str = ""
    structure_size: int = 0
    whole: bool = True

    @property
    def flavor(self) -> str:
        """As in ``default``; empty if unknown."""
        return flavor_of_uname(self.uname_r)

    @property
    def made_for(self) -> str:
        """The machine it runs on, by its own modules or its package; empty if neither tells."""
        return self.machine or (machine_of(Nevra.parse(self.nevra).arch) if self.nevra else "")

    @property
    def label(self) -> str:
        """How to name it to a user."""
        return self.nevra or self.uname_r or self.source


def _unames(capabilities: Iterable[str]) -> list[str]:
    needs = (parse_need(capability) for capability in capabilities)
    return [need.name for need in needs if need and need.kind == "exact-kernel"]


def is_kernel_rpm(rpm: Rpm) -> bool:
    """Whether a package is a kernel, by what it provides; one that does not tell its uname -r, by its name too."""
    return bool(_uname_of(rpm))


def _uname_of(rpm: Rpm) -> str:
    told = _unames(capability for capability in rpm.provides if capability.startswith("kernel-uname-r"))
    if told:
        return told[0]
    named = _NAME.fullmatch(rpm.nevra.name)
    if named is None or not any(text.startswith(("ksym(", "kernel(", "kmod(")) for text in rpm.provides):
        return ""
    return usual_uname(named["flavor"], rpm.nevra.evr, rpm.nevra.arch)


def kernel_from_capabilities(
    provides: Iterable[str], *, source: str, uname_r: str = "", nevra: str | None = None, whole: bool = True
) -> Kernel:
    """The kernel that a package, or several of one uname -r, provide.

    Parameters
    ----------
    provides
        Capabilities as rpm prints them: ``ksym(FLAVOR:SYMBOL) = CRC``, ``kernel(FLAVOR:SYMSET) = HASH``,
        ``kernel(SYMBOL) = 0xCRC``.
    whole
        Whether these are all; what an inventory tells of a kernel are not.
    """
    crcs: dict[str, str] = {}
    symsets: dict[str, frozenset[str]] = {}
    for capability in provides:
        need = parse_need(capability) if capability.startswith(("ksym(", "kernel(")) else None
        if need is None or need.kind == "damaged":
            continue
        if need.kind == "symset":
            symsets[need.name] = symsets.get(need.name, frozenset()) | {need.value}
        else:
            crcs[need.name] = normal_crc(need.value)
    gap = "" if crcs else f"{source} does not say which symbols it exports"
    if not whole:
        gap = f"no repository has {nevra or source} as it is installed, and its inventory does not tell all symbols"
    return Kernel(
        source=source,
        symvers=Symvers(crcs=crcs, symsets=symsets, gap=gap),
        uname_r=uname_r,
        nevra=nevra,
        whole=whole,
    )


def _from_rpms(rpms: list[Rpm], parts: Iterable[Rpm]) -> Kernel:
    """One kernel from all its packages: on Code 11 -base holds part of it, and `parts` are -extra and its like."""
    main = min(rpms, key=lambda rpm: (len(rpm.nevra.name), rpm.path))
    provides = list(chain.from_iterable(rpm.provides for rpm in (*rpms, *parts)))
    kernel = kernel_from_capabilities(
        provides, source=main.path, uname_r=_uname_of(main), nevra=str(main.nevra)
    )
    if not kernel.symvers.gap:
        return kernel
    for rpm in rpms:
        for symvers in _lists_in(rpm):
            return Kernel(
                source=rpm.path,
                symvers=Symvers(
                    crcs=symvers.crcs,
                    kinds=symvers.kinds,
                    namespaces=symvers.namespaces,
                    modules=symvers.modules,
                    symsets=kernel.symvers.symsets,
                ),
                uname_r=kernel.uname_r,
                nevra=kernel.nevra,
            )
    return kernel


def _lists_in(rpm: Rpm) -> Iterator[Symvers]:
    """The symbol lists that an RPM carries as files (Code 11: /boot/symvers-*.gz)."""
    wanted = {file for file in rpm.files if PurePosixPath(file).name.startswith("symvers")}
    if not wanted:
        return
    for name, stream in payload(Path(rpm.path), wanted.__contains__):
        with stream:
            yield read_symvers(stream, f"{rpm.path}: {name}")


def _module_files(tree: Path) -> Iterator[Path]:
    """The kernel's own modules in /lib/modules/X, not those of KMPs."""
    return (file for file in files_below(tree / "kernel") if MODULE_FILE.search(file.name) and file.is_file())


def _lists_of(tree: Path) -> Iterator[Path]:
    """Where the symbol list of /lib/modules/X may be, nearest first.

    ``build`` usually is an absolute link, which leads below the same root as the tree.
    """
    root = tree.parent.parent.parent
    if root.name == "usr":
        root = root.parent
    places = [tree / "symvers", tree / "Module.symvers"]
    build = tree / "build"
    if build.is_symlink():
        target = build.readlink()
        places.append((root / str(target).lstrip("/") if target.is_absolute() else build) / "Module.symvers")
    else:
        places.append(build / "Module.symvers")
    name = tree.name
    places += [
        root / "boot" / f"symvers-{name}",
        root / "usr" / "lib" / "modules" / name / "symvers",
        root / "usr" / "src" / f"linux-headers-{name}" / "Module.symvers",
    ]
    return (place.with_name(place.name + suffix) for place in places for suffix in _COMPRESSED)


def _from_modules(modules: Iterable[Module], tree: Path) -> Symvers:
    """What the kernel's own modules tell of it: what they export, and what they were built against."""
    crcs: dict[str, str] = {}
    kinds: dict[str, str] = {}
    namespaces: dict[str, str] = {}
    exporters: dict[str, str] = {}
    for module in modules:
        crcs.update(module.versions)
        for symbol, export in module.exports.items():
            if export.crc is not None:
                crcs[symbol] = export.crc
            kinds[symbol] = export.kind
            exporters[symbol] = module.name
            if export.namespace:
                namespaces[symbol] = export.namespace
    gap = (
        f"no symvers file for {tree.name}: only the {len(crcs)} symbols that its own modules use or export"
        " are known"
    )
    return Symvers(crcs=crcs, kinds=kinds, namespaces=namespaces, modules=exporters, gap=gap)


def of_modules(symvers: Symvers, present: Collection[str]) -> Symvers:
    """A kernel's list without the symbols of modules that are not among those `present`, by name."""
    absent = {
        symbol
        for symbol, module in symvers.modules.items()
        if module != IMAGE and module_name(module) not in present
    }
    if not absent:
        return symvers
    return replace(
        symvers, crcs={symbol: crc for symbol, crc in symvers.crcs.items() if symbol not in absent}
    )


def _from_tree(tree: Path) -> Kernel:
    listed = next((place for place in _lists_of(tree) if place.is_file()), None)
    if listed is not None:
        files = list(_module_files(tree))
        first = read_module(files[0]) if files else None
        symvers = read_symvers(listed)
        return Kernel(
            source=str(tree),
            # A tree without a single module is nothing but a place for the list.
            symvers=of_modules(symvers, {module_name(file.name) for file in files}) if files else symvers,
            uname_r=tree.name,
            vermagic=first.vermagic if first else "",
            machine=first.machine if first else "",
            structure_size=first.structure_size if first else 0,
        )
    modules = [read_module(file) for file in _module_files(tree)]
    if not modules:
        raise MetadataError(
            "has neither a list of the kernel's symbols nor a module of the kernel",
            reference="no-kernel-symbols",
            where=str(tree),
            hint=f"Give the kernel's RPM, or its symvers-{tree.name}.gz",
        )
    return Kernel(
        source=str(tree),
        symvers=_from_modules(modules, tree),
        uname_r=tree.name,
        vermagic=modules[0].vermagic,
        machine=modules[0].machine,
        structure_size=modules[0].structure_size,
    )


def _is_tree(folder: Path) -> bool:
    return (folder / "kernel").is_dir() and folder.parent.name == "modules"


def _trees_below(folder: Path) -> list[Path]:
    found = {}
    for parent in (folder / "lib" / "modules", folder / "usr" / "lib" / "modules", folder):
        if parent.name == "modules" and parent.is_dir():
            for tree in sorted(parent.iterdir()):
                if _is_tree(tree):
                    found[tree.resolve()] = tree
    return list(found.values())


def read_kernels(source: Path) -> tuple[Kernel, ...]:
    """The kernels that a file or folder describes, sorted by uname -r.

    Parameters
    ----------
    source
        A kernel's RPM; a folder of them (the packages of one uname -r, architecture and EVR are one kernel, with
        what else of the kernel's own build requires exactly that one, such as -extra); a
        symvers or symsets file; a folder with Module.symvers, as kernel-FLAVOR-devel makes it;
        ``/lib/modules/X``; or a folder with lib/modules below it.

    Raises
    ------
    MetadataError
        If something in it cannot be read.
    RequestError
        ``no-kernel`` if there is none.
    """
    if source.is_dir():
        # The name of the folder tells its kernel, and "." or a link to it does not have that name.
        for tree in (source, source.resolve()):
            if _is_tree(tree):
                return (_from_tree(tree),)
        for name in ("Module.symvers", *(f"symvers{suffix}" for suffix in _COMPRESSED[1:])):
            if (source / name).is_file():
                return (
                    Kernel(
                        source=str(source), symvers=read_symvers(source / name), uname_r=_uname_r_of(source)
                    ),
                )
        if trees := _trees_below(source):
            return tuple(_from_tree(tree) for tree in trees)
        rpms = [read_rpm(file) for file in files_below(source) if file.suffix == ".rpm"]
    elif source.name.endswith(".rpm"):
        rpms = [read_rpm(source)]
    else:
        return (Kernel(source=str(source), symvers=read_symvers(source), uname_r=uname_r_in(source)),)
    parts = [rpm for rpm in rpms if _is_part(rpm)]
    kernels = [rpm for rpm in rpms if is_kernel_rpm(rpm) and rpm not in parts]
    if not kernels:
        raise RequestError(
            "holds no kernel",
            reference="no-kernel",
            where=str(source),
            hint="Give a kernel's RPM, a symvers file, or /lib/modules/UNAME-R",
        )
    return tuple(
        _from_rpms(unit, [part for part in parts if _serves(part, unit)]) for unit in _units(kernels)
    )


def _is_part(rpm: Rpm) -> bool:
    """Whether a package is of a kernel's own build and has modules: -extra, -optional, an in-tree KMP."""
    in_tree = any(text.startswith("kmp_in_kernel") for text in rpm.provides)
    return in_tree or _PART.fullmatch(rpm.nevra.name) is not None


def _serves(part: Rpm, unit: Iterable[Rpm]) -> bool:
    """Whether a package requires exactly this kernel."""
    exact = {text for text in part.requires if text.startswith("kernel-") and " = " in text}
    return any(part.nevra.arch == rpm.nevra.arch and not exact.isdisjoint(rpm.provides) for rpm in unit)


def _units(rpms: Iterable[Rpm]) -> Iterator[list[Rpm]]:
    """The packages of each kernel, sorted by uname -r, architecture and EVR.

    Two rebuilds share a uname -r and are two kernels. What a -base of another release than the whole kernel holds,
    the latter has too.
    """

    def place(rpm: Rpm) -> tuple[str, str]:
        return _uname_of(rpm), rpm.nevra.arch

    for _, group in groupby(sorted(rpms, key=lambda rpm: (*place(rpm), rpm.nevra.evr, rpm.path)), key=place):
        together = list(group)
        whole = min((rpm.nevra.name for rpm in together), key=len)
        for _, same in groupby(together, key=lambda rpm: rpm.nevra.evr):
            unit = list(same)
            if any(rpm.nevra.name == whole for rpm in unit):
                yield unit


def _uname_r_of(folder: Path) -> str:
    """The uname -r of a folder that modules are built in."""
    release = folder / "include" / "config" / "kernel.release"
    try:
        return release.read_text().strip() if release.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""
