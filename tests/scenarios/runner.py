"""Runs a fixture through ``kmpsolve plan`` and holds the answer against the one worked out by hand."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmpsolve.cli import main
from tests.support import repository
from tests.support.fixture import (
    FIXTURES,
    ExpectedFlavor,
    ExpectedKmp,
    Repository,
    Scenario,
    System,
)

# 2026-01-01: waivers in the fixtures are dated around it.
TODAY = "1767225600"
_EXIT = {"safe": 0, "nothing-to-do": 0, "unverified": 110, "blocked": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    exit: int
    stdout: str
    stderr: str

    @property
    def plan(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stdout)
        return document


def plan_file(name: str) -> Path:
    """Return the file with the whole expected plan."""
    return FIXTURES / name / "plan.json"


def ask(scenario: Scenario, source: str, work: Path, *words: str) -> Answer:
    """Ask kmpsolve about `scenario`, with its packages as `source` (``rpm-md`` or ``rpms``).

    `words` are the verb and what follows it; by default the plan as JSON.
    """
    verb, *rest = words or ("plan", "--format", "json")
    arguments = [verb, *rest, "--installed", str(_packages(source, scenario.installed))]
    # Patches are metadata's, and zypp reads a repository's priority from a .repo file: both need rpm-md.
    if _needs_root(scenario):
        arguments += ["--root", str(make_root(scenario, work / "root", work))]
    else:
        for entry in scenario.repositories:
            kind = "rpm-md" if entry.patches else source
            arguments += ["--repo", f"{entry.alias}={_repository(entry, kind, work)}"]
    return kmpsolve([*arguments, *_asked(scenario, verb, work)])


def ask_root(scenario: Scenario, root: Path, work: Path, form: str = "json") -> Answer:
    """Ask for the plan of a root that has the packages of `scenario`, and here gets its configuration."""
    make_root(scenario, root, work)
    return kmpsolve(["plan", "--format", form, "--root", str(root), *_asked(scenario, "plan", work)])


def _asked(scenario: Scenario, verb: str, work: Path) -> list[str]:
    """Return the options of the scenario's request."""
    arguments: list[str] = []
    request = scenario.request
    for option, value in (
        ("--kernel", request.kernel if verb in ("plan", "explain") else None),
        ("--running", request.running),
        ("--flavor", request.flavor),
    ):
        if value is not None:
            arguments += [option, value]
    if request.strict:
        arguments.append("--strict")
    if request.configuration is not None:
        configuration = work / "kmpsolve.toml"
        configuration.write_text(request.configuration, encoding="utf-8")
        arguments += ["--config", str(configuration)]
    return arguments


