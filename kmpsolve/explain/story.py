"""The story of one KMP: every build on every kernel, every symbol, and since when it has been so.

A plan says how things stand on one kernel. The story looks at all kernels that are installed or in the
repositories, with the same comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kmpsolve.compat.judgement import Fit, OpenNeeds, mismatches
from kmpsolve.compat.matrix import Cell, offered_by, shortfall
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Attempt, FlavorPlan, KmpPlan, Mismatch, Plan
from kmpsolve.planner import flavor_systems
from kmpsolve.planner.system import FlavorSystem, Kmp
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe

__all__ = ["BuildStory", "KernelStory", "Stories", "Story", "stories"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelStory:
    """How a KMP does on one kernel, with the best of its builds.

    Parameters
    ----------
    repository
        ``None`` if it is installed.
    mismatches
        Of the best build; ``None`` if nothing can be said.
    fits
        Whether some build would load.
    build
        The NEVRA of the best build; ``None`` with `mismatches`.
    """

    nevra: str
    uname_r: str
    repository: str | None
    mismatches: int | None
    fits: bool | None
    build: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStory:
    """One build.

    Parameters
    ----------
    attempt
        What the plan says of it.
    mismatches
        On the plan's kernel.
    cells
        On each kernel of the story; ``None`` where nothing can be said.
    only_for
        The one uname -r that it was built for; empty for most.
    """

    attempt: Attempt
    vendor: str
    mismatches: tuple[Mismatch, ...]
    cells: tuple[Cell | None, ...]
    only_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything about one KMP.

    Parameters
    ----------
    kernels
        Oldest first.
    builds
        As the plan's `tried`.
    modules
        What it installs (``acme.ko``).
    folders
        The uname -r's below /lib/modules that hold the subject's files, sorted; empty where unknown.
    subject, subject_repository
        The NEVRA of the build that the plan's `mismatches` are of: the chosen one, else the best tried;
        and its repository, ``None`` if it is installed.
    met_by
        Of the symbols that the subject requires: who provides how many (``kernel``, ``itself``, or a
        KMP's name).
    from_kmps
        Mismatched symbol -> the KMP that would have to provide it.
    changed_in
        Mismatched symbol -> the NEVRA of the kernel since which its version is another; ``None`` if no
        kernel here ever had it.
    works_up_to, since
        NEVRAs: the last kernel before the plan's on which some build fits, and the first after it on which
        none does. ``None`` if there is none, or the KMP works.
    """

    entry: KmpPlan
    flavor: str
    target: str
    vendor: str
    modules: tuple[str, ...]
    kernels: tuple[KernelStory, ...]
    builds: tuple[BuildStory, ...]
    subject: str
    subject_repository: str | None
    folders: tuple[str, ...]
    met_by: Mapping[str, int]
    from_kmps: Mapping[str, str]
    changed_in: Mapping[str, str | None]
    works_up_to: str | None
    since: str | None


Stories = Mapping[tuple[str, str], Story]
"""By flavor and name of the KMP."""


def stories(
    universe: Universe, request: Request, plan: Plan, wanted: Callable[[KmpPlan], bool] = lambda _: True
) -> dict[tuple[str, str], Story]:
    """Tell the stories of the KMPs in `plan`.

    Parameters
    ----------
    universe, request
        What the plan was made from.
    wanted
        Which ones; telling all of a large system takes as long as planning it. There is no story of a KMP whose
        flavor ends: what is for another one's kernels was never looked at.
    """
    names = {(f.flavor, k.name) for f in plan.flavors for k in f.kmps if wanted(k)}
    if not names:
        return {}
    # A dist-upgrade also tells of flavors that were not asked for.
    systems = flavor_systems(universe, replace(request, flavors=tuple(f.flavor for f in plan.flavors)))
    told: dict[tuple[str, str], Story] = {}
    for flavor in plan.flavors:
        mine = {name for of, name in names if of == flavor.flavor}
        if mine and (unit := _target(systems[flavor.flavor], flavor)) is not None:
            teller = _Teller(systems[flavor.flavor], flavor, unit, mine)
            told.update(((flavor.flavor, name), teller.story(name)) for name in sorted(mine))
    return told


def _target(system: FlavorSystem, flavor: FlavorPlan) -> KernelUnit | None:
    """The kernel that a flavor's plan is about; ``None`` for a kernel of another flavor, which takes over."""
    nevra = flavor.target.nevra if flavor.target else flavor.current[0].nevra
    known = (u for u in [*system.units, *system.kernels.candidates(named=True)] if str(u.nevra) == nevra)
    return next(known, None) or system.kernels.of_any_name(nevra)


