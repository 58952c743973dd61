"""The difference of two kernels as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal

from kmpsolve.compat.kabi import Hit, KabiDiff, SymbolGroup
from kmpsolve.model.plan import SCHEMA_VERSION
from kmpsolve.report.matrix import plain
from kmpsolve.report.terminal import Terminal, printable
from kmpsolve.report.words import few, plural

__all__ = ["document", "headline", "render_csv", "render_diff"]

_SHOWN = 8


def document(diff: KabiDiff) -> dict[str, Any]:
    """The JSON document. `tolerated` names what a rule lets pass: it stays in the lists, and breaks KMPs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "a": diff.a.label,
        "b": diff.b.label,
        "added": list(diff.added),
        "removed": list(diff.removed),
        "changed": [{"symbol": c.symbol, "a": c.a, "b": c.b} for c in diff.changed],
        "kmps": [
            {
                "nevra": str(hit.build.nevra),
                "hit": len(hit.symbols) + hit.exact_kernel,
                "symbols": list(hit.symbols),
                "exact_kernel": hit.exact_kernel,
                "repository": hit.build.package.repository,
            }
            for hit in diff.hits
        ],
        "unverified": list(diff.unverified),
        "groups": [{"symbols": list(group.symbols), "kmps": list(group.hits)} for group in diff.groups],
        "tolerated": sorted(diff.tolerated),
        "unused_rules": [{"line": rule.line, "rule": str(rule)} for rule in diff.unused],
        "unjudged_rules": [{"line": rule.line, "rule": str(rule)} for rule in diff.unjudged],
    }


