"""The difference between what two kernels export, and which KMP builds it hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kmpsolve.compat.judgement import judge
from kmpsolve.compat.matrix import offered_by, shortfall, unique_builds
from kmpsolve.compat.severities import Rule, Severities
from kmpsolve.model.evr import Evr
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.model.nevra import Nevra, same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.symbols import Exports, SymbolTable

__all__ = ["Changed", "Hit", "KabiDiff", "Kernel", "SymbolGroup", "difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One side of a comparison.

    Parameters
    ----------
    label
        A NEVRA, a uname -r or a path.
    crcs
        Symbol, or SLE 11's symset -> all the versions of it that the kernel has, sorted.
    modules, namespaces
        Symbol -> where it is exported; empty where the source does not tell.
    uname_r
        Empty if unknown.
    arch
        Of its package; ``noarch`` if unknown.
    """

    label: str
    crcs: Mapping[str, tuple[str, ...]]
    modules: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)
    uname_r: str = ""
    arch: str = "noarch"

    @classmethod
    def of_unit(cls, unit: KernelUnit, table: SymbolTable) -> Kernel:
        """A kernel that is installed or in a repository."""
        found: dict[str, set[str]] = {}
        for capability in unit.exports.capabilities:
            need = table.need(capability)
            if need is not None and need.kind in ("ksym", "symset"):
                found.setdefault(need.name, set()).add(need.value)
        return cls(
            label=str(unit.nevra),
            crcs={name: tuple(sorted(values)) for name, values in sorted(found.items())},
            uname_r=unit.uname_r,
            arch=unit.nevra.arch,
        )

    @classmethod
    def of_list(
        cls,
        label: str,
        crcs: Mapping[str, str],
        *,
        symsets: Mapping[str, frozenset[str]],
        modules: Mapping[str, str],
        namespaces: Mapping[str, str],
        uname_r: str,
        arch: str = "noarch",
    ) -> Kernel:
        """A kernel that is known by a list of symbols; see `kmpsolve.modules.symvers.Symvers`."""
        found: dict[str, tuple[str, ...]] = {name: (crc,) for name, crc in crcs.items()}
        found |= {name: tuple(sorted(hashes)) for name, hashes in symsets.items()}
        return cls(
            label=label,
            crcs=dict(sorted(found.items())),
            modules=modules,
            namespaces=namespaces,
            uname_r=uname_r,
            arch=arch,
        )

    def unit(self, flavors: Iterable[str], table: SymbolTable) -> KernelUnit:
        """This kernel as builds of `flavors` meet it; ``""`` for builds that name none.

        A list of symbols does not say of which flavor they are, so every one of `flavors` is spelled.
        """
        values: dict[str, tuple[str, ...]] = {"kernel-uname-r": (self.uname_r,)} if self.uname_r else {}
        for flavor in flavors:
            prefix = f"{flavor}:" if flavor else ""
            for name, crcs in self.crcs.items():
                values[f"ksym({prefix}{name})"] = crcs
                values[f"kernel({prefix}{name})"] = crcs
        package = Package(
            handle=0,
            nevra=Nevra("kernel", Evr(0, self.label, ""), self.arch),
            vendor="",
            repository="",
            priority=99,
        )
        return KernelUnit(
            flavor=flavor_of_uname(self.uname_r),
            uname_r=self.uname_r,
            main=package,
            packages=(package,),
            exports=_Listed(values, table),
            modules={},
            obsoletes=(),
        )


class _Listed(Exports):
    """Exports that no package provides, so that the pool has no integers for them."""

    def __init__(self, values: dict[str, tuple[str, ...]], table: SymbolTable) -> None:
        super().__init__(tuple, table)
        self._by_key = {**values}

    def lacking(self, versions: Mapping[int, tuple[str, str]]) -> Mapping[int, tuple[str, str]]:
        return {capability: version for capability, version in versions.items() if not self.has(*version)}


