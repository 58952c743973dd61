"""Transactions that are more than a new kernel: what goes, what changes under a KMP, what is from nowhere."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex

import pytest

from tests.e2e.host import (
    DRIVER,
    KERNEL_PATCH,
    MIDDLE,
    NEW,
    NEWER_TOOL,
    OLD,
    REBUILD,
    TOOL,
    TOOL_PATCH,
    Host,
    patches,
    served,
    specs,
    stopped,
)
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

UNVERSIONED = dataclasses.replace(
    specs(DRIVER)[0], requires=(), provides=tuple(p for p in specs(DRIVER)[0].provides if "ksym" not in p)
)


def _said(text: str) -> str:
    return " ".join(text.split())


def _renamed(spec: PackageSpec, flavor: str, **changes: object) -> PackageSpec:
    """The same kernel for another flavor."""
    provides = tuple(p.replace("default", flavor) for p in spec.provides)
    return dataclasses.replace(
        spec,
        name=spec.name.replace("default", flavor),
        provides=provides,
        files=tuple(f.replace("default", flavor) for f in spec.files),
        **changes,  # type: ignore[arg-type]
    )


def test_reuse_is_told_in_one_line() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE))
        ended = host.zypper("up")
        assert ended.code == 0
        assert ended.stderr == (
            "kmpsolve: acme-kmp-default 2.1_k6.4.0_150600.23.25-1 keeps working on "
            "kernel-default 6.4.0-150600.23.27.1 (3 symbols, none changed)\n"
        )
        assert host.path("/run/kmpsolve/last-verdict.json").stat().st_mode & 0o777 == 0o644


def test_a_build_for_exactly_this_kernel_has_no_symbols_to_count() -> None:
    """Tumbleweed before 2023-09; a rebuild of the kernel has the same uname -r."""
    exact = dataclasses.replace(
        specs(DRIVER)[0],
        requires=("kernel-uname-r = 6.4.0-150600.23.25-default",),
        provides=("kmod(acme.ko)",),
    )
    rebuilt = dataclasses.replace(
        specs(OLD)[0], release="150600.23.25.2", obsoletes=("kernel-default = 6.4.0-150600.23.25.1",)
    )
    with Host(OLD, more=[exact]) as host:
        host.add("updates", [rebuilt])
        assert "built for exactly this kernel" in host.kmpsolve("plan").stdout
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert (
            "keeps working on kernel-default 6.4.0-150600.23.25.2 (built for exactly this kernel)"
            in _said(ended.stderr)
        )


@pytest.mark.parametrize("all_of_it", [True, False])
def test_an_in_tree_kmp_beside_the_driver(all_of_it: bool) -> None:
    """zypper brings the new one with the kernel, unless only the kernel is asked for."""
    old, new = (
        PackageSpec(
            name="dlm-kmp-default",
            version=kernel.version,
            release=kernel.release,
            vendor=kernel.vendor,
            provides=("kmp_in_kernel", "multiversion(kernel)", "kmod(dlm.ko)", "ksym(default:dlm_lock) = 1"),
            requires=(f"kernel-default = {kernel.version}-{kernel.release}",),
        )
        for kernel in (specs(OLD)[0], specs(MIDDLE)[0])
    )
    with Host(OLD, DRIVER, more=[old]) as host:
        host.add("updates", [*specs(MIDDLE), new])
        ended = host.zypper("up") if all_of_it else host.zypper("in", "kernel-default")
        assert ended.code == 0, str(ended)
        assert "acme-kmp-default 2.1_k6.4.0_150600.23.25-1 keeps working" in ended.stderr
        assert (new.nevra in host.installed()) == all_of_it
        warnings = host.last_verdict()["flavors"][0]["warnings"]
        assert ("in-tree-left-behind" in {w["reference"] for w in warnings}) == (not all_of_it)


def test_the_only_kernel_it_works_on_goes() -> None:
    with Host(OLD, NEW, DRIVER) as host:
        before = host.rpmdb()
        ended = host.zypper("rm", "kernel-default=6.4.0-150600.23.25.1")
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-kmp-default" in ended.stderr


def test_a_kernel_it_does_not_need_goes() -> None:
    with Host(OLD, MIDDLE, DRIVER) as host:
        ended = host.zypper("rm", "kernel-default=6.4.0-150600.23.25.1")
        assert ended.code == 0, str(ended)
        assert "keeps working on kernel-default 6.4.0-150600.23.27.1" in ended.stderr


@pytest.mark.parametrize("kernels", [(OLD,), (OLD, MIDDLE)])
def test_a_driver_that_a_person_names_may_go(kernels: tuple[str, ...]) -> None:
    """From fallback kernels too: they are protected from accidents."""
    with Host(*kernels, DRIVER, configuration="protect_fallback = true\n") as host:
        ended = host.zypper("rm", "acme-kmp-default")
        assert ended.code == 0, str(ended)
        assert "kmpsolve: warning: acme-kmp-default is removed, as asked for" in ended.stderr
        assert host.installed() == sorted(kernels)


def test_drivers_that_a_way_out_names_may_go() -> None:
    """zypper takes a KMP that needs the other's symbols along: the command says so, and the hook lets it pass."""
    lower = dataclasses.replace(
        specs(DRIVER)[0], provides=(*specs(DRIVER)[0].provides, "ksym(default:acme) = 7")
    )
    upper = dataclasses.replace(
        specs(DRIVER)[0],
        name="beta-kmp-default",
        provides=("beta-kmp = 1", "kmod(beta.ko)", "multiversion(kernel)"),
        requires=("ksym(default:acme) = 7",),
        conflicts=(),
        files=(),
    )
    with Host(OLD, more=[lower, upper]) as host:
        host.add("updates", specs(NEW))
        (flavor,) = json.loads(host.kmpsolve("plan", "--format", "json").stdout)["flavors"]
        ways = [way for way in flavor["ways_out"] if way["kind"] == "remove"]
        assert [way["kmps"] for way in ways] == [
            ["beta-kmp-default"],
            ["acme-kmp-default", "beta-kmp-default"],
        ]
        ended = host.zypper(*shlex.split(ways[1]["command"])[1:])
        assert ended.code == 0, str(ended)
        assert host.installed() == [OLD]


