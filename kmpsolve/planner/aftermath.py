"""The system after a transaction that somebody else chose, zypper as a rule.

It is what is installed, less what goes, and what arrives; of each flavor the newest kernel boots next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import BootState, BuildInUse, KernelState, Step, Waived
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner.boot import boot_matrix
from kmpsolve.planner.kernels import join_units
from kmpsolve.planner.system import FlavorSystem, Kmp
from kmpsolve.planner.takeover import takeover
from kmpsolve.request import Request
from kmpsolve.solver.transaction import Transacted
from kmpsolve.solver.universe import Universe

__all__ = ["Aftermath", "Subject", "Transition", "transition_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A transaction that somebody else chose.

    Parameters
    ----------
    steps
        All of it, for the plan.
    arrived
        The kernels and KMPs that it brings.
    gone
        The installed kernels and KMPs that it takes, replaced ones included.
    arriving
        NEVRAs of everything that it brings.
    dismissed
        Names of KMPs that a person named to be removed, and which nothing uses now.
    """

    steps: tuple[Step, ...]
    arrived: tuple[Package, ...]
    gone: tuple[Package, ...]
    arriving: frozenset[str] = frozenset()
    dismissed: frozenset[str] = frozenset()


def transition_of(universe: Universe, done: Transacted) -> Transition:
    """What the solver found zypper to do, as a transaction to judge."""
    concerned = universe.kmp_handles | {kernel.package.handle for kernel in universe.kernels}
    return Transition(
        steps=done.steps,
        arrived=tuple(package for package in done.arrived if package.handle in concerned),
        gone=tuple(package for package in done.gone if package.handle in concerned),
        arriving=frozenset(str(package) for package in done.arrived),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One KMP and what the transaction does to it.

    Parameters
    ----------
    after
        The builds that will be there for it.
    touched
        One of its builds arrives or goes.
    use
        How the next kernel is served.
    used
        How the kernel that boots next now is served.
    """

    kmp: Kmp
    after: tuple[KmpBuild, ...]
    touched: bool
    use: BuildInUse
    used: BuildInUse


class Aftermath:
    """One flavor after a transaction: what will be installed, what serves each kernel, what fits the next one.

    Parameters
    ----------
    universe, request
        What there is, and under which rules.
    transition
        The transaction.
    flavor
        An installed one.
    """

    def __init__(self, universe: Universe, request: Request, transition: Transition, flavor: str) -> None:
        self.universe = universe
        self.request = request
        self.transition = transition
        self.system = FlavorSystem(universe, request, flavor)
        gone = {package.handle for package in transition.gone}
        arrived = {package.handle for package in transition.arrived}
        self.moved = gone | arrived

        def there(package: Package) -> bool:
            return package.handle in arrived or (package.installed and package.handle not in gone)

        kernels = [k for k in universe.kernels if k.flavor == flavor and there(k.package)]
        self.units = join_units(universe, kernels)
        self.next = self.units[-1] if self.units else None
        self.takeover = takeover(universe, there, self.system.units) if self.next is None else None
        builds = {b.package.handle: b for b in (*universe.installed_kmps, *self._arrived_builds())}
        dedicated = [builds[handle] for handle in sorted(builds) if builds[handle].flavor in (flavor, "")]
        self.before = [b for b in dedicated if b.package.installed]
        self.after = [b for b in dedicated if there(b.package)]
        self.kmps = (*self.system.kmps, *self._new_kmps())
        self.builds = {kmp.name: self._serving(kmp) for kmp in self.kmps}
        self.rows = self._rows(self.units, self.builds)
        self.rows_before = self._rows(self.system.units, {kmp.name: kmp.installed for kmp in self.kmps})
        self.fit = self._fit(self.next) if self.next else None
        self.subjects = [self._subject(kmp) for kmp in self.kmps]

    def _arrived_builds(self) -> Iterator[KmpBuild]:
        return filter(None, (self.universe.kmp(package.handle) for package in self.transition.arrived))

    def _new_kmps(self) -> Iterator[Kmp]:
        """KMPs that were not there before, neither under this name nor under one that it obsoletes."""
        by_name: dict[str, list[KmpBuild]] = {}
        names = {kmp.name for kmp in self.system.kmps}
        for build in self.after:
            renames = any(obsoleted_by(build.obsoletes, old.nevra) for old in self.before)
            if build.name not in names and not renames:
                by_name.setdefault(build.name, []).append(build)
        for name in sorted(by_name):
            rule, waiver = self.request.rule(name), self.request.waiver(name)
            ignored = rule is not None and rule.on_blocked == "ignore"
            yield Kmp(
                name=name,
                installed=(),
                candidates=tuple(by_name[name]),
                refused=(),
                twins=(),
                modules={m: spelled for build in by_name[name] for m, spelled in build.modules.items()},
                used_on=self.next or self.system.newest,
                works_somewhere=True,
                counts=waiver is None and not ignored,
                waived=Waived(reason=waiver.reason, expires=waiver.expires) if waiver else None,
            )

    def _serving(self, kmp: Kmp) -> tuple[KmpBuild, ...]:
        """The builds that will be there for a KMP: its own, and those that obsolete its name."""
        return tuple(
            build
            for build in self.after
            if build.name == kmp.name
            or any(obsoleted_by(build.obsoletes, old.nevra) for old in kmp.installed)
        )

    def _rows(
        self, units: Sequence[KernelUnit], builds: Mapping[str, Sequence[KmpBuild]]
    ) -> tuple[BootState, ...]:
        states: dict[str, KernelState] = {
            unit.uname_r: "running"
            if unit.uname_r == self.request.running
            else ("installed" if unit.installed else "new")
            for unit in units
        }
        return boot_matrix(self.kmps, units, builds, (), states, self.universe.table)

    def _fit(self, unit: KernelUnit) -> Fit:
        """How everything that is worth naming fits the unit; what fits is decided by what will be there
        alone.
        """
        fit = judge(self.after, unit, self.universe.table)
        named = {b.package.handle: b for kmp in self.kmps for b in kmp.builds}
        named |= {b.package.handle: b for kmp in self.kmps for b, _ in kmp.refused}
        return Fit(unit, fit.open.beside(named.values()), fit.viable)

    def _subject(self, kmp: Kmp) -> Subject:
        none = BuildInUse(build=None, via="none")
        return Subject(
            kmp=kmp,
            after=self.builds[kmp.name],
            touched=any(b.package.handle in self.moved for b in (*kmp.installed, *self.builds[kmp.name])),
            use=self.rows[0].kmps[kmp.name] if self.rows else none,
            used=self.rows_before[0].kmps[kmp.name],
        )

    @property
    def in_use(self) -> frozenset[int]:
        """Handles of the builds that the kernel which boots next loads."""
        if self.takeover is not None:
            loads = [self.takeover.build_for(kmp) for kmp in self.kmps]
        else:
            loads = [
                build
                for kmp in self.kmps
                for build in self.builds[kmp.name]
                if str(build.nevra) == self.rows[0].kmps[kmp.name].build
            ]
        return frozenset(build.package.handle for build in loads if build is not None)

    @property
    def boots_another(self) -> bool:
        """Whether the next boot is of another kernel than it would be now."""
        return self.next is None or self.next.main.handle != self.system.newest.main.handle