@dataclass(frozen=True, slots=True, order=True)
class Changed:
    """A symbol with another version in each kernel; CRCs in the contract's spelling."""

    symbol: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A KMP build that fits the first kernel and not the second.

    Parameters
    ----------
    symbols
        What it misses on the second, sorted.
    exact_kernel
        It was built for exactly one kernel, which the second is not.
    """

    build: KmpBuild
    symbols: tuple[str, ...]
    exact_kernel: bool


@dataclass(frozen=True, slots=True)
class SymbolGroup:
    """Changed and removed symbols that hit the same builds."""

    symbols: tuple[str, ...]
    hits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KabiDiff:
    """What the second kernel does differently.

    Parameters
    ----------
    added, removed, changed
        Sorted by symbol; tolerated ones included.
    tolerated
        Changed and removed symbols that a rule tolerates. A module cares nothing for that.
    hits
        Builds hit, by name and EVR.
    judged
        How many builds there were to be hit.
    unverified
        NEVRAs of those of which nobody knows, as they tell no symbol versions; sorted.
    unused
        Rules that decided nothing.
    unjudged
        Rules about modules or namespaces, which neither kernel's source tells.
    """

    a: Kernel
    b: Kernel
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[Changed, ...]
    tolerated: frozenset[str]
    hits: tuple[Hit, ...]
    judged: int
    unverified: tuple[str, ...]
    unused: tuple[Rule, ...]
    unjudged: tuple[Rule, ...]

    @property
    def groups(self) -> tuple[SymbolGroup, ...]:
        """Changed and removed symbols by the builds that they hit, most symbols first, harmless ones last."""
        users: dict[str, list[str]] = {symbol: [] for symbol in self.removed}
        users |= {change.symbol: [] for change in self.changed}
        for hit in self.hits:
            for symbol in hit.symbols:
                if symbol in users:
                    users[symbol].append(str(hit.build.nevra))
        groups: dict[tuple[str, ...], list[str]] = {}
        for symbol in sorted(users):
            groups.setdefault(tuple(users[symbol]), []).append(symbol)
        ordered = sorted(groups.items(), key=lambda entry: (not entry[0], -len(entry[1]), entry[0]))
        return tuple(SymbolGroup(tuple(symbols), hits) for hits, symbols in ordered)


def _changed(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether something built against `a` may fail on `b`; SLE 11 kernels keep old symsets too."""
    return not set(a) <= set(b)


def difference(
    a: Kernel,
    b: Kernel,
    severities: Severities,
    builds: Iterable[KmpBuild] = (),
    units: tuple[KernelUnit, KernelUnit] | None = None,
    table: SymbolTable | None = None,
) -> KabiDiff:
    """Compare two kernels.

    Parameters
    ----------
    builds
        KMP builds to look for hits among.
    units
        The same two kernels as units, to judge `builds` on; required with `builds`.
    table
        What spells the builds' capabilities; required with `builds`.
    """
    removed = tuple(symbol for symbol in a.crcs if symbol not in b.crcs)
    changed = tuple(
        Changed(symbol, next(crc for crc in crcs if crc not in b.crcs[symbol]), b.crcs[symbol][0])
        for symbol, crcs in a.crcs.items()
        if symbol in b.crcs and _changed(crcs, b.crcs[symbol])
    )
    tolerated, used = set(), set()
    for symbol in (*removed, *(change.symbol for change in changed)):
        module = a.modules.get(symbol) or b.modules.get(symbol, "")
        namespace = a.namespaces.get(symbol) or b.namespaces.get(symbol, "")
        rule = severities.rule_for(symbol, module, namespace)
        if rule is not None:
            used.add(rule)
            if rule.tolerates:
                tolerated.add(symbol)
    known = {"symbol": True, "module": bool(a.modules or b.modules)}
    known["namespace"] = known["module"]
    idle = severities.unused(used)
    hits: tuple[Hit, ...] = ()
    unverified: tuple[str, ...] = ()
    mine: list[KmpBuild] = []
    if units is not None and table is not None:
        mine = _concerned(builds, units)
        hits = _hits(mine, units, table)
        unverified = tuple(sorted({str(build.nevra) for build in mine if not build.versioned}))
    return KabiDiff(
        a=a,
        b=b,
        added=tuple(symbol for symbol in b.crcs if symbol not in a.crcs),
        removed=removed,
        changed=changed,
        tolerated=frozenset(tolerated),
        hits=hits,
        judged=len(unique_builds(mine)),
        unverified=unverified,
        unused=tuple(rule for rule in idle if known[rule.subject]),
        unjudged=tuple(rule for rule in idle if not known[rule.subject]),
    )


def _concerned(builds: Iterable[KmpBuild], units: tuple[KernelUnit, KernelUnit]) -> list[KmpBuild]:
    """Those for the flavors and the architecture of these kernels."""
    flavors = {unit.flavor for unit in units if unit.flavor}
    return [
        b
        for b in builds
        if (b.flavor in flavors or not b.flavor or not flavors)
        and all(same_architecture(b.nevra.arch, unit.nevra.arch) for unit in units)
    ]


def _hits(mine: list[KmpBuild], units: tuple[KernelUnit, KernelUnit], table: SymbolTable) -> tuple[Hit, ...]:
    before, after = (judge(mine, unit, table) for unit in units)
    offered = offered_by(build for build in mine if after.fits(build))
    hits = []
    # Judged first: of two builds with one NEVRA (bsc#1219345) another one may be hit than is installed.
    for build in unique_builds(build for build in mine if before.fits(build) and not after.fits(build)):
        missing = shortfall(build, after, offered)
        symbols = sorted({need.name for need in missing if need.kind != "exact-kernel"})
        hits.append(Hit(build, tuple(symbols), any(need.kind == "exact-kernel" for need in missing)))
    return tuple(hits)