def test_a_driver_that_goes_along_with_something_else_does_not() -> None:
    needed = dataclasses.replace(specs(DRIVER)[0], requires=(*specs(DRIVER)[0].requires, "acme-firmware"))
    firmware = PackageSpec(name="acme-firmware", version="1", release="1")
    with Host(OLD, more=[needed, firmware]) as host:
        before = host.rpmdb()
        ended = host.zypper("rm", "acme-firmware")
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-kmp-default (it would be removed)" in _said(ended.stderr)


@pytest.mark.parametrize("beside", [(), (MIDDLE,)])
def test_a_driver_does_not_go_for_a_package_that_obsoletes_it(beside: tuple[str, ...]) -> None:
    """libzypp names what arrives, and not what goes for it."""
    instead = PackageSpec(
        name="acme-on-host",
        vendor="ACME Inc.",
        version="1",
        release="1",
        provides=("acme-kmp-default = 9",),
        obsoletes=("acme-kmp-default",),
    )
    with Host(OLD, DRIVER) as host:
        host.add("acme", [instead, *specs(*beside)])
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-kmp-default (it would be removed)" in _said(ended.stderr)


def test_a_package_with_a_new_name_is_no_matter() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(TOOL))
        ended = host.zypper("in", "tool")
        assert (ended.code, ended.stderr) == (0, ""), str(ended)
        assert not host.path("/run/kmpsolve/last-verdict.json").exists()


def test_a_driver_in_use_does_not_go_unasked() -> None:
    """A module that the running kernel has loaded is needed, whoever names its package."""
    with Host(OLD, DRIVER) as host:
        before = host.rpmdb()
        host.write("/etc/modules-load.d/acme.conf", "# the driver\nacme\n")
        ended = host.zypper("rm", "acme-kmp-default")
        assert stopped(host, ended, before) == [], str(ended)


