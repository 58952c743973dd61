"""The text of every fixture, as it is printed into a pipe; each snapshot was read by a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from kmpsolve.cli import main
from tests.scenarios import runner
from tests.support import fixture, rpmmd
from tests.support.worlds import Kernel, Kmp, Tool

NAMES = fixture.names()
BLOCKED = [
    name
    for name in NAMES
    if (expected := fixture.load(name).expected).verdict == "blocked" and len(expected.flavors) == 1
]
WIDTHS = (40, 60, 80, 100, 132, 200)


def _text(name: str, work: Path, *words: str) -> str:
    answer = runner.ask(fixture.load(name), "rpm-md", work, *(words or ("plan",)))
    assert answer.stderr == ""
    assert str(work) not in answer.stdout
    return answer.stdout


@pytest.mark.parametrize("name", NAMES)
def test_plan(name: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    assert _text(name, tmp_path) == snapshot


@pytest.mark.parametrize("name", BLOCKED)
def test_fifteen_lines_tell_the_cause_and_the_first_way_out(name: str, tmp_path: Path) -> None:
    head = _text(name, tmp_path).splitlines()[:15]
    assert any("BLOCKED" in line for line in head[:2])
    expected = next(iter(fixture.load(name).expected.flavors.values()))
    if expected.ways_out or expected.newest_safe:
        assert any(line.startswith("  1. ") for line in head), head
    for kmp, answer in expected.kmps.items():
        if answer.decision == "blocked" and not answer.waived:
            assert any(kmp in line for line in head)
            first = sorted(m for m in answer.mismatches if m[1] == "disagrees")[:1]
            alone = sum(k.decision == "blocked" for k in expected.kmps.values()) == 1
            if first and alone:
                assert any(first[0][0] in line and first[0][2] in line for line in head)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["demo-blocked", "geckolinux-exact-kernel", "conflict", "cycle-blocked"])
def test_no_width_cuts_a_package_name_or_a_command(
    name: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kmpsolve.report import terminal

    wide = _text(name, tmp_path, "plan")
    monkeypatch.setattr(terminal.Terminal, "of", lambda *_, **__: terminal.Terminal(width=width))
    work = tmp_path / "again"
    work.mkdir()
    narrow = _text(name, work, "plan")
    names = {word.strip(",;:()") for word in wide.split() if "150600" in word or "-kmp-" in word}
    assert names
    assert names <= {word.strip(",;:()") for word in narrow.split()}
    commands = [line.strip() for line in wide.splitlines() if line.strip().startswith("zypper ")]
    for command in commands:
        assert command in narrow
    for line in narrow.splitlines():
        free = not any(word in line for word in ("zypper ", "kmpsolve ")) and len(line.split()) > 1
        assert len(line) <= width or not free, line


@pytest.mark.parametrize("name", ["demo-blocked", "demo-safe", "no-symbol-versions"])
def test_colours_only_add_to_the_text(name: str, tmp_path: Path) -> None:
    import re

    plain = _text(name, tmp_path, "plan")
    (tmp_path / "b").mkdir()
    coloured = _text(name, tmp_path / "b", "plan", "--color", "always")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b" not in plain


def test_no_color_wins_on_a_terminal(tmp_path: Path) -> None:
    """`script` gives kmpsolve a terminal of its own."""
    import os
    import subprocess
    import sys

    demo = Path(__file__).parents[3] / "repos" / "demo" / "blocked"
    words = [sys.executable, "-m", "kmpsolve", "plan", "--installed", str(demo / "installed")]
    for repository in sorted((demo / "repositories").iterdir()):
        words += ["--repo", str(repository)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    seen = []
    for extra in ({}, {"NO_COLOR": "1"}):
        done = subprocess.run(
            ["script", "--quiet", "--return", "--command", " ".join(words), "/dev/null"],
            env={**environment, **extra},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 4
        assert "BLOCKED" in done.stdout
        seen.append("\x1b[1;38;5;208mBLOCKED" in done.stdout)
    assert seen == [True, False]


def test_named_reports(tmp_path: Path) -> None:
    """The reports that this project exists for, told as their reporters would have needed it."""
    for name, facts in {
        "kiwi-ethercat-rt": ("__SCK__tp_func_xdp_exception  wants 67b736ee", "works up to 6.4.0-150600.6.12"),
        "geckolinux-exact-kernel": ("it was built for kernel 6.3.4-1-default and no other",),
        "openzfs-wait-on-bit": (
            "out_of_line_wait_on_bit  wants 3c0b1d22, kernel has 11223344",
            "wake_up_bit              wants 4a5b6c7d, kernel has 90ab12cd",
            "tried  2.3.4 (installed), 2.3.5 (filesystems): the same 2",
        ),
        "lustre-on-zfs": (
            "reuse  lustre-osd-zfs-kmp-default",
            "fetch  zfs-kmp-default",
            "0.7.13_k4.12.14_122.26-1",
        ),
    }.items():
        work = tmp_path / name
        work.mkdir()
        text = _text(name, work)
        for fact in facts:
            assert fact in text


def test_several_builds_fit(tmp_path: Path) -> None:
    """The kernel that they fit needs what nobody has."""
    kernels = [Kernel(release=f"{number}0.1", ksyms="a=1") for number in (1, 2)]
    old, new = kernels[0].spec(), replace(kernels[1].spec(), requires=("editor",))
    builds = [Kmp(name="acme", krel="6.4.0-20", version=version, symbols="a=1") for version in ("2.0", "2.1")]
    driver = Kmp(name="acme", krel="6.4.0-10", symbols="a=1")
    words = [
        "--installed",
        str(rpmmd.write(tmp_path / "installed", [old, driver.spec(), Tool(name="bash").spec()])),
    ]
    words += ["--repo", f"r={rpmmd.write(tmp_path / 'r', [new, *(build.spec() for build in builds)])}"]
    text = " ".join(runner.kmpsolve(["plan", *words]).stdout.split())
    assert "1.0 (installed), 2.0 (r) and 2.1 (r) fit kernel 6.4.0-20.1, but cannot be installed" in text


def test_help_of_every_verb_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("plan", "explain", "matrix", "diff"):
        with pytest.raises(SystemExit) as stopped:
            main([verb, "--help"])
        assert stopped.value.code == 0
        assert f"\n  kmpsolve {verb}" in capsys.readouterr().out
