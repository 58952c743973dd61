"""What other programs read: with their own libraries."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from junitparser import Error, Failure, JUnitXml
from prometheus_client.parser import text_string_to_metric_families

from kmpsolve.fleet.collecting import collect
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.sources import Sources
from tests.fleet.conftest import World, run
from tests.support import rpmmd
from tests.support.worlds import Kernel, Kmp, Tool


@pytest.fixture(scope="module")
def inventory(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "fleet.jsonl"
    lines = [
        world.line(
            f"host-{i}", i % len(world.states), labels={"env": "prod" if i % 2 else "test"}, refreshed=1
        )
        for i in range(200)
    ]
    path.write_bytes(b"".join(lines) + b"damaged\n")
    return path


def test_the_json_is_what_its_schema_says(world: World, inventory: Path) -> None:
    document = world.audit(inventory, "--group-by", "env")
    document.pop("exit")
    schema = json.loads(run("audit", "--schema").stdout)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    assert document["hosts"] == 200
    assert sum(document["verdicts"].values()) == 200
    assert [group["key"] for group in document["groups"]] == ["prod", "test"]
    for verdict, count in document["verdicts"].items():
        assert sum(group["verdicts"][verdict] for group in document["groups"]) == count
    counts = [one["hosts"] for one in document["blocking"]]
    assert counts == sorted(counts, reverse=True) and counts
    assert document["stale"] == [f"host-{i}" for i in range(200)]
    assert {one["state"] for one in document["results"]} == set(document["states"])


def test_blocking_kmps_and_kernels_are_those_of_the_plans(world: World, inventory: Path) -> None:
    document = world.audit(inventory)
    hosts: dict[tuple[str, str], int] = {}
    for one in document["results"]:
        for flavor in document["states"][one["state"]]["flavors"]:
            kernel = (flavor["target"] or flavor["current"][0])["nevra"]
            for kmp in flavor["kmps"]:
                if kmp["decision"] == "blocked" and "already-broken" not in {
                    c["kind"] for c in kmp["causes"]
                }:
                    hosts[kmp["name"], kernel] = hosts.get((kmp["name"], kernel), 0) + 1
    assert {(one["kmp"], one["kernel"]): one["hosts"] for one in document["blocking"]} == hosts


def test_a_kmp_that_was_broken_before_is_named_where_it_blocks(
    world: World, inventory: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "kmpsolve.toml"
    settings.write_text('already_broken = "block"\n')
    document = world.audit(inventory, "--config", settings)
    hosts: Counter[tuple[str, str]] = Counter()
    broken = 0
    for one in document["results"]:
        for flavor in document["states"][one["state"]]["flavors"]:
            blocked = [kmp for kmp in flavor["kmps"] if kmp["decision"] == "blocked"]
            hosts.update(
                (kmp["name"], (flavor["target"] or flavor["current"][0])["nevra"]) for kmp in blocked
            )
            broken += sum(c["kind"] == "already-broken" for kmp in blocked for c in kmp["causes"])
    assert broken
    assert {(one["kmp"], one["kernel"]): one["hosts"] for one in document["blocking"]} == hosts


def test_the_newest_safe_kernel_is_safe_for_as_many_as_it_says(world: World, inventory: Path) -> None:
    document = world.audit(inventory)
    (newest,) = document["newest_safe"]
    kernel = newest["nevra"].removeprefix("kernel-default-").removesuffix(".x86_64")
    # Asked for by name, it is safe (or there already, with every KMP working) on exactly those hosts.
    asked = world.audit(inventory, "--kernel", kernel)
    safe = asked["verdicts"]["safe"] + asked["verdicts"]["nothing-to-do"]
    assert newest["hosts_safe"] == safe
    assert newest["hosts_total"] == 200


def test_no_kernel_is_safe_for_a_host_of_which_something_is_missing(
    world: World, by_verdict: dict[str, int]
) -> None:
    """A driver may stand in the line that cannot be read."""
    state = json.loads(world.states[by_verdict["blocked"]])
    cut = json.dumps({"schema_version": 1, "host": "cut", "state": state | {"gaps": ["line 7"]}}).encode()
    whole = world.line("h", by_verdict["safe"])
    both, alone = world.audit("-", given=whole + cut), world.audit("-", given=whole)
    assert both["newest_safe"] == [alone["newest_safe"][0] | {"hosts_total": 2}]
    only = world.audit("-", given=cut)
    assert (only["newest_safe"][0]["nevra"], only["newest_safe"][0]["hosts_safe"]) == (None, 0)
    assert only["frees_most"] == []


def test_the_kernel_that_frees_most_frees_as_many_as_it_says(world: World, inventory: Path) -> None:
    document = world.audit(inventory)
    (freeing,) = document["frees_most"]
    kernel = freeing["nevra"].removeprefix("kernel-default-").removesuffix(".x86_64")
    asked = world.audit(inventory, "--kernel", kernel)
    before = {one["host"] for one in document["results"] if one["verdict"] == "blocked"}
    safe = {one["host"] for one in asked["results"] if one["verdict"] == "safe"}
    plans = {one["host"]: asked["states"][one["state"]]["flavors"][0] for one in asked["results"]}

    def evr(nevra: str) -> Evr:
        return Nevra.parse(nevra).evr

    newer = {h for h in before & safe if evr(freeing["nevra"]) > evr(plans[h]["current"][0]["nevra"])}
    assert len(before) == freeing["hosts_blocked"]
    assert freeing["hosts"] == len(newer) > 0


def test_json_lines_and_csv_tell_the_same(world: World, inventory: Path) -> None:
    document = world.audit(inventory)
    lines = [
        json.loads(one)
        for one in run("audit", inventory, *world.repo, "--format", "jsonl").stdout.splitlines()
    ]
    assert [(o["host"], o["verdict"], o["state"]) for o in lines] == [
        (o["host"], o["verdict"], o["state"]) for o in document["results"]
    ]
    text = run("audit", inventory, *world.repo, "--format", "csv").stdout.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["host"] for row in rows] == [one["host"] for one in lines]
    assert [row["blocked"].split() for row in rows] == [one["flavors"][0]["blocked"] for one in lines]


def test_prometheus_reads_it(world: World, inventory: Path, tmp_path: Path) -> None:
    target = tmp_path / "kmpsolve.prom"
    target.write_text("the old one")
    document = world.audit(inventory)
    done = run("audit", inventory, *world.repo, "--format", "prometheus", "-o", target)
    assert done.returncode == 4
    assert list(tmp_path.iterdir()) == [target]
    families = {f.name: f for f in text_string_to_metric_families(target.read_text())}
    verdicts = {s.labels["verdict"]: s.value for s in families["kmpsolve_fleet_hosts"].samples}
    assert verdicts == document["verdicts"]
    assert families["kmpsolve_fleet_damaged_records"].samples[0].value == 1
    labels = {name for family in families.values() for s in family.samples for name in s.labels}
    assert labels == {"verdict", "kmp", "flavor", "arch", "kernel"}
    assert not any("sym_" in text for text in target.read_text().split())
    assert (target.stat().st_mode & 0o777) == 0o644


def test_two_architectures_are_told_apart(tmp_path: Path) -> None:
    lines, offered = [], []
    for arch, hosts in {"aarch64": 2, "ppc64le": 1, "x86_64": 3}.items():
        kernel = Kernel(release="10.1", ksyms="a=1", arch=arch)
        # One that needs no symbol versions is unverified on every kernel.
        symbols = "a=1" if arch == "x86_64" else ""
        kmp = Kmp(name="acme", krel="6.4.0-10", symbols=symbols, modules="acme.ko", arch=arch)
        system = rpmmd.write(tmp_path / arch, [kernel.spec(), kmp.spec()])
        where = Sources(installed=str(system))
        lines += [collect(where, host=f"{arch}-{number}", labels={}) for number in range(hosts)]
        offered.append(Kernel(release="20.1", ksyms="a=1", arch=arch).spec())
    (tmp_path / "fleet.jsonl").write_text("\n".join(lines))
    repository = rpmmd.write(tmp_path / "r", offered)
    asked = ("audit", str(tmp_path / "fleet.jsonl"), "--repo", f"r={repository}")
    document = json.loads(run(*asked, "--format", "json").stdout)
    found = [(s["arch"], s["nevra"], s["hosts_safe"], s["hosts_total"]) for s in document["newest_safe"]]
    newest = "kernel-default-6.4.0-20.1.x86_64"
    assert found == [("aarch64", None, 0, 2), ("ppc64le", None, 0, 1), ("x86_64", newest, 3, 3)]
    text = run(*asked, "--format", "text").stdout.decode()
    assert "none is safe for any of 2 aarch64 hosts" in text
    page = run(*asked, "--format", "html").stdout.decode()
    assert "no kernel is safe for any of 2 aarch64 hosts." in page
    assert "6.4.0-20.1 is the newest kernel safe for all 3 x86_64 hosts." in page
    metrics = run(*asked, "--format", "prometheus").stdout.decode().splitlines()
    series = [line.rpartition(" ")[0] for line in metrics if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_junit_is_read_back(world: World, inventory: Path, tmp_path: Path) -> None:
    target = tmp_path / "gate.xml"
    run("audit", inventory, *world.repo, "--format", "junit", "-o", target)
    document = world.audit(inventory)
    suites = JUnitXml.fromfile(str(target))
    assert (suites.tests, suites.failures) == (201, document["verdicts"]["blocked"])
    assert suites.errors == document["verdicts"]["unverified"] + 1
    verdicts = {one["host"]: one["verdict"] for one in document["results"]}
    for case in next(iter(suites)):
        kinds = {type(result) for result in case.result}
        if case.classname == "fleet":
            expected = {"blocked": {Failure}, "unverified": {Error}}.get(verdicts[case.name], set())
            assert kinds == expected
        else:
            assert kinds == {Error}


@pytest.fixture(scope="module")
def by_verdict(world: World) -> dict[str, int]:
    """A state for each verdict."""
    everyone = b"".join(world.line(f"h{i}", i) for i in range(len(world.states)))
    results = world.audit("-", given=everyone)["results"]
    return {one["verdict"]: i for i, one in enumerate(results)}


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ((), (4, 110, 0)),
        (("--strict",), (4, 4, 0)),
        (("--fail-on", "blocked"), (4, 0, 0)),
        (("--fail-on", "unverified"), (4, 4, 0)),
        (("--fail-on", "never"), (0, 0, 0)),
        (("--exit-style", "nagios"), (2, 1, 0)),
    ],
)
def test_exit_codes(
    world: World, by_verdict: dict[str, int], words: tuple[str, ...], codes: tuple[int, ...]
) -> None:
    found = []
    for verdict in ("blocked", "unverified", "safe"):
        done = run("audit", "-", *world.repo, *words, given=world.line("h", by_verdict[verdict]))
        found.append(done.returncode)
        if "nagios" in words:
            assert done.stdout.startswith(b"KMPSOLVE ")
            assert b" | safe=" in done.stdout.splitlines()[0]
    assert tuple(found) == codes


def test_flavors_that_not_every_host_has(world: World, by_verdict: dict[str, int]) -> None:
    """A host is judged for those that it has; where no host has one, there is nothing to say."""
    given = world.line("h", by_verdict["blocked"])
    both, mine, other = (
        run("audit", "-", *world.repo, "--format", "json", *words, given=given)
        for words in (
            ("--flavor", "rt", "--flavor", "default"),
            ("--flavor", "default"),
            ("--flavor", "rt"),
        )
    )
    assert (both.returncode, both.stdout) == (4, mine.stdout)
    assert (other.returncode, other.stdout) == (3, b"")
    assert b"no kernel of flavor rt is installed on any host" in other.stderr


def test_what_if_and_baseline(world: World, inventory: Path, tmp_path: Path) -> None:
    sle, vendor = world.repo[1], world.repo[3]
    done = run("audit", inventory, "--repo", sle, "--format", "json", "-o", tmp_path / "old.json")
    assert done.returncode == 4, done.stderr
    words = ("audit", inventory, "--repo", sle, "--with-repo", vendor, "--format", "json")
    document = json.loads(run(*words).stdout)
    with_vendor = world.audit(inventory, "--baseline", tmp_path / "old.json")
    assert document["what_if"]["verdicts"] == with_vendor["verdicts"]
    before = {one["host"]: one["verdict"] for one in document["results"]}
    now = {one["host"]: one["verdict"] for one in with_vendor["results"]}
    bad = ("blocked", "unverified")
    assert document["what_if"]["freed"] == [h for h in now if before[h] in bad and now[h] not in bad]
    assert with_vendor["changes"]["changed"] == [
        {"host": h, "before": before[h], "now": now[h]} for h in now if before[h] != now[h]
    ]
    assert document["what_if"]["freed"]


def test_a_repository_that_cannot_be_read_is_told(world: World, by_verdict: dict[str, int]) -> None:
    """Or nobody knows why no host is safe, or what was asked about frees none."""
    given = world.line("h", by_verdict["safe"])
    words = ("audit", "-", *world.repo, "--repo", "gone=/nowhere/at/all", "--with-repo", "more=/nowhere/else")
    for style in ("text", "html"):
        told = run(*words, "--format", style, given=given).stdout.decode()
        assert "Not read: gone: " in told
        assert "Not read: more: " in told
    document = json.loads(run(*words, "--format", "json", given=given).stdout)
    Draft202012Validator(json.loads(run("audit", "--schema").stdout)).validate(document)
    assert [one["alias"] for one in document["skipped"]] == ["gone"]
    assert [one["alias"] for one in document["what_if"]["skipped"]] == ["gone", "more"]


def test_what_if_sees_what_only_that_repository_speaks_of(tmp_path: Path) -> None:
    """Of a list of all packages it is left out, where nothing that is there already has to do with it."""
    old, new = Kernel(release="10.1", ksyms="b=1").spec(), Kernel(release="20.1", ksyms="b=2").spec()
    driver = Kmp(name="acme", krel="6.4.0-10", symbols="b=1", modules="acme.ko")
    rebuilt = replace(driver, krel="6.4.0-20", version="2.0", symbols="b=2", conflicts="foo").spec()
    installed = [old, driver.spec(), Tool(name="foo").spec()]
    base = rpmmd.write(tmp_path / "base", [new, *installed])
    other = rpmmd.write(tmp_path / "other", [rebuilt])
    (tmp_path / "h.txt").write_text("".join(f"{spec.nevra}\n" for spec in installed))
    words = ("audit", tmp_path / "h.txt", "--format", "json", "--repo", f"base={base}")
    asked, there = run(*words, "--with-repo", f"other={other}"), run(*words, "--repo", f"other={other}")
    assert json.loads(there.stdout)["verdict"] == "blocked"
    what_if = json.loads(asked.stdout)["what_if"]
    assert (what_if["verdicts"]["blocked"], what_if["freed"]) == (1, [])


def test_the_same_input_gives_the_same_bytes(world: World, inventory: Path) -> None:
    for form in ("json", "html"):
        words = ("audit", inventory, *world.repo, "--format", form)
        assert run(*words, "--jobs", "1").stdout == run(*words, "--jobs", "3").stdout