def test_a_worse_build_replaces_the_good_one() -> None:
    """No kernel in the transaction: judged against what boots next."""
    with Host(OLD, MIDDLE, DRIVER, multiversion=False) as host:
        broken = dataclasses.replace(specs(REBUILD)[0], requires=("ksym(default:kmalloc) = 9f00aa11",))
        provider = PackageSpec(
            name="p", version="1", release="1", provides=("ksym(default:kmalloc) = 9f00aa11",)
        )
        host.install_rpms(rpmbuild.build([provider]))
        host.add("acme", [broken])
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert "it would leave this machine without acme-kmp-default" in _said(ended.stderr)


def test_a_new_driver_that_does_not_work() -> None:
    """Nothing is lost; installed for nothing, it is stopped all the same, and said to be new."""
    provider = PackageSpec(name="p", version="1", release="1", provides=("ksym(default:kmalloc) = 9f00aa11",))
    with Host(OLD, more=[provider]) as host:
        host.add("acme", [dataclasses.replace(specs(REBUILD)[0], requires=provider.provides)])
        before = host.rpmdb()
        ended = host.zypper("in", "acme-kmp-default")
        assert stopped(host, ended, before) == [], str(ended)
        said = _said(ended.stderr)
        assert "it would install acme-kmp-default (" in said
        assert "which does not work on kernel-default 6.4.0" in said
        assert "leave this machine" not in said


def test_a_build_beside_the_good_one_passes() -> None:
    with Host(OLD, DRIVER) as host:
        provider = PackageSpec(
            name="p", version="1", release="1", provides=("ksym(default:kmalloc) = 9f00aa11",)
        )
        host.install_rpms(rpmbuild.build([provider]))
        host.add("acme", specs(REBUILD))
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert "acme-kmp-default 2.1_k6.4.0_150600.23.25-1 keeps working" in ended.stderr


def test_what_was_lost_before_stops_nothing() -> None:
    """The newest kernel is without the driver already; another driver's update changes nothing about it."""
    other = dataclasses.replace(
        specs(DRIVER)[0],
        name="beta-kmp-default",
        provides=("kmod(beta.ko)",),
        requires=("ksym(default:kfree) = 37a0cba",),
        conflicts=(),
        files=(),
    )
    newer = dataclasses.replace(other, version="3.0_k6.4.0_150600.23.30")
    with Host(OLD, NEW, DRIVER, more=[other]) as host:
        host.add("beta", [newer])
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert "warning: acme-kmp-default does not work on kernel-default" in ended.stderr
        assert newer.nevra in host.installed()


@pytest.mark.parametrize("newer", [False, True])
def test_user_space_that_is_left_with_the_old_build(newer: bool) -> None:
    """RPM is content with the old build, which multiversion keeps; the new kernel does not load it."""

    def control(version: str) -> PackageSpec:
        requires = (f"acme-kmp = {version}",)
        return PackageSpec(
            name="acme-control", version=version, release="1", vendor="ACME Inc.", requires=requires
        )

    with Host(OLD, DRIVER, more=[control("2.1")]) as host:
        host.add("updates", [*specs(NEW, REBUILD), *([control("2.2")] if newer else [])])
        before = host.rpmdb()
        both = ("kernel-default=6.4.0-150600.23.30.1", "acme-kmp-default=2.2_k6.4.0_150600.23.30-1")
        ended = host.zypper("in", *both)
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-control-2.1-1.x86_64 requires acme-kmp = 2.1" in _said(ended.stderr)
        if newer:
            line = next(line for line in ended.stderr.splitlines() if "Do it right:" in line)
            done = host.zypper(*shlex.split(line.partition("Do it right:")[2])[1:])
            assert done.code == 0, str(done)
            assert control("2.2").nevra in host.installed()


