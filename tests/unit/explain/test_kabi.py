"""``kmpsolve diff`` and ``kmpsolve matrix``."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from kmpsolve.cli import main
from kmpsolve.compat.severities import parse_severities
from kmpsolve.errors import ConfigError
from kmpsolve.model.evr import Evr
from tests.modules.debian import DebianKernel, package_names
from tests.scenarios import runner
from tests.support import fixture, repository, rpmmd
from tests.support.worlds import Kernel, Kmp

OLD, MIDDLE, NEW = "6.4.0-150600.23.25.1", "6.4.0-150600.23.27.1", "6.4.0-150600.23.30.1"


def _ask(name: str, work: Path, *words: str) -> runner.Answer:
    return runner.ask(fixture.load(name), "rpm-md", work, *words)


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main([*words, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_diff_of_repository_kernels(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    answer = _ask("demo-blocked", tmp_path, "diff", OLD, NEW)
    assert answer.exit == 4
    assert answer.stdout == snapshot


def test_diff_json(tmp_path: Path) -> None:
    answer = _ask("demo-blocked", tmp_path, "diff", MIDDLE, NEW, "--format", "json")
    assert answer.exit == 4
    document = json.loads(answer.stdout)
    assert document["removed"] == ["bio_put_many"]
    assert document["added"] == []
    assert document["changed"] == [
        {"symbol": "bio_alloc_bioset", "a": "c0ffee", "b": "7d3b1a20"},
        {"symbol": "blk_mq_submit_bio", "a": "1b2c3d4e", "b": "9f00aa11"},
    ]
    hits = {entry["nevra"]: entry for entry in document["kmps"]}
    assert {nevra.split("-kmp-")[0] for nevra in hits} == {"acme-storage"}
    assert all(entry["hit"] == 3 and len(entry["symbols"]) == 3 for entry in hits.values())


def test_a_build_that_never_fitted_is_not_hit(tmp_path: Path) -> None:
    """ofed 24.07 fits neither; only what fits A and not B is hit."""
    answer = _ask("demo-blocked", tmp_path, "diff", MIDDLE, NEW, "--format", "json")
    assert not any("ofed" in entry["nevra"] for entry in json.loads(answer.stdout)["kmps"])


def test_diff_without_a_hit_is_exit_0(tmp_path: Path) -> None:
    answer = _ask("reuse", tmp_path, "diff", "6.4.0-150600.23.25", "6.4.0-150600.23.30.1", "--format", "json")
    assert answer.exit == 0
    assert json.loads(answer.stdout)["kmps"] == []


def test_no_kernel_has_to_be_installed(tmp_path: Path) -> None:
    """Two kernels in a repository, and a system that is none: a build host, a container."""
    scenario = fixture.load("demo-blocked")
    drivers = tuple(package for package in scenario.installed if not package.name.startswith("kernel-"))
    bare = dataclasses.replace(scenario, installed=drivers)
    answer = runner.ask(bare, "rpm-md", tmp_path, "diff", MIDDLE, NEW, "--format", "json")
    assert answer.exit == 4
    assert len(json.loads(answer.stdout)["kmps"]) == 2


@pytest.mark.parametrize("installed", ["b=2", "b=9"])
def test_of_two_contents_of_one_build_each_may_be_hit(
    installed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = Kernel(release="10.1", ksyms="a=1 b=2"), Kernel(release="20.1", ksyms="a=1 b=3")
    here = Kmp(name="acme", krel="6.4.0-10", symbols=installed, modules="acme.ko")
    there = dataclasses.replace(here, symbols="b=9" if installed == "b=2" else "b=2")
    system = rpmmd.write(tmp_path / "system", [old.spec(), here.spec()])
    offered = rpmmd.write(tmp_path / "offered", [new.spec(), there.spec()])
    sources = ["--installed", str(system), "--repo", str(offered)]
    code, document = _json(capsys, "diff", "6.4.0-10.1", "6.4.0-20.1", *sources)
    assert code == 4
    assert [(hit["nevra"], hit["symbols"]) for hit in document["kmps"]] == [(here.spec().nevra, ["b"])]


def test_of_a_build_without_symbol_versions_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = Kernel(release="10.1", ksyms="a=1 b=2"), Kernel(release="20.1", ksyms="a=1 b=3")
    kmp = Kmp(name="acme", krel="6.4.0-10", modules="acme.ko").spec()
    offered = rpmmd.write(tmp_path, [old.spec(), new.spec(), kmp])
    asked = ["diff", "6.4.0-10.1", "6.4.0-20.1", "--repo", str(offered)]
    code, document = _json(capsys, *asked)
    assert (code, document["kmps"], document["unverified"]) == (0, [], [kmp.nevra])
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert "hits no KMP that can be checked" in text
    assert f"cannot be checked, as they tell no symbol versions: {kmp.nevra}" in text
    assert main([*asked, "--format", "html"]) == 0
    assert f"Cannot be checked, as they tell no symbol versions: {kmp.nevra}." in capsys.readouterr().out


def test_an_exact_kernel_is_a_hit_without_symbols(tmp_path: Path) -> None:
    answer = _ask("exact-kernel", tmp_path, "diff", "6.3.4-1.1", "6.3.6-1.1", "--format", "json")
    assert answer.exit == 4
    (hit,) = json.loads(answer.stdout)["kmps"]
    assert (hit["hit"], hit["symbols"], hit["exact_kernel"]) == (1, [], True)


def test_a_kmp_behind_a_kmp_is_hit_too(tmp_path: Path) -> None:
    answer = _ask("chain-lower-blocked", tmp_path, "diff", OLD, NEW, "--format", "json")
    hits = {entry["nevra"].split("-kmp-")[0]: entry["symbols"] for entry in json.loads(answer.stdout)["kmps"]}
    assert hits == {"bus": ["kmalloc"], "disk": ["bus_register"]}
    # The text names every KMP that its first lines count.
    text = _ask("chain-lower-blocked", tmp_path, "diff", OLD, NEW).stdout
    assert "HITS 2 KMPs" in text
    assert "needs besides these  hit 1 KMP:\n  disk-kmp-default: " in text
    assert ": bus_register\n" in text


@pytest.fixture
def several(tmp_path: Path) -> str:
    """A repository with two kernels of two flavors, and those of one flavor for two architectures."""
    kernels = [
        Kernel(release=release, ksyms=ksyms, flavor=flavor, arch=arch)
        for release, ksyms in (("1.1", "a=1"), ("2.1", "a=2"))
        for flavor, arch in (("default", "x86_64"), ("default", "i586"), ("rt", "x86_64"))
    ]
    kmp = Kmp(name="acme", krel="6.4.0-1", symbols="a=1", flavor="rt")
    rpmmd.write(tmp_path / "several", [*(kernel.spec() for kernel in kernels), kmp.spec()])
    return str(tmp_path / "several")


def test_diff_in_one_flavor_of_a_repository(several: str, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["6.4.0-1.1", "6.4.0-2.1"]
    assert main(["diff", *pair, "--repo", several]) == 3
    told = capsys.readouterr().err
    assert "6.4.0-1.1 is there for default and rt" in told
    spelled = told.split()[-1]
    assert spelled.startswith("kernel-default-6.4.0-1.1.")
    assert main(["diff", spelled, spelled, "--repo", several]) == 0
    capsys.readouterr()
    assert main(["diff", "6.4.0-1.11", "6.4.0-2.1", "--repo", several]) == 3
    assert "did you mean 6.4.0-1.1 or 6.4.0-2.1?" in capsys.readouterr().err
    code, document = _json(capsys, "diff", *pair, "--repo", several, "--flavor", "rt")
    assert (code, document["a"]) == (4, "kernel-rt-6.4.0-1.1.x86_64")
    assert [entry["nevra"] for entry in document["kmps"]] == ["acme-kmp-rt-1.0_k6.4.0_1-1.x86_64"]


def test_diff_of_kernels_for_several_architectures(several: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "6.4.0-1.1", "6.4.0-2.1", "--repo", several, "--flavor", "default"]) == 3
    told = capsys.readouterr().err
    assert "6.4.0-1.1 is there for i586 and x86_64" in told
    assert "say which: kernel-default-6.4.0-1.1." in told
    named = [f"kernel-default-6.4.0-{number}.1.i586" for number in (1, 2)]
    assert main(["diff", *named, "--repo", several]) == 0


def test_files_need_no_repository_of_the_root_whose_kmps_they_are_held_against(
    several: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    (root / "etc/zypp/repos.d").mkdir(parents=True)
    here = ["--root", str(root), "--installed", several]
    lists = [tmp_path / "a.symvers", tmp_path / "b.symvers"]
    for number, one in enumerate(lists, 1):
        one.write_text(f"0x{number}\ta\tvmlinux\tEXPORT_SYMBOL\n")
    code, document = _json(capsys, "diff", *map(str, lists), *here)
    assert (code, [hit["repository"] for hit in document["kmps"]]) == (4, [None])
    assert main(["diff", "6.4.0-1-rt", str(lists[1]), *here]) == 6


def test_a_kernel_rpm_is_for_its_own_flavor(
    several: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A KMP that fits one flavor's kernel does not fit another's, whether it is a file or in a repository."""
    kernels = [Kernel(release="1.1", ksyms="a=1", flavor=flavor).spec() for flavor in ("rt", "default")]
    folder = repository.rpm_folder(kernels)
    rpms = [str(next(folder.glob(f"kernel-{flavor}-*"))) for flavor in ("rt", "default")]
    for pair in (["6.4.0-1-rt", "kernel-default-6.4.0-1.1.x86_64"], rpms):
        code, document = _json(capsys, "diff", *pair, "--repo", several)
        assert code == 4
        (hit,) = document["kmps"]
        assert (hit["nevra"], hit["symbols"]) == ("acme-kmp-rt-1.0_k6.4.0_1-1.x86_64", ["a"])


