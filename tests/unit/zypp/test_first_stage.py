"""The hook's first stage: what runs on any Python that a distribution has."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from kmpsolve.zypp import first_stage
from kmpsolve.zypp.first_stage import last_on_error, relevant_name

CHECKOUT = Path(__file__).parents[3]
FILES = [CHECKOUT / "kmpsolve/zypp/first_stage.py", CHECKOUT / "plugins/zypper/commit/kmpsolve"]
OLDEST = Path.home() / ".pyenv/versions/3.6.15/bin/python3.6"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_python_3_6_can_read_it(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 6))
    if OLDEST.exists():
        subprocess.run(
            [OLDEST, "-IBS", "-c", f"compile(open({str(path)!r}).read(), 'x', 'exec')"], check=True
        )


def test_it_imports_the_standard_library_only_and_little_of_it() -> None:
    python = str(OLDEST) if OLDEST.exists() else sys.executable
    script = (
        f"import sys; sys.path.append({str(FILES[0].parent)!r}); import first_stage; "
        "heavy = 'subprocess socket ctypes typing pathlib solv rpm kmpsolve'.split(); "
        "print(' '.join(name for name in heavy if name in sys.modules))"
    )
    said = subprocess.run([python, "-IBS", "-c", script], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == ""


@pytest.mark.parametrize(
    ("name", "relevant"),
    [
        ("kernel-default", True),
        ("kernel-default-base", True),
        ("kernel-64kb", True),
        ("kernel-rt-optional", True),
        ("acme-kmp-default", True),
        ("kmp-tools", False),
        ("kernel-firmware", False),
        ("kernel-firmware-all", False),
        ("kernel-devel", False),
        ("kernel-default-devel", False),
        ("kernel-source", False),
        ("kernel-livepatch-6_4_0-1-default", False),
        ("bash", False),
        ("", False),
    ],
)
def test_names(name: str, relevant: bool) -> None:
    assert relevant_name(name) == relevant


@pytest.mark.parametrize(
    ("files", "remembered", "decided"),
    [
        ({}, "", "warn"),
        ({}, "abort", "abort"),
        ({"kmpsolve.toml": 'on_error = "abort"\n'}, "", "abort"),
        ({"kmpsolve.toml": "on_error = 'abort' # why\nbroken"}, "", "abort"),
        ({"kmpsolve.toml": 'on_error = "abort"\n', "conf.d/x.toml": 'on_error = "warn"\n'}, "", "warn"),
        ({"kmpsolve.toml": 'on_error = "abort"\n', "conf.d/x.toml": "broken"}, "warn", "abort"),
        ({"kmpsolve.toml": '#on_error = "abort"\n'}, "", "warn"),
        ({"kmpsolve.toml": 'on_error = "perhaps"\n'}, "abort", "abort"),
        ({"kmpsolve.toml": "\0\xff"}, "nonsense", "warn"),
    ],
)
def test_what_happens_on_an_error(
    files: dict[str, str], remembered: str, decided: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        path = tmp_path / "etc/kmpsolve" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")
    (tmp_path / "on-error").write_text(remembered)
    monkeypatch.setattr(first_stage, "ON_ERROR", str(tmp_path / "on-error"))
    assert last_on_error(str(tmp_path)) == decided