def test_dup_changes_the_flavor_under_it() -> None:
    rt = _renamed(specs(NEW)[0], "rt", obsoletes=("kernel-default",))
    with Host(OLD, DRIVER) as host:
        host.add("product", [rt])
        before = host.rpmdb()
        ended = host.zypper("dup")
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-kmp-default" in ended.stderr


def test_dup_changes_the_flavor_and_brings_the_driver_for_it() -> None:
    rt = _renamed(specs(MIDDLE)[0], "rt", obsoletes=("kernel-default",))
    driver = dataclasses.replace(
        _renamed(specs(DRIVER)[0], "rt", obsoletes=("acme-kmp-default",)),
        requires=tuple(r.replace("default", "rt") for r in specs(DRIVER)[0].requires),
        conflicts=(),
    )
    with Host(OLD, DRIVER) as host:
        host.add("product", [rt, driver])
        ended = host.zypper("dup")
        assert ended.code == 0, str(ended)
        assert host.installed() == sorted([rt.nevra, driver.nevra])


def test_dup_changes_the_product_under_it() -> None:
    """The same kernel version from another vendor, with other symbol versions."""
    leap = dataclasses.replace(specs(NEW)[0], vendor="openSUSE")
    with Host(OLD, DRIVER) as host:
        host.add("leap", [leap])
        before = host.rpmdb()
        ended = host.zypper("dup")
        assert stopped(host, ended, before) == [], str(ended)


def test_a_rebuild_that_obsoletes_its_predecessor() -> None:
    """Same release, other symbol versions: the old kernel goes with the update, and nothing is left to fall
    back to.
    """
    again = dataclasses.replace(
        specs(NEW)[0],
        release="150600.23.25.2",
        provides=tuple(p.replace("150600.23.30", "150600.23.25") for p in specs(NEW)[0].provides),
        obsoletes=("kernel-default = 6.4.0-150600.23.25.1",),
    )
    with Host(OLD, DRIVER) as host:
        host.add("updates", [again])
        before = host.rpmdb()
        ended = host.zypper("dup")
        assert stopped(host, ended, before) == [], str(ended)


@pytest.mark.parametrize("rebuild", [False, True])
def test_files_from_no_repository(rebuild: bool) -> None:
    files = [str(path) for path in rpmbuild.build(specs(NEW, *([REBUILD] if rebuild else [])))]
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEWER_TOOL))
        before = host.rpmdb()
        ended = host.zypper("in", "--allow-unsigned-rpm", *files)
        if rebuild:
            assert ended.code == 0, str(ended)
            assert host.installed() == sorted([DRIVER, REBUILD, OLD, NEW])
            assert "2.2_k6.4.0_150600.23.30-1 comes along and works" in ended.stderr
        else:
            assert stopped(host, ended, before) == [], str(ended)


def test_a_repository_for_one_command() -> None:
    with Host(OLD, DRIVER) as host:
        folder = repository.rpm_md(specs(NEW))
        before = host.rpmdb()
        ended = host.run(
            [
                "zypper",
                "-n",
                "--no-gpg-checks",
                "--plus-repo",
                f"dir:{folder}",
                "in",
                "kernel-default=6.4.0-150600.23.30.1",
            ]
        )
        assert stopped(host, ended, before) == [], str(ended)


