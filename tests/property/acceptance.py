"""Whether a plan is one that the oracle accepts for a world.

``python -m tests.property.acceptance FILE`` reads a world's text and shows both.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kmpsolve
from tests.support.oracle import (
    READINGS,
    Answer,
    Blocked,
    Outcome,
    Package,
    Reading,
    System,
    UndeterminedError,
    answers,
    by_evr,
)
from tests.support.worlds import World, lay_out, world


def plan_of(of: World, *, shuffle: int = 0) -> dict[str, Any]:
    """Return kmpsolve's plan for `of` as the JSON object that the contract describes."""
    with tempfile.TemporaryDirectory(prefix="kmpsolve-world-") as folder:
        plan = kmpsolve.plan(**lay_out(of, Path(folder), shuffle=shuffle))
    said = json.loads(json.dumps(plan.to_dict()))
    assert isinstance(said, dict)
    return said


def disagreements(plan: Mapping[str, Any], world: World) -> list[str]:
    """Return what in `plan` no reading of the contract allows for `world`; [] if all is well."""
    first = _disagreements(plan, world, Reading())
    return first if first and needed_reading(plan, world) is None else []


def needed_reading(plan: Mapping[str, Any], world: World) -> Reading | None:
    """The first reading under which `plan` is right, ours before all others."""

    def allows(reading: Reading) -> bool:
        try:
            return not _disagreements(plan, world, reading)
        except UndeterminedError:
            return True

    return next((reading for reading in (Reading(), *READINGS) if allows(reading)), None)


def _disagreements(plan: Mapping[str, Any], world: World, reading: Reading) -> list[str]:
    expected = answers(world, reading)
    said = {entry["flavor"]: entry for entry in plan["flavors"]}
    if set(said) != set(expected):
        return [f"flavors: {sorted(said)}, expected {sorted(expected)}"]
    found: list[str] = []
    agreed: list[list[tuple[Answer, Outcome | None]]] = []
    for flavor, alternatives in expected.items():
        complaints: list[list[str]] = []
        fitting: list[tuple[Answer, Outcome | None]] = []
        for answer in alternatives:
            outcomes, complaint = _flavor_disagreements(said[flavor], answer, world)
            complaints.append(complaint)
            if not complaint:
                fitting += [(answer, outcome) for outcome in outcomes]
        if fitting:
            agreed.append(fitting)
        else:
            found += complaints[0]
    if found:
        return found
    order = ["nothing-to-do", "safe", "unverified", "blocked"]
    worst = max((entry["verdict"] for entry in plan["flavors"]), key=order.index)
    if plan["verdict"] != worst:
        found.append(f"overall verdict {plan['verdict']}, expected {worst}")
    if plan["complete"] is not True:
        found.append("complete is not true")
    return found + _transaction_disagreements(plan, agreed)


