"""The boot projection: the system as the target kernel will see it, in one joint solve.

The host's kernels and KMPs of the flavor leave ``@System``; the target's unit is the only kernel of
the flavor that is considered; each KMP build that exact comparison allows stands in as a copy whose
symbol requirements on the unit are gone (they are decided) and whose requirements on other KMPs are
spelled so that libsolv cannot take two CRCs for one: as versions, ``1e010abc`` equals ``1e10abc``.
Everything else, requirements, conflicts and obsoletes, stays as the package has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import solv

from kmpsolve.model.needs import Need
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.solver.reasons import Reason, read_problems
from kmpsolve.solver.relations import add_relation, relation
from kmpsolve.solver.universe import Universe

__all__ = ["GIVEN_UP", "Outcome", "Projection", "Role", "Stand"]

GIVEN_UP = "kmpsolve:given-up-"
"""What a KMP that is given up conflicts with, and its other stands provide, begins like this."""

Role = Literal["compatible", "as-is", "shell", "given-up", "gone"]
"""How a build takes part: ``compatible`` with symbols met and offered; ``as-is`` without symbols; ``shell``
only keeps providing what user space wants from a KMP that stays on disk, and keeps out what it conflicts with;
``given-up`` does so whatever obsoletes it, since a KMP that is blocked anyway must not drag others along;
``gone`` leaves user space nothing."""


@dataclass(frozen=True, slots=True)
class Stand:
    """One build in one role.

    Parameters
    ----------
    beside
        Handles of more builds of the KMP, which provide what they do with it: those that stay on disk.
    """

    handle: int
    role: Role
    beside: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one solve.

    Parameters
    ----------
    stands
        The copies that were chosen, if there is a solution.
    companions
        Packages from repositories that have to come along, sorted by NEVRA.
    reasons
        The proof that there is no solution; empty if there is one.
    """

    solved: bool
    stands: frozenset[Stand]
    companions: tuple[Package, ...]
    reasons: tuple[Reason, ...]


