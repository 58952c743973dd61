"""An audit says of every host what ``plan`` says of it alone, byte for byte."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest

import kmpsolve
from kmpsolve.fleet.collecting import collect
from kmpsolve.sources import Sources
from tests.fleet import fleets
from tests.fleet.conftest import make, run
from tests.support import rpmmd
from tests.support.worlds import Kernel, Kmp


@pytest.mark.parametrize(("seed", "kernel"), [(1, None), (2, None), (3, "latest"), (4, "newest-safe")])
def test_five_hundred_hosts(tmp_path: Path, seed: int, kernel: str | None) -> None:
    of = make(tmp_path, seed, 40, kernels=3 + seed, kmps=6 + seed)
    chance = random.Random(seed)  # noqa: S311
    inventory = tmp_path / "fleet.jsonl"
    inventory.write_bytes(b"".join(fleets.lines(chance, of.states, 500)))
    document = of.audit(inventory, *(["--kernel", kernel] if kernel else []))
    assert document["hosts"] == len(document["results"]) == 500
    tally = dict.fromkeys(document["verdicts"], 0)
    repositories = of.offer.repositories(tmp_path)
    one = tmp_path / "one.json"
    planned: dict[str, kmpsolve.Plan] = {}
    for line, result in zip(inventory.read_bytes().splitlines(), document["results"], strict=True):
        told = json.loads(line)
        state = json.dumps(told["state"])
        if state not in planned:
            one.write_bytes(line)
            planned[state] = kmpsolve.plan(installed=one, repositories=repositories, kernel=kernel)
        assert told["host"] == result["host"]
        assert planned[state].verdict == result["verdict"]
        assert planned[state].to_dict() == document["states"][result["state"]]
        tally[result["verdict"]] += 1
    assert tally == document["verdicts"]
    assert len(document["states"]) == len(planned) == 40


def test_the_plan_on_the_inventory_is_the_plan_on_the_host(tmp_path: Path) -> None:
    """What ``collect`` leaves out, the repositories put back."""
    of = make(tmp_path, 7, 1)
    chance = random.Random(7)  # noqa: S311
    repositories = of.offer.repositories(tmp_path)
    verdicts = set()
    for number in range(25):
        system = rpmmd.write(tmp_path / f"host{number}", fleets.installed(chance, of.offer))
        line = tmp_path / f"host{number}.json"
        where = Sources(installed=str(system), repositories=tuple(repositories.items()))
        line.write_text(collect(where, host=None, labels={}))
        there = kmpsolve.plan(installed=system, repositories=repositories)
        here = kmpsolve.plan(installed=line, repositories=repositories)
        verdicts.add(there.verdict)
        assert here.to_dict() == there.to_dict()
    assert verdicts >= {"safe", "blocked", "nothing-to-do"}


def test_a_host_without_a_driver_on_a_kernel_of_no_repository(tmp_path: Path) -> None:
    """Nothing is asked of what that kernel provides, so that it is as safe as the host itself says."""
    kernel = Kernel(release="10.1", ksyms="a=1").spec()
    driver = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko").spec()
    repository = rpmmd.write(tmp_path / "empty", [])
    lines = []
    for name, packages in {"bare": [kernel], "driven": [kernel, driver]}.items():
        system = rpmmd.write(tmp_path / name, packages)
        lines.append(collect(Sources(installed=str(system)), host=name, labels={}))
        there = kmpsolve.plan(installed=system, repositories={"empty": repository})
        (tmp_path / "one.json").write_text(lines[-1])
        here = kmpsolve.plan(installed=tmp_path / "one.json", repositories={"empty": repository})
        assert here.to_dict() == there.to_dict()
        assert here.flavors[0].newest_safe == kernel.nevra
    (tmp_path / "fleet.jsonl").write_text("\n".join(lines))
    ended = run("audit", str(tmp_path / "fleet.jsonl"), "--repo", str(repository), "--format", "json")
    assert json.loads(ended.stdout)["newest_safe"] == [
        {"flavor": "default", "arch": "x86_64", "nevra": kernel.nevra, "hosts_total": 2, "hosts_safe": 2}
    ]


def test_a_kernel_that_is_newest_for_nobody_may_suit_most(tmp_path: Path) -> None:
    repository = rpmmd.write(
        tmp_path / "r",
        [
            Kernel(release="10.1", ksyms="a=2 b=2 c=1").spec(),
            Kernel(release="25.1", ksyms="a=1 b=1 c=2").spec(),
            Kernel(release="30.1", ksyms="a=2 b=1 c=2").spec(),
            Kernel(release="40.1", ksyms="a=1 b=2 c=2").spec(),
        ],
    )
    lines = []
    for host, release in {"a": "5.1", "b": "6.1", "c": "7.1"}.items():
        kernel = Kernel(release=release, ksyms="a=1 b=1 c=1").spec()
        driver = Kmp(name="acme", krel="6.4.0-5", symbols=f"{host}=1", modules="acme.ko").spec()
        system = rpmmd.write(tmp_path / host, [kernel, driver])
        lines.append(collect(Sources(installed=str(system)), host=host, labels={}))
    (tmp_path / "fleet.jsonl").write_text("\n".join(lines))
    ended = run("audit", str(tmp_path / "fleet.jsonl"), "--repo", str(repository), "--format", "json")
    (found,) = json.loads(ended.stdout)["newest_safe"]
    assert (found["nevra"], found["hosts_safe"]) == ("kernel-default-6.4.0-25.1.x86_64", 2)


DRIVER = Kmp(name="acme", krel="6.4.0-10", symbols="b=1", exports="s=1", modules="acme.ko acme_x.ko")


def _there_and_here(
    tmp_path: Path, installed: list[Kmp], offered: list[Kmp]
) -> tuple[kmpsolve.Plan, kmpsolve.Plan]:
    """The plan for a host and that for its line, where b changes with the next kernel and a stays."""
    old, new = Kernel(release="10.1", ksyms="a=1 b=1").spec(), Kernel(release="20.1", ksyms="a=1 b=2").spec()
    system = rpmmd.write(tmp_path / "host", [old, *(kmp.spec() for kmp in installed)])
    repository = rpmmd.write(tmp_path / "r", [old, new, *(kmp.spec() for kmp in offered)])
    line = tmp_path / "line.json"
    where = Sources(installed=str(system), repositories=(("r", str(repository)),))
    line.write_text(collect(where, host="h", labels={}))
    kmps = json.loads(line.read_text())["state"]["kmps"]
    assert all(list(told) == ["digest", "nevra", "vendor"] for told in kmps), "the repository tells the rest"
    there, here = (kmpsolve.plan(installed=at, repositories={"r": repository}) for at in (system, line))
    return there, here


def test_what_a_kmp_requires_of_itself_is_in_no_repository(tmp_path: Path) -> None:
    """rpm lists it among the requirements of what is installed, createrepo_c leaves it out."""
    mine = dataclasses.replace(DRIVER, symbols="a=1 s=1")
    there, here = _there_and_here(tmp_path, [mine], [dataclasses.replace(mine, symbols="a=1")])
    assert (there.verdict, here.verdict) == ("safe", "safe")


def test_a_kmp_that_a_repository_has_with_other_exports(tmp_path: Path) -> None:
    """With those the KMP above it would count as broken already, and not be missed."""
    mine = dataclasses.replace(DRIVER, symbols="a=1")
    user = Kmp(name="user", krel="6.4.0-10", symbols="b=1 s=1", modules="user.ko")
    there, here = _there_and_here(tmp_path, [mine, user], [dataclasses.replace(mine, exports="s=2"), user])
    assert (there.verdict, here.verdict) == ("blocked", "unverified")


def test_a_kmp_that_a_repository_has_with_other_modules(tmp_path: Path) -> None:
    rebuilt = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="b=2", modules="acme.ko")
    other = dataclasses.replace(DRIVER, modules="acme.ko")
    there, here = _there_and_here(tmp_path, [DRIVER], [other, rebuilt])
    assert [cause.kind for cause in there.flavors[0].kmps[0].causes] == ["module-dropped"]
    assert here.verdict == "unverified"
    assert [warned.reference for warned in here.flavors[0].kmps[0].warnings] == [
        "kmp-not-known",
        "signature-not-checked",
    ]


def test_a_listed_kmp_of_which_nobody_knows_the_modules(tmp_path: Path) -> None:
    """The rebuild may lack one of them."""
    old, new = Kernel(release="10.1", ksyms="b=1").spec(), Kernel(release="20.1", ksyms="b=2").spec()
    rebuilt = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="b=2", modules="acme.ko").spec()
    repository = rpmmd.write(tmp_path / "r", [old, new, rebuilt])
    listing = tmp_path / "h.txt"
    listing.write_text(f"{old.nevra}\n{DRIVER.spec().nevra}\n")
    plan = kmpsolve.plan(installed=listing, repositories={"r": repository})
    assert (plan.verdict, plan.flavors[0].kmps[0].decision) == ("unverified", "fetch")
    assert plan.flavors[0].newest_safe is None
    ended = run("audit", str(listing), "--repo", f"r={repository}", "--format", "json")
    assert ended.returncode == 110
    (state,) = json.loads(ended.stdout)["states"].values()
    assert state == plan.to_dict()


def test_a_listed_kmp_that_nobody_knows_where_no_kernel_is_new(tmp_path: Path) -> None:
    """As with one that was built without symbol versions: nothing is done, and the decision says the rest."""
    kernel = Kernel(release="10.1", ksyms="b=1").spec()
    listing = tmp_path / "h.txt"
    listing.write_text(f"{kernel.nevra}\n{DRIVER.spec().nevra}\n")
    plan = kmpsolve.plan(installed=listing, repositories={"r": rpmmd.write(tmp_path / "r", [kernel])})
    (kmp,) = plan.flavors[0].kmps
    assert (plan.verdict, kmp.decision) == ("nothing-to-do", "unverified")
    assert "kmp-not-known" in {warned.reference for warned in kmp.warnings}


def test_hosts_that_repositories_do_not_know_whole(tmp_path: Path) -> None:
    """Packages of other makes under one name stand side by side in a fleet: no host gets another one's."""
    of = make(tmp_path, 5, 12)
    chance = random.Random(5)  # noqa: S311
    told: list[dict[str, Any]] = []
    for encoded in of.states:
        state = json.loads(encoded)
        told += [state, *(change(json.loads(encoded), chance) for change in CHANGES)]
    inventory = tmp_path / "fleet.jsonl"
    lines = [json.dumps({"schema_version": 1, "host": f"h{n}", "state": s}) for n, s in enumerate(told)]
    inventory.write_text("\n".join(lines))
    document = of.audit(inventory)
    assert document["damaged"] == []
    repositories = of.offer.repositories(tmp_path)
    verdicts = set()
    for line, result in zip(lines, document["results"], strict=True):
        (tmp_path / "one.json").write_text(line)
        planned = kmpsolve.plan(installed=tmp_path / "one.json", repositories=repositories)
        assert planned.to_dict() == document["states"][result["state"]], line
        verdicts.add(planned.verdict)
    assert len(document["states"]) > 60
    assert verdicts == {"safe", "blocked", "unverified", "nothing-to-do"}


