"""The same audit on a real Dask cluster of several processes, one of which is killed in the middle."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import fleets
from tests.fleet.conftest import World, run
from tests.support.cache import CHECKOUT

_WAIT = "import sys, distributed; distributed.Client(sys.argv[1]).wait_for_workers(int(sys.argv[2]))"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    log = (folder / "cluster.log").open("wb")

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *words]
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)

    scheduler = start(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
    )
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.1)
    options = (
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
        "--memory-limit",
        "0",
        "--host",
        "127.0.0.1",
    )
    running = [start("distributed.cli.dask_worker", address, *options) for _ in range(workers)]
    try:
        subprocess.run(
            [sys.executable, "-c", _WAIT, address, str(workers)], check=True, timeout=60, env=environment
        )
        yield address, running
    finally:
        for process in (*running, scheduler):
            process.terminate()
        for process in (*running, scheduler):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        log.close()


@pytest.fixture(scope="module")
def inventory(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inventories")
    chance = random.Random(3)  # noqa: S311
    everyone = list(fleets.lines(chance, world.states, 30_000))
    for number in range(6):
        (folder / f"{number}.jsonl").write_bytes(b"".join(everyone[number::6]) + b"damaged\n")
    return folder


def test_the_answer_is_the_same_when_a_worker_is_killed(
    world: World, inventory: Path, tmp_path: Path
) -> None:
    words: tuple[str | Path, ...] = ("audit", inventory, *world.repo, "--group-by", "env", "--format", "json")
    alone = run(*words)
    assert alone.returncode == 4
    with cluster(tmp_path, 3) as (address, workers), (tmp_path / "out.json").open("wb") as stream:
        audit = subprocess.Popen(
            [sys.executable, "-m", "kmpsolve", *map(str, words), "--scheduler", address],
            stdout=stream,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "SOURCE_DATE_EPOCH": str(fleets.COLLECTED + 86400),
            },
        )
        try:
            victim = _first_at_work(workers)
            assert audit.poll() is None
            victim.send_signal(signal.SIGKILL)
            assert victim.wait() == -signal.SIGKILL
            _, stderr = audit.communicate(timeout=90)
        finally:
            audit.kill()
            audit.communicate()
    assert audit.returncode == 4, stderr.decode()
    assert (tmp_path / "out.json").read_bytes() == alone.stdout


def _first_at_work(workers: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """The first worker that has loaded libsolv, and so is deciding states or about to."""
    for _ in range(3000):
        for worker in workers:
            with contextlib.suppress(OSError):
                if "_solv" in Path(f"/proc/{worker.pid}/maps").read_text():
                    return worker
        time.sleep(0.01)
    raise AssertionError("no worker was ever given anything to decide")


def test_a_scheduler_that_is_not_there_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    from kmpsolve.fleet import dask

    monkeypatch.setattr(dask, "_PATIENCE", 1)
    from kmpsolve.config import Config
    from kmpsolve.errors import ConfigError
    from kmpsolve.request import Request
    from kmpsolve.sources import Sources

    repositories = tuple(world.offer.repositories(world.folder).items())
    with pytest.raises(ConfigError, match="does not answer"):
        dask.Cluster(
            f"tcp://127.0.0.1:{_free_port()}", Sources(repositories=repositories), Request(), Config()
        )
