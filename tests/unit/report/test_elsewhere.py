"""Commands for a system below another root."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import kmpsolve
from kmpsolve.report.elsewhere import command_of_release, typed_here

CHECKOUT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", ["blocked", "safe"])
def test_no_command_is_one_for_this_machine(kind: str) -> None:
    demo = CHECKOUT / "repos/demo" / kind
    repositories = {path.name: path for path in (demo / "repositories").iterdir()}
    plan = kmpsolve.plan(installed=demo / "installed", repositories=repositories)
    assert typed_here(plan, "/") is typed_here(plan, None) is plan
    there = typed_here(plan, "/srv/a b")
    before, after = (
        [one.command, *(way.command for flavor in one.flavors for way in flavor.ways_out)]
        for one in (plan, there)
    )
    assert any(before)
    for here, elsewhere in zip(before, after, strict=True):
        assert elsewhere == (
            here
            and here.replace("zypper ", "zypper --root '/srv/a b' ").replace(
                "guard on", "guard on --root '/srv/a b'"
            )
        )
    assert replace(there, command=plan.command, flavors=plan.flavors) == plan


def test_another_release_is_named_where_zypper_reads_repositories() -> None:
    for command, named in (
        ("zypper install --no-recommends a=1-1", "zypper --releasever '15 7' install --no-recommends a=1-1"),
        ("kmpsolve guard on && zypper up", "kmpsolve guard on && zypper up"),
        (None, None),
    ):
        assert command_of_release(command, "15 7") == named
        assert command_of_release(command, None) == command
