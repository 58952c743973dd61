"""The whole story of one KMP as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from kmpsolve.compat.matrix import Cell
from kmpsolve.explain.modulefiles import ModuleHit
from kmpsolve.explain.story import Story
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import SCHEMA_VERSION, FlavorPlan, Plan, WayOut
from kmpsolve.report.prose import sentences
from kmpsolve.report.table import TextCell, table
from kmpsolve.report.terminal import Terminal, Tone, printable
from kmpsolve.report.text import ways_out
from kmpsolve.report.words import evr, few, plural, short_builds

__all__ = ["document", "render_story"]

_TONES: dict[str, Tone] = {"blocked": "bad", "unverified": "doubt"}


def _ways(flavor: FlavorPlan, story: Story) -> list[WayOut]:
    return [way for way in flavor.ways_out if story.entry.name in way.kmps]


def document(plan: Plan, flavor: FlavorPlan, story: Story, hits: Sequence[ModuleHit]) -> dict[str, Any]:
    """The JSON document: the KMP's entry in the plan, its history, and what else the text tells."""
    return {
        "schema_version": SCHEMA_VERSION,
        **dataclasses.asdict(story.entry),
        "history": [
            {"kernel": seen.nevra, "mismatches": seen.mismatches, "fits": seen.fits, "build": seen.build}
            for seen in story.kernels
        ],
        "flavor": story.flavor,
        "target": story.target,
        "vendor": story.vendor,
        "builds": [
            {
                "nevra": build.attempt.nevra,
                "repository": build.attempt.repository,
                "vendor": build.vendor,
                "cause": build.attempt.cause,
                "mismatches": [dataclasses.asdict(m) for m in build.mismatches],
                "history": [cell.mismatches if cell else None for cell in build.cells],
            }
            for build in story.builds
        ],
        "met_by": dict(story.met_by),
        "changed_in": dict(story.changed_in),
        "works_up_to": story.works_up_to,
        "since": story.since,
        "modules": [{"module": hit.module, "symbols": list(hit.symbols)} for hit in hits] if hits else None,
        "ways_out": [dataclasses.asdict(way) for way in _ways(flavor, story)],
        "story": list(sentences(plan, flavor, story, hits)),
    }


def render_story(
    plan: Plan, flavor: FlavorPlan, story: Story, hits: Sequence[ModuleHit], terminal: Terminal
) -> str:
    """Everything about one KMP: prose first, then the tables that prove it."""
    return "\n".join(_lines(plan, flavor, story, hits, terminal)) + "\n"


def _lines(
    plan: Plan, flavor: FlavorPlan, story: Story, hits: Sequence[ModuleHit], terminal: Terminal
) -> Iterator[str]:
    entry, target = story.entry, Nevra.parse(story.target)
    said = entry.decision.upper() if entry.decision in ("blocked", "unverified") else entry.decision
    on = f"on {target.name} {target.evr}"
    if entry.waived is not None:
        said += ", waived"
    yield from terminal.flow(
        [(entry.name, "strong"), (on, "plain"), (said, _TONES.get(entry.decision, "good"))], indent=2, gap=2
    )
    yield ""
    yield from terminal.wrapped("", " ".join(sentences(plan, flavor, story, hits)))
    yield ""
    yield terminal.tone("Kernels and builds", "strong") + "  (number of mismatched symbols)"
    yield from _history(story, flavor, terminal)
    if entry.mismatches:
        yield ""
        title = f"Symbols of {evr(story.subject)}"
        yield (
            terminal.tone(title, "strong")
            + f"  ({len(entry.mismatches):,} of {entry.symbols_required:,} do not fit)"
        )
        yield from _symbols(story, terminal)
    if hits:
        yield ""
        yield terminal.tone("Modules", "strong")
        for hit in hits:
            symbols = (
                plural(len(hit.symbols), "symbol") + f": {few(hit.symbols, 8)}" if hit.symbols else "not hit"
            )
            yield from terminal.wrapped("  ", f"{hit.module}  {symbols}", hang=6)
    elif story.modules:
        yield ""
        unknown = "  (which of them are hit is not known without their files)" if entry.mismatches else ""
        yield terminal.tone("Modules", "strong") + unknown
        yield from terminal.wrapped("  ", ", ".join(story.modules))
    for warning in entry.warnings:
        yield from terminal.wrapped("Also: ", warning.message)
    ways = _ways(flavor, story)
    if ways:
        yield ""
        yield terminal.tone("What would help", "strong")
        yield from ways_out(ways, terminal)


