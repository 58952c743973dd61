"""Values for the heat map and the time line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from kmpsolve.compat.matrix import Cell
from kmpsolve.explain.story import KernelStory, Story
from kmpsolve.report.html.page import render_part
from kmpsolve.report.matrix import short_kernels
from kmpsolve.report.words import evr, plural

__all__ = ["heat_cell", "heatmap", "legend", "timeline"]

_STEPS = ((2, "h1"), (9, "h2"), (49, "h3"))


def heat_cell(mismatches: int | None, fits: bool | None) -> tuple[str, str]:
    """The class and the text of a cell; see `legend`."""
    if mismatches is None or fits is None:
        return "hn", "-"
    if fits:
        return "h0", "0"
    if not mismatches:
        return "h4", "x"
    return next((step for most, step in _STEPS if mismatches <= most), "h4"), str(mismatches)


def legend(*, safe: bool) -> list[tuple[str, str]]:
    """What the colours mean; the numbers say the same."""
    entries = [
        ("h0", "0: fits"),
        ("h1", "1-2 symbols do not fit"),
        ("h2", "3-9"),
        ("h3", "10-49"),
        ("h4", "50 or more; x: built for another kernel only"),
        ("hn", "-: cannot be checked"),
    ]
    return [*entries, ("safe", "newest safe kernel")] if safe else entries


def heatmap(
    id_: str,
    caption: str,
    kernels: Sequence[str],
    marks: Mapping[str, Collection[str]],
    groups: Iterable[tuple[str, Iterable[tuple[str, Iterable[Cell | KernelStory | None]]]]],
) -> Markup:
    """The table of KMPs or builds against kernels.

    Parameters
    ----------
    kernels
        NEVRAs in the order of the columns.
    marks
        NEVRA -> ``safe``, ``target``, ``running``.
    groups
        Headings with their rows: a name and a cell for each kernel.
    """
    common, short = short_kernels([evr(kernel) for kernel in kernels])
    columns = [
        {"label": label, "marks": sorted(marks.get(kernel, ()))}
        for kernel, label in zip(kernels, short, strict=True)
    ]
    values: list[dict[str, Any]] = [
        {
            "name": heading,
            "rows": [
                {
                    "name": name,
                    "cells": [heat_cell(c.mismatches, c.fits) if c else heat_cell(None, None) for c in cells],
                }
                for name, cells in rows
            ],
        }
        for heading, rows in groups
    ]
    return render_part(
        "heatmap",
        id=id_,
        caption=caption,
        common=f"{common}*" if common else "",
        kernels=columns,
        groups=values,
        legend=legend(safe=any("safe" in column["marks"] for column in columns)),
    )


def timeline(stories: Sequence[Story], marks: Mapping[str, Collection[str]]) -> Markup:
    """The kernels of one flavor, newest first, each with the KMPs that begin to fail there or fail worse.

    Parameters
    ----------
    stories
        Of all KMPs of the flavor.
    """
    entries: list[dict[str, Any]] = []
    kernels = stories[0].kernels if stories else ()
    for index, kernel in enumerate(kernels):
        hits = []
        for story in stories:
            seen, before = story.kernels[index], story.kernels[index - 1] if index else None
            if seen.fits is False and before is not None and before.fits is not None:
                now, then = seen.mismatches or 0, before.mismatches or 0
                if before.fits:
                    text = (
                        f"no build fits any more: {plural(now, 'symbol')}"
                        if now
                        else "built for another kernel only"
                    )
                    hits.append({"name": story.entry.name, "text": text})
                elif now > then:
                    hits.append(
                        {"name": story.entry.name, "text": f"{plural(now, 'symbol')} instead of {then}"}
                    )
        failing = sum(story.kernels[index].fits is False for story in stories)
        text = "every KMP that can be checked has a build that fits"
        if failing:
            text = f"no new break; {plural(failing, 'KMP')} still without a build that fits"
        names = marks.get(kernel.nevra, ())
        state = "bad" if hits else "safe" if "safe" in names else "plain"
        labels = ["newest safe" if name == "safe" else name for name in sorted(names)]
        entries.append(
            {"kernel": evr(kernel.nevra), "marks": labels, "hits": hits, "text": text, "state": state}
        )
    return render_part("timeline", entries=list(reversed(entries)))
