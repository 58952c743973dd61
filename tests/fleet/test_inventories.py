"""What admins have already: every kind of inventory, told by its content."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.fleet.conftest import World, run
from tests.support import repository
from tests.support.packages import PackageSpec


def nevras(world: World, state: int) -> list[str]:
    """The names of a state's packages."""
    told = json.loads(world.states[state])
    packages = [p for kind in ("kernels", "kmps", "user_space") for p in told.get(kind, ())]
    return sorted(p if isinstance(p, str) else p["nevra"] for p in packages)


def known(world: World, verdict: str) -> int:
    """A state with this verdict whose packages the repositories know."""
    for number, state in enumerate(world.states):
        if b"kmp10" not in state and b"kmp6-" not in state and verdict == _verdict(world, number):
            return number
    raise AssertionError(f"no state is {verdict}")


_verdicts: dict[int, str] = {}


def _verdict(world: World, number: int) -> str:
    if not _verdicts:
        given = b"".join(world.line(f"h{i:03}", i) for i in range(len(world.states)))
        _verdicts.update(enumerate(r["verdict"] for r in world.audit("-", given=given)["results"]))
    return _verdicts[number]


def results(document: dict[str, object]) -> dict[str, str]:
    found = document["results"]
    assert isinstance(found, list)
    return {one["host"]: one["verdict"] for one in found}


# lists of names


@pytest.mark.parametrize("verdict", ["safe", "blocked", "nothing-to-do"])
def test_rpm_qa_is_joined_to_the_repositories(world: World, tmp_path: Path, verdict: str) -> None:
    listing = "gpg-pubkey-39db7c82-5f68629b\n" + "".join(
        f"{n}\n" for n in nevras(world, known(world, verdict))
    )
    (tmp_path / "db-1.txt").write_text(listing + "vim-9.1-1.x86_64\n")
    document = world.audit(tmp_path / "db-1.txt")
    assert results(document) == {"db-1": verdict}
    assert document["damaged"] == []


def test_a_kmp_that_no_repository_knows_is_unverified(world: World, tmp_path: Path) -> None:
    listing = [*nevras(world, known(world, "safe")), "stranger-kmp-default-1_k6.4.0_1-1.x86_64"]
    (tmp_path / "db-1.txt").write_text("\n".join(listing))
    document = world.audit(tmp_path)
    assert results(document) == {"db-1": "unverified"}
    assert document["exit"] == 110


@pytest.mark.parametrize("ending", ["", ".rpm", " Mon Nov 23 2026"])
def test_a_name_needs_its_architecture(world: World, tmp_path: Path, ending: str) -> None:
    """What stands behind a release's last dot is none: a kernel for it has no successor, and nothing to do."""
    whole = nevras(world, known(world, "blocked"))
    (tmp_path / "whole.txt").write_text("".join(f"{name}{ending}\n" for name in whole))
    assert results(world.audit(tmp_path / "whole.txt")) == {"whole": "blocked"}
    (tmp_path / "bare.txt").write_text("".join(f"{n.rpartition('.')[0]}{ending}\n" for n in whole))
    assert run("audit", tmp_path / "bare.txt", *world.repo).returncode == 3


def test_a_row_with_more_fields_than_columns(world: World, tmp_path: Path) -> None:
    """A comma in a field shifts the others: the package is not passed over."""
    rows = [list(_parts(nevra).values())[:5] for nevra in nevras(world, known(world, "safe"))]
    text = "\n".join(",".join(str(field or "") for field in row) for row in rows)
    (tmp_path / "a.csv").write_text(f"name,version,release,epoch,arch\n{text}\n")
    (tmp_path / "b.csv").write_text(f"name,version,release,epoch,arch\n{text.replace('-kmp-', ',kmp-')}\n")
    assert results(world.audit(tmp_path)) == {"a": "safe", "b": "unverified"}


