"""Would the kernel load these modules? The loader's own questions, asked of files.

Linux, kernel/module/main.c: a module is refused if it is for another machine, if it has no symbol table, if
struct module or the version magic differ, if a symbol that it needs is exported by nobody or with another CRC,
if that symbol is for GPL modules only and it is none, or uses symbols of one that is none, or is in a namespace
that it does not import, or if it exports what the kernel's image exports already. depmod asks the part about
needed symbols, in the same words.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from kmpsolve.modules.kernel import IMAGE, Kernel
from kmpsolve.modules.module import Module, module_name

__all__ = ["Judgement", "Mismatch", "Obstacle", "Verdict", "judge", "judge_together"]

Verdict = Literal["safe", "unverified", "blocked"]

_VERSION = re.compile(r"([0-9]+)\.([0-9]+)")
_LAYOUT = "module_layout"
_TAINT_SPREADS = (5, 9)
"""Linux 5.9: what uses symbols of a proprietary module is as good as proprietary (inherit_taint)."""
_FOR_MODULES = "module:"
"""Linux 6.16: a namespace that lists the modules which may use the symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A symbol that a module would not get.

    Parameters
    ----------
    kind
        ``unknown``: nobody exports it. ``disagrees``: with another CRC. The words of depmod and kernel.
    wanted
        The CRC the module was built against; ``None`` if it was built without.
    found
        The CRC that there is, if any.
    provider
        The module that exports it but would not load itself; empty otherwise.
    """

    symbol: str
    kind: Literal["unknown", "disagrees"]
    wanted: str | None
    found: str | None
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Another reason why a module does not load, in one line; and the symbols concerned, if any."""

    kind: Literal[
        "architecture",
        "version-magic",
        "module-structure",
        "stripped",
        "gpl-only",
        "namespace",
        "duplicate-export",
    ]
    message: str
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One module against one kernel.

    Parameters
    ----------
    mismatches
        Sorted by symbol.
    obstacles
        What else is in the way.
    unverified
        Symbols of which nothing tells whether they fit, sorted.
    """

    module: Module
    mismatches: tuple[Mismatch, ...]
    obstacles: tuple[Obstacle, ...]
    unverified: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """``blocked`` if it would not load; ``unverified`` if nobody can tell; else ``safe``."""
        if self.mismatches or self.obstacles:
            return "blocked"
        return "unverified" if self.unverified or not self.module.versions else "safe"


class _Offer(NamedTuple):
    """A symbol as somebody exports it: the kernel, or the module of that number."""

    crc: str | None
    kind: str
    namespace: str
    owner: int | None


class _Bench:
    """All that is on offer while a set of modules is judged."""

    def __init__(self, modules: Sequence[Module], kernel: Kernel) -> None:
        self.modules = modules
        self.kernel = kernel
        self.verdicts: list[Verdict] = ["safe"] * len(modules)
        self._names = {module.name for module in modules}
        self._offers: dict[str, list[_Offer]] = {}
        for number, module in enumerate(modules):
            for symbol, export in module.exports.items():
                self._offers.setdefault(symbol, []).append(
                    _Offer(export.crc, export.kind, export.namespace, number)
                )
        self._tainted = {number for number, module in enumerate(modules) if module.proprietary}
        while (
            more := {number for number, module in enumerate(modules) if self._taint(module)} - self._tainted
        ):
            self._tainted |= more

    def _taint(self, module: Module) -> list[str]:
        """The symbols by which a module becomes as good as proprietary: only such modules export them."""
        if not self._tainted or _version(self.kernel.uname_r or module.built_for) < _TAINT_SPREADS:
            return []
        return [
            symbol
            for symbol in _needed(module, self.kernel)
            if (offers := list(self.offers(symbol))) and all(offer.owner in self._tainted for offer in offers)
        ]

    def offers(self, symbol: str) -> Iterator[_Offer]:
        """Who exports a symbol, those that would not load included."""
        symvers = self.kernel.symvers
        crc = symvers.crcs.get(symbol)
        # A module in updates/ or extra/ keeps the kernel's own module of that name from being loaded.
        if crc is not None and module_name(symvers.modules.get(symbol, "")) not in self._names:
            yield _Offer(crc, symvers.kinds.get(symbol, ""), symvers.namespaces.get(symbol, ""), None)
        yield from self._offers.get(symbol, ())

    def loads(self, offer: _Offer) -> bool:
        return offer.owner is None or self.verdicts[offer.owner] != "blocked"

    def sure(self, offer: _Offer) -> bool:
        return offer.crc is not None and (offer.owner is None or self.verdicts[offer.owner] == "safe")

    def judge(self, module: Module) -> Judgement:
        mismatches: list[Mismatch] = []
        unverified: list[str] = []
        gpl_only: list[str] = []
        namespaces: dict[str, list[str]] = {}
        taint = self._taint(module)
        for symbol in _needed(module, self.kernel):
            wanted = module.versions.get(symbol)
            offers = list(self.offers(symbol))
            loading = [offer for offer in offers if self.loads(offer)]
            fitting = [offer for offer in loading if None in (wanted, offer.crc) or offer.crc == wanted]
            if not fitting:
                if not offers and self.kernel.symvers.gap:
                    unverified.append(symbol)
                elif symbol not in module.weak or loading:
                    mismatches.append(self._mismatch(symbol, wanted, loading, offers))
                continue
            if wanted is None or not any(self.sure(offer) for offer in fitting):
                unverified.append(symbol)
            offer = next((offer for offer in fitting if self.sure(offer)), fitting[0])
            if (module.proprietary or taint) and "_GPL" in offer.kind:
                gpl_only.append(symbol)
            if offer.namespace and not _imports(module, offer.namespace):
                namespaces.setdefault(offer.namespace, []).append(symbol)
        return Judgement(
            module=module,
            mismatches=tuple(mismatches),
            obstacles=tuple(self._obstacles(module, gpl_only, taint, namespaces)),
            unverified=tuple(unverified),
        )

    def _mismatch(
        self, symbol: str, wanted: str | None, loading: list[_Offer], offers: list[_Offer]
    ) -> Mismatch:
        if loading:
            return Mismatch(symbol=symbol, kind="disagrees", wanted=wanted, found=loading[0].crc)
        if not offers:
            return Mismatch(symbol=symbol, kind="unknown", wanted=wanted, found=None)
        best = next((offer for offer in offers if offer.crc == wanted), offers[0])
        return Mismatch(
            symbol=symbol,
            kind="unknown" if wanted in (None, best.crc) else "disagrees",
            wanted=wanted,
            found=best.crc,
            provider=self.modules[best.owner].name if best.owner is not None else "",
        )

    def _obstacles(
        self, module: Module, gpl_only: list[str], taint: list[str], namespaces: dict[str, list[str]]
    ) -> Iterator[Obstacle]:
        if module.machine and self.kernel.made_for not in ("", module.machine):
            yield Obstacle(
                kind="architecture",
                message=f"is for {module.machine}, the kernel for {self.kernel.made_for}",
            )
        if message := _magic_differs(module, self.kernel):
            yield Obstacle(kind="version-magic", message=message)
        if module.stripped:
            # What it needs beyond its table of versions is lost too, so the symbols alone prove nothing.
            yield Obstacle(
                kind="stripped", message="was stripped of its symbol table, and no kernel loads it so"
            )
        sizes = {module.structure_size, self.kernel.structure_size} - {0}
        if len(sizes) > 1:
            yield Obstacle(
                kind="module-structure",
                message=f"its struct module has {module.structure_size} bytes, the kernel's has"
                f" {self.kernel.structure_size}",
            )
        image = self.kernel.symvers.modules
        if twice := tuple(symbol for symbol in sorted(module.exports) if image.get(symbol) == IMAGE):
            yield Obstacle(
                kind="duplicate-export",
                message=f"exports what the kernel itself exports: {', '.join(twice)}",
                symbols=twice,
            )
        if gpl_only:
            why = (
                f"its license is {module.said('license') or 'not stated'}"
                if module.proprietary
                else f"it uses {', '.join(taint)} of a module whose license is not the GPL"
            )
            yield Obstacle(
                kind="gpl-only",
                message=f"{why}, but it uses symbols that are exported to GPL modules only:"
                f" {', '.join(gpl_only)}",
                symbols=tuple(gpl_only),
            )
        for namespace, symbols in sorted(namespaces.items()):
            yield Obstacle(
                kind="namespace",
                message=f"uses {', '.join(symbols)} from namespace {namespace}, which it does not import",
                symbols=tuple(symbols),
            )


def _needed(module: Module, kernel: Kernel) -> list[str]:
    """All symbols that the loader asks for; of a module with versions it wants that of struct module too."""
    layout = {_LAYOUT} & kernel.symvers.crcs.keys() if module.versions and module.structure_size else ()
    return sorted({*module.versions, *module.undefined, *layout})


def _version(uname_r: str) -> tuple[int, int]:
    """Major and minor number of a kernel; where nothing tells, of the newest there can be."""
    match = _VERSION.match(uname_r)
    return (int(match[1]), int(match[2])) if match else (sys.maxsize, 0)


def _imports(module: Module, namespace: str) -> bool:
    if namespace.startswith(_FOR_MODULES):
        patterns = namespace.removeprefix(_FOR_MODULES).replace("-", "_").split(",")
        return any(fnmatchcase(module.name, pattern) for pattern in patterns)
    return namespace in module.modinfo.get("import_ns", ())


def _magic_differs(module: Module, kernel: Kernel) -> str:
    """What is wrong with the version magic; empty if nothing is, or the kernel's is unknown.

    With symbol versions the release at its beginning does not matter, without them all of it does.
    """
    release, _, properties = module.vermagic.partition(" ")
    if not module.versions and release and kernel.uname_r and release != kernel.uname_r:
        return f"was built without symbol versions for {release} and loads on no other kernel"
    wanted = kernel.vermagic.partition(" ")[2]
    if kernel.vermagic and properties != wanted:
        return f"its version magic is {properties!r}, the kernel's is {wanted!r}"
    return ""


def judge_together(modules: Sequence[Module], kernel: Kernel) -> tuple[Judgement, ...]:
    """Judge modules that may use each other's symbols; the answers are in their order.

    A symbol counts as there if the kernel exports it, or a module of the set that would load itself: the
    largest set that holds together, cycles included.
    """
    bench = _Bench(modules, kernel)
    while True:
        judgements = tuple(bench.judge(module) for module in modules)
        verdicts: list[Verdict] = [judgement.verdict for judgement in judgements]
        if verdicts == bench.verdicts:
            return judgements
        bench.verdicts = verdicts


def judge(module: Module, kernel: Kernel) -> Judgement:
    """Judge one module against a kernel and nothing else; see `judge_together`."""
    return judge_together((module,), kernel)[0]
