"""``python -m tests.security.fuzz NAME|all SECONDS``: bytes that make a parser fail, looked for by coverage.

It starts from ``tests/security/corpus/NAME``; what it learns is kept in a folder of that name here, and what makes
a parser fail in a file that its last lines name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kmpsolve"], enable_loader_override=False):
    from tests.security import parsers


def fuzz(name: str, seconds: int) -> None:
    """Look until the time is over; never returns."""
    learned = Path.cwd() / name
    learned.mkdir(exist_ok=True)
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=1024", "-max_len=4096"]
    folders = [str(learned), str(parsers.CORPUS / name)]
    atheris.Setup(
        [name, *limits, f"-artifact_prefix={name}-", "-print_final_stats=1", *folders],
        lambda data: parsers.feed(name, data),
    )
    atheris.Fuzz()


def main(which: str, seconds: int) -> int:
    """Fuzz one parser after the other, each in a process of its own."""
    failed = []
    for name in parsers.PARSERS if which == "all" else (which,):
        pid = os.fork()
        if pid == 0:
            fuzz(name, seconds)
        if os.waitpid(pid, 0)[1]:
            failed.append(name)
    if failed:
        print("failed:", *failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
