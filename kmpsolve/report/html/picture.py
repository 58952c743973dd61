"""The graph of causes as a layered picture: effects above, causes below (grandalf's Sugiyama layout)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout
from markupsafe import Markup

from kmpsolve.explain.graph import Node, folded
from kmpsolve.report.html.page import render_part
from kmpsolve.report.words import label

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["picture"]

_CHARACTER, _LINE, _MARGIN = 8.0, 16, 10


@dataclass
class _Box:
    """What grandalf wants to know of a vertex, and where it puts it."""

    w: float
    h: float
    xy: tuple[float, float] = (0.0, 0.0)


def picture(graph: nx.DiGraph[Node], title: str, description: str, most: int = 30) -> Markup:
    """Draw a graph of causes.

    Parameters
    ----------
    description
        What a screen reader says instead; the same facts stand in the text beside it.
    most
        Number of nodes; the rest is folded.
    """
    small = folded(graph, most)
    nodes = sorted(small)
    vertices = {node: Vertex(node) for node in nodes}
    for node, vertex in vertices.items():
        lines = label(node.kind, node.names, node.text)
        vertex.view = _Box(max(map(len, lines)) * _CHARACTER + 20, len(lines) * _LINE + 12)
    edges = [Edge(vertices[a], vertices[b]) for a, b in sorted(small.edges)]
    drawn: list[dict[str, Any]] = []
    left = _MARGIN
    bottom = 0.0
    for core in Graph(list(vertices.values()), edges).C:
        layout = SugiyamaLayout(core)
        layout.xspace, layout.yspace = 24, 40
        layout.init_all(optimize=True)
        layout.draw(8)
        members = [vertex for vertex in nodes if vertices[vertex].c is core]
        boxes = {node: vertices[node].view for node in members}
        x0 = min(box.xy[0] - box.w / 2 for box in boxes.values())
        y0 = min(box.xy[1] - box.h / 2 for box in boxes.values())
        for node, box in boxes.items():
            drawn.append(
                {
                    "node": node,
                    "kind": node.kind,
                    "x": round(box.xy[0] - box.w / 2 - x0 + left),
                    "y": round(box.xy[1] - box.h / 2 - y0 + _MARGIN),
                    "width": round(box.w),
                    "height": round(box.h),
                    "lines": label(node.kind, node.names, node.text),
                }
            )
        left = round(max(entry["x"] + entry["width"] for entry in drawn)) + 24
        bottom = max(entry["y"] + entry["height"] for entry in drawn)
    places = {entry["node"]: entry for entry in drawn}
    return render_part(
        "picture",
        title=title,
        description=description,
        width=left - 24 + _MARGIN,
        height=round(bottom) + _MARGIN,
        edges=[_path(places[a], places[b]) for a, b in sorted(small.edges)],
        nodes=drawn,
    )


def _path(a: dict[str, Any], b: dict[str, Any]) -> str:
    """A curve from the lower edge of `a` to the upper edge of `b`, or from side to side within a layer."""
    ax, bx = a["x"] + a["width"] / 2, b["x"] + b["width"] / 2
    if a["y"] < b["y"]:
        y1, y2 = a["y"] + a["height"], b["y"]
    else:
        y1, y2 = a["y"], b["y"] + b["height"]
    middle = (y1 + y2) / 2
    return f"M{ax:.0f} {y1:.0f}C{ax:.0f} {middle:.0f} {bx:.0f} {middle:.0f} {bx:.0f} {y2:.0f}"
