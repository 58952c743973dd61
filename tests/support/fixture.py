"""The notation of ``repos/fixtures/NAME/scenario.toml``: a system, its repositories, a request, the answer.

A kernel or a KMP is a few words there and expands to the capabilities that real ones have; see
``repos/fixtures/README.md`` for the notation. The parser is strict: what it does not know is an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.support.packages import SUSE, PackageSpec
from tests.support.repository import PatchSpec

FIXTURES = Path(__file__).parents[2] / "repos" / "fixtures"
ACME = "ACME Inc."
_KERNEL_MODULES = ["ext4.ko"]
_T = TypeVar("_T")


class NotationError(Exception):
    """A scenario.toml that says something the notation does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    alias: str
    packages: tuple[PackageSpec, ...]
    patches: tuple[PatchSpec, ...] = ()
    priority: int = 99
    broken: bool = False
    """Its metadata does not match the checksums, or its RPMs are cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What the zypp configuration of the root says; with it a scenario needs a root folder."""

    zypp_conf: Mapping[str, str] = field(default_factory=dict)
    locks: tuple[Mapping[str, str], ...] = ()
    vendor_classes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    kernel: str | None = None
    running: str | None = None
    flavor: str | None = None
    strict: bool = False
    configuration: str | None = None
    """The text of a kmpsolve.toml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedKmp:
    decision: str
    chosen: tuple[str | None] | None
    """`None`: not said."""
    mismatches: tuple[tuple[str, str, str, str | None], ...]
    causes: tuple[str, ...]
    tried: Mapping[str, str | None]
    boot: Mapping[str, str]
    warnings: tuple[str, ...]
    waived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFlavor:
    verdict: str
    target: str | None
    newest_safe: str | None
    kmps: Mapping[str, ExpectedKmp]
    boot: Mapping[str, str] | None
    zypper_would: tuple[str | None] | None
    """`None`: not said."""
    ways_out: tuple[str, ...]
    held_patches: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    exit: int
    verdict: str
    complete: bool
    skipped: tuple[str, ...]
    transaction: tuple[tuple[str, str, str | None], ...]
    flavors: Mapping[str, ExpectedFlavor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    description: str
    installed: tuple[PackageSpec, ...]
    repositories: tuple[Repository, ...]
    system: System | None
    request: Request
    sources: tuple[str, ...]
    expected: Expected


def names() -> list[str]:
    """Return the names of all committed fixtures, sorted."""
    return sorted(path.parent.name for path in FIXTURES.glob("*/scenario.toml"))


def load(name: str) -> Scenario:
    """Read the committed fixture `name`."""
    return parse(name, (FIXTURES / name / "scenario.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Scenario:
    """Read a scenario from the text of its scenario.toml."""
    try:
        return _Parser(name).scenario(_Table(name, tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise NotationError(f"{name}: {error}") from error


class _Table:
    """A TOML table that is read key by key and must be read whole."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._values = dict(values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, message: str) -> NotationError:
        return NotationError(f"{self.where}: {message}")

    def take(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        if key not in self._values:
            if default is None:
                raise self.error(f"`{key}` is missing")
            return default
        value = self._values.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(f"`{key}` is not a {kind.__name__}")
        return value

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        return self.take(key, kind) if key in self._values else None

    def strings(self, key: str) -> tuple[str, ...]:
        values = self.take(key, list, [])
        if not all(isinstance(value, str) for value in values):
            raise self.error(f"`{key}` is not a list of strings")
        return tuple(values)

    def mapping(self, key: str) -> dict[str, str]:
        values = self.take(key, dict, {})
        if not all(isinstance(value, str) for value in values.values()):
            raise self.error(f"`{key}` is not a table of strings")
        return dict(values)

    def table(self, key: str) -> _Table:
        return _Table(f"{self.where}.{key}", self.take(key, dict, {}))

    def tables(self, key: str) -> dict[str, _Table]:
        return self.table(key).rest()

    def rest(self) -> dict[str, _Table]:
        keys = list(self._values)
        return {key: _Table(f"{self.where}.{key}", self.take(key, dict)) for key in keys}

    def done(self) -> None:
        if self._values:
            raise self.error(f"unknown: {', '.join(sorted(self._values))}")


class _Parser:
    def __init__(self, name: str) -> None:
        self._name = name
        self._arch = "x86_64"
        self._symbols: dict[str, str] = {}
        self._packages: dict[str, PackageSpec] = {}
        self._unames: dict[str, str] = {}

    def scenario(self, table: _Table) -> Scenario:
        description = table.take("description", str)
        self._arch = table.take("arch", str, "x86_64")
        self._symbols = table.mapping("symbols")
        for key, package in table.tables("packages").items():
            self._packages[key] = self._package(key, package)
        used: set[str] = set()
        installed = self._listed(table, "installed", used)
        repositories = tuple(
            self._repository(alias, entry, used) for alias, entry in table.tables("repositories").items()
        )
        if unused := self._packages.keys() - used:
            raise table.error(f"described and nowhere used: {', '.join(sorted(unused))}")
        system = self._system(table.table("system")) if "system" in table else None
        request = self._request(table.table("request"))
        sources = table.strings("sources") or ("rpm-md", "rpms")
        expected = self._expected(table.table("expect"))
        table.done()
        return Scenario(
            name=self._name,
            description=description,
            installed=installed,
            repositories=repositories,
            system=system,
            request=request,
            sources=sources,
            expected=expected,
        )

    # Packages

    def _listed(self, table: _Table, key: str, used: set[str]) -> tuple[PackageSpec, ...]:
        names = table.strings(key)
        for name in names:
            if name not in self._packages:
                raise table.error(f"`{key}` names {name}, which is not described")
        used.update(names)
        return tuple(self._packages[name] for name in names)

    def _repository(self, alias: str, table: _Table, used: set[str]) -> Repository:
        packages = self._listed(table, "packages", used)
        patches = []
        for name, entry in table.tables("patches").items():
            patches.append(
                PatchSpec(
                    id=name,
                    packages=self._listed(entry, "packages", used),
                    severity=entry.take("severity", str, "important"),
                    cves=entry.strings("cves"),
                    status=entry.take("status", str, "stable"),
                )
            )
            entry.done()
        repository = Repository(
            alias=alias,
            packages=packages,
            patches=tuple(patches),
            priority=table.take("priority", int, 99),
            broken=table.take("broken", bool, False),
        )
        table.done()
        return repository

    def _package(self, key: str, table: _Table) -> PackageSpec:
        kinds = {"kernel": self._kernel, "kmp": self._kmp, "package": self._plain}
        named = [kind for kind in kinds if kind in table]
        if len(named) != 1:
            raise table.error(f"a package is one of {', '.join(kinds)}")
        spec = kinds[named[0]](key, table)
        table.done()
        return spec

    def _kernel(self, key: str, table: _Table) -> PackageSpec:
        """A kernel package, or with `part` one of its siblings, which serve the same uname -r."""
        flavor, evr = self._words(table, "kernel", 2)
        version, release = self._dash(table, evr)
        part = table.take("part", str, "")
        krel = table.take("krel", str, f"{version}-{release.rpartition('.')[0] or release}")
        uname = f"{krel}-{flavor}"
        self._unames[key] = uname
        whole = part in ("", "base")
        exports = dict(self._symbols) if whole else {}
        if "exports" in table:
            exports = table.mapping("exports")
        exports |= table.mapping("changes")
        for symbol in table.strings("drops"):
            if exports.pop(symbol, None) is None:
                raise table.error(f"`drops` names {symbol}, which is not exported")
        modules = list(table.take("modules", list, list(_KERNEL_MODULES) if whole else []))
        provides = [f"kernel-{flavor} = {evr}"] if part == "" else []
        provides += [f"kernel-uname-r = {uname}"] if whole else []
        return self._spec(
            table,
            name=f"kernel-{flavor}" + (f"-{part}" if part else ""),
            version=version,
            release=release,
            vendor=SUSE,
            provides=(
                *provides,
                "multiversion(kernel)",
                *(f"kmod({module})" for module in modules),
                *(f"ksym({flavor}:{symbol}) = {crc}" for symbol, crc in exports.items()),
                *(f"kernel({flavor}:{name}) = {value}" for name, value in table.mapping("symsets").items()),
            ),
            requires=() if whole or part == "devel" else (f"kernel-{flavor} = {evr}",),
            files=(
                *((f"/boot/vmlinuz-{uname}",) if whole else ()),
                *(f"/lib/modules/{uname}/kernel/{module}" for module in modules),
            ),
        )

    def _kmp(self, _key: str, table: _Table) -> PackageSpec:
        short, evr = self._words(table, "kmp", 2)
        flavor, krel = self._words(table, "built_for", 2)
        plain_version, release = self._dash(table, evr)
        suffix = table.take("suffix", str, "_k" + krel.replace("-", "_"))
        version = plain_version + suffix
        modules = list(table.take("modules", list, [f"{short}.ko"]))
        build = f"{short}-kmp-{flavor}-k{krel}"
        return self._spec(
            table,
            name=f"{short}-kmp-{flavor}",
            version=version,
            release=release,
            vendor=ACME,
            provides=(
                f"{short}-kmp = {version}",
                f"{short}-kmp = {plain_version}",
                build,
                *(("multiversion(kernel)",) if table.take("multiversion", bool, True) else ()),
                *(f"kmod({module})" for module in modules),
                *(f"ksym({flavor}:{symbol}) = {crc}" for symbol, crc in table.mapping("exports").items()),
            ),
            requires=(
                *(f"ksym({flavor}:{symbol}) = {crc}" for symbol, crc in self._uses(table).items()),
                *(
                    f"kernel({flavor}:{name}) = {value}"
                    for name, value in table.mapping("uses_symsets").items()
                ),
            ),
            conflicts=(build,),
            supplements=(f"packageand(kernel-{flavor}:{short})",),
            enhances=(f"kernel-{flavor}",),
            files=tuple(f"/lib/modules/{krel}-{flavor}/updates/{module}" for module in modules),
        )

    def _plain(self, _key: str, table: _Table) -> PackageSpec:
        name, evr = self._words(table, "package", 2)
        version, release = self._dash(table, evr)
        return self._spec(table, name=name, version=version, release=release, vendor=SUSE)

    def _spec(
        self,
        table: _Table,
        *,
        name: str,
        version: str,
        release: str,
        vendor: str,
        provides: tuple[str, ...] = (),
        requires: tuple[str, ...] = (),
        conflicts: tuple[str, ...] = (),
        supplements: tuple[str, ...] = (),
        enhances: tuple[str, ...] = (),
        files: tuple[str, ...] = (),
    ) -> PackageSpec:
        """Add what every kind of package may say about itself."""
        return PackageSpec(
            name=name,
            version=version,
            release=release,
            arch=table.take("arch", str, self._arch),
            vendor=table.take("vendor", str, vendor),
            provides=provides + table.strings("provides"),
            requires=requires + table.strings("requires"),
            conflicts=conflicts + table.strings("conflicts"),
            obsoletes=table.strings("obsoletes"),
            supplements=supplements + table.strings("supplements"),
            enhances=enhances,
            files=files + table.strings("files"),
            triggers=table.strings("triggers"),
        )

    def _uses(self, table: _Table) -> dict[str, str]:
        """Return symbol -> CRC; a list of symbols takes the CRCs of the fixture's `symbols`."""
        uses: dict[str, str] = {}
        if "uses" in table:
            listed = table.take("uses", object)
            if isinstance(listed, dict):
                uses = {str(symbol): str(crc) for symbol, crc in listed.items()}
            elif isinstance(listed, list):
                unknown = [symbol for symbol in listed if symbol not in self._symbols]
                if unknown:
                    raise table.error(f"`uses` names {unknown[0]}, which is not in [symbols]")
                uses = {symbol: self._symbols[symbol] for symbol in listed}
        return uses | table.mapping("uses_also")

    @staticmethod
    def _words(table: _Table, key: str, count: int) -> list[str]:
        words = table.take(key, str).split()
        if len(words) != count:
            raise table.error(f"`{key}` has {len(words)} words, not {count}")
        return words

    @staticmethod
    def _dash(table: _Table, evr: str) -> tuple[str, str]:
        version, dash, release = evr.partition("-")
        if not dash or "-" in release:
            raise table.error(f"{evr} is not VERSION-RELEASE")
        return version, release

    # The system, the request and the answer

    def _system(self, table: _Table) -> System:
        zypp_conf = table.mapping("zypp_conf")
        locks = tuple(dict(lock) for lock in table.take("locks", list, []))
        classes = tuple(tuple(names) for names in table.take("vendor_classes", list, []))
        table.done()
        return System(zypp_conf=zypp_conf, locks=locks, vendor_classes=classes)

    def _request(self, table: _Table) -> Request:
        running = table.optional("running", str)
        request = Request(
            kernel=table.optional("kernel", str),
            running=None if running is None else self._unames.get(running, running),
            flavor=table.optional("flavor", str),
            strict=table.take("strict", bool, False),
            configuration=table.optional("configuration", str),
        )
        table.done()
        return request

    def _expected(self, table: _Table) -> Expected:
        steps: list[tuple[str, str, str | None]] = []
        for line in table.strings("transaction"):
            match line.split():
                case [action, name, "from", alias]:
                    steps.append((action, self._nevra(table, name), alias))
                case ["erase", name]:
                    steps.append(("erase", self._nevra(table, name), None))
                case _:
                    raise table.error(
                        f"`transaction`: {line}: not ACTION PACKAGE from ALIAS, not erase PACKAGE"
                    )
        expected = Expected(
            exit=table.take("exit", int),
            verdict=table.take("verdict", str),
            complete=table.take("complete", bool, True),
            skipped=table.strings("skipped"),
            transaction=tuple(steps),
            flavors={name: self._expected_flavor(entry) for name, entry in table.rest().items()},
        )
        table.done()
        return expected

    def _expected_flavor(self, table: _Table) -> ExpectedFlavor:
        boot = None
        if "boot" in table:
            boot = {self._uname(table, name): state for name, state in table.mapping("boot").items()}
        zypper_would = None
        if "zypper_would" in table:
            zypper_would = (self._nevra_or_none(table, table.take("zypper_would", str)),)
        expected = ExpectedFlavor(
            verdict=table.take("verdict", str),
            target=self._nevra_or_none(table, table.take("target", str)),
            newest_safe=self._nevra_or_none(table, table.take("newest_safe", str)),
            kmps={name: self._expected_kmp(entry) for name, entry in table.tables("kmps").items()},
            boot=boot,
            zypper_would=zypper_would,
            ways_out=table.strings("ways_out"),
            held_patches=table.strings("held_patches"),
            warnings=table.strings("warnings"),
        )
        table.done()
        return expected

    def _expected_kmp(self, table: _Table) -> ExpectedKmp:
        mismatches = []
        for line in table.strings("mismatches"):
            symbol, kind, wanted, found = line.split()
            mismatches.append((symbol, kind, wanted, None if found == "-" else found))
        expected = ExpectedKmp(
            decision=table.take("decision", str),
            chosen=(self._nevra_or_none(table, table.take("chosen", str)),) if "chosen" in table else None,
            mismatches=tuple(mismatches),
            causes=table.strings("causes"),
            tried={self._nevra(table, name): cause or None for name, cause in table.mapping("tried").items()},
            boot={self._uname(table, name): via for name, via in table.mapping("boot").items()},
            warnings=table.strings("warnings"),
            waived=table.take("waived", bool, False),
        )
        table.done()
        return expected

    def _nevra(self, table: _Table, name: str) -> str:
        if name not in self._packages:
            raise table.error(f"{name} is not described")
        return self._packages[name].nevra

    def _nevra_or_none(self, table: _Table, name: str) -> str | None:
        return None if name == "none" else self._nevra(table, name)

    def _uname(self, table: _Table, name: str) -> str:
        if name not in self._unames:
            raise table.error(f"{name} is no kernel")
        return self._unames[name]
