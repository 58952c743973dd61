"""A matrix that was kept is the matrix that would be made now, byte for byte, whatever changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.host import DRIVER, MIDDLE, NEW, OLD, REBUILD, Host, specs

_FORMATS = ("json", "csv", "text", "html")

_ASK = """
import os, sys
from pathlib import Path
sys.path.insert(0, "/usr/lib/kmpsolve")
from kmpsolve import session
from kmpsolve.cache import background
from kmpsolve.cli import main
from kmpsolve.compat import matrix, remembered
import json
session._WORTH_A_CACHE = 0
background.afterwards = lambda work: work()  # the next run waits for it
made = []
really = matrix.matrix
matrix.matrix = lambda *given: made.append(1) or really(*given)
told = []
for caches in ("/var/cache/kmpsolve/views", "/var/cache/kmpsolve/views", ""):
    os.environ["KMPSOLVE_CACHE"] = caches
    made.clear()
    texts = []
    for form in sys.argv[1:]:
        assert main(["matrix", "-q", "--format", form, "-o", "/tmp/matrix"]) == 0
        texts.append(Path("/tmp/matrix").read_text())
    told.append([len(made), texts])
print(json.dumps(told))
"""


def _asked(host: Host) -> list[tuple[int, list[str]]]:
    """How often a matrix was made, and what was said: by who keeps one, by who has one, and without any."""
    host.run(["sleep", "1.1"])  # what changed just now is not cached
    python = host.path(f"{host.library}/python").read_text().strip()
    ended = host.run([python, "-I", "-c", _ASK, *_FORMATS], env={"SOURCE_DATE_EPOCH": "1782000000"})
    assert ended.code == 0, str(ended)
    return [(made, texts) for made, texts in json.loads(ended.stdout)]


def test_it_follows_every_change() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE, NEW))
        host.zypper("refresh")
        changes: tuple[Callable[[], object], ...] = (
            lambda: None,
            lambda: host.zypper("addlock", "kernel-default"),
            lambda: host.path("/etc/zypp/zypp.conf").write_text("[main]\nmultiversion.kernels = latest\n"),
            lambda: (host.add("rebuilt", specs(REBUILD)), host.zypper("refresh")),
            lambda: host.run(["rpm", "-e", "--justdb", "--nodeps", DRIVER]),
            lambda: host.zypper("modifyrepo", "--disable", "updates"),
        )
        seen = set()
        for number, change in enumerate(changes):
            change()
            (first, new), (second, kept), (every, plain) = _asked(host)
            assert (second, every) == (0, len(_FORMATS)), (
                f"{number}: the second run reads what the first one kept"
            )
            assert first <= 1, "of all formats the first one makes it"
            assert new == kept == plain
            seen.add(plain[0])
        assert len(seen) >= 4


@pytest.mark.parametrize("damage", ["cells", "heads.json", "list.json"])
def test_what_is_damaged_is_made_again(damage: str) -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        host.zypper("refresh")
        _, (none, text), _ = _asked(host)
        (kept,) = host.path("/var/cache/kmpsolve/views").glob("matrix-*")
        (kept / damage).write_bytes((kept / damage).read_bytes()[:-1])
        (once, again), (later, _), _ = _asked(host)
        assert (none, once, later, again) == (0, 1, 0, text)
