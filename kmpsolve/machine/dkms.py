"""DKMS: modules that are compiled on the host for each new kernel, and what that needs.

dkms.conf(5) is a shell script that dkms sources; its plain assignments are read here, nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kmpsolve.errors import ConfigError, MetadataError
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.evr import rpmvercmp
from kmpsolve.model.plan import Warned

__all__ = ["DkmsPackage", "has_compiler", "read_dkms", "warn_of_rebuild"]

_STATE = "/var/lib/dkms"
_COMPILERS = ("gcc", "cc", "clang")
_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<key>[A-Z_]+)(?:\[(?P<index>\d+)\])?="""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s#;]*))""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DkmsPackage:
    """A module source that is registered with DKMS.

    Parameters
    ----------
    modules
        The kernel's names of the modules it makes.
    exclusive_kernel
        A regular expression that the kernel's uname -r must match (BUILD_EXCLUSIVE_KERNEL); empty for any.
    least, most
        The oldest and the newest kernel version it is for; empty for any.
    exclusive_arch
        A regular expression for the architecture; empty for any.
    """

    name: str
    version: str
    modules: tuple[str, ...]
    exclusive_kernel: str = ""
    least: str = ""
    most: str = ""
    exclusive_arch: str = ""

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"

    def excludes(self, uname_r: str, arch: str) -> str:
        """Which line of its dkms.conf keeps it from being built for a kernel; empty if none does."""
        for key, pattern, text in (
            ("BUILD_EXCLUSIVE_KERNEL", self.exclusive_kernel, uname_r),
            ("BUILD_EXCLUSIVE_ARCH", self.exclusive_arch, arch),
        ):
            try:
                if pattern and re.search(pattern, text) is None:
                    return f"{key}={pattern}"
            except re.error:  # dkms asks the shell, whose expressions are others
                continue
        version = uname_r.partition("-")[0]
        if self.least and rpmvercmp(version, self.least) < 0:
            return f"BUILD_EXCLUSIVE_KERNEL_MIN={self.least}"
        if self.most and rpmvercmp(version, self.most) > 0:
            return f"BUILD_EXCLUSIVE_KERNEL_MAX={self.most}"
        return ""


def read_dkms(root: Root) -> tuple[DkmsPackage, ...]:
    """The sources registered with DKMS, sorted; the newest version of each."""
    found: dict[str, DkmsPackage] = {}
    for name in root.names(_STATE):
        for version in root.names(f"{_STATE}/{name}"):
            text = _conf(root, name, version)
            if text is not None:
                package = _parse(name, version, text)
                known = found.get(name)
                if known is None or rpmvercmp(known.version, version) < 0:
                    found[name] = package
    return tuple(found[name] for name in sorted(found))


def _conf(root: Root, name: str, version: str) -> str | None:
    for place in (f"{_STATE}/{name}/{version}/source/dkms.conf", f"/usr/src/{name}-{version}/dkms.conf"):
        try:
            text = root.read(place)
        except (ConfigError, MetadataError):
            continue
        if text is not None:
            return text
    return None


def _parse(name: str, version: str, text: str) -> DkmsPackage:
    single: dict[str, str] = {}
    built: dict[int, str] = {}
    for match in _ASSIGNMENT.finditer(text):
        value = next(v for v in (match["double"], match["single"], match["bare"], "") if v is not None)
        value = _expand(value, {"PACKAGE_NAME": name, "PACKAGE_VERSION": version, **single})
        if match["key"] == "BUILT_MODULE_NAME":
            built[int(match["index"] or 0)] = value
        else:
            single[match["key"]] = value
    return DkmsPackage(
        name=name,
        version=version,
        modules=tuple(built[place].replace("-", "_") for place in sorted(built)) or (name.replace("-", "_"),),
        exclusive_kernel=single.get("BUILD_EXCLUSIVE_KERNEL", ""),
        least=single.get("BUILD_EXCLUSIVE_KERNEL_MIN", ""),
        most=single.get("BUILD_EXCLUSIVE_KERNEL_MAX", ""),
        exclusive_arch=single.get("BUILD_EXCLUSIVE_ARCH", ""),
    )


def _expand(value: str, known: dict[str, str]) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))", lambda m: known.get(m[1] or m[2], m[0]), value)


def has_compiler(root: Root, installed: Iterable[str] = ()) -> bool:
    """Whether the system can compile: a compiler in /usr/bin, or a package of one."""
    for name in _COMPILERS:
        try:
            if root.path(f"/usr/bin/{name}").exists():
                return True
        except (OSError, MetadataError):
            continue
    return any(re.fullmatch(r"(?:gcc|clang)\d*", name) for name in installed)


def warn_of_rebuild(
    what: str, *, missing_headers: Iterable[str], compiler: bool, excluded: str = "", kernel: str
) -> Iterator[Warned]:
    """Say what keeps something that is compiled on the host from being compiled for a kernel.

    Parameters
    ----------
    what
        The DKMS source or the KMP.
    missing_headers
        The packages that are neither installed nor in the transaction.
    excluded
        The line of dkms.conf that excludes the kernel.
    """
    if excluded:
        yield Warned(
            reference="dkms-excludes-target",
            message=f"{what} is not built for {kernel}: its dkms.conf says {excluded}",
        )
        return
    missing = sorted(missing_headers)
    if missing:
        yield Warned(
            reference="headers-missing",
            message=f"{what} cannot be built for {kernel}: {', '.join(missing)}"
            f" {'is' if len(missing) == 1 else 'are'} neither installed nor planned",
        )
    if not compiler:
        yield Warned(
            reference="compiler-missing",
            message=f"{what} cannot be built for {kernel}: there is no compiler (zypper install gcc)",
        )
