"""The graph of causes: why KMPs are blocked, simplified before anybody prints it.

Its nodes are KMPs, groups of builds with the same fate, groups of symbols, the target kernel, and what
else stands in the way; an arrow leads from an effect to its cause. Builds that fail for the same symbols
are one node. A KMP that falls only because another one falls is told once, under that one, and never in
its place. What was broken before the update stands apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import networkx as nx

from kmpsolve.explain.story import Stories, Story
from kmpsolve.model.plan import Attempt, Cause, CauseKind, FlavorPlan, Inputs, KmpPlan, Mismatch

if TYPE_CHECKING:
    Graph = nx.DiGraph["Node"]

__all__ = ["Explanation", "Fall", "Fate", "Node", "Root", "counts_against", "explain", "folded"]

NodeKind = Literal["kmp", "builds", "symbols", "kernel", "refused", "package", "module", "repository", "more"]

REFUSED: tuple[CauseKind, ...] = ("vendor", "lock", "retracted", "architecture")
"""Causes that lie in zypp's rules, not in the build."""


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """One thing in the graph.

    Parameters
    ----------
    names
        Names or NEVRAs of what it stands for, sorted; symbols for a group of symbols.
    text
        What to say of it besides the names.
    """

    kind: NodeKind
    names: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Builds of one KMP that fail, or are kept out, for the same reason.

    Parameters
    ----------
    mismatches
        Of each of them; ``None`` if only their number is known.
    only_for
        The one uname -r that they were built for; empty for most.
    """

    builds: tuple[Attempt, ...]
    cause: CauseKind
    count: int
    mismatches: tuple[Mismatch, ...] | None
    only_for: str = ""


@dataclass(frozen=True, slots=True)
class Fall:
    """A KMP that goes down with another one.

    Parameters
    ----------
    symbols
        The symbols of `cause` that it uses.
    cause
        The KMP that it needs.
    """

    name: str
    symbols: tuple[str, ...]
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """KMPs that are blocked in themselves, for the same reason.

    Parameters
    ----------
    kmps
        Their entries in the plan, sorted by name.
    fates
        What became of their builds; those that fail first, then those that zypp's rules keep out.
    causes
        The plan's causes that are not told by the fates.
    falls
        KMPs that go down with them.
    """

    kmps: tuple[KmpPlan, ...]
    fates: tuple[Fate, ...]
    causes: tuple[Cause, ...]
    falls: tuple[Fall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a flavor is blocked.

    Parameters
    ----------
    roots
        Causes first.
    broken_before
        KMPs that worked on no installed kernel anyway.
    graph
        Whole; see `folded` for a picture.
    """

    roots: tuple[Root, ...]
    broken_before: tuple[KmpPlan, ...]
    graph: Graph


def counts_against(kmp: KmpPlan) -> bool:
    """Whether the update breaks this KMP, and nobody has accepted that."""
    return (
        kmp.decision == "blocked"
        and kmp.waived is None
        and all(cause.kind != "already-broken" for cause in kmp.causes)
    )


def explain(flavor: FlavorPlan, inputs: Inputs, stories: Stories) -> Explanation:
    """Make the graph of a flavor's causes and simplify it.

    Parameters
    ----------
    stories
        Of the blocked KMPs; without one, builds are known by their number of mismatches only.
    """
    told = {name: story for (of, name), story in stories.items() if of == flavor.flavor}
    blocked = {kmp.name: kmp for kmp in flavor.kmps if counts_against(kmp)}
    falls = _falls(blocked, told)
    roots = _merged(
        Root(
            kmps=(kmp,),
            fates=_fates(kmp, told.get(name)),
            causes=tuple(c for c in kmp.causes if c.kind not in ("symbols", *REFUSED)),
            falls=tuple(fall for top, fall in falls if top == name),
        )
        for name, kmp in blocked.items()
        if all(fall.name != name for _, fall in falls)
    )
    target = flavor.target.nevra if flavor.target else flavor.current[0].nevra
    return Explanation(
        roots=roots,
        broken_before=tuple(
            kmp for kmp in flavor.kmps if any(cause.kind == "already-broken" for cause in kmp.causes)
        ),
        graph=_graph(roots, target, inputs, told),
    )


