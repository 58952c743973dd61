"""The matrix as a page."""

from __future__ import annotations

from itertools import groupby

from kmpsolve.compat.matrix import Matrix
from kmpsolve.model.plan import Plan
from kmpsolve.report.html.charts import heatmap
from kmpsolve.report.html.page import Section, render_page
from kmpsolve.report.html.plan import marks_of
from kmpsolve.report.words import evr, plural

__all__ = ["render_html"]


def render_html(matrix: Matrix, plan: Plan | None) -> str:
    """One page, a heat map for each flavor.

    Parameters
    ----------
    plan
        For the marks: newest safe, target, running. ``None`` where no kernel is installed: there are none then.
    """
    sections = []
    planned = {flavor.flavor: flavor for flavor in plan.flavors} if plan is not None else {}
    for flavor in sorted({unit.flavor for unit in matrix.kernels}):
        columns = [i for i, unit in enumerate(matrix.kernels) if unit.flavor == flavor]
        rows = [
            (build, [row[i] for i in columns])
            for build, row in zip(matrix.builds, matrix.cells, strict=True)
            if build.flavor in (flavor, "")
        ]
        if not rows:
            continue
        groups = [
            (
                name,
                [(f"{build.nevra.evr} ({build.repository or 'installed'})", cells) for build, cells in group],
            )
            for name, group in groupby(rows, key=lambda entry: entry[0].name)
        ]
        kernels = [str(matrix.kernels[i].nevra) for i in columns]
        caption = "Mismatched symbols of each build on each kernel, newest kernel first"
        marks = marks_of(planned[flavor]) if flavor in planned else {}
        body = heatmap(f"heatmap-{flavor}", caption, kernels, marks, groups)
        sections.append(Section(id=f"heat-{flavor}", title=f"kernel-{flavor}", body=body))
    kmps = len({build.name for build in matrix.builds})
    lead = [
        f"kernel-{flavor.flavor}: the newest kernel on which no KMP is lost is {evr(flavor.newest_safe)}."
        if flavor.newest_safe
        else f"kernel-{flavor.flavor}: no kernel is safe for every KMP."
        for flavor in planned.values()
    ]
    return render_page(
        title="kmpsolve matrix",
        verdict=", ".join(
            (plural(kmps, "KMP"), plural(len(matrix.builds), "build"), plural(len(matrix.kernels), "kernel"))
        ),
        badge="plain",
        lead=lead,
        sections=sections,
    )
