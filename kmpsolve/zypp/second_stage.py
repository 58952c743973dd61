"""The commit hook's second stage: judges the transaction that zypper is about to run.

It is asked on stdin and answers on stdout, with one JSON document each (see `kmpsolve.zypp.first_stage`). It
signals nobody and takes no lock; what its answer leads to is the first stage's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmpsolve.config import Config, read_config
from kmpsolve.errors import KmpsolveError, MetadataError
from kmpsolve.machine.live import LiveMachine
from kmpsolve.model.plan import Plan
from kmpsolve.planner.judgement import judge_transaction
from kmpsolve.report.files import write_whole
from kmpsolve.report.terminal import printable
from kmpsolve.request import Request
from kmpsolve.zypp import words
from kmpsolve.zypp.action import action as action_on
from kmpsolve.zypp.action import counted
from kmpsolve.zypp.commandline import root_of
from kmpsolve.zypp.first_stage import ON_ERROR, last_on_error, remembered_on_error
from kmpsolve.zypp.history import remember
from kmpsolve.zypp.once import with_what_was_given
from kmpsolve.zypp.reading import read_caches
from kmpsolve.zypp.transition import read_steps, read_transition

if TYPE_CHECKING:
    from kmpsolve.zypp.survey import Guarded

__all__ = ["LAST_VERDICT", "answer", "main"]

LAST_VERDICT = Path("/run/kmpsolve/last-verdict.json")
_PLUGINS = Path("/usr/lib/zypp/plugins/commit")


def main() -> None:
    """Answer the one question on stdin."""
    os.umask(0o022)
    question = json.loads(sys.stdin.buffer.read())
    arguments = [str(word) for word in question["arguments"]]
    try:
        said = answer(question, arguments)
    except Exception as error:  # whatever it is, zypper waits for an answer
        said = _failed(_told(error), arguments)
    if said["journal"]:
        remember(said["journal"])
    sys.stdout.write(json.dumps(said) + "\n")


def answer(question: Mapping[str, Any], arguments: list[str]) -> dict[str, Any]:
    """Judge, leave the verdict for others to read, and say what to do.

    Raises
    ------
    KmpsolveError
        If there is no verdict.
    """
    root = root_of(arguments)
    config = read_config(root)
    _remember(config)
    running = os.uname().release if root == Path("/") or question["transactional"] else None
    steps = read_steps(question["steps"])
    arriving = [step.nevra for step in steps if step.type != "-"]
    reading = read_caches(root, Request(running=running), config, pid=int(question["pid"]), named=arriving)
    loaded = reading.loaded
    transition = read_transition(
        loaded.universe,
        steps,
        arguments=arguments,
        first=reading.first,
        in_use=_in_use(running) if running else frozenset(),
    )
    if not (transition.arrived or transition.gone):  # some package with a new name that takes no KMP away
        return {"action": "pass", "message": [], "journal": {}}
    plan = judge_transaction(loaded.universe, loaded.request, loaded.inputs, transition)
    plan = with_what_was_given(
        plan, loaded.universe, transition.arrived, first=reading.first, arguments=arguments
    )
    _publish(plan)
    losses = counted(plan, config)
    action = "warn" if question["disabled"] else action_on(losses, config)
    guarded: Guarded | None = None
    unheld: str | None = None
    if action == "hold":
        try:
            guarded = _hold(root, Request(running=running), config)
        except Exception as error:  # the verdict stands: without a lock this is what `abort` does
            action, unheld = "abort", str(_told(error))
    if action == "warn" and config.keep_last_good:
        from kmpsolve.zypp.guard import keep

        keep(plan, root, loaded)
    if action in ("abort", "hold"):
        message = words.stopped(
            losses, arguments, guarded=guarded, unheld=unheld, snapper=_snapper_beside_us()
        )
    elif plan.verdict == "blocked":
        message = words.warned(losses)
    else:
        message = words.passed(plan)
    return {
        "action": "pass" if action == "warn" else "abort",
        "message": message,
        "journal": {
            "MESSAGE": words.journal_line(plan),
            "KMPSOLVE_VERDICT": plan.verdict,
            "KMPSOLVE_ACTION": action,
            "PRIORITY": "6" if plan.verdict in ("safe", "nothing-to-do") else "4",
        },
    }


def _hold(root: Path, request: Request, config: Config) -> Guarded:
    from kmpsolve.zypp.guard import hold

    fresh = read_caches(root, request, config, named=(), without_holds=True).loaded
    return hold(fresh, root, doubtful=config.unverified == "abort")


def _in_use(uname_r: str) -> frozenset[str] | None:
    machine = LiveMachine(uname_r)
    if machine.loaded is None or machine.asked_for is None:
        return None
    return machine.loaded | machine.asked_for


def _remember(config: Config) -> None:
    """Keep what is to happen on an error for a time when the configuration cannot tell."""
    path = Path(ON_ERROR)
    try:
        if remembered_on_error() != config.on_error or not path.exists():
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_whole(path, config.on_error + "\n")
    except (OSError, MetadataError) as error:
        print(f"kmpsolve: {error}", file=sys.stderr)


def _publish(plan: Plan) -> None:
    """Leave the verdict where ``kmpsolve doctor`` and others find it; a full disk is no reason for another
    one.
    """
    try:
        LAST_VERDICT.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(LAST_VERDICT, plan.to_json())
    except (OSError, MetadataError) as error:
        print(f"kmpsolve: {error}", file=sys.stderr)


def _snapper_beside_us() -> bool:
    try:
        return any("snapper" in path.name for path in _PLUGINS.iterdir())
    except OSError:
        return False


def _told(error: BaseException) -> KmpsolveError:
    if isinstance(error, KmpsolveError):
        return error
    if isinstance(error, OSError):
        return MetadataError(f"{error.filename or 'a file'}: {error.strerror}", reference="system-error")
    return KmpsolveError(
        f"a bug in kmpsolve: {type(error).__name__}: {' '.join(str(error).split())}",
        reference="bug",
        hint="Please report it.",
    )


def _failed(error: KmpsolveError, arguments: list[str]) -> dict[str, Any]:
    root = root_of(arguments)
    try:
        on_error = read_config(root).on_error
    except KmpsolveError:
        on_error = last_on_error(str(root))
    stops = on_error == "abort"
    return {
        "action": "abort" if stops else "pass",
        "message": words.failure(error, stops=stops, arguments=arguments),
        "journal": {
            "MESSAGE": printable(f"not checked: {error}"),
            "KMPSOLVE_VERDICT": "error",
            "KMPSOLVE_ACTION": on_error,
            "KMPSOLVE_REFERENCE": error.reference,
            "PRIORITY": "3",
        },
    }
