"""kmpsolve doctor: everything that makes kmpsolve blind is found, and each has a way out."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.zypp.blindspots import look
from kmpsolve.zypp.health import health
from tests.e2e.host import DRIVER, NEW, OLD, Host, specs

CONF = "/etc/zypp/zypp.conf"
REPO = "/etc/zypp/repos.d/r.repo"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host(OLD, DRIVER) as host:
        folder = host.add("r", specs(NEW))
        host.write("/tmp/r.repo", f"[r]\nenabled=1\nautorefresh=1\nbaseurl=dir:{folder}\ngpgcheck=0\n")
        host.run(["cp", "/tmp/r.repo", REPO])
        assert host.zypper("refresh").code == 0
        yield host


def _ask(host: Host, **environment: str) -> dict[str, Any]:
    said = host.kmpsolve("doctor", "--format", "json", env=environment)
    assert said.code == 0, str(said)
    assert said.stderr == ""
    document: dict[str, Any] = json.loads(said.stdout)
    for found in document["findings"]:
        assert found["hint"], found
        assert found["severity"] in ("error", "warning", "note")
    assert document["problems"] == [f["message"] for f in document["findings"] if f["severity"] != "note"]
    return document


def _references(document: dict[str, Any]) -> set[str]:
    return {found["reference"] for found in document["findings"]}


def test_a_healthy_machine(host: Host) -> None:
    document = _ask(host)
    assert document["protected"] is True
    assert document["problems"] == []
    assert {found.reference for found in look(host.root).findings} == {"signatures-off"}
    assert _references(document) == {"signatures-off"}  # a note: the repository is a folder of this machine
    assert [(one["alias"], one["state"]) for one in document["repositories"]] == [("r", "cached")]
    text = host.kmpsolve("doctor").stdout
    assert text.startswith("protected\n")
    assert "zypper modifyrepo --gpgcheck r" in text


RAW, SOLV = "/var/cache/zypp/raw/r", "/var/cache/zypp/solv/r"
BLIND = {
    "multiversion-off": f"printf '[main]\\n' > {CONF}",
    "running-kernel-purged": f"sed -i s/,running// {CONF}",
    "locks-off": f"echo locksfile.apply = no >> {CONF}",
    "vendor-change": f"echo solver.allowVendorChange = yes >> {CONF}",
    "zypp-configuration": f"echo nonsense >> {CONF}",
    "locks-file": "printf 'type: package\\nnonsense: a\\nsolvable_name: b\\n\\n' > /etc/zypp/locks",
    "no-repository": f"rm {REPO}",
    "repository-definition": "echo nonsense > /etc/zypp/repos.d/x.repo",
    "repository-unreadable": f"sed -i s,dir:.*,nfs://example.invalid/r, {REPO}; rm -r {RAW} {SOLV}",
    "never-refreshed": f"sed -i s,dir:.*,https://example.invalid/r, {REPO}; rm -r {RAW} {SOLV}",
    "cache-outdated": f"rm {SOLV}/cookie",
    "stale-metadata": f"touch -d '30 days ago' {RAW}/repodata/repomd.xml",
    "clock": f"touch -d '30 days' {RAW}/repodata/repomd.xml",
    "no-keys": f"sed -i s/gpgcheck=0/gpgcheck=1/ {REPO}",
    "hook-switched-off": "echo KMPSOLVE_DISABLE=1 > /etc/environment",
    "configuration": "echo typo = 1 > /etc/kmpsolve/kmpsolve.toml",
    "rpmdb": "rm -r /var/lib/rpm/*",
}
NO_HOOK = {
    "hook-disabled": "chmod a-x /usr/lib/zypp/plugins/commit/kmpsolve",
    "hook-does-not-answer": "sed -i 1s,.*,#!/bin/cat, /usr/lib/zypp/plugins/commit/kmpsolve",
    "no-second-stage": "echo /bin/false > /usr/lib/kmpsolve/python",
    "hook-does-not-run": "echo /nowhere/python > /usr/lib/kmpsolve/python",
    "not-protected": "rm /usr/lib/zypp/plugins/commit/kmpsolve",
    "transactional-without-plugins": "touch /usr/sbin/transactional-update",
}
PLACES = "/etc/zypp /etc/kmpsolve /var/cache/zypp /var/lib/rpm /usr/lib/zypp /usr/lib/kmpsolve/python"


@contextlib.contextmanager
def _changed(host: Host, script: str) -> Iterator[None]:
    assert host.run(["sh", "-c", f"tar -cpf /tmp/before.tar {PLACES} && {script}"]).code == 0
    try:
        yield
    finally:
        undo = (
            f"rm -rf {PLACES} /etc/environment /usr/sbin/transactional-update; tar -C / -xpf /tmp/before.tar"
        )
        assert host.run(["sh", "-c", undo]).code == 0


@pytest.mark.parametrize("reference", BLIND)
def test_each_blind_spot(reference: str, host: Host) -> None:
    with _changed(host, BLIND[reference]):
        found = look(host.root).findings
    assert reference in {one.reference for one in found}
    assert all(one.hint and one.message.isprintable() for one in found)


@pytest.mark.parametrize("reference", NO_HOOK)
def test_nothing_protects(reference: str, host: Host) -> None:
    """Asked through another installation, since the first may have lost its Python."""
    host.run(["sh", "-c", "cp -r /usr/lib/kmpsolve /opt/other"])
    python = host.path("/opt/other/python").read_text().strip()
    with _changed(host, NO_HOOK[reference]):
        said = host.run([python, "-I", "/opt/other/start", "cli", "doctor"])
        document = json.loads(
            host.run([python, "-I", "/opt/other/start", "cli", "doctor", "--format", "json"]).stdout
        )
        alone = host.kmpsolve("plan", "--help")
    assert document["protected"] is False
    assert reference in _references(document)
    assert said.stdout.startswith("NOT PROTECTED\n")
    found = next(one for one in document["findings"] if one["reference"] == reference)
    assert " ".join(found["hint"].split()) in " ".join(said.stdout.split())
    if reference == "hook-does-not-run":
        assert alone.code == 3
        assert "Install kmpsolve again" in alone.stderr


@pytest.mark.parametrize("reference", ["configuration", "hook-switched-off", "rpmdb", "zypp-configuration"])
def test_a_hook_that_lets_everything_pass_protects_nothing(reference: str, host: Host) -> None:
    with _changed(host, BLIND[reference]):
        assert _ask(host)["protected"] is False
        assert host.kmpsolve("doctor").stdout.startswith("NOT PROTECTED\n")
    assert _ask(host)["protected"] is True


@pytest.mark.parametrize(("before", "now"), [("abort", "warn"), ("warn", "abort")])
def test_what_the_hook_does_on_an_error_is_told_as_the_hook_finds_it(
    before: str, now: str, host: Host
) -> None:
    """A configuration with an error in it still says so, whatever an earlier one said."""
    with _changed(host, f"""echo 'on_error = "{before}"' > /etc/kmpsolve/kmpsolve.toml"""):
        host.zypper("up")
        host.write("/etc/kmpsolve/kmpsolve.toml", f'on_error = "{now}"\n')
        assert _ask(host)["on_error"] == now
        host.write("/etc/kmpsolve/kmpsolve.toml", f'on_error = "{now}"\ntypo = 1\n')
        document = _ask(host)
    assert (document["on_error"], document["protected"]) == (now, now == "abort")
    host.run(["rm", "-r", "/run/kmpsolve", "/var/lib/kmpsolve"])


@pytest.mark.parametrize(
    ("line", "switched_off"),
    [
        ('KMPSOLVE_DISABLE="1"', True),
        ("KMPSOLVE_DISABLE='1'", True),
        ("export KMPSOLVE_DISABLE=1 # for a while", True),
        ("#KMPSOLVE_DISABLE=1", False),
        ("KMPSOLVE_DISABLE=10", False),
        ("KMPSOLVE_DISABLE=1\nKMPSOLVE_DISABLE=0", False),
        ("SEE='also KMPSOLVE_DISABLE=1'", False),
    ],
)
def test_the_environment_of_everybody_is_read_as_pam_reads_it(
    line: str, switched_off: bool, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "environment").write_text(f"PATH=/bin\n{line}\n")
    found = {one.reference for one in look(tmp_path).findings}
    assert ("hook-switched-off" in found) == switched_off


def test_the_environment_is_looked_at(host: Host) -> None:
    assert "hook-switched-off" in _references(_ask(host, KMPSOLVE_DISABLE="1"))


def test_the_last_verdict_and_the_keys(host: Host) -> None:
    assert _ask(host)["last_verdict"] is None
    host.zypper("up")
    document = _ask(host)
    assert document["last_verdict"]["verdict"] == "blocked"
    assert document["last_verdict_at"] == int(host.path("/run/kmpsolve/last-verdict.json").stat().st_mtime)
    assert document["on_error"] == "warn"
    assert "blocked, 20" in host.kmpsolve("doctor").stdout
    for damaged in ("", "{", "[]", "{}", "[" * 100_000):
        host.write("/run/kmpsolve/last-verdict.json", damaged)
        assert health(host.root)["last_verdict"] is None
        host.write("/run/kmpsolve/verdicts.json", damaged)
        assert health(host.root)["last_verdicts"] == []
    host.write(
        "/run/kmpsolve/verdicts.json", '[{"at": 1e300, "verdict": "a\\n", "action": "", "message": ""}]'
    )
    assert "at a time that is none" in host.kmpsolve("doctor").stdout
    host.run(["rm", "-r", "/run/kmpsolve"])


def test_what_the_hook_said_before(host: Host) -> None:
    """Also that it had nothing to say: an update that nobody looked at."""
    host.zypper("up")
    assert host.kmpsolve("doctor").stdout.count("blocked, 20") == 1
    with _changed(host, """echo 'on_error = "abort"' > /etc/kmpsolve/kmpsolve.toml"""):
        host.zypper("up")
        host.write("/etc/kmpsolve/kmpsolve.toml", "typo = 1")
        assert host.zypper("up").code == 8
    document = _ask(host)
    said = document["last_verdicts"]
    assert [(one["verdict"], one["action"]) for one in said] == [("error", "abort")] + [
        ("blocked", "abort")
    ] * 2
    assert "typo" in said[0]["message"]
    assert "last-not-judged" in _references(document)
    for _ in range(10):
        host.zypper("up")
    document = _ask(host)
    assert [one["verdict"] for one in document["last_verdicts"]] == ["blocked"] * 10
    assert document["last_verdicts"][0]["at"] >= document["last_verdicts"][-1]["at"]
    assert "last-not-judged" not in _references(document)
    assert host.kmpsolve("doctor").stdout.count("blocked, 20") == 3
    host.run(["rm", "-r", "/run/kmpsolve"])


def test_the_guard_that_zypper_cannot_start(host: Host) -> None:
    assert host.kmpsolve("guard", "on").code == 0
    assert "guard-does-not-run" not in _references(_ask(host))
    host.run(["mv", "/usr/lib/kmpsolve/guard-service", "/srv/guard-service"])
    assert "guard-does-not-run" in _references(_ask(host))
    host.run(["mv", "/srv/guard-service", "/usr/lib/kmpsolve/guard-service"])
    assert host.kmpsolve("guard", "off").code == 0


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("enabled=0\nautorefresh=1", True),
        ("enabled=1\nautorefresh=no", True),
        ("enabled=1", True),
        ("autorefresh=1", False),
        ("enabled=1\nautorefresh=1", False),
    ],
)
def test_the_guard_whose_service_is_switched_off(settings: str, found: bool, host: Host) -> None:
    """zypper takes what services.d says of it, and does not start the plugin."""
    assert host.kmpsolve("guard", "on").code == 0
    place = "/etc/zypp/services.d/kmpsolve.service"
    host.write(place, f"[kmpsolve]\n{settings}\nurl=plugin:kmpsolve\ntype=plugin\n")
    references = _references(_ask(host))
    assert ("Refreshing service 'kmpsolve'" in host.zypper("up").stdout) != found
    host.run(["rm", place])
    assert ("guard-disabled" in references) == found
    assert host.kmpsolve("guard", "off").code == 0
    host.run(["rm", "-rf", "/run/kmpsolve"])


def test_a_folder_in_the_place_of_the_locks(tmp_path: Path) -> None:
    (tmp_path / "etc" / "zypp" / "locks").mkdir(parents=True)
    assert "locks-file" in {one.reference for one in look(tmp_path).findings}


def test_a_hook_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\nexec sleep 9\n")
    hook.chmod(0o755)
    monkeypatch.setattr("kmpsolve.zypp.health._PLUGIN", str(hook))
    monkeypatch.setattr("kmpsolve.zypp.health._SECONDS", 1)
    said = {found["reference"]: found["message"] for found in health(Path("/"))["findings"]}
    assert said["hook-does-not-answer"] == "the hook gives no answer within 1 seconds"


def test_the_cache_of_kmpsolve(host: Host) -> None:
    assert _ask(host)["cache"] is None
    words = [
        "from kmpsolve.cache import place",
        "place.write('a', {'x': b'1234'})",
        "place.write('b', {'x': b''})",
    ]
    python = host.path("/usr/lib/kmpsolve/python").read_text().strip()
    host.run([python, "-I", "-c", "import sys; sys.path[:0] = ['/usr/lib/kmpsolve']; " + "; ".join(words)])
    cache = _ask(host)["cache"]
    assert (cache["path"], cache["caches"], cache["damaged"]) == ("/var/cache/kmpsolve/views", 2, [])
    assert cache["bytes"] > 4
    host.write("/var/cache/kmpsolve/views/a/x", "4321")
    document = _ask(host)
    assert document["cache"]["damaged"] == ["a"]
    assert "cache-damaged" in _references(document)
    assert "2 in /var/cache/kmpsolve/views, 0.0 MB" in host.kmpsolve("doctor").stdout
    host.run(["rm", "-r", "/var/cache/kmpsolve"])


def test_another_root_s_links_do_not_lead_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"verdict": "safe"}')
    root = tmp_path / "root"
    (root / "run" / "kmpsolve").mkdir(parents=True)
    (root / "run" / "kmpsolve" / "last-verdict.json").symlink_to(outside)
    assert health(root)["last_verdict"] is None
    fifo = root / "run" / "fifo.json"
    os.mkfifo(fifo)
    (root / "run" / "kmpsolve" / "last-verdict.json").unlink()
    (root / "run" / "kmpsolve" / "last-verdict.json").symlink_to("/run/fifo.json")
    assert health(root)["last_verdict"] is None


def test_libzypp_s_version_is_not_that_of_its_binary_interface(tmp_path: Path) -> None:
    """libzypp.so.1722.3.7 is in libzypp 17.25.7."""
    (tmp_path / "etc").mkdir()
    major, _, minor = str(health(tmp_path)["versions"]["libzypp"]).partition(".")
    assert (major, minor.count(".")) == ("17", 1)
