"""Man pages and completions are those of the parser, and real shells complete with them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kmpsolve.cli.entry import VERBS

CHECKOUT = Path(__file__).parents[3]


def _manual() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manual", CHECKOUT / "tools" / "manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_is_what_the_parser_says() -> None:
    files = _manual().files()
    stale = [name for name, text in files.items() if (CHECKOUT / name).read_text(encoding="utf-8") != text]
    assert not stale, "run tools/manual.py"
    present = {f"docs/man/{path.name}" for path in (CHECKOUT / "docs" / "man").glob("*.1")}
    assert present == {name for name in files if name.startswith("docs/man")}
    assert {f"docs/man/kmpsolve-{verb}.1" for verb in VERBS} < present


@pytest.mark.parametrize("page", sorted((CHECKOUT / "docs" / "man").glob("*.1")), ids=lambda page: page.stem)
def test_man_has_no_complaint(page: Path) -> None:
    done = subprocess.run(
        ["man", "--warnings", "--local-file", "-Tutf8", str(page)],
        env={**os.environ, "MANWIDTH": "80", "MAN_KEEP_FORMATTING": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    for heading in ("NAME", "SYNOPSIS", "EXIT STATUS", "SEE ALSO"):
        assert heading in re.sub(".\b", "", done.stdout)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """What libzypp leaves for completions: name, version-release and architecture of every package."""
    for alias, lines in {
        "@System": "acme-storage-kmp-default\t2.1-1\tx86_64\nkernel-default\t6.4.0-150600.23.25.1\tx86_64\n",
        "updates": "kernel-default\t6.4.0-150600.23.30.1\tx86_64\nkernel-firmware\t2024-1\tnoarch\n"
        "acme-storage-kmp-default\t2.2-1\tx86_64\nacme-nic-kmp-rt\t1-1\tx86_64\npatch:SUSE-1\t1\tnoarch\n"
        "acme-nic-kmp-rt-debuginfo\t1-1\tx86_64\n",
    }.items():
        (tmp_path / alias).mkdir()
        (tmp_path / alias / "solv.idx").write_text(lines)
    return tmp_path


CASES = [
    ("kmpsolve expl", {"explain"}),
    ("kmpsolve explain acme", {"acme-storage-kmp-default"}),
    ("kmpsolve matrix acme-n", {"acme-nic-kmp-rt"}),
    ("kmpsolve plan --kernel 6.4.0-150600.23.", {"6.4.0-150600.23.25.1", "6.4.0-150600.23.30.1"}),
    ("kmpsolve plan --kernel newest", {"newest-safe"}),
    ("kmpsolve plan --format ht", {"html"}),
    ("kmpsolve plan --flavor r", {"rt"}),
    ("kmpsolve diff 6.4.0-150600.23.3", {"6.4.0-150600.23.30.1"}),
    ("kmpsolve diff latest", set()),
    ("kmpsolve plan --strict --vers", set()),
    ("kmpsolve plan --insta", {"--installed"}),
]


def _run(words: list[str], cache: Path) -> str:
    environment = {**os.environ, "KMPSOLVE_SOLV_CACHE": str(cache), "HOME": str(cache), "TERM": "dumb"}
    done = subprocess.run(
        words, env=environment, cwd=cache, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash(line: str, expected: set[str], cache: Path) -> None:
    script = (
        f'source {CHECKOUT}/completions/kmpsolve.bash; read -ra COMP_WORDS <<<"$1"; '
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _kmpsolve; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    found = set(_run(["bash", "-uc", script, "bash", line], cache).split())
    assert found == expected


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_fish(line: str, expected: set[str], cache: Path) -> None:
    script = f"source {CHECKOUT}/completions/kmpsolve.fish; complete --do-complete '{line}'"
    found = {row.split("\t")[0] for row in _run(["fish", "--no-config", "-c", script], cache).splitlines()}
    if line.startswith("kmpsolve explain"):
        assert expected <= found
    else:
        assert found == expected


@pytest.fixture
def folder(cache: Path) -> Path:
    """Where somebody may be: files whose names are no plain words, and a folder called as a verb is."""
    place = cache / "place"
    (place / "plan").mkdir(parents=True)
    for name in ("my driver.rpm", "my*.rpm", "json"):
        (place / name).touch()
    return place


BASH_WORDS = [
    (("check", "my"), {"my driver.rpm", "my*.rpm"}),
    (("plan", "--repo", "mine", "=", "my"), {"my driver.rpm", "my*.rpm"}),
    (("plan", "--format", "=", "js"), {"json"}),
    (("plan", "--kernel", "="), {"latest", "newest-safe", "6.4.0-150600.23.25.1", "6.4.0-150600.23.30.1"}),
]


@pytest.mark.parametrize(("words", "expected"), BASH_WORDS)
def test_bash_words(words: tuple[str, ...], expected: set[str], cache: Path, folder: Path) -> None:
    """As bash parts a line: ``=`` is a word of its own, and a name with a blank is one."""
    script = (
        f'source {CHECKOUT}/completions/kmpsolve.bash; COMP_WORDS=("$@"); cd place; '
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _kmpsolve; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    assert folder.is_dir()
    assert set(_run(["bash", "-uc", script, "bash", "kmpsolve", *words], cache).splitlines()) == expected


BASH = r"""
import os, pty, re, select, sys
child, terminal = pty.fork()
if not child:
    os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