class Projection:
    """A context in which the pool shows one target kernel; restores the true system afterwards.

    Parameters
    ----------
    unit
        The target kernel unit.
    builds
        Every build that may take part, by handle.
    stands
        The roles in which they may.
    open_needs
        For each compatible build, what neither the unit nor itself provides.
    choices
        The stands of each KMP: where it is given up, none of the others may be chosen for anybody, nor what
        would remove it; and one at most serves it, but for what serves the KMP of its own name as well.
    joining
        Stands that may be chosen beside those.
    at_rest
        Nothing is going to change, so that user space has nothing to lose.
    """

    def __init__(
        self,
        universe: Universe,
        unit: KernelUnit,
        builds: Mapping[int, KmpBuild],
        stands: Iterable[Stand],
        open_needs: Mapping[int, Sequence[Need]],
        *,
        choices: Iterable[Sequence[Stand]] = (),
        joining: Collection[Stand] = (),
        at_rest: bool = False,
    ) -> None:
        self._at_rest = at_rest
        self._universe = universe
        self._pool = universe.pool
        self._unit = unit
        self._builds = builds
        self._stands = sorted(set(stands), key=lambda stand: (stand.handle, stand.role, stand.beside))
        self._open = open_needs
        self._choices = tuple(choices)
        self._own_anywhere = set[Stand]().union(*map(self._own, self._choices))
        self._joining = joining
        self._copies: dict[Stand, int] = {}
        self._stand_of: dict[int, Stand] = {}

    def __enter__(self) -> Projection:
        universe = self._universe
        self._verify, unmet, self._multiple = universe.bystanders(self._unit.flavor)
        # Asked of the true system, while it shows.
        self._unobtainable = self._find_unobtainable()
        self._kept_out = self._find_kept_out()
        self._excluded = self._find_excluded()
        self._take_kernels_and_kmps_away()
        self._repo = self._pool.add_repo("projection")
        self._shared = self._find_shared_names()
        self._add_copies()
        for number, choice in enumerate(self._choices):
            self._bind(choice, f"{GIVEN_UP}{number}")
        self._add_floor(unmet)
        target = {package.handle for package in self._unit.packages}
        # No kernel comes but the target, and no KMP but as a copy; what stays installed is never hidden.
        hidden = {kernel.package.handle for kernel in universe.kernels}
        hidden |= set(self._builds) | (universe.kmp_handles - universe.installed_handles) | universe.hidden
        universe.leave_out(hidden - target)
        return self

    def _take_kernels_and_kmps_away(self) -> None:
        """Let the flavor's leave the system; who stays asks for nothing that these met, or suffers already."""
        universe, pool = self._universe, self._pool
        # The shadow shares the system's lists of capabilities, which must not grow meanwhile.
        met = universe.met_by_kernels(self._unit.flavor)
        self._whole = {handle: relation(pool.id2solvable(handle), solv.SOLVABLE_REQUIRES) for handle in met}
        for handle, whole in self._whole.items():
            self._let(handle, solv.SOLVABLE_REQUIRES, (c for c in whole if c not in met[handle]))
        self._at_odds = {
            handle: relation(pool.id2solvable(handle), solv.SOLVABLE_CONFLICTS) for handle in universe.at_odds
        }
        for handle in self._at_odds:
            self._let(handle, solv.SOLVABLE_CONFLICTS, self._excluded[handle])
        self._moved = [
            kernel.package.handle
            for kernel in universe.kernels
            if kernel.flavor == self._unit.flavor and kernel.package.installed
        ]
        self._moved += [b.package.handle for b in self._builds.values() if b.package.installed]
        self._system = pool.installed
        if self._system is not None:
            self._host = self._system.createshadow("host")
            self._host.moveshadow(self._moved)

    def _add_copies(self) -> None:
        """Add a copy for each stand, once it is known what they ask of each other."""
        wanted: dict[str, set[Need]] = {}
        asking: set[str] = set()
        for stand in self._stands:
            if stand.role == "compatible" and (needs := self._open[stand.handle]):
                asking.add(self._class(stand))
                for need in needs:
                    wanted.setdefault(need.key, set()).add(need)
        for stand in self._stands:
            copy = self._copy(stand)
            if stand.role == "compatible":
                self._join(copy, stand, wanted, asking)
            self._copies[stand] = copy.id
            self._stand_of[copy.id] = stand
        of_shared = (stand for stand in self._stands if self._builds[stand.handle].multiversion)
        self._multiple |= {self._copies[stand] for stand in of_shared if self._name(stand) in self._shared}

    def _bind(self, choice: Sequence[Stand], name: str) -> None:
        """Let the stands of one KMP exclude each other, by tokens of this name."""
        pool = self._pool
        token = pool.str2id(name)
        for stand in choice:
            given_up = stand.role in ("given-up", "gone")
            keyname = solv.SOLVABLE_CONFLICTS if given_up else solv.SOLVABLE_PROVIDES
            pool.id2solvable(self._copies[stand]).add_deparray(keyname, token)
        for stand in self._removing(choice):
            pool.id2solvable(self._copies[stand]).add_deparray(solv.SOLVABLE_PROVIDES, token)
        # What takes over a part of one KMP may serve the KMP of its own name beside it.
        elsewhere = self._own_anywhere - self._own(choice)
        alone = [s for s in choice if s not in self._joining and s not in elsewhere]
        names = set(map(self._name, alone))
        if len(names) > 1 or not names.isdisjoint(self._shared):
            token = pool.str2id(f"{name}-alone")
            for stand in alone:
                copy = pool.id2solvable(self._copies[stand])
                copy.add_deparray(solv.SOLVABLE_PROVIDES, token)
                copy.add_deparray(solv.SOLVABLE_CONFLICTS, token)

    def _add_floor(self, unmet: Iterable[int]) -> None:
        """Add what provides everything that was unmet before."""
        self._floor = self._repo.add_solvable()
        self._floor.name, self._floor.evr, self._floor.arch = "kmpsolve-met-before", "0-0", "noarch"
        for capability in sorted(unmet):
            self._floor.add_deparray(solv.SOLVABLE_PROVIDES, capability)

    def _find_unobtainable(self) -> frozenset[int]:
        """Symbol requirements of builds from repositories that the unit meets, but not for rpm.

        To rpm CRCs are versions, so that ``0abc`` does not satisfy ``abc``: the build could not be installed.
        """
        return frozenset(
            capability
            for stand in self._stands
            if stand.role == "compatible" and not (build := self._builds[stand.handle]).package.installed
            for capability in build.needs - self._unit.exports.capabilities
            if not self._pool.whatprovides(capability)
        )

    def _own(self, choice: Sequence[Stand]) -> set[Stand]:
        """The stands of a KMP whose builds have its name, not that of one which replaces it."""
        names = {self._name(stand) for stand in choice if stand.role in ("given-up", "gone")}
        return {stand for stand in choice if self._name(stand) in names}

    def _name(self, stand: Stand) -> str:
        return self._builds[stand.handle].name

    def _find_shared_names(self) -> set[str]:
        """Names of KMPs that are also those of another flavor's, which stand beside them."""
        installed = {build.package.handle: build.name for build in self._universe.installed_kmps}
        others = {installed[handle] for handle in installed.keys() & self._multiple - self._builds.keys()}
        return others.intersection(build.name for build in self._builds.values())

    def _removing(self, choice: Sequence[Stand]) -> list[Stand]:
        """What would remove the builds of a KMP that is given up, though it is nothing that may replace it."""
        staying = [
            self._builds[handle].nevra
            for given_up in choice
            if given_up.role == "given-up"
            for handle in (given_up.handle, *given_up.beside)
        ]
        return [
            stand
            for stand in self._stands
            if stand.role == "compatible" and stand not in choice
            if not (build := self._builds[stand.handle]).package.installed
            if any(build.name != nevra.name and obsoleted_by(build.obsoletes, nevra) for nevra in staying)
        ]

    def _find_kept_out(self) -> dict[int, list[int]]:
        """What each build that stays on disk conflicts with, but for what it has stood beside so far.

        Nor with the target: a KMP that excludes it is blocked by that, and must not drag others along.
        """
        pool = self._pool
        suffered = self._universe.installed_handles | {package.handle for package in self._unit.packages}
        staying = {
            handle
            for stand in self._stands
            if stand.role in ("shell", "given-up")
            for handle in (stand.handle, *stand.beside)
        }
        return {
            handle: [
                capability
                for capability in relation(pool.id2solvable(handle), solv.SOLVABLE_CONFLICTS)
                if suffered.isdisjoint({p.id for p in pool.whatprovides(capability)} - {handle})
            ]
            for handle in staying
        }

    def _find_excluded(self) -> dict[int, list[int]]:
        """What each installed package conflicts with, but for what is installed beside it all the same.

        zypper repairs nothing between packages that stand already, and counts it as met.
        """
        pool = self._pool
        installed = self._universe.installed_handles
        concerned = set(self._universe.at_odds)
        concerned |= {stand.handle for stand in self._stands if stand.handle in installed}
        found: dict[int, list[int]] = {}
        for handle in concerned:
            found[handle] = []
            for capability in relation(pool.id2solvable(handle), solv.SOLVABLE_CONFLICTS):
                providers = [s for s in pool.whatprovides(capability) if s.id != handle]
                suffered = {(s.nameid, s.evrid) for s in providers if s.id in installed}
                if not suffered:
                    found[handle].append(capability)
                    continue
                others = {(s.nameid, s.evrid) for s in providers} - suffered
                found[handle] += [pool.rel2id(name, evr, solv.REL_EQ) for name, evr in sorted(others)]
        return found

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._repo.free(True)
        if self._system is not None:
            self._system.moveshadow(self._moved)
            self._host.free(True)
        for handle, whole in self._whole.items():
            self._let(handle, solv.SOLVABLE_REQUIRES, whole)
        for handle, whole in self._at_odds.items():
            self._let(handle, solv.SOLVABLE_CONFLICTS, whole)
        self._universe.show_true_system()

    def _let(self, handle: int, key: int, capabilities: Iterable[int]) -> None:
        """Let a package require these, or conflict with them, and nothing else."""
        solvable = self._pool.id2solvable(handle)
        solvable.unset(key)
        add_relation(solvable, key, capabilities)

    def _copy(self, stand: Stand) -> solv.XSolvable:
        """A new package with what is left of a build in its role, before it is joined with others."""
        pool = self._pool
        origin = pool.id2solvable(stand.handle)
        copy = self._repo.add_solvable()
        copy.name, copy.evr, copy.arch = origin.name, origin.evr, origin.arch
        if stand.role in ("given-up", "gone"):
            copy.name = f"kmpsolve-{stand.role}-{origin.name}"
        if stand.role == "gone":
            return copy
        for handle in (stand.handle, *stand.beside):
            exported = self._builds[handle].exports.capabilities
            provided = relation(pool.id2solvable(handle), solv.SOLVABLE_PROVIDES)
            add_relation(copy, solv.SOLVABLE_PROVIDES, (c for c in provided if c not in exported))
        if stand.role in ("shell", "given-up"):
            for handle in (stand.handle, *stand.beside):
                add_relation(copy, solv.SOLVABLE_CONFLICTS, self._kept_out[handle])
            return copy
        required = relation(origin, solv.SOLVABLE_REQUIRES)
        build = self._builds[stand.handle]
        add_relation(copy, solv.SOLVABLE_REQUIRES, (c for c in required if not self._decided(build, c)))
        excluded = self._excluded.get(stand.handle)
        if excluded is None:
            excluded = relation(origin, solv.SOLVABLE_CONFLICTS)
        add_relation(copy, solv.SOLVABLE_CONFLICTS, excluded)
        add_relation(copy, solv.SOLVABLE_OBSOLETES, relation(origin, solv.SOLVABLE_OBSOLETES))
        return copy

    def _decided(self, build: KmpBuild, capability: int) -> bool:
        """Whether a requirement is none for the solver: a symbol that was compared, or one that is damaged."""
        if capability in build.needs:
            return capability not in self._unobtainable
        return build.package.installed and self._universe.table.need(capability) is not None

    def _join(
        self, copy: solv.XSolvable, stand: Stand, wanted: Mapping[str, set[Need]], asking: Iterable[str]
    ) -> None:
        """Let a build require of other KMPs what it needs of them, and offer what they want.

        Parameters
        ----------
        wanted
            What builds need of each other, by symbol.
        asking
            The vendor classes of these builds.
        """
        build, mine = self._builds[stand.handle], self._class(stand)
        # One that is not installed comes in for KMPs of its own vendor class only.
        served = sorted(asking) if build.name in self._universe.installed_kmp_names else [mine]
        offered = {need for key in build.exports for need in wanted.get(key, ()) if build.exports.meets(need)}
        for need in sorted(offered, key=repr):
            for klass in served:
                copy.add_deparray(solv.SOLVABLE_PROVIDES, self._pool.str2id(_token(need, klass)))
        for need in self._open[stand.handle]:
            copy.add_deparray(solv.SOLVABLE_REQUIRES, self._pool.str2id(_token(need, mine)))

    def _class(self, stand: Stand) -> str:
        return self._universe.policy.vendor_class(self._builds[stand.handle].package.vendor)

    def __contains__(self, stand: object) -> bool:
        return stand in self._copies

    def _original(self, handle: int) -> int:
        if handle == self._floor.id:
            return 0
        stand = self._stand_of.get(handle)
        return stand.handle if stand else handle

    def solve(self, clauses: Iterable[Sequence[Stand]], possible: frozenset[Stand]) -> Outcome:
        """Look for a system with the target in which of each clause one stand is chosen.

        Parameters
        ----------
        possible
            The stands that may be chosen at all; the others must not come in for somebody's requirement.
        """
        pool = self._pool
        job, install = pool.Job, solv.Job.SOLVER_INSTALL
        jobs = [job(install | solv.Job.SOLVER_SOLVABLE, p.handle) for p in self._unit.packages]
        for clause in clauses:
            ids = sorted({self._copies[stand] for stand in clause})
            jobs.append(job(install | solv.Job.SOLVER_SOLVABLE_ONE_OF, pool.towhatprovides(ids)))
        forbidden = sorted(copy for stand, copy in self._copies.items() if stand not in possible)
        if forbidden:
            nothing = solv.Job.SOLVER_ERASE | solv.Job.SOLVER_SOLVABLE_ONE_OF
            jobs.append(job(nothing, pool.towhatprovides(forbidden)))
        for handle in () if self._at_rest else self._verify:
            jobs.append(job(solv.Job.SOLVER_VERIFY | solv.Job.SOLVER_SOLVABLE, handle))
        for handle in self._universe.locked_user_space:
            jobs.append(job(solv.Job.SOLVER_LOCK | solv.Job.SOLVER_SOLVABLE, handle))
        if self._multiple:
            jobs.append(
                job(
                    solv.Job.SOLVER_MULTIVERSION | solv.Job.SOLVER_SOLVABLE_ONE_OF,
                    pool.towhatprovides(sorted(self._multiple)),
                )
            )
        solver = pool.Solver()
        solver.set_flag(solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, True)
        change = self._universe.policy.allow_vendor_change
        solver.set_flag(solv.Solver.SOLVER_FLAG_ALLOW_VENDORCHANGE, change)
        problems = solver.solve(jobs)
        if problems:
            return Outcome(False, frozenset(), (), read_problems(problems, self._original))
        unit = {package.handle for package in self._unit.packages}
        stands, companions = set(), []
        for solvable in solver.transaction().newsolvables():
            stand = self._stand_of.get(solvable.id)
            if stand is not None:
                stands.add(stand)
            elif solvable.id not in unit and solvable.id != self._floor.id:
                companions.append(self._universe.package(solvable))
        return Outcome(True, frozenset(stands), tuple(sorted(companions, key=str)), ())


def _token(need: Need, klass: str) -> str:
    """A requirement between KMPs, in a spelling that libsolv takes for no version."""
    return f"kmpsolve:{need.key}={need.value}@{klass}"