def kmpsolve(arguments: list[str], *, now: str = TODAY) -> Answer:
    """Run ``kmpsolve`` with these words, by default on the day of the fixtures."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = now
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = main(arguments)
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]
        if before is not None:
            os.environ["SOURCE_DATE_EPOCH"] = before
    return Answer(exit=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())


def _needs_root(scenario: Scenario) -> bool:
    return scenario.system is not None or any(entry.priority != 99 for entry in scenario.repositories)


def _packages(source: str, packages: Any) -> Path:
    return repository.rpm_md(packages) if source == "rpm-md" else repository.rpm_folder(packages)


def _repository(entry: Repository, source: str, work: Path) -> Path:
    if source == "rpm-md":
        folder = repository.rpm_md(entry.packages, entry.patches)
    else:
        folder = repository.rpm_folder(entry.packages)
    if not entry.broken:
        return folder
    broken = work / f"broken-{entry.alias}"
    shutil.copytree(folder, broken, copy_function=shutil.copyfile)
    for path in (*broken.glob("repodata/*-primary.xml.*"), *broken.glob("*.rpm")):
        path.write_bytes(path.read_bytes()[:100])
    return broken


def make_root(scenario: Scenario, root: Path, work: Path) -> Path:
    """Make the root folder: zypp's configuration and one .repo file for each repository."""
    system = scenario.system or System()
    zypp = root / "etc" / "zypp"
    for name in ("repos.d", "vendors.d"):
        (zypp / name).mkdir(parents=True, exist_ok=True)
    # The values that hold where no root is read at all.
    kept = {"multiversion.kernels": "latest,latest-1,running"}
    settings = {"multiversion": "provides:multiversion(kernel)", **kept, **system.zypp_conf}
    lines = ["[main]", *(f"{key} = {value}" for key, value in settings.items())]
    (zypp / "zypp.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    locks = []
    for lock in system.locks:
        fields = {"type": "package", "match_type": "exact", "case_sensitive": "on", **lock}
        locks.append("".join(f"{key}: {value}\n" for key, value in fields.items()))
    if locks:
        (zypp / "locks").write_text("\n".join(locks), encoding="utf-8")
    for number, names in enumerate(system.vendor_classes):
        text = f"[main]\nvendors = {','.join(names)}\n"
        (zypp / "vendors.d" / f"{number}.conf").write_text(text, encoding="utf-8")
    for entry in scenario.repositories:
        folder = _repository(entry, "rpm-md", work)
        text = (
            f"[{entry.alias}]\nname={entry.alias}\nenabled=1\nautorefresh=0\ngpgcheck=0\n"
            f"baseurl=dir:{folder}\ntype=rpm-md\npriority={entry.priority}\n"
        )
        (zypp / "repos.d" / f"{entry.alias}.repo").write_text(text, encoding="utf-8")
    return root


def comparable(plan: dict[str, Any], *, between_sources: bool = False) -> dict[str, Any]:
    """Return `plan` without what depends on the place where the test runs.

    With `between_sources` also without what an RPM folder does not have: a revision and a timestamp.
    """
    inputs = plan["inputs"]
    repositories = [{**entry, "source": "SOURCE"} for entry in inputs["repositories"]]
    if between_sources:
        repositories = [{**entry, "revision": None, "timestamp": None} for entry in repositories]
    return {
        **plan,
        "inputs": {
            "root": None if inputs["root"] is None else "ROOT",
            "repositories": repositories,
            "skipped": [{**entry, "reason": "REASON"} for entry in inputs["skipped"]],
        },
    }


def text(plan: dict[str, Any]) -> str:
    """Return the text of a plan.json."""
    return json.dumps(comparable(plan), indent=2, ensure_ascii=False) + "\n"


def disagreements(scenario: Scenario, answer: Answer) -> list[str]:
    """Return where the answer is not the expected one, a line each; empty if it is."""
    expected = scenario.expected
    if answer.exit not in (0, 4, 110):
        return [f"exit code {answer.exit}, not {expected.exit}: {answer.stderr.strip()}"]
    plan = answer.plan
    return [
        *_differ("exit code", expected.exit, answer.exit),
        *_differ("verdict", expected.verdict, plan["verdict"]),
        *_differ("complete", expected.complete, plan["complete"]),
        *_differ("skipped", list(expected.skipped), [entry["alias"] for entry in plan["inputs"]["skipped"]]),
        *_differ(
            "transaction",
            sorted(expected.transaction, key=str),
            sorted(
                ((step["action"], step["nevra"], step["repository"]) for step in plan["transaction"]), key=str
            ),
        ),
        *_differ("flavors", sorted(expected.flavors), [entry["flavor"] for entry in plan["flavors"]]),
        *_contract(scenario, answer.exit, plan),
        *(
            f"{entry['flavor']}: {line}"
            for entry in plan["flavors"]
            if entry["flavor"] in expected.flavors
            for line in _flavor(expected.flavors[entry["flavor"]], entry)
        ),
    ]


def _contract(scenario: Scenario, code: int, plan: dict[str, Any]) -> Iterator[str]:
    """What holds for every plan, whatever the fixture shows."""
    strict = scenario.request.strict and plan["verdict"] == "unverified"
    yield from _differ("exit code for this verdict", 4 if strict else _EXIT[plan["verdict"]], code)
    yield from _differ("a command without a transaction", not plan["transaction"], plan["command"] is None)
    if plan["verdict"] in ("blocked", "nothing-to-do"):
        yield from _differ("transaction of a plan that does nothing", [], plan["transaction"])
    for entry in plan["flavors"]:
        if entry["verdict"] in ("safe", "nothing-to-do"):
            yield from _differ(f"{entry['flavor']}: modules lost", [], entry["modules_lost"])
        for kmp in entry["kmps"]:
            if kmp["decision"] in ("reuse", "fetch"):
                yield from _differ(f"{kmp['name']}: mismatches of a compatible build", [], kmp["mismatches"])
                installed = kmp["chosen"] in kmp["installed"]
                yield from _differ(f"{kmp['name']}: reuse of", kmp["decision"] == "reuse", installed)
                yield from _differ(f"{kmp['name']}: from no repository", installed, kmp["repository"] is None)
            if kmp["decision"] == "blocked" and not kmp["causes"]:
                yield f"{kmp['name']}: blocked without a cause"
        removals = [way["kind"] == "remove" for way in entry["ways_out"]]
        if removals != sorted(removals):
            yield f"{entry['flavor']}: removing a driver is not the last way out"


def _flavor(expected: ExpectedFlavor, actual: dict[str, Any]) -> Iterator[str]:
    target = actual["target"]
    yield from _differ("verdict", expected.verdict, actual["verdict"])
    yield from _differ("target", expected.target, target and target["nevra"])
    yield from _differ("newest_safe", expected.newest_safe, actual["newest_safe"])
    if expected.zypper_would is not None:
        yield from _differ("zypper would", expected.zypper_would[0], actual["zypper_would"]["target"])
    matrix = {row["uname_r"]: row for row in actual["boot_matrix"]}
    if expected.boot is not None:
        yield from _differ(
            "boot matrix", dict(expected.boot), {uname: row["state"] for uname, row in matrix.items()}
        )
    kinds = [way["kind"] for way in actual["ways_out"]]
    remaining = iter(kinds)
    if not all(kind in remaining for kind in expected.ways_out):
        yield f"ways out: {list(expected.ways_out)} expected among {kinds}, in this order"
    held = {patch["id"] for way in actual["ways_out"] for patch in way["held_patches"]}
    yield from _differ("held patches", sorted(expected.held_patches), sorted(held))
    kmps = {kmp["name"]: kmp for kmp in actual["kmps"]}
    if expected.kmps:
        yield from _differ("KMPs", sorted(expected.kmps), sorted(kmps))
    warned = {warning["reference"] for warning in actual["warnings"]}
    yield from _missing("warnings", expected.warnings, warned)
    for name, kmp in expected.kmps.items():
        if name in kmps:
            served = {uname: row["kmps"][name]["via"] for uname, row in matrix.items() if name in row["kmps"]}
            yield from (f"{name}: {line}" for line in _kmp(kmp, kmps[name], served, warned))


def _kmp(
    expected: ExpectedKmp, actual: dict[str, Any], served: dict[str, str], warned: set[str]
) -> Iterator[str]:
    yield from _differ("decision", expected.decision, actual["decision"])
    if expected.chosen is not None:
        yield from _differ("chosen", expected.chosen[0], actual["chosen"])
    found = [
        (entry["symbol"], entry["kind"], entry["wanted"], entry["found"]) for entry in actual["mismatches"]
    ]
    yield from _differ("mismatches", sorted(expected.mismatches), sorted(found))
    yield from _missing("causes", expected.causes, {cause["kind"] for cause in actual["causes"]})
    tried = {attempt["nevra"]: attempt["cause"] for attempt in actual["tried"]}
    for nevra, cause in expected.tried.items():
        yield from _differ(f"tried {nevra}", cause, tried.get(nevra, "not tried"))
    for uname, via in expected.boot.items():
        yield from _differ(f"on {uname}", via, served.get(uname, "not in the boot matrix"))
    warned = warned | {warning["reference"] for warning in actual["warnings"]}
    yield from _missing("warnings", expected.warnings, warned)
    yield from _differ("waived", expected.waived, actual["waived"] is not None)


def _missing(what: str, expected: tuple[str, ...], actual: set[str]) -> Iterator[str]:
    if missing := [word for word in expected if word not in actual]:
        yield f"{what}: {', '.join(missing)} missing in {sorted(actual)}"


def _differ(what: str, expected: object, actual: object) -> Iterator[str]:
    if expected != actual:
        yield f"{what}: {expected!r} expected, {actual!r} found"