def test_a_kernel_that_no_repository_knows_is_never_safe_itself(world: World, tmp_path: Path) -> None:
    newest = "kernel-default-6.4.0-150600.23.99.1.x86_64"
    kmp = next(n for n in nevras(world, known(world, "safe")) if "-kmp-" in n)
    (tmp_path / "a.txt").write_text(f"{newest}\n{kmp}\n")
    (tmp_path / "b.txt").write_text(f"{newest}\n")
    document = world.audit(tmp_path)
    assert results(document) == {"a": "unverified", "b": "nothing-to-do"}
    assert document["newest_safe"][0]["nevra"] != newest


def test_a_host_without_a_kernel_is_unverified(world: World, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("bash-5.2-1.x86_64\n")
    assert results(world.audit(tmp_path)) == {"c": "unverified"}


def test_a_list_with_a_damaged_line_is_incomplete(world: World, tmp_path: Path) -> None:
    names = nevras(world, known(world, "safe"))
    (tmp_path / "d.txt").write_text("\n".join([names[0], "what is this", *names[1:]]))
    document = world.audit(tmp_path)
    assert document["damaged"] == [{"source": f"{tmp_path}/d.txt", "line": 2, "reason": "is no package name"}]
    assert results(document) == {"d": "unverified"}


@pytest.mark.parametrize("between", ["\r", " ", "\x0b", "\x85"])
def test_no_second_package_on_a_line_is_lost(world: World, tmp_path: Path, between: str) -> None:
    names = nevras(world, known(world, "safe"))
    (tmp_path / "e.txt").write_text(between.join(names), encoding="utf-8", newline="")
    done = run("audit", tmp_path, *world.repo)
    assert done.returncode == 3
    assert b"is no package name" in done.stderr


def test_names_that_no_line_end_parts(world: World, tmp_path: Path) -> None:
    """The second one's name would be part of the first one's, and a driver lost."""
    first, *others = nevras(world, known(world, "safe"))
    listing = f"{first}\nacme-kmp-default-1.0_k6.4.0_10-1.x86_64bash-5.2-1.x86_64\n"
    (tmp_path / "e.txt").write_text("\n".join([listing, *others]))
    document = world.audit(tmp_path)
    assert [damage["line"] for damage in document["damaged"]] == [2]
    assert results(document) == {"e": "unverified"}


@pytest.mark.parametrize(
    "more", ["  Mon 05 Feb 2024 10:00:00 AM CET", " a-1-1.src.rpm", "\t2024-02-05T10:00:00.5"]
)
def test_what_else_rpm_tells_of_a_package(world: World, tmp_path: Path, more: str) -> None:
    names = nevras(world, known(world, "safe"))
    (tmp_path / "f.txt").write_text("".join(f"{name}{more}\n" for name in names))
    assert results(world.audit(tmp_path)) == {"f": "safe"}


# compression, folders, names


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        ("jsonl", bytes),
        ("jsonl.gz", gzip.compress),
        ("jsonl.xz", lzma.compress),
        ("jsonl.zst", zstandard.ZstdCompressor().compress),
        ("txt", gzip.compress),
    ],
)
def test_lines_however_they_are_packed(world: World, tmp_path: Path, ending: str, pack: object) -> None:
    assert callable(pack)
    (tmp_path / f"f.{ending}").write_bytes(pack(world.line("a", 0) + world.line("b", 1)))
    assert list(results(world.audit(tmp_path / f"f.{ending}"))) == ["a", "b"]


def test_in_a_folder_each_file_is_a_host(world: World, tmp_path: Path) -> None:
    names = "\n".join(nevras(world, known(world, "safe")))
    (tmp_path / "b.example.com.txt").write_text(names)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(world.line("localhost")))
    (tmp_path / "c.jsonl").write_bytes(world.line("localhost", 1))
    (tmp_path / "d.csv").write_text("name,version,release,arch\nkernel-default,6.4.0,150600.23.1.1,x86_64\n")
    (tmp_path / ".hidden").write_text("no host")
    below = tmp_path / "site"
    below.mkdir()
    (below / "e.txt").write_text(names)
    assert list(results(world.audit(tmp_path))) == ["a", "b.example.com", "c", "d", "e"]