@pytest.mark.parametrize("way", ["file", "file by its own name beside another", "repository"])
def test_the_way_out_gives_zypper_again_what_it_was_given(way: str) -> None:
    """No repository has it afterwards."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(REBUILD))
        if way == "repository":
            command = ["--no-gpg-checks", "--plus-repo", f"dir:{repository.rpm_md(specs(NEW))}", "in"]
            ended = host.zypper(*command, "kernel-default")
        else:
            kernel, tool = rpmbuild.build(specs(NEW, NEWER_TOOL))
            names = [f"/root/{kernel.name}", f"/root/{tool.name}"]
            if way == "file":
                names = ["/root/a kernel.rpm"]
            for path, name in zip((kernel, tool), names, strict=False):
                host.run(["cp", str(path), name])
            ended = host.zypper("--no-gpg-checks", "in", "--allow-unsigned-rpm", *names)
        assert ended.code == 8, str(ended)
        (flavor,) = host.last_verdict()["flavors"]
        (right,) = [w["command"] for w in flavor["ways_out"] if w["kind"] == "fetch-with"]
        assert f"Do it right:   {right}\n" in ended.stderr
        done = host.zypper(*shlex.split(right)[1:])
        assert done.code == 0, str(done)
        assert {NEW, REBUILD} < set(host.installed())


def test_files_that_nobody_can_tell_apart_are_in_no_command() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(REBUILD))
        for number, path in enumerate(rpmbuild.build(specs(NEW, NEWER_TOOL))):
            host.run(["cp", str(path), f"/root/{number}.rpm"])
        ended = host.zypper("--no-gpg-checks", "in", "--allow-unsigned-rpm", "/root/0.rpm", "/root/1.rpm")
        assert ended.code == 8, str(ended)
        assert "Do it right" not in ended.stderr
        (flavor,) = host.last_verdict()["flavors"]
        assert [w["command"] for w in flavor["ways_out"] if w["kind"] == "fetch-with"] == [None]


def test_other_peoples_temporary_folders_do_not_count() -> None:
    """Anybody can write to /var/tmp; a fitting rebuild that lies there is nobody's word."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        solv = "/var/cache/zypp/solv/updates/solv"
        host.zypper("ref")
        others = [("65534", "0700")] if os.geteuid() == 0 else []  # nobody else exists in a user namespace
        for owner, mode in [*others, ("0", "0777")]:
            folder = f"/var/tmp/zypp.evil{owner[0]}x"
            host.run(
                [
                    "sh",
                    "-c",
                    f"mkdir -p '{folder}/zypper/x/%SLV%' && cp {solv} '{folder}/zypper/x/%SLV%/solv' && "
                    f"chmod {mode} {folder} && chown -R {owner} {folder}",
                ]
            )
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert [entry["alias"] for entry in host.last_verdict()["inputs"]["repositories"]] == ["updates"]


@pytest.mark.parametrize(("setting", "rebuilt"), [("warn", False), ("abort", False), ("warn", True)])
def test_unverified(setting: str, rebuilt: bool) -> None:
    rule = '[[kmp]]\nmatch = "acme-*"\nrebuilt_on_host = true\n' if rebuilt else ""
    with Host(OLD, more=[UNVERSIONED], configuration=f'unverified = "{setting}"\n{rule}') as host:
        host.add("updates", specs(MIDDLE))
        before = host.rpmdb()
        ended = host.zypper("up")
        assert "nobody can tell whether" in _said(ended.stderr)
        lacking = "kernel-default-devel-6.4.0-150600.23.27.1 is neither installed nor planned"
        assert (lacking in _said(ended.stderr)) == rebuilt
        if setting == "abort":
            assert stopped(host, ended, before) == [], str(ended)
        else:
            assert ended.code == 0, str(ended)
        assert host.last_verdict()["verdict"] == "unverified"


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ('on_blocked = "warn"\n', 0),
        ('[[kmp]]\nmatch = "acme-*"\non_blocked = "warn"\n', 0),
        ('on_blocked = "warn"\n[[kmp]]\nmatch = "acme-*"\non_blocked = "abort"\n', 8),
        ('[[kmp]]\nmatch = "acme-*"\non_blocked = "ignore"\n', 0),
        ('[[waiver]]\nkmp = "acme-*"\nreason = "tape is gone"\nexpires = 2099-01-01\n', 0),
        ('[[waiver]]\nkmp = "acme-*"\nreason = "tape is gone"\nexpires = 2001-01-01\n', 8),
    ],
)
def test_what_the_configuration_says(configuration: str, code: int) -> None:
    with Host(OLD, DRIVER, configuration=configuration) as host:
        host.add("updates", specs(NEW))
        ended = host.zypper("up")
        assert ended.code == code, str(ended)
        assert "acme-kmp-default" in ended.stderr
        assert (NEW in host.installed()) == (code == 0)


