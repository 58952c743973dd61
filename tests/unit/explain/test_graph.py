"""The graph of causes is simplified before anybody prints it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from kmpsolve.explain.graph import Explanation, Node, explain, folded
from kmpsolve.explain.story import Stories, stories
from kmpsolve.model.plan import FlavorPlan, Plan
from tests.scenarios import runner
from tests.support import fixture


class _Kept:
    """What the plan was made from, caught on its way to the renderer."""

    plan: Plan
    told: Stories


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> _Kept:
    found = _Kept()

    def keep(plan: Plan, *_: Any) -> str:
        found.plan = plan
        return ""

    def tell(*words: Any) -> Stories:
        found.told = stories(*words)
        return found.told

    monkeypatch.setattr("kmpsolve.report.text.render_plan", keep)
    monkeypatch.setattr("kmpsolve.explain.story.stories", tell)
    return found


def _explained(name: str, work: Path, kept: _Kept) -> tuple[FlavorPlan, Explanation]:
    runner.ask(fixture.load(name), "rpm-md", work, "plan")
    flavor = next(flavor for flavor in kept.plan.flavors if flavor.verdict == "blocked")
    return flavor, explain(flavor, kept.plan.inputs, kept.told)


def test_builds_that_fail_for_the_same_symbols_are_one(tmp_path: Path, kept: _Kept) -> None:
    _, found = _explained("demo-blocked", tmp_path, kept)
    (root,) = found.roots
    (fate,) = root.fates
    assert len(fate.builds) == 2
    assert [node.kind for node in found.graph if node.kind == "builds"] == ["builds"]


def test_builds_that_fail_differently_are_not(tmp_path: Path, kept: _Kept) -> None:
    _, found = _explained("rebuild-fails-too", tmp_path, kept)
    assert [fate.count for fate in found.roots[0].fates] == [1, 2]


def test_a_chain_is_told_once_and_from_its_cause(tmp_path: Path, kept: _Kept) -> None:
    _, found = _explained("chain-lower-blocked", tmp_path, kept)
    (root,) = found.roots
    assert [kmp.name for kmp in root.kmps] == ["bus-kmp-default"]
    (fall,) = root.falls
    assert (fall.name, fall.symbols, fall.cause) == ("disk-kmp-default", ("bus_register",), "bus-kmp-default")
    disk, kernel = Node("kmp", ("disk-kmp-default",)), next(n for n in found.graph if n.kind == "kernel")
    path = nx.shortest_path(found.graph, disk, kernel)
    assert [node.kind for node in path] == ["kmp", "symbols", "kmp", "builds", "symbols", "kernel"]


def test_a_cycle_does_not_hide_its_cause(tmp_path: Path, kept: _Kept) -> None:
    _, found = _explained("cycle-blocked", tmp_path, kept)
    (root,) = found.roots
    assert root.kmps[0].name == "left-kmp-default"
    assert [fall.name for fall in root.falls] == ["right-kmp-default"]


def test_a_kmp_behind_a_rebuilt_one_is_a_cause_of_its_own(tmp_path: Path, kept: _Kept) -> None:
    _, found = _explained("chain-only-lower-rebuilt", tmp_path, kept)
    (root,) = found.roots
    assert root.kmps[0].name == "disk-kmp-default"
    assert not root.falls


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("vendor-other", "refused", "of another vendor"),
        ("locked-kmp", "refused", "locked"),
        ("retracted-kmp", "refused", "retracted"),
        ("conflict", "package", "conflicts with acme-legacy-1.0-1.x86_64"),
        ("companion-missing", "package", "nothing provides acme-firmware >= 2.2"),
        ("user-space-pinned", "package", "acme-tools-2.1-1.x86_64 requires acme-kmp = 2.1"),
        ("module-dropped", "module", "offers acme_rdma.ko"),
        ("falls-back-to-in-tree", "module", "own modules would load"),
    ],
)
def test_what_stands_in_the_way(name: str, kind: str, text: str, tmp_path: Path, kept: _Kept) -> None:
    _, found = _explained(name, tmp_path, kept)
    assert any(text in node.text for node in found.graph if node.kind == kind)


def test_a_repository_that_was_not_read_is_a_cause(tmp_path: Path, kept: _Kept) -> None:
    from kmpsolve.model.plan import SkippedInput

    flavor, _ = _explained("abort", tmp_path, kept)
    inputs = replace(kept.plan.inputs, skipped=(SkippedInput(alias="acme", reason="refresh failed"),))
    found = explain(flavor, inputs, kept.told)
    assert Node("repository", ("acme",), "was not read") in found.graph


def test_broken_before_stands_apart(tmp_path: Path, kept: _Kept) -> None:
    _, found = _explained("already-broken-blocks", tmp_path, kept)
    assert not found.roots
    assert [kmp.name for kmp in found.broken_before] == ["acme-kmp-default"]


def test_kmps_that_fail_for_the_same_symbols_are_told_together(tmp_path: Path, kept: _Kept) -> None:
    flavor, _ = _explained("abort", tmp_path, kept)
    twin = replace(flavor.kmps[0], name="acme-twin-kmp-default")
    both = explain(replace(flavor, kmps=(flavor.kmps[0], twin)), kept.plan.inputs, {})
    (root,) = both.roots
    assert [kmp.name for kmp in root.kmps] == ["acme-kmp-default", "acme-twin-kmp-default"]


def test_without_stories_builds_are_told_apart_by_their_number(tmp_path: Path, kept: _Kept) -> None:
    flavor, _ = _explained("rebuild-fails-too", tmp_path, kept)
    found = explain(flavor, kept.plan.inputs, {})
    assert [(fate.count, fate.mismatches) for fate in found.roots[0].fates] == [(1, None), (2, None)]


def test_folding_keeps_the_causes_and_counts_the_rest() -> None:
    graph: nx.DiGraph[Node] = nx.DiGraph()
    kernel = Node("kernel", ("kernel-default-1-1.x86_64",))
    for number in range(50):
        kmp, symbols = Node("kmp", (f"kmp{number:02}",)), Node("symbols", (f"s{number:02}",), "gone")
        graph.add_edges_from([(kmp, symbols), (symbols, kernel)])
    small = folded(graph, 30)
    assert small.number_of_nodes() <= 30
    assert kernel in small
    rest = sum(int(node.names[0]) for node in small if node.kind == "more")
    assert rest + sum(node.kind not in ("more", "kernel") for node in small) == 100
    assert all(nx.has_path(small, node, kernel) for node in small)
    assert graph.number_of_nodes() == 101


def test_networkx_is_imported_only_where_something_is_explained() -> None:
    demo = Path(__file__).parents[3] / "repos" / "demo"
    code = (
        "import sys; from kmpsolve.cli import main; code = main(sys.argv[1:]); "
        "print('networkx' in sys.modules, 'jinja2' in sys.modules, code, file=sys.stderr)"
    )
    seen = {}
    for name in ("safe", "blocked"):
        words = ["plan", "--installed", str(demo / name / "installed")]
        for repository in sorted((demo / name / "repositories").iterdir()):
            words += ["--repo", str(repository)]
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
        )
        seen[name] = done.stderr.split()
    assert seen == {"safe": ["False", "False", "0"], "blocked": ["True", "False", "4"]}