def test_a_folder_of_shards_keeps_the_hosts_own_names(world: World, tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").write_bytes(world.line("x") + world.line("y"))
    (tmp_path / "1.jsonl").write_bytes(world.line("z"))
    assert list(results(world.audit(tmp_path))) == ["x", "y", "z"]


def test_of_the_same_host_the_newest_counts(world: World, tmp_path: Path) -> None:
    safe, blocked = known(world, "safe"), known(world, "blocked")
    lines = world.line("h", safe, collected="2026-01-02T00:00:00Z") + world.line("i", safe)
    lines += world.line("h", blocked, collected=1767398400) + world.line("h", safe, collected="2025-12-31")
    document = world.audit("-", given=lines)
    assert [(r["host"], r["verdict"]) for r in document["results"]] == [("i", "safe"), ("h", "blocked")]
    assert document["damaged"] == []


def test_the_same_host_twice_and_neither_newer_is_damaged(world: World) -> None:
    lines = world.line("h", collected=5) + world.line("h", collected=5) + world.line("g") + world.line("g")
    document = world.audit("-", given=lines)
    assert [d["line"] for d in document["damaged"]] == [2, 4]
    assert document["hosts"] == 2


@pytest.mark.parametrize(
    ("collected", "damaged"),
    [
        ((1, 1, 2), []),
        ((2, 1, 1), []),
        ((1, 2, 2), [3]),
        ((2, 2, 1), [2]),
        ((1, None, 2), [2]),
        ((1, 2, None), [3]),
    ],
)
def test_only_the_newest_of_a_host_s_records_have_to_differ(
    world: World, collected: tuple[int | None, ...], damaged: list[int]
) -> None:
    """In whatever order they are; one of which nobody knows the time may be the newest."""
    lines = b"".join(world.line("h", collected=time) for time in collected)
    document = world.audit("-", given=lines)
    assert document["hosts"] == 1
    assert [d["line"] for d in document["damaged"]] == damaged


def test_damage_turns_exit_0_into_110_and_stops_nothing(world: World, tmp_path: Path) -> None:
    quiet = known(world, "nothing-to-do")
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    cut = b'{"schema_version":1,"host":"b","state":' + b"\n"
    good.write_bytes(world.line("a", quiet) + cut + world.line("c", quiet))
    bad.write_bytes(b"nonsense\nmore nonsense\n")
    document = world.audit(good, bad)
    assert list(results(document)) == ["a", "c"]
    assert [(d["source"], d["line"]) for d in document["damaged"]] == [(str(good), 2), (str(bad), 1)]
    assert document["exit"] == 110
    assert run("audit", bad, *world.repo).returncode == 3
    assert run("audit", tmp_path / "missing", *world.repo).returncode == 3


# other tools


def test_supportconfig(world: World, tmp_path: Path) -> None:
    names = nevras(world, known(world, "blocked"))
    last = "".join(f"{n:<60} Sat 21 Nov 2026 10:00:00 AM UTC\n" for n in names)
    rows = "".join(f"{n.rsplit('-', 2)[0]:<35} SUSE Linux Enterprise 15            x-y\n" for n in names)
    head = "#==[ Command ]======================================#\n"
    rpm = (
        f'{head}# rpm -qa --queryformat "%-35{{NAME}} %-35{{DISTRIBUTION}} %{{VERSION}}-%{{RELEASE}}\\n"\n{rows}\n'
        f"{head}# rpm -qa --last\n{last}\n"
    )
    uname = "Linux web-7 6.4.0-150600.23.1-default #1 SMP Mon Jan 1 (abc) x86_64 x86_64 x86_64 GNU/Linux"
    basic = f'{head}# /bin/uname -a\n{uname}\n{head}# /etc/os-release\nPRETTY_NAME="SLES 15 SP6"\n'
    unpacked = tmp_path / "scc_web-7_1"
    unpacked.mkdir()
    (unpacked / "rpm.txt").write_text(rpm)
    (unpacked / "basic-environment.txt").write_text(basic)
    for ending, pack in (("txz", lzma.compress), ("tbz", bz2.compress)):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(unpacked, "scc_web-7_1")
        (tmp_path / f"scc_web-7_1.{ending}").write_bytes(pack(stream.getvalue()))
    for place in (unpacked, tmp_path / "scc_web-7_1.txz", tmp_path / "scc_web-7_1.tbz"):
        document = world.audit(place, "--group-by", "product")
        assert results(document) == {"web-7": "blocked"}
        assert [group["key"] for group in document["groups"]] == ["SLES 15 SP6"]


@pytest.mark.parametrize(("more", "verdict"), [("", "safe"), ("acme-kmp-default\n", "unverified")])
def test_a_supportconfig_without_whole_names(world: World, tmp_path: Path, more: str, verdict: str) -> None:
    """The table that supportutils writes first tells no architecture; a row that is cut short is a gap."""
    parts = [_parts(nevra) for nevra in nevras(world, known(world, "safe"))]
    rows = "".join(f"{p['name']:<35} {'(none)':<35} {p['version']}-{p['release']}\n" for p in parts)
    (tmp_path / "rpm.txt").write_text(
        "#==[ Command ]======================================#\n"
        '# rpm -qa --queryformat "%-35{NAME} %-35{DISTRIBUTION} %{VERSION}-%{RELEASE}\\n" | sort -k 1,2 -t " " -i\n'
        f"{'NAME':<35} {'DISTRIBUTION':<35} VERSION\n{rows}{more}"
    )
    (tmp_path / "basic-environment.txt").write_text(
        "Linux web-7 6.4.0-150600.23.1-default #1 SMP x86_64 x86_64 x86_64 GNU/Linux\n"
    )
    assert results(world.audit(tmp_path)) == {"web-7": verdict}


def test_supportconfigs_in_one_archive(world: World, tmp_path: Path) -> None:
    """Each is a host, and one of which no packages are told is no other one's."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for host, verdict in {"a": "blocked", "b": "safe", "c": None}.items():
            names = nevras(world, known(world, verdict)) if verdict else []
            told = {
                "rpm.txt": "#==[ Command ]======#\n# rpm -qa --last\n" + "\n".join(names),
                "basic-environment.txt": f"Linux {host} 6.4.0-150600.23.1-default #1 x x86_64 GNU/Linux\n",
            }
            for name, text in told.items():
                member = tarfile.TarInfo(f"fleet/scc_{host}/{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
    (tmp_path / "fleet.txz").write_bytes(lzma.compress(stream.getvalue()))
    document = world.audit(tmp_path / "fleet.txz")
    assert results(document) == {"a": "blocked", "b": "safe"}
    assert [damage["reason"].partition(":")[0] for damage in document["damaged"]] == ["fleet/scc_c"]


def _parts(nevra: str) -> dict[str, str | int | None]:
    rest, _, arch = nevra.rpartition(".")
    name, version, release = rest.rsplit("-", 2)
    return {
        "name": name,
        "version": version,
        "release": release,
        "epoch": None,
        "arch": arch,
        "source": "rpm",
    }


def test_ansible_package_facts(world: World, tmp_path: Path) -> None:
    packages: dict[str, list[object]] = {}
    for one in map(_parts, nevras(world, known(world, "blocked"))):
        packages.setdefault(str(one["name"]), []).append(one)
    (tmp_path / "web-1.json").write_text(
        json.dumps({"ansible_facts": {"packages": packages}, "changed": False})
    )
    (tmp_path / "web-2.json").write_text(json.dumps({"packages": packages, "ansible_kernel": "x"}, indent=2))
    assert results(world.audit(tmp_path)) == {"web-1": "blocked", "web-2": "blocked"}
    plays = {"plays": [{"tasks": [{"hosts": {"w": {"ansible_facts": {"packages": packages}}}}]}]}
    (tmp_path / "play.json").write_text(json.dumps(plays))
    assert results(world.audit(tmp_path / "play.json")) == {"w": "blocked"}


def test_salt(world: World, tmp_path: Path) -> None:
    packages: dict[str, str] = {}
    for one in map(_parts, nevras(world, known(world, "blocked"))):
        edition = f"{one['version']}-{one['release']}"
        packages[str(one["name"])] = ",".join(filter(None, [packages.get(str(one["name"])), edition]))
    grains = {"id": "m2", "cpuarch": "x86_64", "kernelrelease": "6.4.0-150600.23.1-default"}
    documents = [{"m1": packages}, {"m2": {"pkg.list_pkgs": packages, "grains.items": grains}}]
    (tmp_path / "salt.json").write_text("\n".join(json.dumps(one, indent=4) for one in documents))
    assert results(world.audit(tmp_path / "salt.json")) == {"m1": "blocked", "m2": "blocked"}


def test_a_host_that_one_document_names_twice(world: World, tmp_path: Path) -> None:
    packages = {one["name"]: f"{one['version']}-{one['release']}" for one in map(_parts, nevras(world, 0))}
    (tmp_path / "salt.json").write_text(f'{{"m1": {json.dumps(packages)}, "m1": {json.dumps(packages)}}}')
    ended = run("audit", tmp_path / "salt.json", *world.repo)
    assert ended.returncode == 3
    assert b"names m1 twice" in ended.stderr


def test_hosts_that_did_not_answer(world: World, tmp_path: Path) -> None:
    """They are told: what is not known of them may be what matters."""
    usual = {"kernel-default": "6.4.0-150600.23.1.1"}
    facts = {"ansible_facts": {"packages": {"bash": [{"version": "5", "release": "1", "arch": "x86_64"}]}}}
    lost, here = {"unreachable": True, "msg": "timed out"}, {"msg": "no package manager"}
    tasks = [{"hosts": {"lost": lost, "m1": {}}}, {"hosts": {"m1": facts, "m2": here}}]
    report = {"tasks": [{"hosts": {"localhost": {"changed": True}}}]}
    told = {
        "static": json.dumps({"m1": usual, "m2": False, "m3": "Minion did not return. [No response]"}),
        "streamed": json.dumps({"m1": usual}) + '\n{\n"m2": false\n}\n{"m3": {"ker',
        "plays": json.dumps({"plays": [{"tasks": tasks}, report]}),
        "list": json.dumps([{"m1": usual}, None, {"m2": {}}]),
    }
    expected = {
        "static": [(1, "m2: its packages are not"), (1, "m3: its packages are not")],
        "streamed": [(2, "is JSON, but neither"), (5, "is no JSON: Unterminated")],
        "plays": [(1, "lost: its packages are not"), (1, "m2: its packages are not")],
        "list": [(1, "entry 2: is no JSON object"), (1, "entry 3: is JSON, but neither")],
    }
    for name, text in told.items():
        (tmp_path / f"{name}.json").write_text(text)
        document = world.audit(tmp_path / f"{name}.json")
        assert list(results(document)) == ["m1"], name
        found = [(damage["line"], damage["reason"]) for damage in document["damaged"]]
        assert [
            (line, reason[: len(start)])
            for (line, reason), (_, start) in zip(found, expected[name], strict=True)
        ] == expected[name], name


def test_a_folder_without_a_file_is_told(world: World, tmp_path: Path) -> None:
    """The hosts that were to be in it are missing."""
    (tmp_path / "here.jsonl").write_bytes(world.line("h", known(world, "safe")))
    (tmp_path / "there" / "below").mkdir(parents=True)
    document = world.audit(tmp_path / "here.jsonl", tmp_path / "there")
    damaged = [{"source": str(tmp_path / "there"), "line": None, "reason": "holds no file"}]
    assert (results(document), document["damaged"]) == ({"h": "safe"}, damaged)
    assert document["exit"] == 110
    ended = run("audit", tmp_path / "there", *world.repo)
    assert ended.returncode == 3
    assert b"holds no file" in ended.stderr


def test_a_file_that_is_named_twice(world: World, tmp_path: Path) -> None:
    """A shell's pattern and a name: the host is not lost, nor there twice."""
    (tmp_path / "db-1.txt").write_text("\n".join(nevras(world, known(world, "safe"))))
    document = world.audit(tmp_path / "db-1.txt", tmp_path / "db-1.txt")
    assert (results(document), document["damaged"]) == ({"db-1": "safe"}, [])


def test_a_folder_with_another_name(world: World, tmp_path: Path) -> None:
    """As where the last day's inventories are also the latest: no host is there twice."""
    day = tmp_path / "2026-11-23"
    day.mkdir()
    (day / "db-1.txt").write_text("\n".join(nevras(world, known(world, "safe"))))
    (tmp_path / "latest").symlink_to(day.name)
    (day / "again").symlink_to("..")
    document = world.audit(tmp_path)
    assert (results(document), document["damaged"]) == ({"db-1": "safe"}, [])


def test_one_damaged_entry_of_a_list(world: World, tmp_path: Path) -> None:
    lines = [json.loads(world.line(f"h{n}")) for n in range(3)]
    del lines[1]["state"]
    (tmp_path / "list.json").write_text(json.dumps([*lines, None]))
    document = world.audit(tmp_path / "list.json")
    assert list(results(document)) == ["h0", "h2"]
    assert [damage["reason"].partition(":")[0] for damage in document["damaged"]] == ["entry 2", "entry 4"]


def test_uyuni(world: World, tmp_path: Path) -> None:
    rows = [{**_parts(n), "installtime": 5} for n in nevras(world, known(world, "blocked"))]
    (tmp_path / "uy.json").write_text(json.dumps(rows))
    assert results(world.audit(tmp_path)) == {"uy": "blocked"}
    columns = "system_id,organization,package_name,package_epoch,package_version,package_release,package_arch"
    lines = [
        f"{host},Org,{r['name']},,{r['version']},{r['release']},{r['arch']}"
        for host in ("s1", "s2")
        for r in rows
    ]
    (tmp_path / "export.csv").write_text("\n".join([columns, *lines]))
    assert results(world.audit(tmp_path / "export.csv")) == {"s1": "blocked", "s2": "blocked"}


def test_rows_of_uyuni(world: World, tmp_path: Path) -> None:
    """Two systems of one name are not one that has the packages of both, and no row is passed over."""
    columns = "system_id,hostname,name,version,release,epoch,arch"

    def rows(host: str, verdict: str, *more: str) -> list[str]:
        parts = [_parts(nevra) for nevra in nevras(world, known(world, verdict))]
        told = [f"{host}, {p['name']}, {p['version']}, {p['release']}, ,{p['arch']}" for p in parts]
        return [*told, *(f"{host},{row}" for row in more)]

    def told(*lines: str) -> tuple[dict[str, str], list[str]]:
        (tmp_path / "rows.csv").write_text("\n".join([columns, *lines]))
        document = world.audit(tmp_path / "rows.csv", host)
        return results(document), [damage["reason"].partition(",")[0] for damage in document["damaged"]]

    host = tmp_path / "other.txt"
    host.write_text("\n".join(nevras(world, known(world, "safe"))))
    safe, other = {"w": "safe", "other": "safe"}, {"other": "safe"}
    assert told(*rows("1,w", "safe")) == (safe, [])
    assert told(*rows("1,w", "safe"), *rows("2,w", "blocked")) == (safe, ["host w is there twice"])
    assert told(*rows("1,w", "safe", ",1.0,1,,x86_64")) == ({"w": "unverified", **other}, [])
    assert told(*rows("1,w", "safe", '"acme-kmp\n-default",1.0,1,,x86_64')) == (
        {"w": "unverified", **other},
        [],
    )
    assert told() == (other, ["lists no package"])


def test_a_folder_of_system_roots(world: World, tmp_path: Path) -> None:
    kernels = world.offer.kernels
    for host, specs in (
        ("alpha", [kernels[0], world.offer.kmps[3][0]]),
        ("beta", [kernels[-1], PackageSpec(name="coreutils", version="9", release="1")]),
    ):
        root = tmp_path / "roots" / host
        (root / "var/lib/rpm").mkdir(parents=True)
        rpms = sorted(repository.rpm_folder(specs).glob("*.rpm"))
        command = [
            "rpm",
            f"--root={root}",
            "--dbpath=/var/lib/rpm",
            "-i",
            "--nodeps",
            "--justdb",
            *map(str, rpms),
        ]
        subprocess.run(
            [*command, "--noscripts", "--nosignature", "--ignorearch"], check=True, capture_output=True
        )
    document = world.audit(tmp_path / "roots")
    assert list(results(document)) == ["alpha", "beta"]
    assert results(document)["beta"] == "nothing-to-do"
    assert document["damaged"] == []
