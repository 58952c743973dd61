"""Names from a hostile repository are shown, quoted and counted, and never obeyed."""

from __future__ import annotations

import csv
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve import plan as make_plan
from kmpsolve.cli.apply import _arguments
from kmpsolve.cli.entry import main
from kmpsolve.errors import MetadataError
from kmpsolve.model.plan import Action, Inputs, Plan, Step
from kmpsolve.zypp import words
from kmpsolve.zypp.first_stage import relevant
from kmpsolve.zypp.lockfile import HOLD, OwnLock, own_locks, rewrite
from tests.support import rpmmd
from tests.support.packages import PackageSpec

CLEAR = "\N{CONTROL SEQUENCE INTRODUCER}2J"
NAMES = {
    "a terminal's escape in one character": f"evil{CLEAR}-kmp-default",
    "text that runs backwards": "evil\N{RIGHT-TO-LEFT OVERRIDE}gpj-kmp-default",
    "more lines": "evil\nkmpsolve: all is safe\t-kmp-default",
    "a shell's": "evil;touch$IFS/tmp/pwned;`id`$(id)-kmp-default",
    "an option": "--root=-kmp-default",
    "another package's removal": "-glibc-kmp-default",
    "a formula": "=cmd|'/C calc'!A0-kmp-default",
    "a page's": "<script>alert(1)</script><img/src=x>-kmp-default",
    "a graph's": 'evil"];n0[label="x\\"-kmp-default',
    "a way out of a folder": "../../../../tmp/pwned-kmp-default",
    "a lock's": "evil\nsolvable_name: kernel-default\n\ntype: package-kmp-default",
}


def _kernel(release: str, crc: str) -> PackageSpec:
    return PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release=release,
        provides=(f"kernel-uname-r = 6.4.0-{release}-default", f"ksym(default:kfree) = {crc}"),
    )


def _kmp(name: str, version: str, crc: str) -> PackageSpec:
    return PackageSpec(
        name=name,
        version=version,
        release="1",
        requires=(f"ksym(default:kfree) = {crc}",),
        provides=("kmod(evil.ko)", f"ksym(default:{name.partition('-kmp')[0]}) = 1"),
    )


@pytest.fixture(params=[*NAMES], ids=[*NAMES])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, list[str]]:
    """A hostile name as an installed KMP, blocked on one new kernel and rebuilt for another."""
    name = NAMES[request.param]
    rpmmd.write(tmp_path / "installed", [_kernel("1", "aa"), _kmp(name, "1", "aa")])
    offered = [_kernel("2", "bb"), _kernel("3", "cc"), _kmp(name, "2", "bb"), _kmp(name, "1.5", "dd")]
    rpmmd.write(tmp_path / "repo", [*offered, replace(_kmp(name, "7", "cc"), vendor=f"{name} Ltd.")])
    sources = ["--installed", str(tmp_path / "installed"), "--repo", f"r={tmp_path / 'repo'}"]
    return name, sources


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    said = capsys.readouterr()
    assert code in (0, 4), said.err
    assert said.err == ""
    return code, said.out


def _calm(text: str) -> None:
    wild = {c for c in text if not c.isprintable() and c != "\n"}
    assert not wild, wild


KERNELS = ("6.4.0-2", "6.4.0-3")
COMMANDS = (("plan",), ("plan", "--kernel", "latest"), ("matrix",))


