"""The graph of causes for graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from kmpsolve.explain.graph import Node, explain
from kmpsolve.explain.story import Stories
from kmpsolve.model.plan import Plan
from kmpsolve.report.terminal import printable
from kmpsolve.report.text import flavor_verdict
from kmpsolve.report.words import label

__all__ = ["render_dot"]

_SHAPES = {"kmp": "box", "kernel": "cylinder", "symbols": "note", "repository": "folder", "more": "plaintext"}


def render_dot(plan: Plan, stories: Stories) -> str:
    """A digraph with a cluster for each flavor; an arrow leads from an effect to its cause."""
    lines = ["digraph causes {", '  rankdir=TB; node [fontname="monospace", fontsize=10, shape=ellipse];']
    for index, flavor in enumerate(plan.flavors):
        lines += [
            f"  subgraph cluster_{index} {{",
            f"    label={_quoted(f'kernel-{flavor.flavor}: {flavor_verdict(flavor)}')};",
        ]
        if flavor.verdict == "blocked":
            explanation = explain(flavor, plan.inputs, stories)
            names = {node: f"n{index}_{number}" for number, node in enumerate(sorted(explanation.graph))}
            lines += _nodes(names)
            lines += [f"    {names[a]} -> {names[b]};" for a, b in sorted(explanation.graph.edges)]
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def _nodes(names: dict[Node, str]) -> Iterator[str]:
    for node, name in names.items():
        text = "\n".join(label(node.kind, node.names, node.text))
        yield f"    {name} [label={_quoted(text)}, shape={_SHAPES.get(node.kind, 'ellipse')}];"


def _quoted(text: str) -> str:
    lines = (printable(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n"))
    return '"' + "\\n".join(lines) + '"'
