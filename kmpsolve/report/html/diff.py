"""The difference of two kernels as a page."""

from __future__ import annotations

from kmpsolve.compat.kabi import KabiDiff
from kmpsolve.report.diff import headline
from kmpsolve.report.html.page import Section, render_page, render_part

__all__ = ["render_html"]


def render_html(diff: KabiDiff) -> str:
    """One page: the KMPs hit, then every symbol."""
    verdict, badge = headline(diff)
    sections = []
    if diff.hits:
        rows = [
            [
                hit.build.name,
                str(hit.build.nevra.evr),
                hit.build.package.repository or "installed",
                f"{len(hit.symbols)}",
                ", ".join(hit.symbols) if hit.symbols else f"built for {diff.a.label} only",
            ]
            for hit in diff.hits
        ]
        heads = ["KMP", "build", "repository", "symbols hit", "which"]
        body = render_part(
            "table", id="table-hits", caption="Builds that fit A and not B", heads=heads, rows=rows
        )
        sections.append(Section(id="hits", title="KMPs that it hits", body=body))
    users = {symbol: len(group.hits) for group in diff.groups for symbol in group.symbols}
    rows = []
    for change in diff.changed:
        rows.append(
            [
                change.symbol,
                "changed",
                change.a,
                change.b,
                _tolerated(diff, change.symbol),
                f"{users[change.symbol]}",
            ]
        )
    for symbol in diff.removed:
        rows.append(
            [symbol, "removed", diff.a.crcs[symbol][0], "", _tolerated(diff, symbol), f"{users[symbol]}"]
        )
    for symbol in diff.added:
        rows.append([symbol, "added", "", diff.b.crcs[symbol][0], "", "0"])
    heads = ["symbol", "change", "A", "B", "tolerated", "builds hit"]
    body = render_part(
        "table", id="table-symbols", caption="Every symbol that differs", heads=heads, rows=rows
    )
    sections.append(Section(id="symbols", title="Symbols", body=body))
    idle = [f"Rule in line {rule.line} is never used: {rule}" for rule in diff.unused]
    idle += [
        f"Rule in line {rule.line} cannot be judged, neither source names modules or namespaces: {rule}"
        for rule in diff.unjudged
    ]
    if idle:
        sections.append(
            Section(id="rules", title="Rules", body=render_part("prose", title="", paragraphs=idle))
        )
    lead = [f"{len(diff.changed):,} changed, {len(diff.removed):,} removed, {len(diff.added):,} added."]
    if diff.unverified:
        lead.append(f"Cannot be checked, as they tell no symbol versions: {', '.join(diff.unverified)}.")
    return render_page(
        title=f"kmpsolve diff: A is {diff.a.label}, B is {diff.b.label}",
        verdict=verdict,
        badge=badge,
        lead=lead,
        sections=sections,
    )


def _tolerated(diff: KabiDiff, symbol: str) -> str:
    return "yes" if symbol in diff.tolerated else "no"
