"""``make bench``: kmpsolve and its peers side by side on the same data; ``--check``: fails where it got slower.

Ratios to zypper on the same machine in the same minute are what counts. Where there is no peer, `--check`
compares counted instructions (callgrind), which a busy machine does not change.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.data import CACHE, CHECKOUT, Shape, ready
from benchmarks.fleet import inventory
from benchmarks.measure import Run, in_turns, once
from benchmarks.system import ALIASES, Sandbox, entering, system

_HERE = Path(__file__).parent
_BASELINE = _HERE / "baseline.json"
_README = _HERE / "README.md"
_TOLERANCE = 1.2
_PATIENCE = 120
"""Seconds; what takes longer is told and not waited for."""
_PYTHON = sys.executable
_KMPSOLVE = ("/usr/bin/kmpsolve",)
_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode")}
"""Modules are compiled once, as those of an installed kmpsolve are."""
_SMALL = Shape(kernels=12, kmps=60, symbols=6_000, others=2_000, installed_kmps=6, installed_others=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured thing.

    Parameters
    ----------
    seconds, peak
        Ours: seconds of CPU, which a busy machine does not change; the peak in MiB, None for a part of a process.
    wall
        Ours on the clock, None for a part of a process.
    peer
        Seconds of CPU that the peer took, None where there is none.
    target
        At most this ratio to the peer, or this many seconds; ``None`` for what is only there to compare with.
    memory
        At most this many MiB.
    """

    name: str
    seconds: float
    peak: float | None = None
    wall: float | None = None
    peer: float | None = None
    target: float | None
    memory: float | None = None

    @property
    def value(self) -> float:
        return self.seconds / self.peer if self.peer else self.seconds

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target and (self.memory is None or (self.peak or 0) <= self.memory)

    def cells(self) -> list[str]:
        shown = f"{self.value:.3f}" if self.peer else _time(self.value)
        wanted = ""
        if self.target is not None:
            wanted = f"<= {self.target:.3f}" if self.peer else f"<= {_time(self.target)}"
        return [
            self.name,
            _time(self.seconds),
            _time(self.wall) if self.wall else "",
            _time(self.peer) if self.peer else "",
            shown,
            wanted,
            f"{self.peak:.0f} MiB" if self.peak else "",
            {True: "yes", False: "NO", None: ""}[self.met],
        ]


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _inside(sandbox: Sandbox, *command: str, env: dict[str, str] | None = None) -> list[str]:
    words = [f"{key}={value}" for key, value in (env or {}).items()]
    return [*entering(sandbox), "--", *(["env", *words] if words else []), *command]


def _install(sandbox: Sandbox) -> None:
    """Install kmpsolve as a system has it: what is timed is what users start."""
    done = sandbox.run(
        ["make", "-C", str(CHECKOUT), "install", f"PYTHON={_PYTHON}"], env={"HOME": "/root"}, timeout=300
    )
    if done.code:
        raise RuntimeError(str(done))


def _part(sandbox: Sandbox, part: str) -> float:
    done = sandbox.run(
        [_PYTHON, "-m", "benchmarks.inside", part],
        env={"PYTHONPATH": str(CHECKOUT), **_BYTECODE},
        timeout=900,
    )
    if done.code:
        raise RuntimeError(str(done))
    return float(done.stdout) if done.stdout.strip() != "None" else 0.0


# the rows

_ZYPPER = ("zypper", "--no-refresh", "-n", "up", "--dry-run")
_NO_CACHE = {"KMPSOLVE_CACHE": ""}