def test_on_a_terminal(world: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    name, sources = world
    for command in COMMANDS:
        _calm(_run(capsys, *command, *sources)[1])
    for verb in ([], ["-v"]):
        _calm(_run(capsys, "explain", *verb, *sources, "--", name)[1])
    _, said = _run(capsys, "diff", *KERNELS, *sources[2:])
    _calm(said)


def test_in_a_page(world: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    name, sources = world
    for command in (*COMMANDS, ("diff", *KERNELS)):
        _, page = _run(
            capsys, *command, *(sources[2:] if command[0] == "diff" else sources), "--format", "html"
        )
        assert "<script>alert" not in page
        assert "<img/src" not in page
        assert "Content-Security-Policy" in page
        assert CLEAR[0] not in page
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page
    assert name


def test_in_a_spreadsheet(world: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    _, sources = world
    for command in (["matrix", *sources], ["diff", *KERNELS, *sources[2:]]):
        _, table = _run(capsys, *command, "--format", "csv")
        _calm(table)
        for row in csv.reader(io.StringIO(table, newline="")):
            for cell in row:
                assert cell[:1] not in ("=", "+", "@", "\t", "\r"), cell
                assert not cell.startswith("-") or cell == "-", cell


def test_in_a_graph(world: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    _, sources = world
    _, graph = _run(capsys, "plan", "--kernel", "6.4.0-3", "--format", "dot", *sources)
    _calm(graph)
    for line in graph.splitlines():  # outside of quotes nothing but our own words
        outside = "".join(part for n, part in enumerate(line.replace('\\"', "").split('"')) if n % 2 == 0)
        assert "touch" not in outside
        assert "n0[" not in outside


def test_in_json(world: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    name, sources = world
    for command in COMMANDS:
        _, text = _run(capsys, *command, *sources, "--format", "json")
        _calm(text)
        json.loads(text)
    plan = json.loads(_run(capsys, "plan", *sources, "--format", "json")[1])
    assert [kmp["name"] for kmp in plan["flavors"][0]["kmps"]] == [name]


def _plan(sources: list[str], kernel: str) -> Plan:
    alias, _, repository = sources[3].partition("=")
    return make_plan(installed=sources[1], repositories={alias: repository}, kernel=kernel)


def test_in_commands(world: tuple[str, list[str]]) -> None:
    """What a shell makes of a command to paste is NAME=EVR, and zypper is told nothing else by apply."""
    name, sources = world
    fetched = _plan(sources, "6.4.0-2")
    blocked = _plan(sources, "6.4.0-3")
    assert fetched.command is not None
    assert f"{name}=2-1" in shlex.split(fetched.command)
    for way in blocked.flavors[0].ways_out:
        for word in shlex.split(way.command or ""):
            assert word.count(name) == (name in word)
            assert name in word or "evil" not in word
    with pytest.raises(MetadataError) as caught:
        _arguments(fetched)
    assert caught.value.reference == "unsafe-name"


def test_in_what_the_hook_says(world: tuple[str, list[str]]) -> None:
    _, sources = world
    blocked = _plan(sources, "6.4.0-3")
    for lines in (
        words.stopped(blocked, ["zypper", f"--x={CLEAR}", "up"]),
        words.warned(blocked),
        words.passed(_plan(sources, "6.4.0-2")),
        [words.journal_line(blocked)],
        words.failure(MetadataError(CLEAR, reference="x", where=CLEAR), stops=True, arguments=["zypper"]),
    ):
        for line in lines:
            assert line.isprintable(), line


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_in_locks(name: str, tmp_path: Path) -> None:
    """A name that is no package's is not locked; the file has no line that it decides."""
    locks = tmp_path / "locks"
    good = OwnLock(name="kernel-default", evr="1:6.4.0~rc1-2", comment=HOLD)
    evil = [OwnLock(name=name, evr="1-1", comment=HOLD), OwnLock(name="ok", evr=f"1\n{name}", comment=HOLD)]
    rewrite(locks, [good, *evil], frozenset((HOLD,)))
    assert own_locks(locks.read_text()) == (good,)
    assert locks.read_text() == good.block() + "\n"


def test_the_first_stage_gives_rpm_no_option() -> None:
    """Names that could be options are no reason to ask rpm; the second stage looks at them."""
    assert relevant([("M", "--pipe=touch /tmp/pwned")])
    assert relevant([("M", "-e")])


def _planned(command: str, *steps: Step) -> Plan:
    inputs = Inputs(root="/", repositories=(), skipped=())
    return Plan(verdict="safe", complete=True, inputs=inputs, flavors=(), transaction=steps, command=command)


def _step(action: Action, nevra: str) -> Step:
    return Step(action=action, nevra=nevra, repository=None)


def test_apply_names_packages_behind_two_dashes() -> None:
    plan = _planned(
        "zypper install --oldpackage -- gcc-c++=7-1 k=1:2~rc1^git1-3 -b=2-1",
        _step("install", "gcc-c++-7-1.x86_64"),
        _step("downgrade", "k-1:2~rc1^git1-3.noarch"),
        _step("erase", "b-2-1.x86_64"),
    )
    assert _arguments(plan) == ["install", "--oldpackage", "--", "gcc-c++=7-1", "k=1:2~rc1^git1-3", "-b=2-1"]


@pytest.mark.parametrize("action", ["install", "upgrade", "erase"])
@pytest.mark.parametrize("name", ["-glibc", "--root", "+x", "!glibc", "~glibc", "a b", "a;b", "", "a=1"])
def test_apply_refuses_names_that_zypper_would_read_otherwise(action: Action, name: str) -> None:
    plan = _planned(f"zypper install {name}=1-1", _step(action, f"{name}-1-1.x86_64"))
    with pytest.raises((MetadataError, ValueError)):
        _arguments(plan)


def test_errors_are_neutralised_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A location in repomd.xml with a terminal's escape."""
    repodata = tmp_path / "repodata"
    repodata.mkdir()
    (repodata / "repomd.xml").write_text(
        '<repomd><data type="primary"><checksum type="sha256">00</checksum>'
        f'<location href="/{CLEAR}"/></data></repomd>'
    )
    for arguments in (
        ["matrix", "--repo", f"{CLEAR}={tmp_path}"],
        ["plan", "--root", f"/{CLEAR}"],
        [CLEAR],
        ["audit", "--exit-style", "nagios", f"/{CLEAR}"],
    ):
        assert main(arguments) in (2, 3)
        said = capsys.readouterr()
        _calm(said.err + said.out)
