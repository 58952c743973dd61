"""Worlds: small systems with their repositories, as values.

A world is written in a few words so that a person can read one in a failing test and run it again::

    World(
      installed=[
        Kernel(release='10.1', ksyms='a=1 b=2'),
        Kmp(name='acme', krel='6.4.0-10', symbols='a=1', modules='acme.ko'),
      ],
      repositories=[
        Repository(alias='r1', packages=[Kernel(release='20.1', ksyms='a=1 b=9')]),
      ],
    )

Lists of symbols, modules and names are separated by spaces, dependencies by semicolons.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from tests.support import rpmmd
from tests.support.packages import SUSE, PackageSpec

ACME = "ACME Inc."


def pairs(text: str) -> dict[str, str]:
    """Read ``a=1 b=2``."""
    return dict(entry.split("=", 1) for entry in text.split())


def dependencies(text: str) -> tuple[str, ...]:
    """Read ``acme-kmp = 2.1; tool``."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel package: kernel-FLAVOR, or another `package` that is its own unit (kernel-FLAVOR-base)."""

    release: str
    """RPM release: the kernel release's last part and a rebuild counter (``10.1``)."""
    version: str = "6.4.0"
    flavor: str = "default"
    package: str = ""
    uname: str = ""
    ksyms: str = ""
    symsets: str = ""
    modules: str = ""
    obsoletes: str = ""
    provides: str = ""
    post: str = ""
    """What its scripts require."""
    vendor: str = SUSE
    arch: str = "x86_64"

    @property
    def name(self) -> str:
        return self.package or f"kernel-{self.flavor}"

    @property
    def krel(self) -> str:
        return self.uname_r.removesuffix(f"-{self.flavor}")

    @property
    def uname_r(self) -> str:
        return self.uname or f"{self.version}-{self.release.rpartition('.')[0] or self.release}-{self.flavor}"

    def spec(self) -> PackageSpec:
        provides = (
            f"kernel-uname-r = {self.uname_r}",
            "multiversion(kernel)",
            *(f"kmod({module})" for module in self.modules.split()),
            *(f"ksym({self.flavor}:{symbol}) = {crc}" for symbol, crc in pairs(self.ksyms).items()),
            *(f"kernel({self.flavor}:{name}) = {value}" for name, value in pairs(self.symsets).items()),
            *dependencies(self.provides),
        )
        return PackageSpec(
            name=self.name,
            version=self.version,
            release=self.release,
            arch=self.arch,
            vendor=self.vendor,
            provides=provides,
            post=dependencies(self.post),
            obsoletes=dependencies(self.obsoletes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelExtra:
    """kernel-FLAVOR-extra or -optional: more modules of the kernel with exactly its version."""

    release: str
    version: str = "6.4.0"
    flavor: str = "default"
    suffix: str = "extra"
    ksyms: str = ""
    modules: str = ""
    obsoletes: str = ""
    vendor: str = SUSE
    arch: str = "x86_64"

    @property
    def name(self) -> str:
        return f"kernel-{self.flavor}-{self.suffix}"

    def spec(self) -> PackageSpec:
        provides = (
            "multiversion(kernel)",
            *(f"kmod({module})" for module in self.modules.split()),
            *(f"ksym({self.flavor}:{symbol}) = {crc}" for symbol, crc in pairs(self.ksyms).items()),
        )
        return PackageSpec(
            name=self.name,
            version=self.version,
            release=self.release,
            arch=self.arch,
            vendor=self.vendor,
            provides=provides,
            requires=(f"kernel-{self.flavor} = {self.version}-{self.release}",),
            obsoletes=dependencies(self.obsoletes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kmp:
    """A build of the KMP NAME-kmp-FLAVOR for one kernel release."""

    name: str
    krel: str
    version: str = "1.0"
    release: str = "1"
    flavor: str = "default"
    symbols: str = ""
    """Symbol versions that it requires."""
    symsets: str = ""
    exact: str = ""
    """uname -r of the only kernel it is for."""
    exports: str = ""
    modules: str = ""
    requires: str = ""
    post: str = ""
    """What its scripts require."""
    provides: str = ""
    conflicts: str = ""
    obsoletes: str = ""
    multiversion: bool = True
    vendor: str = ACME
    arch: str = "x86_64"

    def spec(self) -> PackageSpec:
        krel = self.krel.replace("-", "_")
        version = f"{self.version}_k{krel}"
        native = f"{self.name}-kmp-{self.flavor}-k{krel}"
        provides = (
            f"{self.name}-kmp = {version}-{self.release}",
            f"{self.name}-kmp = {self.version}",
            native,
            *(["multiversion(kernel)"] if self.multiversion else []),
            *(f"kmod({module})" for module in self.modules.split()),
            *(f"ksym({self.flavor}:{symbol}) = {crc}" for symbol, crc in pairs(self.exports).items()),
            *dependencies(self.provides),
        )
        requires = (
            *(f"ksym({self.flavor}:{symbol}) = {crc}" for symbol, crc in pairs(self.symbols).items()),
            *(f"kernel({self.flavor}:{name}) = {value}" for name, value in pairs(self.symsets).items()),
            *([f"kernel-uname-r = {self.exact}"] if self.exact else []),
            *dependencies(self.requires),
        )
        return PackageSpec(
            name=f"{self.name}-kmp-{self.flavor}",
            version=version,
            release=self.release,
            arch=self.arch,
            vendor=self.vendor,
            provides=provides,
            requires=requires,
            post=dependencies(self.post),
            conflicts=(native, *dependencies(self.conflicts)),
            obsoletes=dependencies(self.obsoletes),
            enhances=(f"kernel-{self.flavor}",),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A package of user space."""

    name: str
    version: str = "1.0"
    release: str = "1"
    requires: str = ""
    post: str = ""
    """What its scripts require."""
    provides: str = ""
    conflicts: str = ""
    obsoletes: str = ""
    vendor: str = ACME
    arch: str = "x86_64"

    def spec(self) -> PackageSpec:
        return PackageSpec(
            name=self.name,
            version=self.version,
            release=self.release,
            arch=self.arch,
            vendor=self.vendor,
            requires=dependencies(self.requires),
            post=dependencies(self.post),
            provides=dependencies(self.provides),
            conflicts=dependencies(self.conflicts),
            obsoletes=dependencies(self.obsoletes),
        )


Noun: TypeAlias = Kernel | KernelExtra | Kmp | Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What a repository offers; `retracted` are NEVRAs."""

    alias: str
    packages: list[Noun] = field(default_factory=list)
    priority: int = 99
    retracted: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A system, its repositories, and what is asked: ``--kernel`` and ``--running``."""

    installed: list[Noun]
    repositories: list[Repository] = field(default_factory=list)
    kernel: str | None = None
    running: str | None = None
    locks: list[str] = field(default_factory=list)
    """Zypp's locks: ``NAME`` or ``NAME == VERSION-RELEASE``."""

    def text(self) -> str:
        """Return Python that makes this world again: :func:`world` reads it."""
        return _text(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # how hypothesis shows it
        printer.text(self.text())

    @property
    def needs_root(self) -> bool:
        """Whether only a zypp root can say what this world says: locks, or repositories of other priority."""
        return bool(self.locks) or any(repository.priority != 99 for repository in self.repositories)


def world(text: str) -> World:
    """Read what :meth:`World.text` wrote."""
    names = {noun.__name__: noun for noun in (World, Repository, Kernel, KernelExtra, Kmp, Tool)}
    made = eval(text, {"__builtins__": {}, **names, "SUSE": SUSE, "ACME": ACME})  # noqa: S307 (our own text)
    assert isinstance(made, World)
    return made


def _text(value: Any, indent: str = "") -> str:
    if isinstance(value, list):
        if not value or isinstance(value[0], str):
            return repr(value)
        inner = "".join(f"{indent}  {_text(entry, indent + '  ')},\n" for entry in value)
        return f"[\n{inner}{indent}]"
    if not isinstance(value, World | Repository | Kernel | KernelExtra | Kmp | Tool):
        return repr(value)
    said = [
        (entry.name, getattr(value, entry.name))
        for entry in fields(value)
        if getattr(value, entry.name) not in (entry.default, [])
    ]
    if isinstance(value, World):
        inner = "".join(f"{indent}  {name}={_text(entry, indent + '  ')},\n" for name, entry in said)
        return f"World(\n{inner}{indent})"
    arguments = ", ".join(f"{name}={_text(entry, indent)}" for name, entry in said)
    return f"{type(value).__name__}({arguments})"


def lay_out(of: World, folder: Path, *, shuffle: int = 0) -> dict[str, Any]:
    """Write `of` as rpm-md below `folder` and return the arguments of ``kmpsolve.plan``.

    `shuffle` reverses what has no order (1: packages on offer, 2: dependencies, 4: repositories of equal priority,
    8: installed packages).
    """

    def write(place: Path, nouns: Iterable[Noun], turned: int, retracted: Iterable[str] = ()) -> Path:
        specs = [noun.spec() for noun in nouns]
        if shuffle & turned:
            specs.reverse()
        if shuffle & 2:
            specs = [_reversed(spec) for spec in specs]
        withdrawn = set(retracted)
        return rpmmd.write(place, specs, retracted=[spec for spec in specs if spec.nevra in withdrawn])

    asked: dict[str, Any] = {
        "installed": str(write(folder / "installed", of.installed, 8)),
        "kernel": of.kernel,
        "running": of.running,
    }
    repositories = {
        repository.alias: write(folder / repository.alias, repository.packages, 1, repository.retracted)
        for repository in (reversed(of.repositories) if shuffle & 4 else of.repositories)
    }
    if not of.needs_root:
        return asked | {"repositories": {alias: str(path) for alias, path in repositories.items()}}
    root = folder / "root"
    repos_d = root / "etc" / "zypp" / "repos.d"
    repos_d.mkdir(parents=True)
    (root / "etc" / "zypp" / "zypp.conf").write_text(
        "[main]\nmultiversion = provides:multiversion(kernel)\n"
        "multiversion.kernels = latest,latest-1,running\n",
        encoding="utf-8",
    )
    blocks = [
        "\ntype: package\nmatch_type: exact\ncase_sensitive: on\n"
        f"solvable_name: {name}\n{f'version: == {evr}' if evr else ''}\n"
        for name, _, evr in (lock.partition(" == ") for lock in of.locks)
    ]
    (root / "etc" / "zypp" / "locks").write_text("\n".join(blocks), encoding="utf-8")
    for repository in of.repositories:
        (repos_d / f"{repository.alias}.repo").write_text(
            f"[{repository.alias}]\nname={repository.alias}\nenabled=1\nautorefresh=0\ngpgcheck=0\n"
            f"baseurl=dir:{repositories[repository.alias]}\ntype=rpm-md\npriority={repository.priority}\n",
            encoding="utf-8",
        )
    return asked | {"root": str(root)}


def _reversed(spec: PackageSpec) -> PackageSpec:
    values = {entry.name: getattr(spec, entry.name) for entry in fields(spec)}
    turned = {name: value[::-1] for name, value in values.items() if isinstance(value, tuple)}
    return PackageSpec(**(values | turned))
