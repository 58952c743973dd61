"""Which build each module will come from, on every kernel that will be there.

weak-modules2's rules (suse-module-tools): a KMP lies below the kernel that it was built for. For every other
kernel of its flavor, links in weak-updates/ lead to it if all its modules find their symbols there, if no
module of the same file name stands in that kernel's updates/, extra/ or weak-updates/ already, and if no
higher version of the same KMP does it. Unlike the script, which adds one KMP after the other, the answer does
not depend on an order: KMPs that need each other's symbols are judged together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Literal

from kmpsolve.machine.precedence import Precedence, resolve
from kmpsolve.machine.tree import ModuleFile, module_name
from kmpsolve.model.evr import Evr, rpmvercmp
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.loader import Judgement, judge_together
from kmpsolve.modules.module import Module

__all__ = ["Forecast", "Offer", "OfferedModule", "Source", "forecast"]

_LOADABLE_ANYWHERE = ("updates", "extra")
State = Literal["loads", "blocked", "unverified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedModule:
    """A module of a build: where it lies, as the system names it, and its content if it could be read."""

    path: str
    module: Module | None

    @property
    def name(self) -> str:
        """The kernel's name for it."""
        return module_name(self.path)

    @property
    def home(self) -> str:
        """The uname -r below whose folder it lies."""
        return self.path.partition("/modules/")[2].partition("/")[0]

    @property
    def below(self) -> str:
        """Its path below /lib/modules/UNAME-R."""
        return self.path.partition("/modules/")[2].partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A KMP build that will be installed.

    Parameters
    ----------
    build
        Its NEVRA, or another name for it.
    name
        The package name.
    """

    build: str
    name: str
    evr: Evr
    modules: tuple[OfferedModule, ...]

    @property
    def homes(self) -> frozenset[str]:
        """The uname -r's below whose folders it lies."""
        return frozenset(module.home for module in self.modules)

    @property
    def flavor(self) -> str:
        """Of the kernel that it was built for; ``""`` if its folder does not tell."""
        flavors = {flavor_of_uname(home) for home in self.homes}
        return flavors.pop() if len(flavors) == 1 else ""

    @property
    def linkable(self) -> bool:
        """Whether other kernels may get links to it: built for one kernel, and in the folders of KMPs."""
        return len(self.homes) == 1 and all(
            module.below.startswith(("updates/", "extra/")) for module in self.modules
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a module comes from on one kernel.

    Parameters
    ----------
    path
        The file, or the link in weak-updates/, as the system names it.
    target
        The file that is really loaded.
    build
        The KMP build; ``None`` for the kernel's own module or one that no package owns.
    state
        Whether that kernel loads it; the kernel's own modules do.
    shadows
        Paths of weaker files of the same name.
    clashes
        Those of them that are as strong: depmod may just as well take one of them.
    """

    module: str
    path: str
    target: str
    build: str | None
    via: Literal["native", "weak-updates", "kernel", "unmanaged"]
    state: State
    judgement: Judgement | None
    shadows: tuple[str, ...]
    clashes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One kernel, module by module.

    Parameters
    ----------
    links
        Links that belong into weak-updates/: path -> what they say.
    sources
        By module name.
    builds
        The build that serves each KMP here, by package name; ``None`` for those that none serves.
    fallen_back
        Modules of an installed KMP that silently come from the kernel itself here.
    unfit
        Builds that are not linked because they do not fit, with their modules judged.
    """

    uname_r: str
    links: Mapping[str, str]
    sources: Mapping[str, Source]
    builds: Mapping[str, str | None]
    fallen_back: tuple[str, ...]
    unfit: Mapping[str, tuple[Judgement, ...]]

    def partly(self, build: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of a build that does not fit as a whole: modules that would load here, and those that would not."""
        judged = self.unfit.get(build, ())
        return (
            tuple(sorted(j.module.name for j in judged if j.verdict == "safe")),
            tuple(sorted(j.module.name for j in judged if j.verdict == "blocked")),
        )


def _by_version(left: Offer, right: Offer) -> int:
    """Highest first, as the script sorts whole package names: by name, then version, then release."""
    if left.name != right.name:
        return -1 if left.name > right.name else 1
    return rpmvercmp(right.evr.version, left.evr.version) or rpmvercmp(right.evr.release, left.evr.release)


def forecast(
    kernel: Kernel,
    own: Sequence[ModuleFile],
    offers: Iterable[Offer],
    precedence: Precedence,
    modules_folder: str = "/lib/modules",
) -> Forecast:
    """Predict one kernel's modules.

    Parameters
    ----------
    kernel
        With its uname -r.
    own
        Files of its tree that stay whatever happens to KMPs: its own modules, and what no package owns.
    offers
        All KMP builds that will be installed.
    """
    uname_r, flavor = kernel.uname_r, flavor_of_uname(kernel.uname_r)
    here = [o for o in offers if uname_r in o.homes or o.flavor == flavor]
    here.sort(key=cmp_to_key(_by_version))
    native = [offer for offer in here if uname_r in offer.homes]
    others = [offer for offer in here if offer not in native and offer.linkable]
    fixed = [
        _at(module, uname_r, modules_folder)
        for offer in native
        for module in offer.modules
        if module.home == uname_r
    ]
    linked = _choose(
        kernel, native, others, {file.file_name for file in [*own, *fixed] if file.folder != "kernel"}
    )
    links = {
        f"{modules_folder}/{uname_r}/weak-updates/{module.below}": module.path
        for offer in linked
        for module in offer.modules
    }
    soft = [
        ModuleFile(path=path, uname_r=uname_r, folder="weak-updates", link=target, target=target)
        for path, target in links.items()
    ]
    owner = {module.path: offer.build for offer in here for module in offer.modules}
    resolved = resolve([*own, *fixed, *soft], precedence)
    judged = _judge([*native, *linked], kernel, uname_r)
    sources = {}
    for name, found in resolved.items():
        target = found.file.target or found.file.path
        judgement = judged.get(target)
        sources[name] = Source(
            module=name,
            path=found.file.path,
            target=target,
            build=owner.get(target),
            via=_via(found.file, target in owner),
            state=_state(judgement) if target in owner else "loads",
            judgement=judgement,
            shadows=tuple(file.path for file in found.shadowed),
            clashes=tuple(file.path for file in found.clashes),
        )
    builds: dict[str, str | None] = {offer.name: None for offer in here}
    for offer in [*linked, *native]:
        if all(sources[m.name].build == offer.build for m in offer.modules if m.name in sources):
            builds[offer.name] = offer.build
    fallen = {
        module.name
        for offer in here
        for module in offer.modules
        if module.name in sources and sources[module.name].via == "kernel"
    }
    unfit = {}
    for offer in others:
        if offer not in linked:
            trial = _judge([*native, *linked, offer], kernel, uname_r, alone=offer)
            unfit[offer.build] = tuple(trial.values())
    return Forecast(
        uname_r=uname_r,
        links=dict(sorted(links.items())),
        sources=dict(sorted(sources.items())),
        builds=dict(sorted(builds.items())),
        fallen_back=tuple(sorted(fallen)),
        unfit=unfit,
    )


def _at(module: OfferedModule, uname_r: str, folder: str) -> ModuleFile:
    return ModuleFile(
        path=f"{folder}/{uname_r}/{module.below}",
        uname_r=uname_r,
        folder=module.below.partition("/")[0],
        link=None,
        target=module.path,
    )


def _via(file: ModuleFile, owned: bool) -> Literal["native", "weak-updates", "kernel", "unmanaged"]:
    if file.folder == "kernel" and not owned:
        return "kernel"
    if not owned:
        return "unmanaged"
    return "weak-updates" if file.folder == "weak-updates" else "native"


def _state(judgement: Judgement | None) -> State:
    if judgement is None:
        return "unverified"
    return "loads" if judgement.verdict == "safe" else judgement.verdict


def _judge(
    offers: Iterable[Offer], kernel: Kernel, uname_r: str, alone: Offer | None = None
) -> dict[str, Judgement]:
    """Judge the modules of builds together, by path; `alone`: answer for this one only."""
    placed = [
        (offer, module.path, module.module)
        for offer in offers
        for module in offer.modules
        if module.module is not None and (module.home == uname_r or offer.linkable)
    ]
    judgements = judge_together([module for _, _, module in placed], kernel)
    return {
        path: judgement
        for (offer, path, _), judgement in zip(placed, judgements, strict=True)
        if alone is None or offer is alone
    }


def _finds_symbols(offer: Offer, judged: Mapping[str, Judgement]) -> bool:
    """Whether depmod reports neither an unknown symbol nor a disagreement; an unread module is no proof."""
    return all(module.path in judged and not judged[module.path].mismatches for module in offer.modules)


def _choose(kernel: Kernel, native: Sequence[Offer], others: Sequence[Offer], taken: set[str]) -> list[Offer]:
    """The builds that get links, highest versions first, until those chosen hold together by themselves."""
    refused: set[str] = set()
    everything = [*native, *others]
    while True:
        judged = _judge([o for o in everything if o.build not in refused], kernel, kernel.uname_r)
        dead = {o.build for o in others if o.build not in refused and not _finds_symbols(o, judged)}
        if not dead:
            break
        refused |= dead
    while True:
        chosen: list[Offer] = []
        occupied = set(taken)
        for offer in others:
            names = {module.path.rpartition("/")[2] for module in offer.modules}
            if offer.build in refused or names & occupied:
                continue
            chosen.append(offer)
            occupied |= names
        judged = _judge([*native, *chosen], kernel, kernel.uname_r)
        broken = {offer.build for offer in chosen if not _finds_symbols(offer, judged)}
        if not broken:
            return chosen
        refused |= broken