_OTHER = dataclasses.replace(
    specs(DRIVER)[0], name="beta-kmp-default", provides=("kmod(beta.ko)",), conflicts=(), files=()
)
_WARN = '[[kmp]]\nmatch = "acme-*"\non_blocked = "warn"\n'


@pytest.mark.parametrize(
    ("requires", "configuration", "code", "named"),
    [
        ((), 'unverified = "abort"\n', 8, True),
        ((), 'unverified = "warn"\n', 0, True),
        (("ksym(default:kfree) = bad",), "", 0, False),
        (("ksym(default:kfree) = bad",), 'already_broken = "block"\n', 8, True),
        (("ksym(default:kmalloc) = 1b2c3d4e",), '[[kmp]]\nmatch = "beta-*"\nscope = "in-use"\n', 0, False),
        (
            ("ksym(default:kmalloc) = 1b2c3d4e",),
            '[[kmp]]\nmatch = "beta-*"\non_blocked = "ignore"\n',
            0,
            False,
        ),
    ],
)
def test_a_loss_with_a_warning_beside_another_driver(
    requires: tuple[str, ...], configuration: str, code: int, named: bool
) -> None:
    """Each driver that counts has its say: a warning for one lets nothing else through, and stops nothing."""
    other = dataclasses.replace(_OTHER, requires=requires)
    top, _, rules = configuration.partition("[[")
    with Host(OLD, DRIVER, more=[other], configuration=f"{top}{_WARN}{rules and f'[[{rules}'}") as host:
        host.add("updates", specs(NEW))
        empty = ["sh", "-c", "echo . | cpio --quiet -o -H newc > /boot/initrd-$(uname -r)"]
        assert host.run(empty).code == 0
        ended = host.zypper("up")
        assert ended.code == code, str(ended)
        assert "acme-kmp-default (1 of 3 kernel symbols changed" in _said(ended.stderr)
        assert ("beta-kmp-default" in ended.stderr) == named


def test_protect_fallback() -> None:
    """Where the KMP is not multiversion, its rebuild takes the driver from the fallback kernel."""
    plain = {
        name: dataclasses.replace(
            specs(name)[0], provides=tuple(p for p in specs(name)[0].provides if "multiv" not in p)
        )
        for name in (DRIVER, REBUILD)
    }
    for protect in (False, True):
        configuration = f"protect_fallback = {str(protect).lower()}\n"
        with Host(OLD, MIDDLE, more=[plain[DRIVER]], configuration=configuration) as host:
            host.add("updates", [*specs(NEW), plain[REBUILD]])
            before = host.rpmdb()
            ended = host.zypper("up")
            assert "6.4.0-150600.23.25-default would lose acme-kmp-default" in _said(ended.stderr), str(ended)
            if protect:
                assert stopped(host, ended, before) == [], str(ended)
                assert "would lose acme-kmp-default. The fallback kernel" in _said(ended.stderr)
            else:
                assert ended.code == 0, str(ended)


def test_a_repository_that_cannot_be_read_is_no_reason() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE))
        host.add_repository("gone", "dir:/nowhere", refresh=False)
        ended = host.zypper("up")
        assert ended.code in (0, 106), str(ended)
        assert "keeps working" in ended.stderr
        assert host.last_verdict()["complete"] is False


def test_the_safe_kernel_that_is_proposed() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE, NEW))
        ended = host.zypper("up")
        assert ended.code == 8
        line = next(line for line in ended.stderr.splitlines() if "Safe instead:" in line)
        done = host.zypper(*shlex.split(line.partition("Safe instead:")[2])[1:])
        assert done.code == 0, str(done)
        assert host.installed() == sorted([DRIVER, OLD, MIDDLE])