def send(text, awaited):
    seen = ""
    os.write(terminal, text.encode())
    while awaited not in seen and select.select([terminal], [], [], 10)[0]:
        seen += os.read(terminal, 4096).decode()
    return seen
send(f"source {sys.argv[1]}; PS1=rea''dy\n", "ready")  # readline has the terminal before it prompts
print(repr(send(sys.argv[2] + "\tx", "x")))
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kmpsolve pla", "kmpsolve plan x"),  # not plan/
        ("kmpsolve check my\\ d", "kmpsolve check my\\\\ driver.rpm x"),
        ("kmpsolve plan --format=js", "kmpsolve plan --format=json x"),
    ],
)
def test_bash_at_a_terminal(line: str, expected: str, cache: Path, folder: Path) -> None:
    inner = [sys.executable, "-c", f"import os; os.chdir({str(folder)!r})\n{BASH}"]
    assert expected in _run([*inner, f"{CHECKOUT}/completions/kmpsolve.bash", line], cache)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kmpsolve matrix ", set()),
        ("kmpsolve plan --kernel ", {"latest", "newest-safe"}),
        ("kmpsolve plan --format=", {"--format=text", "--format=json", "--format=html", "--format=dot"}),
        ("kmpsolve check my", {"my driver.rpm", "my*.rpm"}),
    ],
)
def test_fish_without_a_cache(line: str, expected: set[str], folder: Path) -> None:
    """Nothing is complained of, and only what takes a file is offered one."""
    script = f"source {CHECKOUT}/completions/kmpsolve.fish; complete --do-complete '{line}' 2>&1"
    found = {row.split("\t")[0] for row in _run(["fish", "--no-config", "-c", script], folder).splitlines()}
    assert found == expected


EVIL = "x-kmp-$(touch${IFS}$PWNED)\t1-1\tx86_64\nkernel-default\t6.9`touch${IFS}$PWNED`-1\tx86_64\n"


@pytest.mark.parametrize("line", ["kmpsolve matrix ", "kmpsolve plan --kernel ", "kmpsolve plan --flavor "])
def test_no_name_from_a_repository_is_obeyed(line: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bash's compgen -W runs what looks like a command; fish and zsh offer such a name no more either."""
    (cache / "updates/solv.idx").write_text(EVIL)
    monkeypatch.setenv("PWNED", str(cache / "pwned"))
    bash = (
        f'source {CHECKOUT}/completions/kmpsolve.bash; COMP_WORDS=($1 ""); '
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _kmpsolve; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    found = _run(["bash", "-uc", bash, "bash", line], cache)
    fish = f"source {CHECKOUT}/completions/kmpsolve.fish; complete --do-complete '{line}'"
    found += _run(["fish", "--no-config", "-c", fish], cache)
    assert "touch" not in found
    assert not (cache / "pwned").exists()


ZSH = r"""
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PS1='' PS2=''; unsetopt zle_bracketed_paste; fpath=($1 \$fpath)"
zpty -w inner "autoload -Uz compinit && compinit -u -D; zstyle ':completion:*' list-grouped false"
zpty -w inner "LISTMAX=1000; stty columns 200; bindkey '^I' complete-word; zle -C all list-choices _generic"
zpty -w inner "bindkey '^X' all; echo rea''dy"
zpty -r -m inner seen '*ready*'
zpty -w -n inner "$2"$'\x18'
sleep 1.5
zpty -w -n inner $'\x15'"echo do''ne"$'\n'
zpty -r -m inner seen '*done*'
print -r -- "$seen"
zpty -d inner
"""


@pytest.mark.parametrize(
    ("line", "expected"), [CASES[1], CASES[3], CASES[5], ("kmpsolve plan --format=ht", {"html"})]
)
def test_zsh(line: str, expected: set[str], cache: Path) -> None:
    found = _run(["zsh", "-fc", ZSH, "zsh", str(CHECKOUT / "completions"), line], cache)
    for word in expected:
        assert word in found, found


def test_the_cache_is_what_zypp_writes(tmp_path: Path) -> None:
    """The real zypper's index has the shape that the completions read."""
    root = tmp_path / "root"
    (root / "etc" / "zypp" / "repos.d").mkdir(parents=True)
    source = CHECKOUT / "repos" / "demo" / "blocked" / "repositories" / "SLE-Updates"
    (root / "etc" / "zypp" / "repos.d" / "updates.repo").write_text(
        f"[updates]\nname=updates\nenabled=1\ngpgcheck=0\nbaseurl=dir:{source}\n"
    )
    subprocess.run(
        ["zypper", "--non-interactive", "--root", str(root), "--no-gpg-checks", "refresh"],
        check=True,
        capture_output=True,
    )
    lines = (root / "var/cache/zypp/solv/updates/solv.idx").read_text().splitlines()
    assert "kernel-default\t6.4.0-150600.23.30.1\tx86_64" in lines