@pytest.mark.parametrize(
    "names",
    [("sp5-old-good", "sp6-new-good"), ("15-sp5-old", "15-sp6-new"), ("6.4.0-1-rt.old", "6.4.0-2-rt")],
)
def test_what_users_call_their_copies_is_no_flavor(
    names: tuple[str, str], several: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = [tmp_path / f"symvers-{name}" for name in names]
    for number, one in enumerate(lists, 1):
        one.write_text(f"0x{number}\ta\tvmlinux\tEXPORT_SYMBOL\n")
    code, document = _json(capsys, "diff", *map(str, lists), "--repo", several)
    assert (code, len(document["kmps"])) == (4, 1)


def test_a_kmp_for_another_architecture_is_not_hit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One for all of them is; of two kernels one may be a list of symbols, which is of no architecture."""
    arches = ("i586", "noarch", "x86_64")
    acme = Kmp(name="acme", krel="6.4.0-1", symbols="a=1").spec()
    kernels = [Kernel(release=f"{n}.1", ksyms=f"a={n}").spec() for n in (1, 2)]
    kmps = [dataclasses.replace(acme, arch=arch) for arch in arches]
    offered = str(rpmmd.write(tmp_path / "r", [*kernels, *kmps]))
    (tmp_path / "b.symvers").write_text("0x2\ta\tvmlinux\tEXPORT_SYMBOL\n")
    rpms = sorted(map(str, repository.rpm_folder(kernels).glob("*.rpm")))
    for pair in (["6.4.0-1.1", "6.4.0-2.1"], rpms, [rpms[0], str(tmp_path / "b.symvers")]):
        code, document = _json(capsys, "diff", *pair, "--repo", offered)
        assert code == 4
        assert {entry["nevra"].rpartition(".")[2] for entry in document["kmps"]} == {"noarch", "x86_64"}


def test_the_matrix_tells_architectures_apart(several: str, capsys: pytest.CaptureFixture[str]) -> None:
    rpmmd.write(
        Path(several),
        [
            *(Kernel(release="1.1", ksyms="a=1", arch=arch).spec() for arch in ("x86_64", "i586")),
            Kmp(name="acme", krel="6.4.0-1", symbols="a=1").spec(),
        ],
    )
    assert main(["matrix", "--repo", several]) == 0
    text = capsys.readouterr().out
    assert " 1.i586" in text
    assert "1.0_k6.4.0_1-1.x86_64" in text
    _, document = _json(capsys, "matrix", "--repo", several)
    (row,) = document["cells"]
    assert dict(zip([nevra.rpartition(".")[2] for nevra in document["kernels"]], row, strict=True)) == {
        "x86_64": 0,
        "i586": None,
    }


@pytest.fixture
def told_in_part(tmp_path: Path) -> list[str]:
    """A host whose inventory tells what its KMP needs of a kernel that no repository has, and no more."""
    mine, other = Kernel(release="1.1", ksyms="a=1 b=1"), Kernel(release="2.1", ksyms="a=2")
    old, new = (
        Kmp(name="acme", version=v, krel="6.4.0-1", symbols=s) for v, s in (("1", "a=1"), ("2", "b=1"))
    )
    system = rpmmd.write(tmp_path / "system", [mine.spec(), old.spec()])
    assert main(["collect", "--installed", str(system), "-o", str(tmp_path / "host")]) == 0
    offered = rpmmd.write(tmp_path / "r", [other.spec(), new.spec()])
    return ["--installed", str(tmp_path / "host"), "--repo", str(offered)]


def test_diff_needs_all_symbols_of_a_kernel(
    told_in_part: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that the inventory does not tell would be called removed, and a KMP that needs them not hit."""
    for pair in (["6.4.0-1.1", "6.4.0-2.1"], ["6.4.0-2.1", "6.4.0-1.1"]):
        assert main(["diff", *pair, *told_in_part]) == 3
        assert "the symbols of kernel-default-6.4.0-1.1.x86_64 are not known" in capsys.readouterr().err


def test_what_a_kernel_lacks_is_not_known_where_not_all_of_it_is_told(
    told_in_part: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, document = _json(capsys, "matrix", *told_in_part)
    assert document["kernels"] == [f"kernel-default-6.4.0-{n}.1.x86_64" for n in (2, 1)]
    assert document["cells"] == [[1, None], [1, 0]]
    _, story = _json(capsys, "explain", "acme", *told_in_part)
    history = {build["nevra"].split("-")[3][0]: build["history"] for build in story["builds"]}
    assert history == {"1": [0, 1], "2": [None, 1]}


def test_each_name_in_the_matrix_has_to_be_one(tmp_path: Path) -> None:
    answer = _ask("demo-blocked", tmp_path, "matrix", "acme-*", "xyzzy", "ofed-kmp-default", "no-*")
    assert (answer.exit, answer.stdout) == (3, "")
    assert "no KMP xyzzy, no-* is installed or in a repository" in answer.stderr


@pytest.mark.parametrize("kernel", ["6.4.0-1", "kernel-default-9-9.x86_64", "nonsense"])
def test_an_unknown_kernel(kernel: str, tmp_path: Path) -> None:
    answer = _ask("demo-blocked", tmp_path, "diff", OLD, kernel)
    assert (answer.exit, answer.stdout) == (3, "")
    assert f"no kernel {kernel} is installed or in a repository" in answer.stderr


A = "0x00000001\tkept\tvmlinux\tEXPORT_SYMBOL\n0x0000abcd\tmoves\tdrivers/a/a\tEXPORT_SYMBOL_GPL\tNS_ONE\n"
A += "0x00000002\tgoes\tlib/x\tEXPORT_SYMBOL\n"
B = "0x1\tkept\tother\tEXPORT_SYMBOL_GPL\tNS\n0xabce\tmoves\tdrivers/a/a\tEXPORT_SYMBOL_GPL\tNS_ONE\n"
B += "0x3\tcomes\tlib/x\tEXPORT_SYMBOL\n"


@pytest.fixture
def lists(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "a.symvers").write_text(A)
    (tmp_path / "b.symvers").write_text(B)
    return str(tmp_path / "a.symvers"), str(tmp_path / "b.symvers")


def test_a_list_without_versions_is_not_compared(
    lists: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two kernels built without CONFIG_MODVERSIONS none would have changed; single symbols may have none."""
    (tmp_path / "zero.symvers").write_text("0x00000000\tkept\tvmlinux\tEXPORT_SYMBOL\n" * 2)
    for pair in ([str(tmp_path / "zero.symvers")] * 2, [lists[0], str(tmp_path / "zero.symvers")]):
        assert main(["diff", *pair]) == 3
        assert "zero.symvers: cannot be compared: its symbols have no versions" in capsys.readouterr().err
    (tmp_path / "zero.symvers").write_text(A + "0x00000000\tbare\tvmlinux\tEXPORT_SYMBOL\n")
    assert main(["diff", lists[0], str(tmp_path / "zero.symvers")]) == 0


def test_files_alone_need_no_system(lists: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _json(capsys, "diff", *lists)
    assert code == 0
    assert document["added"] == ["comes"]
    assert document["removed"] == ["goes"]
    assert document["changed"] == [{"symbol": "moves", "a": "abcd", "b": "abce"}]
    assert document["kmps"] == []
    assert main(["diff", *lists]) == 0
    assert "no KMP for it was given to hold against it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rules", "tolerated", "unused"),
    [
        ("", [], []),
        ("moves PASS\n", ["moves"], []),
        ("# nothing\n\nmov?s PASS # why\ngoes FAIL\n*_never PASS\n", ["moves"], ["*_never PASS"]),
        ("drivers/* PASS\n", ["moves"], []),
        ("NS_ONE PASS\nmoves FAIL\n", ["moves"], ["moves FAIL"]),
        ("moves FAIL\nNS_ONE PASS\n", [], ["NS_ONE PASS"]),
        ("vmlinux PASS\n", [], ["vmlinux PASS"]),
        ("*o* PASS\n", ["goes", "moves"], []),
        ("* PASS\n", ["moves"], []),  # no small letter in it: a namespace
    ],
)
def test_severities(
    rules: str,
    tolerated: list[str],
    unused: list[str],
    lists: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "severities"
    file.write_text(rules)
    code, document = _json(capsys, "diff", *lists, "--rules", str(file))
    assert code == 0
    assert document["tolerated"] == tolerated
    assert [entry["rule"] for entry in document["unused_rules"]] == unused
    assert main(["diff", *lists, "--rules", str(file)]) == 0
    text = capsys.readouterr().out
    assert text.count("is never used") == len(unused)


def test_tolerated_changes_break_kmps_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "severities"
    file.write_text("b* PASS\ndrivers/* FAIL\n")
    answer = _ask("demo-blocked", tmp_path, "diff", MIDDLE, NEW, "--rules", str(file), "--format", "json")
    assert answer.exit == 4
    document = json.loads(answer.stdout)
    assert len(document["tolerated"]) == 3
    # A repository does not say which module exports a symbol.
    assert [entry["line"] for entry in document["unjudged_rules"]] == [2]


@pytest.mark.parametrize("text", ["kfree", "kfree MAYBE", "kfree PASS again", "kfree pass"])
def test_wrong_rules(text: str) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        parse_severities(f"a PASS\n{text}\n", "rules")


@given(st.lists(st.text("ab*?/_", min_size=1, max_size=6), max_size=5), st.text("ab_/[.", max_size=6))
def test_rules_match_as_a_shell_does_without_brackets(patterns: list[str], symbol: str) -> None:
    """Held against fnmatch, which agrees as long as no bracket is in the pattern."""
    from fnmatch import fnmatchcase

    rules = parse_severities("\n".join(f"x{pattern} PASS" for pattern in patterns), "rules").rules
    for rule in rules:
        assert rule.matches(f"x{symbol}") == fnmatchcase(f"x{symbol}", rule.pattern)


def test_csv(lists: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", *lists, "--format", "csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["change"], row["symbol"], row["a"], row["b"]) for row in rows] == [
        ("added", "comes", "", "3"),
        ("removed", "goes", "2", ""),
        ("changed", "moves", "abcd", "abce"),
    ]


def test_files_against_a_system(lists: tuple[str, str], tmp_path: Path) -> None:
    """A list does not know its flavor; it is held against the builds of every installed one."""
    old, new = tmp_path / "old.symvers", tmp_path / "new.symvers"
    old.write_text(
        "0x1b2c3d4e\tkmalloc\tvmlinux\tEXPORT_SYMBOL\n0x37a0cba\tkfree\tvmlinux\tEXPORT_SYMBOL\n"
        "0xc0ffee\tbio_put_many\tvmlinux\tEXPORT_SYMBOL\n"
    )
    new.write_text("0x1b2c3d4e\tkmalloc\tvmlinux\tEXPORT_SYMBOL\n0x37a0cba\tkfree\tvmlinux\tEXPORT_SYMBOL\n")
    answer = _ask("abort", tmp_path, "diff", str(old), str(new), "--format", "json")
    assert answer.exit == 4
    (hit,) = json.loads(answer.stdout)["kmps"]
    assert hit["symbols"] == ["bio_put_many"]
    bare = dataclasses.replace(fixture.load("abort"), repositories=())
    assert runner.ask(bare, "rpm-md", tmp_path, "diff", str(old), str(new), "--format", "json") == answer


def _neighbours() -> list[tuple[DebianKernel, DebianKernel]]:
    """Neighbouring builds of Debian's cloud kernels: the last three of each series that apt offers."""
    import re

    found: dict[str, list[DebianKernel]] = {}
    for name in package_names():
        match = re.fullmatch(r"linux-headers-(([0-9]+\.[0-9]+)\..*-cloud-amd64)", name)
        if match:
            found.setdefault(match[2], []).append(DebianKernel(uname_r=match[1]))
    pairs = []
    for series in sorted(found):
        builds = sorted(found[series], key=lambda kernel: Evr.parse(kernel.abi))[-3:]
        pairs += list(pairwise(builds))
    return pairs


def test_counts_are_those_of_awk_on_real_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    """An independent count over Debian's Module.symvers: sort, join and awk."""
    pairs = _neighbours()
    assert pairs
    seen = set()
    for a, b in pairs:
        files = [str(kernel.symvers_file) for kernel in (a, b)]
        script = (
            "LC_ALL=C; export LC_ALL; a=$(mktemp) b=$(mktemp); "
            "awk '{print $2, $1}' \"$0\" | sort -u >$a; awk '{print $2, $1}' \"$1\" | sort -u >$b; "
            "join -v2 $a $b | wc -l; join -v1 $a $b | wc -l; join $a $b | awk '$2 != $3' | wc -l; rm $a $b"
        )
        done = subprocess.run(["bash", "-c", script, *files], check=True, capture_output=True, text=True)
        code, document = _json(capsys, "diff", *files)
        assert code == 0
        counts = [len(document[key]) for key in ("added", "removed", "changed")]
        assert counts == [int(word) for word in done.stdout.split()]
        seen.add(tuple(counts))
    assert any(any(counts) for counts in seen)


def test_matrix_text(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    for name in ("demo-blocked", "two-flavors-one-blocked", "geckolinux-exact-kernel", "no-symbol-versions"):
        (tmp_path / name).mkdir()
        answer = _ask(name, tmp_path / name, "matrix")
        assert answer.exit == 0
        assert answer.stdout == snapshot(name=name)


@pytest.mark.parametrize("name", fixture.names())
def test_matrix_agrees_with_the_plan(name: str, tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "matrix").mkdir()
    plan = _ask(name, tmp_path / "plan", "plan", "--format", "json").plan
    document = json.loads(_ask(name, tmp_path / "matrix", "matrix", "--format", "json").stdout)
    kernels, builds = document["kernels"], document["builds"]
    assert len(set(kernels)) == len(kernels)
    assert len(set(builds)) == len(builds)
    assert all(len(row) == len(kernels) for row in document["cells"])
    for flavor in plan["flavors"]:
        if flavor["target"] is None:
            continue
        column = kernels.index(flavor["target"]["nevra"])
        for kmp in flavor["kmps"]:
            if kmp["chosen"] and kmp["decision"] in ("reuse", "fetch"):
                row = builds.index(kmp["chosen"])
                assert (document["cells"][row][column], document["fits"][row][column]) == (0, True)
            for attempt in kmp["tried"]:
                if attempt["cause"] == "symbols":
                    row = builds.index(attempt["nevra"])
                    assert document["cells"][row][column] == attempt["mismatches"]
                    assert document["fits"][row][column] is False


def test_a_matrix_of_nothing_says_so(several: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "--repo", several, "--flavor", "default"]) == 0
    assert capsys.readouterr().out == "no KMP for these kernels is installed or in a repository\n"


def test_a_matrix_of_repositories_as_a_page(several: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is installed, so no kernel is marked, and nothing of this machine is read."""
    assert main(["matrix", "--repo", several]) == 0
    assert "1.0_k6.4.0_1-1" in capsys.readouterr().out
    assert main(["matrix", "--repo", several, "--format", "html"]) == 0
    page = capsys.readouterr().out
    assert "1.0_k6.4.0_1-1" in page
    assert "kernel-rt" in page
    assert "no kernel is safe" not in page


def test_matrix_csv_and_filter(tmp_path: Path) -> None:
    answer = _ask("demo-blocked", tmp_path, "matrix", "acme-*", "--format", "csv")
    rows = list(csv.reader(io.StringIO(answer.stdout)))
    assert rows[0] == ["build", *(f"kernel-default-{evr}.x86_64" for evr in (NEW, MIDDLE, OLD))]
    assert {row[0].split("-kmp-")[0] for row in rows[1:]} == {"acme-nic", "acme-storage"}
    assert ["acme-storage-kmp-default-2.1_k6.4.0_150600.23.25-1.x86_64", "3", "0", "0"] in rows
    (tmp_path / "b").mkdir()
    assert _ask("demo-blocked", tmp_path / "b", "matrix", "nothing-*").exit == 3


def test_vmlinux_is_a_module_without_a_slash() -> None:
    rules = parse_severities("vmlinux PASS\nextra/a PASS\nvmalloc PASS\nVFS PASS\n", "rules").rules
    assert [rule.subject for rule in rules] == ["module", "module", "symbol", "namespace"]