def test_nothing_is_proposed_that_suits_an_older_kernel_alone() -> None:
    """Every driver works on the old kernel, with another build than the newest installed one needs."""

    def beta(version: str, kmalloc: str) -> PackageSpec:
        return PackageSpec(
            name="beta-kmp-default",
            version=version,
            release="1",
            provides=("kmod(beta.ko)",),
            requires=(f"ksym(default:kmalloc) = {kmalloc}",),
        )

    newest = dataclasses.replace(
        specs(NEW)[0],
        release="150600.23.40.1",
        provides=tuple(
            p.replace("23.30", "23.40").replace("9f00aa11", "7777") for p in specs(NEW)[0].provides
        ),
        files=(),
    )
    with Host(OLD, NEW, DRIVER, more=[beta("1.0", "9f00aa11")]) as host:
        host.add("updates", [newest, beta("2.0", "1b2c3d4e")])
        before = host.rpmdb()
        ended = host.zypper("up", "kernel-default")
        assert stopped(host, ended, before) == [], str(ended)
        assert "zypper install --no-recommends beta-kmp-default=2.0-1" in _said(host.kmpsolve("plan").stdout)
        assert "Safe instead" not in ended.stderr


def test_a_driver_without_kmp_in_its_name() -> None:
    odd = dataclasses.replace(specs(DRIVER)[0], name="acme-driver", conflicts=())
    trap = PackageSpec(
        name="trap", version="1", release="1", obsoletes=("nothing",), conflicts=("acme-driver",)
    )
    with Host(OLD, more=[odd, *specs(TOOL)]) as host:
        host.add("updates", [trap])
        before = host.rpmdb()
        ended = host.zypper("in", "--force-resolution", "trap")
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-driver (it would be removed)" in _said(ended.stderr)


def test_as_transactional_update_calls_it() -> None:
    """libzypp here loads no plugin below another root, newer ones do: the plugin itself, as they start it."""
    with Host(OLD, DRIVER) as host:
        snapshot = "/var/lib/snapshot"
        host.run(
            [
                "sh",
                "-c",
                f"mkdir -p {snapshot}/var/lib {snapshot}/etc && cp -a /var/lib/rpm {snapshot}/var/lib && "
                f"cp -a /etc/zypp /etc/rpm {snapshot}/etc && rm -r /var/lib/rpm && "
                "mkdir /var/lib/rpm && rpm --initdb",
            ]
        )
        folder = repository.rpm_md(specs(NEW))
        host.write(
            f"{snapshot}/etc/zypp/repos.d/u.repo", f"[u]\nenabled=1\nautorefresh=1\nbaseurl=dir:{folder}\n"
        )
        host.run(["mkdir", "-p", "/opt/bin"])
        host.run(["cp", os.path.realpath("/usr/bin/python3"), "/opt/bin/zypper"])
        ended = host.run(
            ["/opt/bin/zypper", "-IS", "-c", _STARTER, "-R", snapshot],
            env={"TRANSACTIONAL_UPDATE": "1"},
        )
        assert "kmpsolve: stopped this update" in ended.stderr, str(ended)
        assert ended.code == -15, str(ended)
        assert host.last_verdict()["inputs"]["root"] == snapshot
        doctor = host.kmpsolve("doctor")
        assert "not protected" not in doctor.stdout
        host.write(f"{snapshot}/usr/sbin/transactional-update", "", mode=0o755)
        doctor = host.kmpsolve("doctor", "--root", snapshot)
        assert "not protected: this libzypp loads no commit plugin" in doctor.stdout


_STARTER = """\
import subprocess
kernel = b'{"n":"kernel-default","v":"6.4.0","r":"150600.23.30.1","a":"x86_64"}'
frame = b'COMMITBEGIN\\n\\n{"TransactionStepList":[{"type":"M","solvable":' + kernel + b'}]}\\0'
plugin = subprocess.Popen(["/usr/lib/zypp/plugins/commit/kmpsolve"], stdin=-1, stdout=-1)
plugin.stdin.write(frame)
plugin.stdin.flush()
print(plugin.stdout.read(6))
"""


# -- what the configuration, patches and signatures add -------------------------------------------------------