def _nevra(package: Any) -> str:
    return package if isinstance(package, str) else package["nevra"]


def _unknown_kernel(state: dict[str, Any], _: random.Random) -> dict[str, Any]:
    state["kernels"] = ["kernel-default-6.4.0-150600.22.7.1.x86_64"]
    return state


def _rebuilt_under_the_same_name(state: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    kind = chance.choice(["kernels", "kmps"])
    state[kind] = [{"nevra": _nevra(p), "digest": "0123456789abcdef"} for p in state.get(kind, ())]
    return state


def _names_only(state: dict[str, Any], _: random.Random) -> dict[str, Any]:
    everything = [_nevra(p) for kind in ("kernels", "kmps", "user_space") for p in state.get(kind, ())]
    return {"arch": "x86_64", "packages": [*everything, "strange-kmp-default-1_k6.4.0_150600.23.1-1.x86_64"]}


def _no_architecture(state: dict[str, Any], _: random.Random) -> dict[str, Any]:
    kinds = ("kernels", "kmps")
    return {kind: [_nevra(p).rpartition(".")[0] + ".unknown" for p in state.get(kind, ())] for kind in kinds}


def _another_architecture(state: dict[str, Any], _: random.Random) -> dict[str, Any]:
    kinds = ("kernels", "kmps")
    other = {kind: [_nevra(p).rpartition(".")[0] + ".aarch64" for p in state.get(kind, ())] for kind in kinds}
    return {"arch": "aarch64", **other}


def _own_settings(state: dict[str, Any], _: random.Random) -> dict[str, Any]:
    return state | {
        "keep": "latest,running",
        "vendors": [["ACME", "Storage Corp"]],
        "locks": ["type: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: kmp1-*"],
    }


def _own_symbols(state: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A KMP under a known name that requires something else, on a kernel that provides it here only."""
    own = {
        "nevra": f"kmp1-kmp-default-9_k6.4.0_150600.23.1-{chance.randint(1, 2)}.x86_64",
        "vendor": "ACME Inc.",
        "provides": ["kmod(kmp1.ko)", "ksym(default:own) = 5"],
        "requires": [f"ksym(default:sym_001) = {chance.randint(1, 3):x}", "ksym(default:sym_002) = 7"],
    }
    kernel = {
        "nevra": "kernel-default-6.4.0-150600.21.1.1.x86_64",
        "provides": ["kernel-uname-r = 6.4.0-150600.21.1-default", *own["requires"]],
    }
    return state | {"kmps": [*state.get("kmps", ()), own], "kernels": [*state["kernels"], kernel]}


CHANGES = (
    _unknown_kernel,
    _rebuilt_under_the_same_name,
    _names_only,
    _no_architecture,
    _another_architecture,
    _own_settings,
    _own_symbols,
)
