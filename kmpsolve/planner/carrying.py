"""The one transaction that carries out what was decided, flavor by flavor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kmpsolve.model.package import Package
from kmpsolve.planner.evaluation import Evaluation
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.solver.reasons import Reason
from kmpsolve.solver.transaction import Transacted, transact
from kmpsolve.solver.universe import Universe

__all__ = ["carry_out"]


def carry_out(universe: Universe, decided: Iterable[tuple[FlavorSystem, Evaluation]]) -> Transacted:
    """The transaction for all flavors, without what a kernel would load instead of the builds chosen for it.

    Builds that nobody needs any more are removed too, if they are in the way: what another one replaces, a KMP
    that becomes built in, and one that is blocked and does not count. What a lock holds zypper removes for nobody.
    """
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
    reasons = tuple(Reason(kind="policy", package=handle, other=0, capability="") for handle in held)
    return Transacted((), (), (), reasons) if held else transacted


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