def test_the_patches_that_wait_are_named() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE, NEW, NEWER_TOOL), patches())
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert f"this holds back: {KERNEL_PATCH}, important, CVE-2026-1111" in _said(ended.stderr)
        assert TOOL_PATCH not in ended.stderr
        ways = host.last_verdict()["flavors"][0]["ways_out"]
        assert [way["held_patches"][0]["id"] for way in ways if way["kind"] == "newest-safe"] == [
            KERNEL_PATCH
        ]


@pytest.mark.parametrize(("scope", "code"), [("all", 8), ("in-use", 0)])
def test_a_driver_that_this_machine_does_not_use(scope: str, code: int) -> None:
    with Host(OLD, DRIVER, configuration=f'[[kmp]]\nmatch = "acme-*"\nscope = "{scope}"\n') as host:
        host.add("updates", specs(NEW))
        # Without a readable initrd anything may be in it, and counts as used.
        empty = ["sh", "-c", "echo . | cpio --quiet -o -H newc > /boot/initrd-$(uname -r)"]
        assert host.run(empty).code == 0
        ended = host.zypper("up")
        assert ended.code == code, str(ended)
        (kmp,) = host.last_verdict()["flavors"][0]["kmps"]
        assert kmp["decision"] == "blocked"
        assert [w["reference"] for w in kmp["warnings"]] == ["not-in-use"]


@pytest.mark.parametrize(("unverified", "code"), [("abort", 8), ("warn", 0)])
def test_a_signature_that_nobody_could_look_at(unverified: str, code: int) -> None:
    """Over the network nothing is downloaded yet when the transaction is judged."""
    configuration = f'require_signed = true\nunverified = "{unverified}"\n'
    folder = repository.rpm_md(specs(NEW, REBUILD))
    with Host(OLD, DRIVER, configuration=configuration) as host, served(folder) as url:
        host.add("updates", specs(NEW, REBUILD), url=url)
        ended = host.zypper("up")
        assert ended.code == code, str(ended)
        assert host.last_verdict()["verdict"] == "unverified"
        assert f"nobody looked at the signature of {REBUILD}" in _said(ended.stderr)


_ASK = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, "/usr/lib/kmpsolve")
from kmpsolve import session
from kmpsolve.config import read_config
from kmpsolve.metadata.root import read_root
from kmpsolve.request import Request
from kmpsolve.sources import Sources
from kmpsolve.zypp import reading, second_stage
question = json.loads(sys.argv[1])
told = [second_stage.answer(question, ["zypper", "up"]), json.loads(second_stage.LAST_VERDICT.read_text())]
time.sleep(1.1)  # what changed just now is not cached
session._WORTH_A_CACHE = 0
root = Path("/")
assert session.load(Sources(root=root), Request(), read_config(root), cached=True).keep()
assert reading._view(read_root(root)) is not None
again = [second_stage.answer(question, ["zypper", "up"]), json.loads(second_stage.LAST_VERDICT.read_text())]
print(json.dumps([told, again]))
"""


@pytest.mark.parametrize("arriving", [(NEW, NEWER_TOOL), (NEW, REBUILD), (NEW, "far-1-1.noarch")])
def test_the_same_verdict_from_a_cache(arriving: tuple[str, ...]) -> None:
    far = PackageSpec(name="far", version="1", release="1", arch="noarch")
    with Host(OLD, DRIVER, TOOL) as host:
        host.add("updates", [*specs(MIDDLE, NEW, REBUILD, NEWER_TOOL), far])
        host.zypper("refresh")
        steps = []
        for nevra in arriving:
            name, version, release = nevra.rpartition(".")[0].rsplit("-", 2)
            arch = nevra.rpartition(".")[2]
            steps.append({"type": "M", "n": name, "v": version, "r": release, "a": arch})
        question = {"steps": steps, "disabled": False, "arguments": [], "pid": 1, "transactional": False}
        python = host.path(f"{host.library}/python").read_text().strip()
        ended = host.run([python, "-X", "faulthandler", "-I", "-c", _ASK, json.dumps(question)])
        assert ended.code == 0, str(ended)
        without_cache, with_cache = json.loads(ended.stdout)
        assert with_cache == without_cache