def _falls(blocked: Mapping[str, KmpPlan], stories: Mapping[str, Story]) -> list[tuple[str, Fall]]:
    """KMPs that are blocked by other blocked KMPs alone, each with the root that it hangs on in the end."""
    needs: nx.DiGraph[str] = nx.DiGraph()
    needs.add_nodes_from(blocked)
    for name, kmp in blocked.items():
        for cause in kmp.causes:
            if cause.kind == "kmp":
                needs.add_edges_from((name, other) for other in cause.packages if other in blocked)
    own = {
        name
        for name, kmp in blocked.items()
        if any(cause.kind not in ("kmp", *REFUSED) for cause in kmp.causes)
        or not all(
            other in blocked for cause in kmp.causes for other in cause.packages if cause.kind == "kmp"
        )
    }
    found = []
    for name in sorted(blocked.keys() - own):
        tops = sorted(nx.descendants(needs, name) & own)
        if not tops:
            continue
        top = min(tops, key=lambda other: (nx.shortest_path_length(needs, name, other), other))
        nearest = nx.shortest_path(needs, name, top)[1]
        story = stories.get(name)
        symbols = tuple(s for s, maker in story.from_kmps.items() if maker == nearest) if story else ()
        found.append((top, Fall(name, symbols, nearest)))
    found.sort(key=lambda entry: (nx.shortest_path_length(needs, entry[1].name, entry[0]), entry[1].name))
    return found


def _fates(kmp: KmpPlan, story: Story | None) -> tuple[Fate, ...]:
    known = {(b.attempt.nevra, b.attempt.repository): b for b in story.builds} if story else {}
    groups: dict[tuple[str, object], list[Attempt]] = defaultdict(list)
    missing: dict[tuple[str, object], tuple[tuple[Mismatch, ...] | None, str]] = {}
    for attempt in kmp.tried:
        if attempt.cause is None:
            continue
        build = known.get((attempt.nevra, attempt.repository))
        found = build.mismatches if build else None
        if found is not None and len(found) != attempt.mismatches:
            found = None
        only_for = build.only_for if build and attempt.cause == "exact-kernel" else ""
        key = (attempt.cause, (only_for, attempt.mismatches if found is None else frozenset(found)))
        groups[key].append(attempt)
        missing[key] = (found, only_for)
    fates = [
        Fate(
            builds=tuple(sorted(attempts, key=lambda a: (a.repository is not None, a.nevra))),
            cause=attempts[0].cause or "symbols",
            count=attempts[0].mismatches,
            mismatches=missing[key][0],
            only_for=missing[key][1],
        )
        for key, attempts in groups.items()
    ]
    return tuple(sorted(fates, key=lambda f: (f.cause in REFUSED, f.count, f.builds[0].nevra)))


def _merged(roots: Iterable[Root]) -> tuple[Root, ...]:
    """KMPs whose builds all fail for the same symbols, and for nothing else, are told together."""
    merged: dict[object, Root] = {}
    for root in roots:
        (kmp,) = root.kmps
        alike = not root.causes and not root.falls and len(root.fates) == 1
        key: object = ("alike", frozenset(kmp.mismatches)) if alike else ("own", kmp.name)
        known = merged.get(key)
        if known is None:
            merged[key] = root
        else:
            merged[key] = replace(
                known,
                kmps=(*known.kmps, kmp),
                fates=(replace(known.fates[0], builds=(*known.fates[0].builds, *root.fates[0].builds)),),
            )
    return tuple(sorted(merged.values(), key=lambda root: (-len(root.falls), root.kmps[0].name)))


_KEPT_OUT: dict[str, str] = {
    "vendor": "of another vendor",
    "lock": "locked",
    "retracted": "retracted",
    "architecture": "for another architecture",
}


