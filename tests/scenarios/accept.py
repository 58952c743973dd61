"""``make fixtures-accept``: rewrites plan.json files, for a person to review before they are committed.

A fixture whose hand-written expectations do not hold is left alone: those are never generated.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.scenarios import runner
from tests.support import fixture


def accept(names: list[str]) -> int:
    """Rewrite the plan.json of the fixtures `names` (all without any) and return how many are wrong."""
    wrong = 0
    for name in names or fixture.names():
        scenario = fixture.load(name)
        with tempfile.TemporaryDirectory(prefix="kmpsolve-accept-") as work:
            answer = runner.ask(scenario, scenario.sources[0], Path(work))
        if lines := runner.disagreements(scenario, answer):
            wrong += 1
            print(f"{name}: not accepted", *lines, sep="\n  ")
            continue
        file = runner.plan_file(name)
        text = runner.text(answer.plan)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"{name}: written")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if accept(sys.argv[1:]) else 0)
