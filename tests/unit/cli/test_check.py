"""``kmpsolve check`` from the command line; what it finds is tested with real modules elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.cli import main
from tests.support import repository, rpmmd
from tests.support.packages import PackageSpec

_KMP = PackageSpec(
    name="acme-net-kmp-default",
    version="1_k6.4.0_1",
    release="1",
    vendor="ACME",
    provides=("acme-net-kmp-default-k6.4.0_1",),
    requires=("ksym(default:a) = 1",),
)


def _kernel(release: str, crc: str) -> PackageSpec:
    return PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release=release,
        provides=(
            f"kernel-uname-r = 6.4.0-{release.rpartition('.')[0]}-default",
            "multiversion(kernel)",
            f"ksym(default:a) = {crc}",
        ),
    )


@pytest.fixture
def kmp() -> str:
    return str(next(repository.rpm_folder([_KMP]).glob("*.rpm")))


@pytest.fixture
def kernels() -> str:
    return str(repository.rpm_md([_kernel("1.1", "1"), _kernel("2.1", "2")]))


@pytest.mark.parametrize(
    ("kernel", "verdict", "found"),
    [
        ("6.4.0-1.1", "safe", []),
        ("6.4.0-1-default", "safe", []),
        ("6.4.0-2", "blocked", ["a"]),
        (None, "blocked", ["a"]),
    ],
)
def test_against_a_kernel_of_a_repository(
    kmp: str,
    kernels: str,
    kernel: str | None,
    verdict: str,
    found: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = ["--kernel", kernel] if kernel else []
    main(["check", kmp, "--repo", f"sle={kernels}", "--format", "json", *chosen])
    document = json.loads(capsys.readouterr().out)
    (subject,) = document["subjects"]
    assert subject["verdict"] == verdict
    assert [m["symbol"] for m in subject["mismatches"]] == found


@pytest.mark.parametrize(
    ("kernel", "meant"),
    [
        (None, ["default-6.4.0-2.1", "rt-6.4.0-4.1"]),
        ("latest", ["default-6.4.0-2.1", "rt-6.4.0-4.1"]),
        ("newest-safe", ["default-6.4.0-1.1", "rt-6.4.0-4.1"]),
    ],
)
def test_against_the_kernel_that_a_plan_is_for(
    kernel: str | None, meant: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a kernel is installed, those of other vendors are none; of another flavor it is the newest there is."""
    driver = replace(_KMP, provides=(*_KMP.provides, "kmod(acme.ko)"))
    installed = repository.rpm_folder([_kernel("1.1", "1"), driver])
    rt = [
        replace(one, name="kernel-rt", provides=tuple(p.replace("default", "rt") for p in one.provides))
        for one in (_kernel("3.1", "1"), _kernel("4.1", "1"))
    ]
    foreign = replace(_kernel("9.1", "1"), vendor="Other GmbH")
    offered = repository.rpm_md([_kernel("2.1", "2"), foreign, *rt])
    module = replace(_KMP, name="x", requires=(), provides=("kmod(x.ko)", "ksym(default:b) = 1"))
    words = ["check", str(repository.rpm_folder([module])), "--installed", str(installed)]
    words += ["--repo", f"r={offered}", "--format", "json", *(["--kernel", kernel] if kernel else [])]
    main(words)
    subjects = json.loads(capsys.readouterr().out)["subjects"]
    assert [subject["kernel"] for subject in subjects] == [f"kernel-{one}.x86_64" for one in meant]


