"""The one transaction that carries out what was decided, flavor by flavor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from kmpsolve.model.package import Package
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner.evaluation import Evaluation
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.solver.reasons import Reason
from kmpsolve.solver.transaction import Transacted, transact
from kmpsolve.solver.universe import Universe

__all__ = ["carry_out"]


def carry_out(universe: Universe, decided: Iterable[tuple[FlavorSystem, Evaluation]]) -> Transacted:
    """The transaction for all flavors, without what a kernel would load instead of the builds chosen for it.

    Builds that nobody needs any more are removed too, if they are in the way: what another one replaces, a KMP
    that becomes built in, and one that is blocked and does not count. What a lock holds zypper removes for nobody;
    and nothing is done for these flavors that takes the kernels or a KMP of another one away.
    """
    decided = list(decided)
    wanted: dict[int, Package] = {}
    unwanted: list[Package] = []
    needless: list[Package] = []
    for system, evaluation in decided:
        wanted |= {p.handle: p for p in evaluation.wanted}
        unwanted += evaluation.unwanted(system)
        for kmp in system.kmps:
            option = evaluation.choice.options[kmp.name]
            if option.decision != "blocked" or not kmp.counts:
                needless += [build.package for build in kmp.installed if build is not option.build]
    if not wanted and not unwanted:
        return Transacted((), (), (), ())
    transacted = _without_what_is_in_the_way(universe, wanted, unwanted, needless)
    # A build that nobody needs any more must bring in neither a kernel that it works on (elrepo#252) nor a KMP.
    others = {k.package.handle for k in universe.kernels if not k.package.installed}
    others |= universe.kmp_handles - universe.installed_handles
    others -= wanted.keys()
    if any(package.handle in others for package in transacted.arrived):
        transacted = _without_what_is_in_the_way(universe, wanted, unwanted, needless, others)
    held = [package.handle for package in transacted.gone if universe.locked(package)]
    reasons = [Reason(kind="policy", package=handle, other=0, capability="") for handle in held]
    reasons += _taken_from_others(universe, transacted, {system.flavor for system, _ in decided})
    return Transacted((), (), (), tuple(reasons)) if reasons else transacted


def _taken_from_others(universe: Universe, transacted: Transacted, flavors: set[str]) -> Iterator[Reason]:
    """The kernels and KMPs of a flavor that is not among these which go, and in whose place nothing comes."""
    gone = {package.handle for package in transacted.gone}
    if not gone:
        return
    arrived = {package.handle for package in transacted.arrived}
    others = universe.standing_flavors - flavors
    for flavor in sorted(others):
        kernels = [k.package for k in universe.kernels if k.flavor == flavor and k.part in ("", "base")]
        builds = [build for build in universe.kmps if build.flavor == flavor]
        coming = [build for build in builds if build.package.handle in arrived]
        staying = [b for b in builds if b.package.installed and b.package.handle not in gone]
        names = {build.name for build in (*coming, *staying)}
        taken = [
            build.package
            for build in builds
            if build.package.handle in gone
            and build.name not in names
            and not any(obsoleted_by(one.obsoletes, build.nevra) for one in coming)
        ]
        if not any(p.handle in arrived or (p.installed and p.handle not in gone) for p in kernels):
            taken += [package for package in kernels if package.handle in gone]
        for package in taken:
            yield Reason(kind="policy", package=package.handle, other=0, capability=f"flavor {flavor}")


def _without_what_is_in_the_way(
    universe: Universe,
    wanted: Mapping[int, Package],
    unwanted: Sequence[Package],
    needless: Sequence[Package],
    barred: Iterable[int] = (),
) -> Transacted:
    removed = list(unwanted)
    while True:
        transacted = transact(universe, wanted.values(), removed, barred)
        concerned = {handle for reason in transacted.reasons for handle in (reason.package, reason.other)}
        in_the_way = [p for p in needless if p.handle in concerned and p not in removed]
        if not in_the_way:
            return transacted
        removed += in_the_way
