"""Packages of which an inventory knows the name only: they take their dependencies from a repository.

An inventory of ten thousand hosts cannot carry the 28,000 symbols of every kernel, and ``rpm -qa`` carries
none. The same NEVRA in a repository tells them. A package can be built again under the same name (bsc#1219345):
where an inventory also carries a digest of the symbols, it has to agree, and where it does not, all repositories
that have the NEVRA, or the symbols count as not known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import solv

from kmpsolve.metadata.content import UNKNOWN_ARCH, kmp_digest, symbol_digest
from kmpsolve.model.evr import Evr
from kmpsolve.model.needs import usual_uname
from kmpsolve.model.nevra import Nevra
from kmpsolve.solver.kernels import KMOD_NAME
from kmpsolve.solver.relations import add_relation, copy_package, relation, vendor_of, words

__all__ = ["join", "join_hosts", "relevant_names"]

_KERNEL = re.compile(r"kernel-(?P<flavor>[A-Za-z0-9_]+)(?:-(?:base|extra|optional))?")
_MAIN_KERNEL = re.compile(r"kernel-(?P<flavor>[A-Za-z0-9_]+)(?:-base)?")
_NO_FLAVOR = frozenset(
    ("devel", "source", "syms", "macros", "firmware", "docs", "obs", "vanilla", "livepatch", "modules")
)
_KMP = re.compile(r".+-kmp-(?P<flavor>[A-Za-z0-9_]+)")
_SYMBOL = ("ksym(", "kernel(")
_PROVIDES, _REQUIRES = solv.SOLVABLE_PROVIDES, solv.SOLVABLE_REQUIRES
_KEYS = (
    _PROVIDES,
    _REQUIRES,
    solv.SOLVABLE_CONFLICTS,
    solv.SOLVABLE_OBSOLETES,
    solv.SOLVABLE_SUPPLEMENTS,
    solv.SOLVABLE_ENHANCES,
)


def join(
    pool: solv.Pool, listed: frozenset[str], digests: Mapping[str, str], vendor_class: Callable[[str], str]
) -> tuple[frozenset[int], frozenset[int]]:
    """Complete the installed packages that are only listed.

    A kernel whose symbols nobody knows is taken to fit the installed KMPs, so that these count as drivers in use
    and are judged against the target; it must not be believed to be safe itself.

    Parameters
    ----------
    listed
        NEVRAs of the installed packages to complete.
    digests
        NEVRA -> the symbols' digest, where the host told it.
    vendor_class
        zypp's, for packages of an unknown vendor.

    Returns
    -------
    tuple
        The kernels and KMPs whose symbols and modules nobody knows, and the kernels of which only the host told
        some: `collect` tells what the KMPs beside a kernel need, so that a symbol which is not among them may be
        there.
    """
    system = list(pool.installed.solvables)
    mine = [s for s in system if _nevra(s) in listed]
    bare = _complete(pool, mine, [digests.get(_nevra(s)) for s in mine])
    in_part = {
        int(s.id)
        for s in bare
        if _KERNEL.fullmatch(s.name) and not _same_symbols(pool, s, digests.get(_nevra(s), ""))
    }
    unread = set()
    for solvable, assumed in _assume(pool, bare, system, _vendors_of(pool, bare), vendor_class):
        assumed.tell(solvable)
        if assumed.provides or _is_kmp(solvable.name):
            unread.add(int(solvable.id))
    return frozenset(unread), frozenset(in_part - unread)


def join_hosts(
    pool: solv.Pool,
    listed: Mapping[int, str | None],
    hosts: Sequence[tuple[Sequence[int], Callable[[str], str]]],
) -> tuple[list[list[int]], frozenset[int]]:
    """The same for many hosts whose packages stand in the pool as one system, each distinct one once.

    Parameters
    ----------
    listed
        Handles of the packages to complete, with the digest that their host told.
    hosts
        For each its packages and its vendor classes.

    Returns
    -------
    tuple
        The packages of each host, and the kernels and KMPs of which nobody knows more than the name. What is
        only known by its host's other packages is a package of its own, behind the others.
    """
    bare = {int(s.id): s for s in _complete(pool, map(pool.id2solvable, listed), listed.values())}
    vendors = _vendors_of(pool, bare.values())
    made: dict[tuple[int, _Assumed], int] = {}
    found: list[list[int]] = []
    unread: set[int] = set()
    for handles, vendor_class in hosts:
        mine = [bare[handle] for handle in handles if handle in bare]
        own: dict[int, int] = {}
        if mine:
            system = list(map(pool.id2solvable, handles))
            for solvable, assumed in _assume(pool, mine, system, vendors, vendor_class):
                key = (int(solvable.id), assumed)
                if key not in made:
                    copy = copy_package(pool.installed, solvable)
                    assumed.tell(copy)
                    made[key] = int(copy.id)
                own[key[0]] = made[key]
                if assumed.provides or _is_kmp(solvable.name):
                    unread.add(made[key])
        found.append([own.get(handle, handle) for handle in handles])
    return found, frozenset(unread)


def _complete(
    pool: solv.Pool, listed: Iterable[solv.XSolvable], digests: Iterable[str | None]
) -> list[solv.XSolvable]:
    """Give listed packages what a repository knows of them; returns those that none knows."""
    told = list(zip(listed, digests, strict=True))
    unsorted = {s.name for s, _ in told if not (_KERNEL.fullmatch(s.name) or _is_kmp(s.name))}
    passed_over = unsorted - relevant_names(pool) if unsorted else unsorted
    told = [(s, digest) for s, digest in told if s.name not in passed_over]
    twins = _twins(pool, {s.nameid for s, _ in told})
    bare: list[solv.XSolvable] = []
    for solvable, digest in told:
        meant = _twins_of(solvable, twins.get(solvable.nameid, ()))
        agreeing = [twin for twin in meant if _same_symbols(pool, twin, digest)]
        sure = digest is not None or len(agreeing) < 2 or _alike(pool, agreeing)
        if not agreeing or not (sure or _KERNEL.fullmatch(solvable.name) is None):
            bare.append(solvable)
            continue
        twin = agreeing[0]
        solvable.arch = twin.arch
        if not vendor_of(solvable):
            solvable.vendor = vendor_of(twin)
        for key in _KEYS:
            known = set(relation(solvable, key))
            told_of = (c for c in relation(twin, key) if c not in known)
            add_relation(
                solvable, key, (c for c in told_of if sure or not pool.dep2str(c).startswith(_SYMBOL))
            )
    return bare


def _alike(pool: solv.Pool, twins: Sequence[solv.XSolvable]) -> bool:
    """Whether packages have the same symbols and modules."""

    def relations(solvable: solv.XSolvable) -> frozenset[int]:
        return frozenset(c for key in (_PROVIDES, _REQUIRES) for c in relation(solvable, key))

    everything = {relations(twin) for twin in twins}
    return len(everything) <= 1 or not any(
        pool.dep2str(c).startswith((*_SYMBOL, "kmod("))
        for c in frozenset.union(*everything) - frozenset.intersection(*everything)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assumed:
    """What the rest of a system lets one take for granted of a package that no repository knows.

    Parameters
    ----------
    provides
        Of a kernel: all that the KMPs beside it need; of anything else empty.
    """

    arch: str
    vendor: str
    provides: tuple[int, ...]

    def tell(self, solvable: solv.XSolvable) -> None:
        """Make it so."""
        solvable.arch, solvable.vendor = self.arch, self.vendor
        for capability in self.provides:
            solvable.add_deparray(solv.SOLVABLE_PROVIDES, capability)


def _assume(
    pool: solv.Pool,
    bare: Iterable[solv.XSolvable],
    system: Sequence[solv.XSolvable],
    vendors: Mapping[int, Sequence[str]],
    vendor_class: Callable[[str], str],
) -> Iterator[tuple[solv.XSolvable, _Assumed]]:
    """What is to be told of each package that no repository knows.

    Parameters
    ----------
    system
        All packages of its host.
    vendors
        Name -> vendors of packages of that name in repositories.
    """
    for solvable in bare:
        vendor = vendor_of(solvable)
        if not vendor:
            classes = {vendor_class(other): other for other in vendors.get(solvable.nameid, ())}
            vendor = next(iter(classes.values())) if len(classes) == 1 else ""
        yield (
            solvable,
            _Assumed(
                arch=_usual_architecture(system) if solvable.arch == UNKNOWN_ARCH else solvable.arch,
                vendor=vendor,
                provides=_assumed_provides(pool, solvable, system),
            ),
        )


def _vendors_of(pool: solv.Pool, bare: Iterable[solv.XSolvable]) -> dict[int, list[str]]:
    twins = _twins(pool, {s.nameid for s in bare if not vendor_of(s)})
    return {name: [vendor_of(twin) for twin in those] for name, those in twins.items()}


def relevant_names(pool: solv.Pool) -> frozenset[str]:
    """Names of the packages in repositories that a judgement of KMPs may have to do with.

    Kernels, KMPs, what KMPs require, what requires them and what conflicts with them, and of what requires them
    the same, since it may have to go along; in an inventory of all packages of a host the others only make
    equal hosts look different. Needs no index of the pool.
    """
    names: set[str] = set()
    others: list[tuple[str, list[int], list[int], list[int]]] = []
    for solvable in chain.from_iterable(
        repo.solvables_iter() for repo in pool.repos if repo.name != "@System"
    ):
        name = solvable.name
        if _KERNEL.fullmatch(name):
            names.add(name)
            continue
        excluded = relation(solvable, solv.SOLVABLE_CONFLICTS) + relation(solvable, solv.SOLVABLE_OBSOLETES)
        provided, required = solvable.lookup_idarray(_PROVIDES), relation(solvable, _REQUIRES)
        others.append((name, provided, required, excluded))
    words = _Words(pool, set[int]().union(*(those for _, *lists in others for those in lists)))
    symbolic = words.capabilities(lambda word: word.startswith((*_SYMBOL, "kmod(", "kernel-uname-r")))
    kmps = [
        package
        for package in others
        if _KMP.fullmatch(package[0]) or not symbolic.isdisjoint(package[1] + package[2])
    ]
    names.update(name for name, *_ in kmps)
    offered = words.within(set[int]().union(*(provided for _, provided, *_ in kmps)))
    offered = offered.union(name for name, *_ in kmps) - {"multiversion(kernel)"}
    rest = [package for package in others if package[0] not in names]
    naming = words.capabilities(offered.__contains__)
    while moving := [package for package in rest if not naming.isdisjoint(package[2])]:
        names_moving = {name for name, *_ in moving}
        rest = [package for package in rest if package[0] not in names_moving]
        elsewhere = words.within(set[int]().union(*(provided for _, provided, *_ in rest)))
        offered |= words.within(set[int]().union(*(provided for _, provided, *_ in moving))) - elsewhere
        naming = words.capabilities(offered.__contains__)
    wanted = words.within(set[int]().union(*(required + excluded for *_, required, excluded in kmps)))
    meeting = words.capabilities(wanted.__contains__)
    names.update(
        name
        for name, provided, required, excluded in others
        if not (meeting.isdisjoint(provided) and naming.isdisjoint(required + excluded))
    )
    return frozenset(names)


class _Words:
    """The names in capabilities: of a plain one what it begins with, of a rich one any that can name something."""

    def __init__(self, pool: solv.Pool, capabilities: Iterable[int]) -> None:
        texts = {capability: pool.dep2str(capability) for capability in capabilities}
        self._rich = {c: words(text) for c, text in texts.items() if text.startswith("(")}
        self._plain = {c: text.partition(" ")[0] for c, text in texts.items() if c not in self._rich}

    def capabilities(self, meant: Callable[[str], bool]) -> set[int]:
        """Those with a name that is meant."""
        found = {capability for capability, word in self._plain.items() if meant(word)}
        return found.union(capability for capability, those in self._rich.items() if any(map(meant, those)))

    def within(self, capabilities: set[int]) -> set[str]:
        """The names in these."""
        found = {self._plain[capability] for capability in capabilities - self._rich.keys()}
        return found.union(*(self._rich[capability] for capability in capabilities & self._rich.keys()))


def _nevra(solvable: solv.XSolvable) -> str:
    return str(Nevra(solvable.name, Evr.parse(solvable.evr), solvable.arch))


def _twins(pool: solv.Pool, names: set[int]) -> dict[int, list[solv.XSolvable]]:
    """Packages of these names in repositories, the best repository first."""
    found: dict[int, list[solv.XSolvable]] = {}
    for solvable in pool.solvables:
        if (
            solvable.nameid in names
            and solvable.repo.name != "@System"
            and solvable.arch not in ("src", "nosrc")
        ):
            found.setdefault(solvable.nameid, []).append(solvable)
    for solvables in found.values():
        solvables.sort(key=lambda s: (-s.repo.priority, s.repo.name, s.id))
    return found


def _twins_of(listed: solv.XSolvable, among: Iterable[solv.XSolvable]) -> list[solv.XSolvable]:
    """The packages that may be meant, all of one NEVRA: ``rpm -qa`` tells no epoch, other tools no architecture."""
    arches = (listed.arch, "noarch")
    fitting = [s for s in among if s.arch in arches or listed.arch == UNKNOWN_ARCH]
    exact = [s for s in fitting if s.evr == listed.evr]
    if not exact and ":" not in listed.evr:
        exact = [s for s in fitting if s.evr.partition(":")[2] == listed.evr]
        if len({s.evr for s in exact}) > 1:
            return []
    if len({s.arch for s in exact if s.arch != "noarch"}) > 1:
        return []
    exact.sort(key=lambda s: s.arch != listed.arch)
    return [s for s in exact if s.arch == exact[0].arch]


def _same_symbols(pool: solv.Pool, twin: solv.XSolvable, digest: str | None) -> bool:
    if digest is None:
        return True
    provides, requires = (
        list(map(pool.dep2str, relation(twin, key)))
        for key in (solv.SOLVABLE_PROVIDES, solv.SOLVABLE_REQUIRES)
    )
    if _KERNEL.fullmatch(twin.name):
        return digest == symbol_digest(provides)
    # The second is how lines were written at first: of what a KMP requires alone.
    return digest in (kmp_digest(provides, requires), symbol_digest(requires))


def _is_kmp(name: str) -> bool:
    """Whether a package is called as KMPs are, SUSE's or Red Hat's."""
    return _KMP.fullmatch(name) is not None or KMOD_NAME.fullmatch(name) is not None


def _usual_architecture(system: Iterable[solv.XSolvable]) -> str:
    """That of most packages, where others tell none."""
    counted = Counter(s.arch for s in system if s.arch not in (UNKNOWN_ARCH, "noarch"))
    return max(counted, key=lambda a: (counted[a], a), default="noarch")


def _assumed_provides(
    pool: solv.Pool, solvable: solv.XSolvable, system: Iterable[solv.XSolvable]
) -> tuple[int, ...]:
    """What lets the installed KMPs work on a kernel that no repository knows; empty if it is none."""
    match = _MAIN_KERNEL.fullmatch(solvable.name)
    spell = pool.dep2str
    provides = solvable.lookup_idarray(solv.SOLVABLE_PROVIDES)
    if match is None or match["flavor"] in _NO_FLAVOR or any(spell(p).startswith(_SYMBOL) for p in provides):
        return ()
    others = [other for other in system if not _KERNEL.fullmatch(other.name)]
    wanted = [capability for other in others for capability in relation(other, _REQUIRES)]
    symbols = [capability for capability in wanted if spell(capability).startswith(_SYMBOL)]
    found: list[int] = []
    if not any(spell(p).startswith("kernel-uname-r ") for p in provides):
        evr = Evr.parse(solvable.evr)
        uname_r = usual_uname(match["flavor"], evr, solvable.arch)
        found.append(pool.rel2id(pool.str2id("kernel-uname-r"), pool.str2id(uname_r), solv.REL_EQ))
    elif all(_of_another_flavor(spell(capability), match["flavor"]) for capability in symbols):
        return ()  # its host told what of it matters: no symbol does
    found.append(pool.str2id("multiversion(kernel)"))
    found += symbols
    for other in others:
        provided = other.lookup_idarray(solv.SOLVABLE_PROVIDES)
        found += [capability for capability in provided if spell(capability).startswith("kmod(")]
    return tuple(dict.fromkeys(found))


def _of_another_flavor(symbol: str, flavor: str) -> bool:
    named = re.match(r"\w+\(([\w.+-]+):", symbol)
    return named is not None and named[1] != flavor
