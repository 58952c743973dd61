"""The command that carries a transaction out, where no fixture shows a case of it."""

from __future__ import annotations

from typing import cast

from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import Package
from kmpsolve.model.plan import Step
from kmpsolve.planner.command import zypper_install
from kmpsolve.solver.transaction import Transacted
from kmpsolve.solver.universe import Universe


class Installed:
    """Stands in for a universe: the builds that are installed."""

    def namesakes(self, _: Package) -> list[Package]:
        return []

    def __init__(self, *evrs: str) -> None:
        self._evrs = tuple(map(Evr.parse, evrs))

    def installed_evrs(self, names: set[str]) -> dict[str, tuple[Evr, ...]]:
        return dict.fromkeys(names, self._evrs)


def package(evr: str, repository: str | None) -> Package:
    nevra = Nevra("acme-kmp-default", Evr.parse(evr), "x86_64")
    return Package(handle=1, nevra=nevra, vendor="", repository=repository, priority=99)


def test_the_same_evr_with_other_content_is_neither_old_nor_removed() -> None:
    new, old = package("1.0-1", "r1"), package("1.0-1", None)
    step = Step(action="upgrade", nevra=str(new), repository="r1")
    universe = cast(Universe, Installed("1.0-1"))
    said = zypper_install(universe, Transacted((step,), (new,), (old,), ()))
    assert said == "zypper install --no-recommends acme-kmp-default=1.0-1"


def test_an_older_evr_and_what_only_goes() -> None:
    new, old = package("1.0-1", "r1"), package("2.0-1", None)
    steps = (
        Step(action="install", nevra=str(new), repository="r1"),
        Step(action="erase", nevra=str(old), repository=None),
    )
    said = zypper_install(cast(Universe, Installed("2.0-1")), Transacted(steps, (new,), (old,), ()))
    assert said == (
        "zypper install --no-recommends --oldpackage -- acme-kmp-default=1.0-1 -acme-kmp-default=2.0-1"
    )