def plans(sandbox: Sandbox, rounds: int) -> Iterator[Row]:
    """`plan` beside ``zypper up --dry-run``, with our cache and without."""
    sandbox.run(["rm", "-rf", "/var/cache/kmpsolve/views"])  # libsolv alone reads all that is there
    _part(sandbox, "keep")
    theirs = ["/var/cache/zypp/solv/@System/solv", *(f"/var/cache/zypp/solv/{a}/solv" for a in ALIASES)]
    ours = [f"/var/cache/kmpsolve/views/*/{number}.solv" for number in range(3)]
    found = in_turns(
        {
            "zypper": _inside(sandbox, *_ZYPPER),
            "floor, cold": _alone(sandbox, theirs),
            "floor, warm": _alone(sandbox, ours),
            "warm": _inside(sandbox, *_KMPSOLVE, "plan", "-q", "--root", "/"),
            "cold": _inside(sandbox, *_KMPSOLVE, "plan", "-q", "--root", "/", env=_NO_CACHE),
        },
        rounds,
    )
    peer = found["zypper"].cpu
    warm, cold = found["warm"], found["cold"]
    yield Row(
        name="`plan --root`, warm caches : `zypper up --dry-run`",
        seconds=warm.cpu, wall=warm.wall, peak=warm.peak, peer=peer, target=1 / 10, memory=80,
    )  # fmt: skip
    yield Row(
        name="`plan --root`, zypper's caches only : the same",
        seconds=cold.cpu, wall=cold.wall, peak=cold.peak, peer=peer, target=1 / 4,
    )  # fmt: skip
    for kind, caches in (("warm", "our cache"), ("cold", "zypper's caches")):
        floor = found[f"floor, {kind}"]
        yield Row(
            name=f"libsolv alone reads {caches} and solves once : the same",
            seconds=floor.cpu, wall=floor.wall, peak=floor.peak, peer=peer, target=None,
        )  # fmt: skip


def _alone(sandbox: Sandbox, files: Sequence[str]) -> list[str]:
    words = f"{_PYTHON} -I {CHECKOUT / 'benchmarks' / 'floor.py'} {' '.join(files)}"
    return _inside(sandbox, "sh", "-c", f"exec {words}")