def _history(story: Story, flavor: FlavorPlan, terminal: Terminal) -> Iterator[str]:
    short = short_builds({build.attempt.nevra for build in story.builds})
    running = {kernel.nevra for kernel in flavor.current if kernel.running}
    rows = [[TextCell("kernel"), TextCell("")]]
    notes = []
    for number, build in enumerate(story.builds, 1):
        name = short[build.attempt.nevra]
        if build.attempt.cause in ("vendor", "lock", "retracted", "architecture"):
            notes.append(
                f"{name} ({build.attempt.repository}): not for zypp to choose ({build.attempt.cause})"
            )
        label = name if len(story.builds) < 8 or len(name) < 12 else f"[{number}]"
        if label != name:
            notes.append(f"{label} {name}")
        rows[0].append(TextCell(label, number=True))
    for index in range(len(story.kernels) - 1, -1, -1):
        seen = story.kernels[index]
        marks = [
            *(["target"] if seen.nevra == story.target else []),
            *(["running"] if seen.nevra in running else []),
            *(["installed"] if seen.repository is None and seen.nevra not in running else []),
        ]
        row = [TextCell(evr(seen.nevra)), TextCell(", ".join(marks))]
        row += [cell_text(build.cells[index]) for build in story.builds]
        rows.append(row)
    yield from table(rows, terminal, fixed=2)
    places = [
        f"{short[b.attempt.nevra]} {'from ' + b.attempt.repository if b.attempt.repository else 'installed'}"
        for b in story.builds
    ]
    yield from terminal.wrapped("  builds: ", "; ".join(places))
    for note in notes:
        yield from terminal.wrapped("  ", note, hang=4)
    if any(
        cell is not None and not cell.fits and not cell.mismatches for b in story.builds for cell in b.cells
    ):
        yield "  x: built for another kernel only"


def cell_text(cell: Cell | None) -> TextCell:
    """The number of mismatches; ``x`` if only the exact kernel is another; ``-`` if nothing can be said."""
    if cell is None:
        return TextCell("-", "doubt", True)
    if cell.fits:
        return TextCell("0", "good", True)
    return TextCell(f"{cell.mismatches}" if cell.mismatches else "x", "bad", True)


def _symbols(story: Story, terminal: Terminal) -> Iterator[str]:
    ordered = sorted(story.entry.mismatches, key=lambda m: (m.kind == "unknown", m.symbol))
    heads = ("symbol", "wanted", "found", "changed in")
    rows = []
    for mismatch in ordered:
        kernel = story.changed_in.get(mismatch.symbol)
        maker = story.from_kmps.get(mismatch.symbol)
        found = mismatch.found or "gone"
        if maker and mismatch.kind == "unknown":
            found = "not loaded"
        since = f"({maker})" if maker else evr(kernel) if kernel else "never fitted"
        rows.append((mismatch.symbol, mismatch.wanted, found, since))
    cells = [[TextCell(text) for text in row] for row in (heads, *rows)]
    widest = sum(max(len(printable(row[i])) for row in (heads, *rows)) + 2 for i in range(4))
    if widest <= terminal.width:
        yield from table(cells, terminal, fixed=4)
        return
    for symbol, wanted, found, since in rows:
        yield f"  {printable(symbol)}"
        yield from terminal.flow(
            [(f"    wants {wanted}", "plain"), (f"found {found}", "plain"), (f"since {since}", "plain")],
            indent=4,
            gap=2,
        )