def _flavor_disagreements(
    said: Mapping[str, Any], answer: Answer, world: World
) -> tuple[list[Outcome | None], list[str]]:
    where = f"{answer.flavor}: "
    found: list[str] = []
    target = said["target"]["nevra"] if said["target"] else None
    expected = answer.target.nevra if answer.target else None
    if target != expected:
        found.append(f"{where}target {target}, expected {expected}")
    if said["verdict"] != answer.verdict:
        found.append(f"{where}verdict {said['verdict']}, expected {answer.verdict}")
    if said["newest_safe"] not in answer.newest_safe:
        expected_safe = " or ".join(sorted(map(str, answer.newest_safe)))
        found.append(f"{where}newest_safe {said['newest_safe']}, expected {expected_safe}")
    system = answer.judgement.system
    current = sorted(kernel.nevra for kernel in system.kernels(answer.flavor))
    if sorted(entry["nevra"] for entry in said["current"]) != current:
        found.append(f"{where}current {[entry['nevra'] for entry in said['current']]}, expected {current}")
    kmps = {entry["name"]: entry for entry in said["kmps"]}
    names = answer.judgement.kmps
    if not set(names) <= set(kmps):
        found.append(f"{where}KMPs {sorted(kmps)}, expected {sorted(names)}")
    for name, builds in names.items():
        installed = kmps[name]["installed"] if name in kmps else []
        if name in kmps and sorted(installed) != sorted(build.nevra for build in builds):
            found.append(f"{where}{name} installed {installed}, expected {builds}")
    if found:
        return [], found
    decided = {name: (kmps[name]["decision"], kmps[name]["chosen"]) for name in names}
    if answer.target is None:
        for name, may in answer.at_rest.items():
            if may and decided[name] not in may:
                found.append(f"{where}{name} {decided[name]}, expected one of {sorted(may, key=str)}")
        return [None], found
    outcomes = [outcome for outcome in answer.outcomes if _is_told(decided, outcome)]
    if not outcomes:
        return [], [f"{where}{decided}, expected one of {answer.outcomes}"]
    complaints = [_kmp_disagreements(kmps, answer, outcome) for outcome in outcomes]
    fitting: list[Outcome | None] = [
        outcome for outcome, complaint in zip(outcomes, complaints, strict=True) if not complaint
    ]
    return fitting, [] if fitting else [where + complaint for complaint in complaints[0]]


def _is_told(decided: Mapping[str, tuple[str, str | None]], outcome: Outcome) -> bool:
    for name, (decision, build) in outcome.choices.items():
        said, chosen = decided[name]
        may = {build.nevra if build else None} | ({None} if decision == "unverified" else set())
        if said != decision or chosen not in may:
            return False
    return True


def _kmp_disagreements(kmps: Mapping[str, Any], answer: Answer, outcome: Outcome) -> list[str]:
    found: list[str] = []
    for name, (decision, build) in outcome.choices.items():
        said = kmps[name]
        if decision in ("reuse", "fetch"):
            assert build is not None
            if said["mismatches"]:
                found.append(f"{name} {decision} with mismatches {said['mismatches']}")
            if not build.wanted_sets and said["symbols_required"] != len(build.wants):
                found.append(
                    f"{name} symbols_required {said['symbols_required']}, expected {len(build.wants)}"
                )
            aliases: set[str | None] = {None} if build.installed else set(build.repositories)
            if said["repository"] not in aliases:
                found.append(f"{name} from {said['repository']}, expected {sorted(map(str, aliases))}")
        if decision == "blocked":
            found += _blocked_disagreements(said, Blocked(answer.judgement, outcome, name))
    return found


def _blocked_disagreements(said: Mapping[str, Any], blocked: Blocked) -> list[str]:
    name, found = blocked.name, []
    kinds = {cause["kind"] for cause in said["causes"]}
    if not kinds:
        found.append(f"{name} blocked without a cause")
    if not all(kinds & may for may in blocked.causes):
        found.append(f"{name} causes {sorted(kinds)}, expected {blocked.causes} among them")
    if "already-broken" in kinds and name not in blocked.judgement.broken:
        found.append(f"{name} is not already broken")
    tried = {entry["nevra"]: entry for entry in said["tried"]}
    for build in blocked.builds:
        if build.nevra not in tried:
            found.append(f"{name} tried {sorted(tried)}, {build} is missing")
    system = blocked.judgement.system
    relaxed = system.candidates(blocked.judgement.kmps[name], {"vendor"})
    for build in relaxed:
        if build not in blocked.builds and tried.get(build.nevra, {}).get("cause") != "vendor":
            found.append(f"{name} tried {build} of another vendor: {tried.get(build.nevra)}")
    if not blocked.is_clear or found:
        return found
    for build in blocked.builds:
        low, high = blocked.mismatches_count(build)
        if not low <= tried[build.nevra]["mismatches"] <= high:
            found.append(
                f"{build} tried with {tried[build.nevra]['mismatches']} mismatches, expected {low} to {high}"
            )
    listed = {entry["symbol"]: entry for entry in said["mismatches"]}
    if not any(_is_listed(listed, blocked, build) for build in blocked.best):
        expected = {build.nevra: blocked.mismatches(build) for build in blocked.best}
        found.append(f"{name} mismatches {said['mismatches']}, expected those of one of {expected}")
    return found