def render_csv(diff: KabiDiff) -> str:
    """A row for each symbol: what happened, both versions, whether tolerated, the builds hit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["change", "symbol", "a", "b", "tolerated", "kmps"])
    hits = {symbol: " ".join(group.hits) for group in diff.groups for symbol in group.symbols}
    rows = [("added", symbol, "", diff.b.crcs[symbol][0]) for symbol in diff.added]
    rows += [("removed", symbol, diff.a.crcs[symbol][0], "") for symbol in diff.removed]
    rows += [("changed", change.symbol, change.a, change.b) for change in diff.changed]
    for kind, symbol, a, b in rows:
        tolerated = "yes" if symbol in diff.tolerated else "no"
        writer.writerow(
            [kind, plain(symbol), a, b, "" if kind == "added" else tolerated, plain(hits.get(symbol, ""))]
        )
    return out.getvalue()


def render_diff(diff: KabiDiff, terminal: Terminal, whole: bool = False) -> str:
    """What changed, by whom it hits.

    Parameters
    ----------
    whole
        Every symbol instead of the first few of each group.
    """
    return "\n".join(_lines(diff, terminal, whole)) + "\n"


def headline(diff: KabiDiff) -> tuple[str, Literal["good", "bad", "plain"]]:
    """Whom the difference hits, in a few words, and how good that is; without any KMP nobody knows."""
    if not diff.judged:
        return "no KMP for it was given to hold against it", "plain"
    kmps = len({hit.build.name for hit in diff.hits})
    if diff.hits:
        return f"HITS {plural(kmps, 'KMP')}", "bad"
    return ("hits no KMP that can be checked", "plain") if diff.unverified else ("hits no KMP", "good")


def _lines(diff: KabiDiff, terminal: Terminal, whole: bool) -> Iterator[str]:
    names = f"{diff.a.label} -> {diff.b.label}"
    counts = f"{len(diff.changed):,} changed, {len(diff.removed):,} removed, {len(diff.added):,} added"
    said, kind = headline(diff)
    parts = [names] if len(names) <= terminal.width else [diff.a.label, f"-> {diff.b.label}"]
    yield from terminal.flow(
        [*((part, "plain") for part in parts), (counts, "strong"), (said, kind)],
        indent=2,
    )
    for group in diff.groups:
        shown = [s for s in group.symbols if group.hits or s not in diff.tolerated]
        if shown:
            yield ""
            yield from _group(diff, group, shown, terminal, whole)
    told = {nevra for group in diff.groups for nevra in group.hits}
    through = [hit for hit in diff.hits if hit.symbols and str(hit.build.nevra) not in told]
    if through:
        yield ""
        # What another KMP exports, or a symset: no symbol of the two kernels.
        kmps = len({hit.build.name for hit in through})
        yield terminal.tone("needs besides these", "bad") + f"  hit {plural(kmps, 'KMP')}:"
        for hit in through:
            yield from terminal.wrapped(
                "  ", f"{hit.build.name}: {_place(hit)}: {few(hit.symbols, 6)}", hang=6
            )
    exact = [hit for hit in diff.hits if hit.exact_kernel]
    if exact:
        yield ""
        yield from terminal.wrapped(
            "", f"built for {diff.a.label} only: {few([str(h.build.nevra) for h in exact], 8)}"
        )
    if diff.unverified:
        yield ""
        yield from terminal.wrapped(
            "", f"cannot be checked, as they tell no symbol versions: {few(list(diff.unverified), 8)}"
        )
    if diff.added:
        yield ""
        yield terminal.tone("added", "strong") + f"  {plural(len(diff.added), 'symbol')}"
        yield from _names(diff.added, terminal, whole)
    if diff.tolerated:
        yield ""
        harmless = sum(
            symbol in diff.tolerated for group in diff.groups if not group.hits for symbol in group.symbols
        )
        yield from terminal.wrapped(
            "",
            f"{plural(len(diff.tolerated), 'change')} tolerated by rules, {harmless:,} left out above; "
            "a module that uses such a symbol still does not load",
        )
    for rule in diff.unused:
        yield from terminal.wrapped("", f"rule in line {rule.line} is never used: {rule}")
    for rule in diff.unjudged:
        yield from terminal.wrapped(
            "",
            f"rule in line {rule.line} cannot be judged, neither source names modules or namespaces: {rule}",
        )
    left = sum(len(g.symbols) for g in diff.groups) > sum(min(len(g.symbols), _SHOWN) for g in diff.groups)
    if not whole and (left or len(diff.added) > _SHOWN + 1):
        yield ""
        yield "All symbols: -v, or --format csv"


def _group(
    diff: KabiDiff, group: SymbolGroup, shown: list[str], terminal: Terminal, whole: bool
) -> Iterator[str]:
    removed = set(diff.removed)
    gone = sum(symbol in removed for symbol in shown)
    changed = len(shown) - gone
    counts = ", ".join(
        filter(None, (f"{changed:,} changed" if changed else "", f"{gone:,} gone" if gone else ""))
    )
    if group.hits:
        hits = [hit for hit in diff.hits if str(hit.build.nevra) in group.hits]
        yield terminal.tone(counts, "bad") + f"  hit {plural(len({h.build.name for h in hits}), 'KMP')}:"
        for name, builds in groupby(hits, key=lambda hit: hit.build.name):
            places = [_place(hit) for hit in builds]
            yield from terminal.wrapped("  ", f"{name}: {few(places, 6)}", hang=6)
    else:
        yield terminal.tone(counts, "strong") + "  hit no KMP"
        yield from _names(shown, terminal, whole)
        return
    versions = {change.symbol: f"{change.a} -> {change.b}" for change in diff.changed}
    ordered = sorted(shown, key=lambda symbol: (symbol in removed, symbol))
    listed = ordered if whole or len(ordered) <= _SHOWN + 1 else ordered[:_SHOWN]
    width = max(len(symbol) for symbol in listed)
    for symbol in listed:
        said = versions.get(symbol, "gone")
        line = f"    {printable(symbol):<{width}}  {said}"
        yield from [line] if len(line) <= terminal.width else (f"    {printable(symbol)}", f"        {said}")
    if len(listed) < len(ordered):
        yield f"    (+ {len(ordered) - len(listed):,} more)"


def _place(hit: Hit) -> str:
    return f"{hit.build.nevra.evr} ({hit.build.package.repository or 'installed'})"


def _names(symbols: list[str] | tuple[str, ...], terminal: Terminal, whole: bool) -> Iterator[str]:
    yield from terminal.wrapped("  ", few(symbols, len(symbols) if whole else _SHOWN))
