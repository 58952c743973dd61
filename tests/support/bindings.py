"""Runs the tests on the distribution's libsolv binding, where the environment asks for it."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

VARIABLE = "KMPSOLVE_TEST_BINDINGS"


def use_asked_for() -> None:
    """Load python3-solv from where the distribution puts it, if ``KMPSOLVE_TEST_BINDINGS=distribution``.

    Raises
    ------
    RuntimeError
        If it is not there: the tests must not run on the other one without a word.
    """
    if os.environ.get(VARIABLE, "pypi") != "distribution" or "solv" in sys.modules:
        return
    tag = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = [Path("/usr/lib/python3/dist-packages")]
    places += [Path(f"/usr/{lib}/{tag}/site-packages") for lib in ("lib64", "lib")]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for place in places:
        for library in (place / f"_solv{suffix}", place / "_solv.so"):
            if library.is_file() and (place / "solv.py").is_file():
                _load("_solv", library)
                _load("solv", place / "solv.py")
                return
    raise RuntimeError(f"no python3-solv for this interpreter in {', '.join(map(str, places))}")


def _load(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