def _is_listed(listed: Mapping[str, Any], blocked: Blocked, build: Package) -> bool:
    may = blocked.mismatches(build)
    wanted = build.wants | build.wanted_sets  # type: ignore[operator]
    return (
        set(listed) <= set(may)
        and all(symbol in listed or None in said for symbol, said in may.items())
        and all(
            (entry["kind"], entry["found"]) in may[symbol] and entry["wanted"] == wanted[symbol]
            for symbol, entry in listed.items()
        )
    )


def _transaction_disagreements(
    plan: Mapping[str, Any], agreed: Sequence[Sequence[tuple[Answer, Outcome | None]]]
) -> list[str]:
    steps = plan["transaction"]
    if (plan["command"] is None) != (steps == []):
        return [f"command {plan['command']!r} for the transaction {steps}"]
    if plan["verdict"] == "blocked":
        return [f"blocked, and yet a transaction: {steps}"] if steps else []
    arriving = {step["nevra"]: step for step in steps if step["action"] != "erase"}
    leaving = {step["nevra"] for step in steps if step["action"] == "erase"}
    complaints: list[list[str]] = []
    for combination in itertools.product(*agreed):
        expected: dict[str, Package] = {}
        may_leave: set[str] = set()
        must_leave: set[str] = set()
        for answer, outcome in combination:
            if answer.target is None or outcome is None:
                continue
            expected |= {p.nevra: p for p in answer.judgement.arriving(outcome)}
            may_leave |= {build.nevra for build in answer.judgement.leaving(outcome)}
            # What is replaced under the same name is no step of its own.
            replaced = {p.name for p in answer.judgement.arriving(outcome) if not p.multiversion}
            must_leave |= {b.nevra for b in answer.judgement.outrun(outcome) if b.name not in replaced}
        complaint = []
        if set(arriving) != set(expected):
            complaint.append(f"transaction {sorted(arriving)}, expected {sorted(expected)}")
        else:
            for nevra, package in expected.items():
                complaint += _step_disagreements(arriving[nevra], package, combination[0][0].judgement.system)
        if not leaving <= may_leave:
            complaint.append(
                f"transaction erases {sorted(leaving)}, expected no more than {sorted(may_leave)}"
            )
        if not must_leave <= leaving:
            complaint.append(
                f"transaction erases {sorted(leaving)}, expected {sorted(must_leave)} among them"
            )
        if not complaint:
            return []
        complaints.append(complaint)
    return complaints[0]


def _step_disagreements(step: Mapping[str, Any], package: Package, system: System) -> list[str]:
    found = []
    if step["repository"] not in package.repositories:
        found.append(f"{package} from {step['repository']}, expected {sorted(package.repositories)}")
    replaced = [old for old in system.installed if old.name == package.name]
    beside = package.multiversion and not any(package.conflicts_with(old) for old in replaced)
    renames = any(package.obsoletes_package(old) for old in system.installed)
    if package.multiversion and not beside:
        return found
    if renames:
        return found
    if beside or not replaced:
        action = "install"
    else:
        action = "upgrade" if package.evr > by_evr(replaced)[-1].evr else "downgrade"
    if step["action"] != action:
        found.append(f"{package}: {step['action']}, expected {action}")
    return found


def main() -> None:
    """Show the answer and the plan for the world in the file named on the command line."""
    of = world(Path(sys.argv[1]).read_text(encoding="utf-8"))
    plan = plan_of(of)
    print(json.dumps(plan, indent=1))
    for flavor, alternatives in answers(of).items():
        for answer in alternatives:
            print(flavor, answer.verdict, answer.target, *answer.outcomes, answer.at_rest, answer.newest_safe)
    print(*disagreements(plan, of) or ["the oracle accepts the plan"], sep="\n")


if __name__ == "__main__":
    main()
