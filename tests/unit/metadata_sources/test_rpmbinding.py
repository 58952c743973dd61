"""Finding rpm's Python binding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kmpsolve.errors import MetadataError
from kmpsolve.metadata import rpmbinding


def run(program: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_the_distribution_s_binding_is_found_without_its_neighbours() -> None:
    module, rpm_again, path = run(
        "import sys; before = list(sys.path)\n"
        "from kmpsolve.metadata.rpmbinding import load_rpm\n"
        "rpm = load_rpm(); print(rpm.hdr.__module__, load_rpm() is rpm, sys.path == before)"
    )
    assert (module, rpm_again, path) == ("rpm", "True", "True")


def test_a_binding_on_the_path_is_preferred(tmp_path: Path) -> None:
    (tmp_path / "rpm.py").write_text("RPMLOG_EMERG = 0\ndef setVerbosity(level): print('verbosity', level)\n")
    seen = run(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from kmpsolve.metadata.rpmbinding import load_rpm; print(load_rpm().__file__)",
        str(tmp_path),
    )
    assert seen == ["verbosity", "0", str(tmp_path / "rpm.py")]


def test_a_binding_for_another_python_is_told_apart_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.import_module", _missing)
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "rpm"}
    try:
        with pytest.raises(MetadataError, match=r"missing \(No module named 'rpm'\)") as caught:
            rpmbinding._import([tmp_path / "nowhere"])
        assert caught.value.reference == "no-rpm-binding"
        assert "python3-rpm" in str(caught.value.hint)

        other = tmp_path / "rpm"
        other.mkdir()
        (other / "__init__.py").write_text("from rpm._rpm import *\n")
        (other / "_rpm.cpython-36m-x86_64-linux-gnu.so").touch()
        with pytest.raises(MetadataError, match=r"does not fit: No module named 'rpm\._rpm'"):
            rpmbinding._import([other])
        assert "rpm" not in sys.modules
    finally:
        sys.modules.update(before)


def _missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}")