class _Teller:
    """What the stories of one flavor have in common."""

    def __init__(
        self, system: FlavorSystem, flavor: FlavorPlan, unit: KernelUnit, names: Collection[str]
    ) -> None:
        self.system = system
        self.flavor = flavor
        self.table = system.universe.table
        self.kmps = {kmp.name: kmp for kmp in system.kmps}
        self.entries = {entry.name: entry for entry in flavor.kmps}
        self.unit = unit
        self.target = str(unit.nevra)
        units = {str(u.nevra): u for u in [*system.kernels.candidates(named=True), *system.units, unit]}
        self.units = sorted(units.values(), key=lambda unit: (unit.nevra.evr, str(unit.nevra)))
        everything = {b.package.handle: b for kmp in system.kmps for b in kmp.builds}
        everything |= {b.package.handle: b for b in system.extras}
        told = {b.package.handle: b for name in names for b in self._builds(self.kmps[name])}
        self.columns = [self._column(unit, everything.values(), told.values()) for unit in self.units]
        self.providers = self._providers(everything.values())

    @staticmethod
    def _builds(kmp: Kmp) -> list[KmpBuild]:
        return [*kmp.builds, *(build for build, _ in kmp.refused)]

    def _column(
        self, unit: KernelUnit, everything: Iterable[KmpBuild], told: Iterable[KmpBuild]
    ) -> dict[int, Cell]:
        if unit.main.handle in self.system.universe.unread:
            return {}
        in_part = unit.main.handle in self.system.universe.told_in_part
        judged = self.system.judge(unit)
        offered = offered_by(build for build in everything if judged.fits(build))
        column = {}
        for build in told:
            if not build.versioned:
                continue
            handle = build.package.handle
            fit = judged
            if handle not in judged.open:
                fit = Fit(unit, OpenNeeds({handle: build}, unit, self.table), frozenset())
            missing = shortfall(build, fit, offered)
            if missing and in_part and not build.package.installed:
                continue
            count = sum(need.kind != "exact-kernel" for need in missing)
            column[handle] = Cell(count, not missing)
        return column

    def _providers(self, everything: Iterable[KmpBuild]) -> dict[str, list[tuple[KmpBuild, bool]]]:
        """For each capability the builds that the plan looked it up in: chosen ones, else the best tried."""
        by_nevra = {(str(b.nevra), b.package.repository): b for b in everything}
        found: dict[str, list[tuple[KmpBuild, bool]]] = {}
        for entry in self.flavor.kmps:
            nevra, repository = entry.chosen, entry.repository
            if nevra is None:
                best = _best(entry)
                nevra, repository = best.nevra, best.repository
            build = by_nevra.get((nevra, repository))
            if build is not None:
                for key in build.exports:
                    found.setdefault(key, []).append((build, entry.decision in ("reuse", "fetch")))
        return found

    def _mismatches(self, build: KmpBuild) -> tuple[Mismatch, ...]:
        fit = Fit(self.unit, OpenNeeds({build.package.handle: build}, self.unit, self.table), frozenset())
        return mismatches(
            build,
            fit,
            lambda key: [entry for entry in self.providers.get(key, ()) if entry[0].name != build.name],
        )[0]

    def story(self, name: str) -> Story:
        kmp, entry = self.kmps[name], self.entries[name]
        builds = {(str(b.nevra), b.package.repository): b for b in self._builds(kmp)}
        told = tuple(
            BuildStory(
                attempt=attempt,
                vendor=build.package.vendor,
                mismatches=self._mismatches(build),
                cells=tuple(column.get(build.package.handle) for column in self.columns),
                only_for=self._only_for(build),
            )
            for attempt in entry.tried
            if (build := builds.get((attempt.nevra, attempt.repository))) is not None
        )
        best = _best(entry)
        subject = (
            builds[entry.chosen, entry.repository] if entry.chosen else builds[best.nevra, best.repository]
        )
        kernels = tuple(
            self._kernel(kmp, unit, column) for unit, column in zip(self.units, self.columns, strict=True)
        )
        if self.unit.main.handle not in self.system.universe.unread:
            kernels = tuple(
                self._as_planned(seen, entry, best) if seen.nevra == self.target else seen for seen in kernels
            )
        up_to, since = _turning_point(kernels, self.target)
        return Story(
            entry=entry,
            flavor=self.flavor.flavor,
            target=self.target,
            vendor=kmp.installed[0].package.vendor,
            modules=tuple(sorted(kmp.modules.values())),
            kernels=kernels,
            builds=told,
            subject=str(subject.nevra),
            subject_repository=subject.package.repository,
            folders=tuple(sorted(subject.module_folders)),
            met_by=self._met_by(subject),
            from_kmps=self._from_kmps(entry, subject),
            changed_in=self._changed_in(entry, subject),
            works_up_to=up_to,
            since=since,
        )

    def _only_for(self, build: KmpBuild) -> str:
        needs = self.table.needs(build.package.handle, build.needs)
        return next((need.value for need in needs if need.kind == "exact-kernel"), "")

    def _kernel(self, kmp: Kmp, unit: KernelUnit, column: Mapping[int, Cell]) -> KernelStory:
        known = [(b, column[b.package.handle]) for b in kmp.builds if b.package.handle in column]
        fitting = [(b, cell) for b, cell in known if cell.fits]
        best = None
        if fitting:
            best = max(fitting, key=lambda e: (e[0].package.installed, e[0].nevra.evr))
        elif len(known) == len(kmp.builds):
            best = min(known, key=lambda e: (e[1].mismatches, not e[0].package.installed, str(e[0].nevra)))
        return KernelStory(
            nevra=str(unit.nevra),
            uname_r=unit.uname_r,
            repository=unit.main.repository,
            mismatches=best[1].mismatches if best else None,
            fits=best[1].fits if best else None,
            build=str(best[0].nevra) if best else None,
        )

    @staticmethod
    def _as_planned(seen: KernelStory, entry: KmpPlan, best: Attempt) -> KernelStory:
        """The plan knows more of its own kernel: which other KMPs were chosen, and what they provide."""
        if entry.decision in ("unverified", "rebuild-on-host"):
            return seen
        compatible = entry.decision in ("reuse", "fetch")
        return KernelStory(
            nevra=seen.nevra,
            uname_r=seen.uname_r,
            repository=seen.repository,
            mismatches=len(entry.mismatches),
            fits=compatible,
            build=entry.chosen or best.nevra,
        )

    def _met_by(self, build: KmpBuild) -> dict[str, int]:
        met: Counter[str] = Counter()
        for need in self.table.needs(build.package.handle, build.needs):
            if need.kind == "exact-kernel":
                continue
            if self.unit.exports.meets(need):
                met["kernel"] += 1
            elif build.exports.meets(need):
                met["itself"] += 1
            else:
                for other, chosen in self.providers.get(need.key, ()):
                    if chosen and other.name != build.name and other.exports.meets(need):
                        met[other.name] += 1
                        break
        return dict(sorted(met.items()))

    def _keys(self, entry: KmpPlan, build: KmpBuild) -> dict[str, tuple[str, str]]:
        """The capability and version behind each mismatched symbol."""
        wanted = {(m.symbol, m.wanted) for m in entry.mismatches}
        needs = self.table.needs(build.package.handle, build.needs)
        return {n.name: (n.key, n.value) for n in needs if (n.name, n.value) in wanted}

    def _from_kmps(self, entry: KmpPlan, build: KmpBuild) -> dict[str, str]:
        return {
            symbol: offers[0][0].name
            for symbol, (key, _) in sorted(self._keys(entry, build).items())
            if key not in self.unit.exports
            and (offers := [e for e in self.providers.get(key, ()) if e[0].name != build.name])
        }

    def _changed_in(self, entry: KmpPlan, build: KmpBuild) -> dict[str, str | None]:
        end = self.units.index(self.unit)
        found: dict[str, str | None] = {}
        for symbol, (key, value) in sorted(self._keys(entry, build).items()):
            had = [value in unit.exports.get(key, ()) for unit in self.units[: end + 1]]
            last = max((index for index, state in enumerate(had) if state), default=None)
            found[symbol] = None if last is None or last == end else str(self.units[last + 1].nevra)
        return found


def _best(entry: KmpPlan) -> Attempt:
    """The build that the plan's mismatches are of (contract: best build tried)."""
    barred = ("vendor", "lock", "retracted", "architecture")
    tried = [attempt for attempt in entry.tried if attempt.cause not in barred] or list(entry.tried)
    fewest = min(attempt.mismatches for attempt in tried)
    nearest = [attempt for attempt in tried if attempt.mismatches == fewest]
    nearest = [attempt for attempt in nearest if attempt.repository is None] or nearest
    return max(nearest, key=lambda attempt: Nevra.parse(attempt.nevra).evr)


def _turning_point(kernels: Sequence[KernelStory], target: str) -> tuple[str | None, str | None]:
    """The last kernel before `target` on which the KMP works, and the first one after that."""
    end = next(i for i, seen in enumerate(kernels) if seen.nevra == target)
    if kernels[end].fits is not False:
        return None, None
    for index in range(end - 1, -1, -1):
        if kernels[index].fits:
            return kernels[index].nevra, kernels[index + 1].nevra
    return None, None