def test_against_a_kernel_rpm(kmp: str, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = next(repository.rpm_folder([_kernel("2.1", "2")]).glob("*.rpm"))
    assert main(["check", kmp, "--against", str(kernel)]) == 4
    out = capsys.readouterr().out
    assert "would not load" in out
    assert "wants 1, kernel has 2" in out


@pytest.mark.parametrize(("hash_of_base", "code"), [("a", 0), ("b", 4)])
def test_against_a_kernel_that_does_not_tell_its_uname_r(
    hash_of_base: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 11: its name and its symsets make it one, together with the -base that has the rest."""
    full = PackageSpec(
        name="kernel-default",
        version="3.0.93",
        release="0.8.1",
        provides=(f"kernel(default:net) = {'c' * 16}",),
        requires=("kernel-default-base = 3.0.93-0.8.1",),
    )
    vmlinux = f"kernel(default:vmlinux) = {hash_of_base * 16}"
    base = replace(full, name="kernel-default-base", provides=(vmlinux,))
    driver = PackageSpec(
        name="acme-kmp-default",
        version="1_3.0.76_0.11",
        release="1",
        requires=(f"kernel(default:net) = {'c' * 16}", f"kernel(default:vmlinux) = {'a' * 16}"),
    )
    folder = repository.rpm_folder([full, base, replace(full, name="kernel-source", provides=())])
    words = ["check", str(repository.rpm_folder([driver])), "--against", str(folder), "--format", "json"]
    assert main(words) == code
    (subject,) = json.loads(capsys.readouterr().out)["subjects"]
    assert subject["kernel"] == full.nevra


@pytest.mark.parametrize(
    "named", [("-extra", ()), ("-optional", ()), ("dlm-kmp-default", ("kmp_in_kernel",))]
)
@pytest.mark.parametrize(
    ("required", "code"),
    [
        ("kernel-default = 6.4.0-2.1", 0),
        ("kernel-default_x86_64 = 6.4.0-2", 0),
        ("kernel-default = 6.4.0-3.1", 4),
        ("kernel-default", 4),
    ],
)
def test_against_a_folder_with_the_kernel_and_its_parts(
    named: tuple[str, tuple[str, ...]], required: str, code: int, kmp: str, tmp_path: Path
) -> None:
    """What requires exactly that kernel is of it, and nothing else is."""
    name, provides = named
    kernel = _kernel("2.1", "1")
    part = replace(
        kernel,
        name=name if provides else f"kernel-default{name}",
        provides=(*provides, "kmod(more.ko)", "ksym(default:more) = 7"),
        requires=(required,),
    )
    whole = replace(kernel, provides=(*kernel.provides, "kernel-default_x86_64 = 6.4.0-2"))
    user = replace(_KMP, requires=(*_KMP.requires, "ksym(default:more) = 7"))
    folder = repository.rpm_folder([whole, part])
    (rpm,) = repository.rpm_folder([user]).glob("*.rpm")
    assert main(["check", kmp, "--against", str(folder)]) == 0
    assert main(["check", str(rpm), "--against", str(folder)]) == code


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["/nowhere.rpm", "--against", "/"], 3, "/nowhere.rpm: there is no such file or folder"),
        ([__file__, "--kernel", "1", "--against", "/"], 2, "give --kernel or --against, not both"),
        ([__file__, "--against", "/nowhere"], 3, "/nowhere: there is no such file or folder"),
    ],
)
def test_errors(arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *arguments]) == code
    assert told in capsys.readouterr().err


def test_an_unknown_kernel(kmp: str, kernels: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", kmp, "--repo", f"sle={kernels}", "--kernel", "9-9"]) == 3
    assert "--kernel: no kernel 9-9 is installed or in a repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "offered", "code"),
    [
        ("collect", [], 110),
        ("collect", ["2"], 110),
        ("collect", ["1"], 0),
        ("rpm -qa", [], 110),
        ("rpm -qa", ["1"], 0),
    ],
)
def test_a_kernel_that_its_inventory_alone_tells(
    kmp: str, tmp_path: Path, told: str, offered: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lists what installed KMPs need, or nothing: what is not listed may be there, what is assumed may not."""
    kernel, other = _kernel("1.1", "1"), replace(_KMP, name="old-kmp-default", requires=())
    host = tmp_path / "host"
    if told == "collect":
        system = rpmmd.write(tmp_path / "system", [kernel, other])
        assert main(["collect", "--installed", str(system), "-o", str(host)]) == 0
    else:
        host.write_text(f"{kernel.nevra}\n{_KMP.nevra}\n")
    # The kernel as it is installed, or one that only has its name.
    others = rpmmd.write(tmp_path / "r", [_KMP, *(_kernel("1.1", crc) for crc in offered)])
    words = ["check", kmp, "--installed", str(host), "--repo", str(others), "--kernel", "6.4.0-1.1"]
    assert main([*words, "--format", "json"]) == code
    (subject,) = json.loads(capsys.readouterr().out)["subjects"]
    assert subject["mismatches"] == []


def test_one_file_is_named_in_the_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "acme-kmp-default.rpm"
    broken.write_bytes(b"no package")
    kernel = next(repository.rpm_folder([_kernel("2.1", "2")]).glob("*.rpm"))
    assert main(["check", str(broken), "--against", str(kernel)]) == 3
    assert str(broken) in capsys.readouterr().err


@pytest.mark.parametrize(("kernel", "code"), [("6.4.0-1.1", 0), ("6.4.0-2.1", 4)])
def test_a_package_that_requires_one_version_of_the_kernel(
    capsys: pytest.CaptureFixture[str], kernel: str, code: int
) -> None:
    """Where it is installed, rpm keeps that kernel for it; on the other one it is not meant to load."""
    bound = replace(_KMP, requires=(*_KMP.requires, "kernel-default = 6.4.0-1.1", "kernel-default >= 6"))
    folder = repository.rpm_folder([bound])
    offered = repository.rpm_md([_kernel("1.1", "1"), _kernel("2.1", "1")])
    words = ["check", str(folder), "--repo", str(offered), "--kernel", kernel, "--format", "json"]
    assert main(words) == code
    found = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["severity"] == "error"]
    assert [f["message"].partition(",")[0] for f in found] == ["requires kernel-default = 6.4.0-1.1"] * bool(
        code
    )


def test_keys_without_an_end(kmp: str, kernels: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", kmp, "--repo", kernels, "--kernel", "6.4.0-1.1", "--keys", "/dev/zero"]
    assert main(words) == 3
    assert "/dev/zero: is too large for keys or certificates" in capsys.readouterr().err