def _graph(roots: Iterable[Root], target: str, inputs: Inputs, stories: Mapping[str, Story]) -> Graph:
    graph: Graph = nx.DiGraph()
    kernel = Node("kernel", (target,))
    by_name: dict[str, Node] = {}
    for root in roots:
        names = tuple(kmp.name for kmp in root.kmps)
        top = Node("kmp", names)
        by_name.update(dict.fromkeys(names, top))
        for fate in root.fates:
            _add_fate(graph, top, fate, root, kernel, stories.get(names[0]))
        for cause in root.causes:
            kind: NodeKind = (
                "module" if cause.kind in ("module-dropped", "falls-back-to-in-tree") else "package"
            )
            if cause.kind in ("kmp", "exact-kernel"):
                continue
            own = {a.nevra for fate in root.fates for a in fate.builds}
            others = tuple(name for name in cause.packages if name not in own)
            graph.add_edge(top, Node(kind, others, cause.message))
        for skipped in inputs.skipped:
            graph.add_edge(top, Node("repository", (skipped.alias,), "was not read"))
        if top not in graph:
            graph.add_edge(top, kernel)
    for root in roots:
        for fall in root.falls:
            node = by_name.setdefault(fall.name, Node("kmp", (fall.name,)))
            cause_node = by_name.setdefault(fall.cause, Node("kmp", (fall.cause,)))
            symbols = Node("symbols", fall.symbols, f"of {fall.cause}")
            graph.add_edge(node, symbols)
            graph.add_edge(symbols, cause_node)
    return graph


def _add_fate(graph: Graph, top: Node, fate: Fate, root: Root, kernel: Node, story: Story | None) -> None:
    kept_out = _KEPT_OUT.get(fate.cause, "")
    builds = Node("refused" if kept_out else "builds", tuple(a.nevra for a in fate.builds), kept_out)
    graph.add_edge(top, builds)
    if fate.cause in REFUSED and not fate.count:
        return
    if fate.cause == "exact-kernel":
        graph.add_edge(builds, kernel)
    if fate.mismatches is None:
        if fate.count:
            graph.add_edge(builds, Node("symbols", (), f"{fate.count} symbols"))
            graph.add_edge(Node("symbols", (), f"{fate.count} symbols"), kernel)
        return
    makers = story.from_kmps if story else {}
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for mismatch in fate.mismatches:
        maker = makers.get(mismatch.symbol, "")
        what = "changed" if mismatch.kind == "disagrees" else ("missing" if maker else "gone")
        groups[maker, what].append(mismatch.symbol)
    for (maker, what), symbols in sorted(groups.items()):
        node = Node("symbols", tuple(symbols), what)
        graph.add_edge(builds, node)
        graph.add_edge(node, Node("kmp", (maker,)) if maker else kernel)


def folded(graph: Graph, most: int = 30) -> Graph:
    """The graph with at most `most` nodes: of alike neighbours some stay, the rest becomes one node.

    Nodes are alike if they are of one kind and hang on the same causes; nothing alike is left when even
    that does not suffice, and then the nodes farthest from the KMPs go.
    """
    small: Graph = graph.copy()
    while small.number_of_nodes() > most:
        groups: dict[tuple[str, tuple[Node, ...]], list[Node]] = defaultdict(list)
        for node in sorted(small):
            if node.kind != "kernel":
                groups[node.kind, tuple(sorted(small.successors(node)))].append(node)
        alike = max(groups.values(), key=lambda nodes: (len(nodes), nodes))
        if len(alike) < 2:
            last = max(small, key=lambda node: (node.kind == "symbols", node.kind != "kernel", node))
            small.remove_node(last)
            continue
        drop = alike[-min(len(alike), small.number_of_nodes() - most + 1, 1000) :]
        drop = drop if len(drop) > 1 else alike[-2:]
        count = sum(1 if node.kind != "more" else int(node.names[0]) for node in drop)
        rest = Node("more", (str(count),), alike[0].text if alike[0].kind == "more" else alike[0].kind)
        before = {p for node in drop for p in small.predecessors(node)}
        after = {s for node in drop for s in small.successors(node)}
        small.remove_nodes_from(drop)
        small.add_edges_from((p, rest) for p in sorted(before) if p in small)
        small.add_edges_from((rest, s) for s in sorted(after) if s in small)
        small.add_node(rest)
    return small
