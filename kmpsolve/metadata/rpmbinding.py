"""rpm's Python binding, which only distributions build, and only for their own Python."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from kmpsolve.errors import MetadataError

__all__ = ["load_rpm"]

_PLACES = (
    "/usr/lib64/python{0}.{1}/site-packages/rpm",
    "/usr/lib/python{0}.{1}/site-packages/rpm",
    "/usr/lib64/python{0}.{1}/dist-packages/rpm",
    "/usr/lib/python{0}.{1}/dist-packages/rpm",
    "/usr/lib/python3/dist-packages/rpm",
)
"""Where SUSE, Fedora and Debian install it; kmpsolve's own Python is often one of a virtual environment,
which does not look there."""


def load_rpm() -> ModuleType:
    """Import rpm's Python binding, from the distribution's folder if need be.

    Only the one package is taken from there: the whole folder on ``sys.path`` would let the
    distribution's libraries stand in for the ones kmpsolve was installed with. rpm is told to keep its
    messages to itself, since they would go to the user's terminal beside kmpsolve's own.

    Raises
    ------
    MetadataError
        ``no-rpm-binding``, if there is none that fits the running Python.
    """
    rpm = sys.modules.get("rpm") or _import(_places())
    rpm.setVerbosity(rpm.RPMLOG_EMERG)
    return rpm


def _places() -> Iterator[Path]:
    for place in _PLACES:
        yield Path(place.format(*sys.version_info[:2]))


def _import(places: Iterable[Path]) -> ModuleType:
    try:
        return importlib.import_module("rpm")
    except ImportError as error:
        reason = f"{error}"
    for place in places:
        try:
            return _import_from(place)
        except FileNotFoundError:
            continue
        except ImportError as error:
            reason = f"the one in {place} does not fit: {error}"
    version = "{}.{}".format(*sys.version_info[:2])
    raise MetadataError(
        f"rpm's Python binding for Python {version} is missing ({reason})",
        reference="no-rpm-binding",
        hint=f"Install it: zypper install python3-rpm (or python{version.replace('.', '')}-rpm); "
        "Debian: apt-get install python3-rpm",
    )


def _import_from(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "rpm", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder)
    module = importlib.util.module_from_spec(spec)
    # The package imports its own extension by name, so that it has to be known before it runs.
    before = set(sys.modules)
    sys.modules["rpm"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "rpm":
                del sys.modules[name]
        raise
    return module
