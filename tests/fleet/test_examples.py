"""The examples do what they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import JUnitXml
from prometheus_client.parser import text_string_to_metric_families

from tests.fleet import fleets
from tests.fleet.conftest import World
from tests.support import rpmmd
from tests.support.cache import CHECKOUT

EXAMPLES = CHECKOUT / "examples"


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A ``kmpsolve`` as one finds it in PATH."""
    path = tmp_path / "bin" / "kmpsolve"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {sys.executable} -m kmpsolve "$@"\n')
    path.chmod(0o755)
    return path


def _system(world: World, folder: Path, kernel: int, kmps: list[int]) -> Path:
    specs = [world.offer.kernels[kernel], *(world.offer.kmps[kmp][0] for kmp in kmps), world.offer.tools[1]]
    return rpmmd.write(folder, specs)


def _environment(command: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "SOURCE_DATE_EPOCH": str(fleets.COLLECTED),
        "KMPSOLVE": str(command),
    }


def test_the_playbook_updates_only_what_is_safe(world: World, tmp_path: Path, command: Path) -> None:
    playbook = shutil.which("ansible-playbook", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert playbook is not None
    hosts = {}
    blocked = _blocked_kmp(world)
    for name, kmps in (("good", []), ("bad", [blocked]), ("fine", [])):
        system = _system(world, tmp_path / name, 0, kmps)
        options = json.dumps(["--installed", str(system), *world.repo])
        hosts[name] = f"{name} ansible_connection=local kmpsolve_collect_options='{options}'"
    updated = tmp_path / "updated"
    updated.mkdir()
    inventory = tmp_path / "hosts"
    inventory.write_text("\n".join(hosts.values()) + "\n")
    extra = {
        "kmpsolve_command": str(command),
        "kmpsolve_folder": str(tmp_path / "lines"),
        "kmpsolve_repositories": [world.repo[1], world.repo[3]],
        "kmpsolve_update": ["touch", f"{updated}/{{{{ inventory_hostname }}}}"],
        "ansible_python_interpreter": sys.executable,
    }
    (tmp_path / "lines").mkdir()
    # Options of a host come from the inventory; those of the play would win over them.
    text = (
        (EXAMPLES / "ansible/update-kernels.yml")
        .read_text()
        .replace("    kmpsolve_collect_options: []\n", "")
    )
    (tmp_path / "play.yml").write_text(text)
    done = subprocess.run(
        [playbook, "-i", str(inventory), str(tmp_path / "play.yml"), "-e", json.dumps(extra), "--forks", "2"],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(command) | {"ANSIBLE_LOCALHOST_WARNING": "false", "LC_ALL": "C.UTF-8"},
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "bad is blocked" in done.stdout
    assert sorted(p.name for p in updated.iterdir()) == ["fine", "good"]
    assert sorted(p.name for p in (tmp_path / "lines").iterdir()) == ["bad.json", "fine.json", "good.json"]


def _blocked_kmp(world: World) -> int:
    """A KMP whose only build is for the first kernel and does not fit the last."""
    newest = set(world.offer.kernels[-1].provides)
    for number, builds in enumerate(world.offer.kmps):
        modules = {c for c in builds[0].provides if c.startswith("kmod(")}
        fits = [all(c in newest for c in b.requires if c.startswith("ksym(")) for b in builds]
        first = set(world.offer.kernels[0].provides)
        works = all(c in first for c in builds[0].requires if c.startswith("ksym("))
        if works and not any(fits) and not modules & newest:
            return number
    raise AssertionError("the world has no such KMP")


def test_the_state_collects(world: World, tmp_path: Path, command: Path) -> None:
    """Rendered and run by Salt where it is installed; its packages fit few Pythons, so elsewhere by hand."""
    system = _system(world, tmp_path / "system", 0, [1])
    folder = tmp_path / "lines"
    pillar = {
        "kmpsolve": {"command": str(command), "folder": str(folder), "options": f"--installed {system}"}
    }
    salt = shutil.which("salt-call")
    if salt is not None:
        subprocess.run(
            [
                *(salt, "--local", "--id", "minion-1", "--file-root", str(EXAMPLES / "salt")),
                *("--config-dir", str(tmp_path), "--log-file", str(tmp_path / "salt.log")),
                *("state.apply", "kmpsolve", f"pillar={json.dumps(pillar)}"),
            ],
            check=True,
            capture_output=True,
            env=_environment(command),
        )
    else:
        _apply(_rendered(pillar))
    line = json.loads((folder / "inventory.json").read_text())
    assert line["host"] == "minion-1"
    document = world.audit(folder)
    assert [one["host"] for one in document["results"]] == ["inventory"]


def _rendered(pillar: dict[str, dict[str, str]]) -> str:
    from jinja2 import Environment, StrictUndefined

    def get(key: str, default: str) -> str:
        section, name = key.split(":")
        return pillar.get(section, {}).get(name, default)

    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(  # noqa: S701 - a shell line
        (EXAMPLES / "salt/kmpsolve/init.sls").read_text()
    )
    return template.render(salt={"pillar.get": get}, grains={"id": "minion-1"})


def _apply(text: str) -> None:
    """What Salt does with these two kinds of states."""
    import yaml

    states = yaml.safe_load(text)
    assert list(states) == ["kmpsolve-folder", "kmpsolve-collect"]
    directory = {k: v for one in states["kmpsolve-folder"]["file.directory"] for k, v in one.items()}
    Path(directory["name"]).mkdir(mode=int(directory["mode"], 8), parents=True, exist_ok=True)
    run = {k: v for one in states["kmpsolve-collect"]["cmd.run"] for k, v in one.items()}
    assert run["require"] == [{"file": "kmpsolve-folder"}]
    subprocess.run(["/bin/sh", "-c", run["name"]], check=True)


def test_the_units_are_valid_and_their_command_works(world: World, tmp_path: Path, command: Path) -> None:
    units = EXAMPLES / "systemd"
    text = (units / "kmpsolve-audit.service").read_text()
    (start,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart=")]
    words = start.split()
    assert words[:2] == ["/usr/bin/kmpsolve", "audit"]
    for unit in ("service", "timer"):
        (tmp_path / f"kmpsolve-audit.{unit}").write_text(
            (units / f"kmpsolve-audit.{unit}").read_text().replace("/usr/bin/kmpsolve", str(command))
        )
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "kmpsolve-audit.timer")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in checked.stderr.splitlines() if "kmpsolve" in line] == []
    (tmp_path / "f.jsonl").write_bytes(world.line("a") + world.line("b", 1))
    target = tmp_path / "kmpsolve.prom"
    replaced = {"/srv/kmpsolve/inventory": str(tmp_path / "f.jsonl"), words[-1]: str(target)}
    options = [replaced.get(word, word) for word in words[1:]]
    done = subprocess.run([command, *options, *world.repo], check=True, capture_output=True)
    assert done.stdout == b""
    assert "kmpsolve_fleet_hosts" in {f.name for f in text_string_to_metric_families(target.read_text())}


def test_the_gate(world: World, tmp_path: Path, command: Path) -> None:
    old = rpmmd.write(tmp_path / "old", [world.offer.kernels[0], world.offer.tools[1]])
    system = _system(world, tmp_path / "system", 0, [_blocked_kmp(world)])
    gate = str(EXAMPLES / "ci/gate.sh")
    environment = _environment(command)
    collected = subprocess.run(
        [command, "collect", "--installed", system, "--host", "db-1"], check=True, capture_output=True
    )
    (tmp_path / "fleet.jsonl").write_bytes(collected.stdout)
    codes = []
    for staged in (old, world.folder / "sle"):
        done = subprocess.run(
            [gate, tmp_path / "fleet.jsonl", staged],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
        )
        codes.append(done.returncode)
        suites = JUnitXml.fromfile(str(tmp_path / "gate.xml"))
        assert suites.failures == (1 if staged != old else 0)
        assert "<title>" in (tmp_path / "gate.html").read_text()
    assert codes == [0, 4]
