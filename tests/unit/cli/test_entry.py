"""The way in: exit codes, one line for each error, nothing else on stdout."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

import kmpsolve
from kmpsolve.cli import main
from kmpsolve.errors import UsageError
from tests.support import rpmmd
from tests.support.packages import PackageSpec


def _kernel(release: str, crc: str = "1") -> PackageSpec:
    uname = f"6.4.0-{release.rpartition('.')[0]}-default"
    return PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release=release,
        provides=(f"kernel-uname-r = {uname}", "multiversion(kernel)", f"ksym(default:a) = {crc}"),
    )


@pytest.fixture
def world(tmp_path: Path) -> list[str]:
    kmp = PackageSpec(
        name="acme-kmp-default",
        version="1_k6.4.0_1",
        release="1",
        vendor="ACME",
        provides=("kmod(acme.ko)",),
        requires=("ksym(default:a) = 1",),
    )
    rpmmd.write(tmp_path / "installed", [_kernel("1.1"), kmp])
    rpmmd.write(tmp_path / "repo", [_kernel("2.1", "2"), _kernel("1.2")])
    return ["plan", "--installed", str(tmp_path / "installed"), "--repo", f"sle={tmp_path / 'repo'}"]


def test_blocked_is_exit_4(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*world, "--format", "json"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out)["verdict"] == "blocked"
    assert err == ""


def test_a_named_kernel_is_planned_for(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*world, "--format", "json", "--kernel", "6.4.0-1.2"]) == 0
    target = json.loads(capsys.readouterr().out)["flavors"][0]["target"]
    assert target["nevra"] == "kernel-default-6.4.0-1.2.x86_64"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--kernel", "9.9-9"], 3, "--kernel: no kernel 9.9-9 is installed or in a repository"),
        (["--flavor", "rt"], 3, "--flavor: no kernel of flavor rt is installed"),
        (["--config", "/nowhere.toml"], 3, "/nowhere.toml: there is no such file"),
        (["--config", "/"], 3, "/: is no regular file"),
        (["--frobnicate"], 2, "unrecognized arguments: --frobnicate"),
        (["--format", "pdf"], 2, "invalid choice: 'pdf'"),
        (["-o", "/nowhere/plan.txt"], 3, "/nowhere/plan.txt: cannot be written: No such file or directory"),
        (["--root", "/nowhere"], 3, "/nowhere"),
        (["--repo", "sle=/other"], 2, "--repo: two repositories have the alias sle"),
        (["--repo", "sle"], 2, "--repo: two repositories have the alias sle"),
        (["--repo", "@System=/other"], 2, "--repo: @System stands for what is installed"),
        (["--root", ""], 2, "--root is empty"),
        (["--root="], 2, "--root is empty"),
        (["--strict", "--repo", ""], 2, "--repo is empty"),
    ],
)
def test_errors(
    world: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    assert main([*world, *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err.splitlines()[0]
    assert err.startswith("kmpsolve: ")
    assert len(err.splitlines()) == 2  # what is wrong, and what to do


@pytest.mark.parametrize(
    "wrong",
    [
        ["--config", "/nowhere.toml"],
        ["--installed", "/nowhere"],
        ["--kernel", "9.9-9"],
        ["-o", "/nowhere/plan.txt"],
    ],
)
def test_that_there_is_no_repository_comes_before_other_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    (tmp_path / "etc/zypp/repos.d").mkdir(parents=True)
    assert main(["plan", "--root", str(tmp_path), *wrong]) == 6
    assert "no repository is defined or enabled" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["check", "/nowhere.rpm"],
        ["check", "/nowhere.rpm", "--kernel", "9"],
        ["suggest", "--devices", "/nowhere"],
        ["audit", "/nowhere", "--baseline", "/nowhere"],
        ["diff", "1", "2", "--rules", "/nowhere"],
    ],
    ids=lambda words: " ".join(words),
)
def test_the_same_for_the_other_verbs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (tmp_path / "etc/zypp/repos.d").mkdir(parents=True)
    assert main([*words, "--root", str(tmp_path)]) == 6
    assert "no repository is defined or enabled" in capsys.readouterr().err


def test_a_repository_that_cannot_be_read_makes_safe_unverified(
    world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    safe = [*world, "--kernel", "6.4.0-1.2", "--format", "json"]
    assert main([*safe, "--repo", f"broken={tmp_path / 'nothing'}"]) == 110
    plan = json.loads(capsys.readouterr().out)
    assert (plan["verdict"], plan["complete"]) == ("unverified", False)
    assert [one["alias"] for one in plan["inputs"]["skipped"]] == ["broken"]
    assert main([*safe, "--repo", f"broken={tmp_path / 'nothing'}", "--strict"]) == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["explain", "acme", "--kernel", "6.4.0-1.2"], 110),
        (["matrix"], 0),
        (["diff", "6.4.0-1.1", "6.4.0-1.2"], 0),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else None,
)
def test_who_cannot_show_what_was_not_read_says_so(
    world: list[str], capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    asked = [*words, *world[1:], "--repo", "home:broken=/nowhere/at/all"]
    assert main(asked) == code
    out, err = capsys.readouterr()
    assert out
    assert err == "kmpsolve: not read: home:broken: /nowhere/at/all does not exist\n"
    assert main([*asked, "--quiet"]) == code
    assert capsys.readouterr().err == ""


def test_the_only_repository_must_be_readable(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*world[:3], "--repo", "gone=/nowhere/at/all"]) == 3
    assert "gone: /nowhere/at/all does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(".", "{here}"), ("./system/", "{here}/system"), ("//", "/"), ("//srv//x/", "/srv/x"), ("/.", "/")],
)
def test_a_root_is_named_from_the_top(
    typed: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """zypper refuses a relative one, and the machine itself is known by its name."""
    roots: list[str] = []

    def note(options: argparse.Namespace) -> int:
        roots.append(options.root)
        return 0

    monkeypatch.setattr("kmpsolve.cli.plan.run", note)
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "--root", typed]) == 0
    assert roots == [meant.format(here=tmp_path)]


def test_no_verb_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "plan" in capsys.readouterr().out


def test_a_closed_pipe_is_no_error(world: list[str]) -> None:
    command = " ".join([sys.executable, "-m", "kmpsolve", *world, "--format", "json"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_same_input_same_bytes(world: list[str]) -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "kmpsolve", *world, "--format", "json"],
            capture_output=True,
            check=False,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(outputs) == 1
    assert b"blocked" in outputs.pop()


def test_bytes_that_are_no_text_in_multiversion_name_no_package(
    world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "root/etc/zypp/multiversion.d/own"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"kernel\xff\nprovides:\xff\nprovides:multiversion(kernel)\n")
    assert main([*world, "--root", str(tmp_path / "root"), "--kernel", "6.4.0-1.2", "--format", "json"]) == 0
    steps = json.loads(capsys.readouterr().out)["transaction"]
    assert [step["action"] for step in steps] == ["install"]


def test_repositories_without_an_alias_may_end_alike(
    world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        rpmmd.write(tmp_path / name / "repo", [_kernel("2.1", "2" if name == "a" else "1")])
    places = [str(tmp_path / name / "repo") for name in ("a", "b")]
    main([*world[:3], "--repo", places[0], "--repo", places[1] + "/", "--format", "json"])
    read = json.loads(capsys.readouterr().out)["inputs"]["repositories"]
    assert [one["alias"] for one in read] == [places[0], places[1] + "/"]


@pytest.mark.parametrize("aliases", [("a", "a"), ("@System", "a")])
def test_programs_name_repositories_apart_too(aliases: tuple[str, str], tmp_path: Path) -> None:
    folder = rpmmd.write(tmp_path / "repo", [_kernel("1.1")])
    with pytest.raises(UsageError):
        kmpsolve.plan(installed=folder, repositories=[(alias, str(folder)) for alias in aliases])


def test_a_repository_that_is_given_twice_counts_once(
    world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "repo")
    main([*world[:3], "--repo", place, "--repo", place, "--format", "json"])
    read = json.loads(capsys.readouterr().out)["inputs"]["repositories"]
    assert [(one["alias"], one["source"]) for one in read] == [("repo", place)]


@pytest.mark.parametrize("below", [("",), ("/repo", "/other/repo")])
def test_an_alias_made_from_an_address_has_no_password(
    below: tuple[str, ...], world: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = [f"http://me:secret@127.0.0.1:99999{path}" for path in below]
    given = [word for address in addresses for word in ("--repo", address)]
    assert main([*world, *given, "--format", "json"]) == 4
    out, err = capsys.readouterr()
    assert len(json.loads(out)["inputs"]["skipped"]) == len(below)
    assert "secret" not in out + err


def test_a_name_of_megabytes_does_not_fill_the_log(
    world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged file has keys of any length; where and what is wrong is told all the same."""
    config = tmp_path / "kmpsolve.toml"
    config.write_text(f"{'a' * 3_000_000} = 1\n")
    assert main([*world, "--config", str(config)]) == 3
    error = capsys.readouterr().err
    assert len(error) < 3000
    assert str(config) in error and "known keys" in error


def test_a_python_that_has_lost_what_it_needs(world: list[str]) -> None:
    """No bug: whoever updates the system's Python, or removes what nobody seems to need, comes to that."""
    without = (
        "import sys; sys.modules['solv'] = None; from kmpsolve.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", without, *world], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.splitlines()[0] == (
        f"kmpsolve: {sys.executable}: has no module solv any more, which kmpsolve needs"
    )