def refreshed(sandbox: Sandbox, rounds: int) -> Iterator[Row]:
    """Our cache from repodata beside zypper's refresh; leaves the sandbox refreshed."""
    theirs, ours = [], []
    sandbox.run(["rm", "-f", "/usr/lib/zypp/plugins/appdata/kmpsolve"])  # it would work at the same time
    for _ in range(max(1, rounds // 3)):
        sandbox.run(["rm", "-rf", "/var/cache/zypp"])
        theirs.append(once(_inside(sandbox, "zypper", "-n", "refresh", "--force")).cpu)
        ours.append(_part(sandbox, "make"))
    time.sleep(2)  # a file that is younger than a second may change unnoticed: no cache would be kept
    yield Row(
        name="our cache from repodata : `zypper refresh`",
        seconds=statistics.median(ours), peer=statistics.median(theirs), target=1 / 2,
    )  # fmt: skip


def parts(sandbox: Sandbox, rounds: int) -> Iterator[Row]:
    """After all imports, in one process."""
    _part(sandbox, "keep")
    for name, part, target in (
        ("whole matrix, from .solv", "matrix-solv", 0.25),
        ("whole matrix, from our cache", "matrix-kept", 0.015),
        ("all mismatches of one kernel, all KMPs", "mismatches", 0.1),
    ):
        yield Row(name=name, seconds=_part(sandbox, part), target=target)


def hook(sandbox: Sandbox, rounds: int) -> Iterator[Row]:
    """The commit hook, spoken to as libzypp does; without it there is nothing to wait for."""
    world = ready(Shape())
    kernel, other = ("kernel-default", "6.4.0", "150600.60.1"), ("package-7", "8.9", "150600.9.1")
    _part(sandbox, "keep")
    for number, (name, moved, target) in enumerate(
        (
            ("no kernel or KMP in the transaction", other, 0.06),
            ("a kernel in the transaction, warm caches", kernel, 0.4),
            ("a kernel in the transaction, zypper's caches only", kernel, 0.4),
        )
    ):
        package, version, release = moved
        if name.endswith("zypper's caches only"):
            sandbox.run(["rm", "-rf", "/var/cache/kmpsolve"])
        step = {"type": "M", "solvable": {"n": package, "v": version, "r": release, "a": "x86_64"}}
        body = json.dumps({"TransactionStepList": [step]})
        frames = "".join(
            f"{verb}\n\n{body if verb == 'COMMITBEGIN' else ''}\0"
            for verb in ("PLUGINBEGIN", "COMMITBEGIN", "COMMITEND", "PLUGINEND")
        )
        script = world / f"frames-{number}"
        script.write_text(frames)
        plugin = "/usr/lib/zypp/plugins/commit/kmpsolve"
        found = in_turns({"hook": _inside(sandbox, "sh", "-c", f"{plugin} < {script}")}, rounds)["hook"]
        yield Row(
            name=f"commit hook, {name}", seconds=found.cpu, wall=found.wall, peak=found.peak, target=target
        )


def start(sandbox: Sandbox, rounds: int) -> Iterator[Row]:
    """What small questions cost."""
    demo = CHECKOUT / "repos" / "demo"

    def asked(kind: str) -> list[str]:
        repositories = sorted((demo / kind / "repositories").iterdir())
        words = [word for path in repositories for word in ("--repo", f"{path.name}={path}")]
        return [*_KMPSOLVE, "plan", "--installed", str(demo / kind / "installed"), *words]

    commands = {
        "help": _inside(sandbox, *_KMPSOLVE, "--help"),
        "safe": _inside(sandbox, *asked("safe")),
        "blocked": _inside(sandbox, *asked("blocked")),
    }
    found = in_turns(commands, rounds, expected=(0, 4))
    for key, name, target in (
        ("help", "`kmpsolve --help`", 0.08),
        ("safe", "the demo's plan, safe", 0.25),
        ("blocked", "the demo's plan, blocked", 0.5),
    ):
        run = found[key]
        yield Row(name=name, seconds=run.cpu, wall=run.wall, peak=run.peak, target=target)


def audits(sandbox: Sandbox, rounds: int) -> Iterator[Row]:
    """A fleet, once more ten times as large."""
    for hosts, target in ((100_000, 1.5), (1_000_000, 15.0)):
        found = _audit(sandbox, hosts, max(1, rounds // 3))
        # Its processes work at once: here the clock counts.
        yield Row(name=f"audit of {hosts:,} hosts", seconds=found.wall, peak=found.peak, target=target)


def _audit(sandbox: Sandbox, hosts: int, rounds: int) -> Run:
    limit = ("timeout", str(_PATIENCE))
    command = _inside(sandbox, *limit, *_KMPSOLVE, "audit", "-q", str(inventory(Shape(), hosts)))
    return in_turns({"audit": command}, rounds, expected=(0, 4, 110))["audit"]


# how cost grows


def growth() -> Iterator[list[str]]:
    """Seconds of CPU by size, one size at a time changed."""
    base = Shape(kernels=20, kmps=100, symbols=14_000, others=6_000, installed_others=60)
    for name, field, sizes in (
        ("kernels", "kernels", (6, 20, 60, 120)),
        ("KMPs", "kmps", (30, 300, 1_000)),
        ("symbols", "symbols", (7_000, 14_000, 28_000, 56_000)),
    ):
        for size in sizes:
            change: dict[str, Any] = {field: size}
            shape = replace(base, **change)
            with system(shape) as sandbox:
                sandbox.zypper("refresh")
                _install(sandbox)
                time.sleep(2)
                _part(sandbox, "keep")
                found = in_turns(
                    {
                        "warm": _inside(sandbox, *_KMPSOLVE, "plan", "-q", "--root", "/"),
                        "cold": _inside(sandbox, *_KMPSOLVE, "plan", "-q", "--root", "/", env=_NO_CACHE),
                        "zypper": _inside(sandbox, *_ZYPPER),
                    },
                    3,
                )
                solve = _part(sandbox, "solve")
            cpu = (_time(found[key].cpu) for key in ("warm", "cold", "zypper"))
            yield [f"{size:,} {name}", *cpu, _time(solve)]
    with system(Shape()) as sandbox:
        sandbox.zypper("refresh")
        _install(sandbox)
        for hosts in (1_000, 10_000, 100_000, 1_000_000):
            try:
                run = _audit(sandbox, hosts, 1)
            except RuntimeError:
                yield [f"{hosts:,} hosts", f"> {_PATIENCE} s", "", "", ""]
                continue
            yield [f"{hosts:,} hosts", _time(run.cpu), "", "", f"{run.peak:.0f} MiB"]


# instructions


def instructions() -> dict[str, int]:
    """Instructions of what has no peer, on small data, by name."""
    world = ready(_SMALL)
    repositories = [f"--repo={alias}={world / alias}" for alias in ("sle", "vendor")]
    system_ = ["--installed", str(CHECKOUT / "repos/demo/safe/installed")]
    demo = CHECKOUT / "repos" / "demo" / "safe"
    words = [f"--repo={path.name}={path}" for path in sorted((demo / "repositories").iterdir())]
    return {
        "help": _counted(["--help"]),
        "demo": _counted(["plan", "-q", *system_, *words]),
        "matrix": _counted(["matrix", "-q", "--format", "csv", *system_, *repositories]),
    }


def _counted(arguments: Sequence[str]) -> int:
    environment = {"PYTHONHASHSEED": "0", "PYTHONPATH": str(CHECKOUT), "KMPSOLVE_CACHE": "", **_BYTECODE}
    environment = {**os.environ, **environment}
    command = [_PYTHON, "-m", "kmpsolve", *arguments]
    subprocess.run(command, capture_output=True, env=environment, check=False)  # compiles the modules
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        done = subprocess.run([*tool, *command], capture_output=True, text=True, env=environment, check=False)
        match = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode not in (0, 4, 110) or match is None:
            raise RuntimeError(done.stderr[-2000:])
        return int(match[1])


# the program

_ROWS: dict[str, Callable[[Sandbox, int], Iterator[Row]]] = {
    "refresh": refreshed,
    "plan": plans,
    "parts": parts,
    "start": start,
    "hook": hook,
    "audit": audits,
}


def measured(names: Sequence[str], rounds: int) -> list[Row]:
    """All rows of these groups; one that cannot be measured is told and left out."""
    found: list[Row] = []
    with system(Shape()) as sandbox:
        sandbox.zypper("refresh")
        _install(sandbox)
        time.sleep(2)
        for name in names:
            try:
                for row in _ROWS[name](sandbox, rounds):
                    print(" | ".join(row.cells()), flush=True)
                    found.append(row)
            except (RuntimeError, ValueError) as error:
                print(f"{name}: {str(error).strip()[-500:]}", file=sys.stderr)
    return found


def check(rows: Sequence[Row], counted: dict[str, int]) -> list[str]:
    """What got worse by a fifth since the baseline: ratios, and instructions."""
    baseline = json.loads(_BASELINE.read_text())
    worse = [
        f"{row.name}: {row.value:.3f}, was {baseline['ratios'][row.name]:.3f}"
        for row in rows
        if row.peer and row.value > baseline["ratios"].get(row.name, row.value) * _TOLERANCE
    ]
    worse += [
        f"{name}: {count:,} instructions, were {baseline['instructions'][name]:,}"
        for name, count in counted.items()
        if count > baseline["instructions"].get(name, count) * _TOLERANCE
    ]
    return worse


def _write_readme(text: str) -> None:
    before, mark, after = _README.read_text().partition("<!-- measured -->\n")
    _, end, rest = after.partition("<!-- end -->\n")
    _README.write_text(f"{before}{mark}{text}{end}{rest}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", nargs="*", choices=_ROWS, default=list(_ROWS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--growth", action="store_true", help="also how cost grows, which takes minutes")
    parser.add_argument("--check", action="store_true", help="compare with baseline.json, and fail")
    parser.add_argument(
        "--accept", action="store_true", help="write baseline.json and the table in README.md"
    )
    options = parser.parse_args()
    rows = measured(["plan", "refresh"] if options.check else options.rows, options.rounds)
    if options.check:
        worse = check(rows, instructions())
        print("\n".join(worse) or "nothing got worse", file=sys.stderr)
        return 1 if worse else 0
    head = ["what", "ours", "clock", "peer", "ratio or time", "target", "peak", "met"]
    text = f"`make bench`, {time.strftime('%Y-%m-%d', time.gmtime())}\n\n"
    text += _table(head, [row.cells() for row in rows])
    if options.growth:
        grown = []
        for row in growth():
            print(" | ".join(row), flush=True)
            grown.append(row)
        text += "\n" + _table(["size", "plan, warm", "plan, cold", "zypper", "solve, or peak"], grown)
    print(f"\n{text}")
    if options.accept:
        ratios = {row.name: row.value for row in rows if row.peer}
        _BASELINE.write_text(json.dumps({"ratios": ratios, "instructions": instructions()}, indent=2) + "\n")
        _write_readme(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
