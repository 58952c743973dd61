"""The guard with the real zypper: the same run takes the newest safe kernel, and nothing of others' is
touched.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

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
    Host,
    patches,
    served,
    specs,
    stopped,
    without_root,
)
from tests.support import repository
from tests.support.packages import PackageSpec

NEW_EVR = "6.4.0-150600.23.30.1"
HOLD = (
    "type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: kernel-default\n"
    f"version: == {NEW_EVR}\ncomment: kmpsolve hold\n\n"
)
FOREIGN = (
    "# by hand\n\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: nothing-*\n\n"
    "type: package\nsolvable_name: other\ncomment: kmpsolve\n\n\n\n"
    "type: package\nsolvable_name:   spaced  \nversion: > 1\nsomething odd\n"
)
HELD = (
    f"kmpsolve: kernel-default {NEW_EVR} held back (acme-kmp-default: 1 of 3 symbols changed); "
    "the newest safe one is 6.4.0-150600.23.27.1\n"
)


def _update_folder(folder: Path, packages: list[PackageSpec], at: Path) -> None:
    """Make `at` a copy of the repository with these packages."""
    import shutil

    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(repository.rpm_md(packages), at, copy_function=shutil.copyfile)


def _live(host: Host, name: str = "live") -> Path:
    """A repository in the sandbox whose content a test changes."""
    folder = host.path(f"/srv/{name}")
    folder.mkdir(parents=True)
    host.add_repository(name, f"dir:/srv/{name}")
    return folder


def test_the_same_run() -> None:
    """The breaking kernel appears after the guard's last look: the run that meets it takes the safe one."""
    with Host(OLD, DRIVER, TOOL) as host:
        folder = _live(host)
        _update_folder(folder, specs(MIDDLE), folder)
        on = host.kmpsolve("guard", "on")
        assert on.code == 0, str(on)
        assert host.locks() == ""
        _update_folder(folder, specs(MIDDLE, NEW, NEWER_TOOL), folder)
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert "Refreshing service 'kmpsolve'." in ended.stdout
        assert ended.stderr.startswith(HELD)
        assert host.locks() == HOLD
        assert host.installed() == sorted([DRIVER, OLD, MIDDLE, NEWER_TOOL])


def test_without_a_refresh_the_hook_still_catches_it() -> None:
    with Host(OLD, DRIVER) as host:
        folder = _live(host)
        _update_folder(folder, specs(MIDDLE), folder)
        assert host.kmpsolve("guard", "on").code == 0
        _update_folder(folder, specs(MIDDLE, NEW), folder)
        host.zypper("ref", env={"KMPSOLVE_GUARD": "1"})
        before = host.rpmdb()
        ended = host.zypper("--no-refresh", "up")
        assert stopped(host, ended, before) == [], str(ended)


def test_a_rebuild_appears_and_the_lock_goes() -> None:
    with Host(OLD, DRIVER) as host:
        folder = _live(host)
        _update_folder(folder, specs(NEW), folder)
        host.kmpsolve("guard", "on")
        assert host.zypper("up").code == 0
        assert host.locks() == HOLD
        assert host.installed() == sorted([DRIVER, OLD])
        _update_folder(folder, specs(NEW, REBUILD), folder)
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert host.locks() == ""
        assert host.installed() == sorted([DRIVER, REBUILD, OLD, NEW])


def _older_rebuild() -> PackageSpec:
    """A build for the new kernel that ``zypper up`` never takes, since it is older than the installed one."""
    return replace(specs(REBUILD)[0], version="2.0_k6.4.0_150600.23.30")


def test_a_kernel_whose_rebuild_zypper_up_does_not_bring() -> None:
    """It is held like one without a rebuild; the command that is printed brings both, and guards again."""
    with Host(OLD, DRIVER, TOOL) as host:
        host.add("updates", [*specs(MIDDLE, NEW, NEWER_TOOL), _older_rebuild()])
        host.zypper("ref")
        on = host.kmpsolve("guard", "on")
        assert host.locks() == HOLD
        assert "zypper up does not bring 2.0_k6.4.0_150600.23.30-1 from updates" in on.stderr + on.stdout
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert host.installed() == sorted([DRIVER, OLD, MIDDLE, NEWER_TOOL])
        (line,) = [line for line in ended.stderr.splitlines() if "needs:" in line]
        command = line.partition("needs:")[2].replace("zypper install", "zypper -n install")
        done = host.run(["sh", "-c", command])
        assert done.code == 0, str(done)
        assert {NEW, _older_rebuild().nevra} <= {*host.installed()}
        assert host.locks() == ""
        assert host.kmpsolve("guard", "status").stdout == "guard: on\n"


def test_hold_where_zypper_up_does_not_bring_the_rebuild() -> None:
    """The next run updates everything else, and the command that takes both gets the lock out of its way."""
    with Host(OLD, DRIVER, TOOL, configuration='on_blocked = "hold"\n') as host:
        host.add("updates", [*specs(NEW, NEWER_TOOL), _older_rebuild()])
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert f"held from now on: kernel-default {NEW_EVR}." in " ".join(ended.stderr.split())
        assert host.locks() == HOLD
        assert host.zypper("up").code == 0
        assert host.installed() == sorted([DRIVER, OLD, NEWER_TOOL])
        (line,) = [line for line in ended.stderr.splitlines() if "Do it right:" in line]
        command = line.partition("right:")[2].replace("zypper install", "zypper -n install")
        done = host.run(["sh", "-c", command])
        assert done.code == 0, str(done)
        assert {NEW, _older_rebuild().nevra} <= {*host.installed()}


def _breaking_update() -> tuple[list[PackageSpec], PackageSpec]:
    """What is installed, and an update of the KMP that only the fallback kernel meets."""
    rival = replace(
        specs(REBUILD)[0],
        version="2.3_k6.4.0_150600.23.25",
        provides=tuple(p for p in specs(REBUILD)[0].provides if p != "multiversion(kernel)"),
        requires=("ksym(default:kfree) = 1111",),
    )
    older = replace(
        specs(OLD)[0],
        release="150600.23.21.1",
        provides=tuple(
            p.replace("23.25", "23.21").replace("37a0cba", "1111") for p in specs(OLD)[0].provides
        ),
        files=(),
    )
    driver = replace(
        specs(DRIVER)[0],
        provides=tuple(p for p in specs(DRIVER)[0].provides if p != "multiversion(kernel)"),
    )
    return [older, driver], rival


def test_no_kernel_is_held_for_what_an_update_of_a_kmp_breaks() -> None:
    """The hook stops that with or without the kernel: no lock on one helps."""
    installed, rival = _breaking_update()
    with Host(OLD, more=installed) as host:
        host.add("updates", [*specs(MIDDLE), rival])
        host.zypper("ref")
        on = host.kmpsolve("guard", "on")
        assert (on.code, host.locks()) == (0, "")
        assert "zypper up would still be stopped" in on.stdout
        host.write("/etc/kmpsolve/kmpsolve.toml", 'on_blocked = "hold"\n')
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == []
        assert "zypper up would still be stopped" in ended.stderr.partition("stopped this")[2]
        assert "Everything else" not in ended.stderr
        host.write("/etc/zypp/locks", HOLD.replace("30.1", "27.1"))
        assert stopped(host, host.zypper("--no-refresh", "up"), before) == []


def test_the_guard_is_no_way_out_where_another_flavors_kernel_arrives() -> None:
    def rt(evr: str) -> PackageSpec:
        version, _, release = evr.partition("-")
        uname_r = f"{evr.rpartition('.')[0]}-rt"
        provides = (f"kernel-uname-r = {uname_r}", "multiversion(kernel)")
        return PackageSpec(name="kernel-rt", version=version, release=release, provides=provides)

    installed, rival = _breaking_update()
    with Host(OLD, more=[*installed, rt("6.4.0-150600.23.25.1")]) as host:
        host.add("updates", [rival, rt(NEW_EVR)])
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert f"kernel-rt-{NEW_EVR}" in ended.stdout
        assert "guard on" not in ended.stderr


@pytest.mark.parametrize(
    "text", [FOREIGN, FOREIGN.rstrip("\n"), "\n\n\n", "not a lock at all", "type: patch\n\n"]
)
def test_foreign_locks_stay_byte_for_byte(text: str) -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE, NEW))
        host.zypper("ref")
        host.write("/etc/zypp/locks", text)
        host.kmpsolve("guard", "on")
        assert host.locks().startswith(text)
        assert host.locks().endswith(HOLD)
        host.kmpsolve("guard", "sync")
        assert host.locks().count("kmpsolve hold") == 1
        host.kmpsolve("guard", "off")
        assert host.locks().rstrip("\n") == text.rstrip("\n")
        assert "kmpsolve hold" not in host.locks()


def test_a_mirror_that_does_not_answer_is_not_waited_for() -> None:
    """What zypper has is looked at then, as when a refresh fails."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE, NEW))
        host.zypper("ref")
        host.kmpsolve("guard", "on")
        host.path("/etc/zypp/locks").unlink()
        service = host.path(f"{host.library}/kmpsolve/zypp/service.py")
        service.write_text(service.read_text().replace("_PATIENCE = 300", "_PATIENCE = 1"))
        host.write("/tmp/slow", "#!/bin/sh\nexec sleep 30\n", mode=0o755)
        script = f"mount --bind /tmp/slow /usr/bin/zypper && exec {host.library}/guard-service"
        ended = host.run(["unshare", "-m", "sh", "-c", script], timeout=20)
        assert (ended.code, ended.stdout) == (0, ""), str(ended)
        assert "Traceback" not in ended.stderr
        assert host.locks() == HOLD


def test_what_was_held_stays_held_while_its_repository_cannot_be_read() -> None:
    with Host(OLD, DRIVER) as host:
        folder = _live(host)
        _update_folder(folder, specs(NEW), folder)
        host.add("others", specs(TOOL))
        assert host.kmpsolve("guard", "on").code == 0
        assert host.locks() == HOLD
        host.run(["sh", "-c", "mv /srv/live /srv/away; rm -rf /var/cache/zypp"])
        sync = host.kmpsolve("guard", "sync")
        assert (sync.code, host.locks()) == (110, HOLD)
        assert "not read: live" in sync.stderr
        assert host.kmpsolve("guard", "sync", "--strict").code == 4
        host.zypper("up", "--dry-run")
        assert host.locks() == HOLD
        host.path("/etc/zypp/repos.d/others.repo").unlink()
        sync = host.kmpsolve("guard", "sync")
        assert (sync.code, host.locks()) == (3, HOLD), str(sync)
        host.path("/etc/zypp/repos.d/live.repo").unlink()
        sync = host.kmpsolve("guard", "sync")
        assert (sync.code, host.locks()) == (6, HOLD), str(sync)
        host.add("others", specs(TOOL))
        assert (host.kmpsolve("guard", "sync").code, host.locks()) == (0, "")


def test_a_locks_file_that_is_kept_elsewhere() -> None:
    """zypper writes through the link as well."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        host.write("/srv/locks", FOREIGN)
        host.run(["ln", "-s", "/srv/locks", "/etc/zypp/locks"])
        host.kmpsolve("guard", "on")
        assert host.run(["readlink", "/etc/zypp/locks"]).stdout == "/srv/locks\n"
        assert host.path("/srv/locks").read_text().startswith(FOREIGN)
        assert host.path("/srv/locks").read_text().endswith(HOLD)
        host.kmpsolve("guard", "off")
        assert host.path("/srv/locks").read_text().rstrip("\n") == FOREIGN.rstrip("\n")


def test_off_removes_every_trace() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE, NEW))
        host.zypper("ref")

        def listed() -> str:
            return host.run(
                ["sh", "-c", f"find /etc /usr/lib/zypp {host.library} /var/lib -print | sort"]
            ).stdout

        before = listed()
        host.kmpsolve("guard", "on")
        assert host.zypper("up").code == 0
        assert "/etc/zypp/locks" in listed()
        off = host.kmpsolve("guard", "off")
        assert off.stdout == "guard: off\n"
        after = listed().replace("/var/lib/kmpsolve\n", "").replace("/var/lib/kmpsolve/on-error\n", "")
        assert after == before
        ended = host.zypper("up")
        assert "Refreshing service" not in ended.stdout


@pytest.mark.parametrize("holding", ["guard", "hook"])
def test_a_kernel_that_would_cost_a_fallback_its_driver(holding: str) -> None:
    """Where fallback kernels are protected, it is held as one that breaks a driver itself."""
    driver, rebuild = (
        replace(spec, provides=tuple(p for p in spec.provides if "multiversion" not in p))
        for spec in specs(DRIVER, REBUILD)
    )
    conf = f"protect_fallback = true\non_blocked = {'hold' if holding == 'hook' else 'abort'!r}\n"
    with Host(OLD, TOOL, more=[driver], configuration=conf) as host:
        host.add("updates", [*specs(NEW, NEWER_TOOL), rebuild])
        if holding == "guard":
            assert host.kmpsolve("guard", "on").code == 0
        else:
            assert host.zypper("up").code == 8
        assert host.locks() == HOLD
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert host.installed() == sorted([OLD, driver.nevra, NEWER_TOOL])


@pytest.mark.parametrize(
    ("requires", "configuration", "held"),
    [
        (("ksym(default:kmalloc) = 1b2c3d4e",), '[[kmp]]\nmatch = "acme-*"\nscope = "in-use"\n', False),
        ((), 'unverified = "abort"\n', True),
        ((), 'unverified = "abort"\n[[kmp]]\nmatch = "acme-*"\non_blocked = "ignore"\n', False),
        (("ksym(default:kmalloc) = bad",), 'already_broken = "block"\n', True),
        (("ksym(default:kmalloc) = bad",), "", False),
    ],
)
def test_it_holds_what_the_hook_would_stop(requires: tuple[str, ...], configuration: str, held: bool) -> None:
    """A driver that does not count holds nothing; one that counts does, whatever makes it count."""
    driver = replace(specs(DRIVER)[0], requires=requires)
    with Host(OLD, more=[driver], configuration=configuration) as host:
        host.add("updates", specs(NEW))
        # Without a readable initrd anything may be in it, and counts as used.
        empty = ["sh", "-c", "echo . | cpio --quiet -o -H newc > /boot/initrd-$(uname -r)"]
        assert host.run(empty).code == 0
        host.zypper("ref")
        assert host.kmpsolve("guard", "on").code == 0
        assert host.locks() == (HOLD if held else "")
        host.kmpsolve("guard", "off")
        assert host.zypper("up").code == (8 if held else 0)


def test_siblings_are_held_and_others_are_not() -> None:
    vendor = "SUSE LLC <https://www.suse.com/>"

    def sibling(name: str, evr: str = NEW_EVR, arch: str = "x86_64") -> PackageSpec:
        version, _, release = evr.partition("-")
        return PackageSpec(name=name, version=version, release=release, vendor=vendor, arch=arch)

    held = [
        sibling("kernel-default-devel"),
        sibling("kernel-default-vdso"),
        sibling("kernel-default-livepatch"),
        sibling("kernel-devel", arch="noarch"),
        sibling("kernel-source", arch="noarch"),
        sibling("kernel-macros", arch="noarch"),
        sibling("kernel-syms"),
        sibling("kernel-livepatch-6_4_0-150600_23_30-default", "1-1"),
    ]
    free = [
        sibling("kernel-firmware-all", "20260101-1"),
        sibling("kernel-firmware-nvidia", NEW_EVR),
        sibling("kernel-default-devel", "6.4.0-150600.23.27.1"),
        sibling("kernel-devel", "6.4.0-150600.23.27.1", "noarch"),
        sibling("kernel-livepatch-6_4_0-150600_23_25-default", "9-1"),
    ]
    with Host(OLD, DRIVER, more=[sibling("kernel-livepatch-6_4_0-150600_23_25-default", "8-1")]) as host:
        host.add("updates", [*specs(MIDDLE, NEW), *held, *free])
        host.zypper("ref")
        host.kmpsolve("guard", "on")
        blocks = {
            (block.split("solvable_name: ")[1].split("\n")[0], block.split("version: == ")[1].split("\n")[0])
            for block in host.locks().split("\n\n")
            if block.strip()
        }
        assert blocks == {("kernel-default", NEW_EVR), *((spec.name, spec.evr) for spec in held)}
        assert host.zypper("up").code == 0
        assert "kernel-livepatch-6_4_0-150600_23_25-default-9-1.x86_64" in host.installed()


def test_a_shared_sibling_of_a_flavor_that_is_not_held_stays_free() -> None:
    import dataclasses

    def rt(nevra: str) -> PackageSpec:
        spec = specs(nevra)[0]
        return dataclasses.replace(
            spec,
            name="kernel-rt",
            provides=tuple(
                p.replace("kernel-default", "kernel-rt").replace("-default", "-rt")
                for p in spec.provides
                if not p.startswith("ksym(")
            ),
            files=tuple(f.replace("-default", "-rt") for f in spec.files),
        )

    shared = PackageSpec(name="kernel-devel", version="6.4.0", release="150600.23.30.1", arch="noarch")
    with Host(OLD, DRIVER, more=[rt(OLD)]) as host:
        host.add("updates", [*specs(NEW), rt(NEW), shared])
        host.zypper("ref")
        host.kmpsolve("guard", "on")
        assert host.locks() == HOLD


def test_patch_only_hosts() -> None:
    """zypper patch cannot do without the kernel that it is told to take; the command that is printed can."""
    with Host(OLD, DRIVER, TOOL) as host:
        host.add("updates", specs(NEW, NEWER_TOOL), patches())
        host.kmpsolve("guard", "on")
        ended = host.zypper("patch")
        assert ended.code == 4
        command = next(line for line in ended.stderr.splitlines() if "All other patches:" in line)
        done = host.zypper(*shlex.split(command.partition("patches:")[2])[1:])
        assert done.code == 0, str(done)
        assert host.installed() == sorted([DRIVER, OLD, NEWER_TOOL])
        assert KERNEL_PATCH not in command
        sync = host.kmpsolve("guard", "sync")
        assert "All other patches" not in sync.stdout  # there is none left


def test_hold_stops_this_run_and_the_next_one_updates_everything_else() -> None:
    with Host(OLD, DRIVER, TOOL, configuration='on_blocked = "hold"\n') as host:
        host.add("updates", specs(MIDDLE, NEW, NEWER_TOOL), patches())
        host.write("/etc/zypp/locks", FOREIGN)
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert re.search(
            r"Everything else is updated by:\n +Again: +zypper --non-interactive up\n", ended.stderr
        )
        assert f"held from now on: kernel-default {NEW_EVR}." in " ".join(ended.stderr.split())
        assert "Only the guard lifts that" in " ".join(ended.stderr.split())
        assert host.locks().startswith(FOREIGN)
        assert host.locks().endswith(HOLD)
        assert "nobody lifts that when a rebuild appears" in " ".join(host.kmpsolve("doctor").stdout.split())
        host.kmpsolve("guard", "on")
        assert "nobody lifts" not in host.kmpsolve("doctor").stdout
        again = host.zypper("up")
        assert again.code == 0, str(again)
        assert host.installed() == sorted([DRIVER, OLD, MIDDLE, NEWER_TOOL])
        assert "nothing to do: a lock holds the newer kernel" in host.kmpsolve("plan").stdout


@pytest.mark.parametrize(
    "command", ["patch --with-interactive", "in kernel-default", "up kernel-default", "dup"]
)
def test_everything_else_after_a_hold(command: str) -> None:
    """The command that the message gives, where zypper would stumble over the lock with the same one again."""
    with Host(OLD, DRIVER, TOOL, configuration='on_blocked = "hold"\n') as host:
        host.add("updates", specs(NEW, NEWER_TOOL), patches())
        ended = host.zypper(*command.split())
        (line,) = [line for line in ended.stderr.splitlines() if "Everything else:" in line]
        assert line.endswith(" zypper --non-interactive up")
        again = host.run(shlex.split(line.partition("else:")[2]))
        assert again.code == 0, str(again)
        assert host.installed() == sorted([DRIVER, OLD, NEWER_TOOL])


@pytest.mark.parametrize("command", ["patch", "in kernel-default"])
def test_nothing_to_hold_where_zypper_up_brings_the_rebuild(command: str) -> None:
    with Host(OLD, DRIVER, TOOL, configuration='on_blocked = "hold"\n') as host:
        host.add("updates", specs(NEW, REBUILD, NEWER_TOOL), patches())
        ended = host.zypper(*command.split())
        assert (ended.code, host.locks()) == (8, "")
        assert "no kernel has to be held: plain zypper up keeps every KMP" in ended.stderr
        (line,) = [line for line in ended.stderr.splitlines() if "Everything else:" in line]
        assert host.run(shlex.split(line.partition("else:")[2])).code == 0
        assert host.installed() == sorted([DRIVER, REBUILD, OLD, NEW, NEWER_TOOL])


def test_once_anyway_after_a_hold() -> None:
    """The command that the message gives takes the lock away too: with it the kernel would stay out."""
    with Host(OLD, DRIVER, configuration='on_blocked = "hold"\n') as host:
        host.add("updates", specs(NEW))
        ended = host.zypper("up")
        (line,) = [line for line in ended.stderr.splitlines() if "Once, anyway:" in line]
        again = host.run(["sh", "-c", line.partition("anyway:")[2]])
        assert again.code == 0, str(again)
        assert host.installed() == sorted([DRIVER, OLD, NEW])


def test_a_hold_that_cannot_be_written_stops_this_run_nevertheless() -> None:
    with Host(OLD, DRIVER, configuration='on_blocked = "hold"\n') as host:
        host.add("updates", specs(NEW))
        host.run(
            ["mkdir", "/etc/zypp/locks"]
        )  # what no privilege writes over; so are a full disk, a read-only /
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert "not held back from the next run: /etc/zypp/locks: cannot be written" in " ".join(
            ended.stderr.split()
        )
        assert "held from now on" not in ended.stderr
        assert [*host.path("/etc/zypp/locks").iterdir()] == []


def test_while_zypp_is_locked() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        ended = host.run(
            ["sh", "-c", "sleep 9 & echo $! > /run/zypp.pid; kmpsolve guard on; echo code $?; kill $!"]
        )
        assert "code 7" in ended.stdout
        assert "zypp is locked by process" in ended.stderr
        assert host.locks() == ""
        assert host.kmpsolve("guard", "status").stdout == "guard: off\n"


def test_the_lock_is_zypps_own() -> None:
    """What the guard takes keeps zypper out, and the other way round; nothing of it stays."""
    with Host(OLD, DRIVER) as host:
        holding = (
            f"import sys; sys.path.insert(0, '{host.library}')\n"
            "from kmpsolve.zypp.lockfile import zypp_lock\nimport subprocess\nfrom pathlib import Path\n"
            "with zypp_lock(Path('/')): print(subprocess.run(['zypper', '-n', 'rm', 'x']).returncode)\n"
            "print(subprocess.run(['zypper', '-n', 'rm', 'x']).returncode)\n"
        )
        import sys

        ended = host.run([sys.executable, "-I", "-c", holding])
        codes = [line for line in ended.stdout.splitlines() if line.isdigit()]
        assert codes == ["7", "104"], str(ended)


def test_another_root() -> None:
    """Its locks, its service and its zypp lock, which is where the real zypper takes it; nothing of this system's."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        copied = host.run(
            [
                "sh",
                "-c",
                "mkdir /srv/other && cp -a --parents /etc/zypp /var/lib/rpm /var/cache/zypp /srv/other",
            ]
        )
        assert copied.code == 0, str(copied)
        on = host.kmpsolve("guard", "on", "--root", "/srv/other")
        assert (on.code, "the guard's service plugin is not installed" in on.stderr) == (3, True), str(on)
        there = f"/srv/other{host.library}"
        host.run(["sh", "-c", f"mkdir -p {there}; cp {host.library}/guard-service {there}"])
        on = host.kmpsolve("guard", "on", "--root", "/srv/other")
        assert on.code == 0, str(on)
        assert on.stdout.startswith("guard: on\n")
        assert host.path("/srv/other/etc/zypp/locks").read_text() == HOLD
        assert f"kernel-default {NEW_EVR}" in host.kmpsolve("guard", "status", "--root", "/srv/other").stdout
        assert host.locks() == ""
        assert host.kmpsolve("guard", "status").stdout == "guard: off\n"
        locked = (
            "sleep 9 & echo $! > {}/run/zypp.pid; kmpsolve guard off --root /srv/other; echo code $?; kill $!"
        )
        assert "code 7" in host.run(["sh", "-c", locked.format("/srv/other")]).stdout
        assert host.path("/srv/other/etc/zypp/locks").read_text() == HOLD
        host.run(["rm", "/srv/other/run/zypp.pid"])
        ended = host.run(["sh", "-c", locked.format("")])
        assert "code 0" in ended.stdout, str(ended)
        assert not host.path("/srv/other/etc/zypp/locks").exists()
        assert host.zypper("--root", "/srv/other", "locks").code == 0


def test_a_service_that_zypper_cannot_start() -> None:
    """It is on, and nobody looks after the locks."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        assert host.kmpsolve("guard", "on").code == 0
        assert json.loads(host.kmpsolve("guard", "status", "--format", "json").stdout)["runs"] is True
        host.path(f"{host.library}/guard-service").unlink()
        said = host.kmpsolve("guard", "status").stdout.splitlines()
        assert said[:2] == [
            "guard: on",
            "  zypper cannot start /usr/lib/zypp/plugins/services/kmpsolve: install kmpsolve again, then"
            " kmpsolve guard on",
        ]
        assert json.loads(host.kmpsolve("guard", "status", "--format", "json").stdout)["runs"] is False


@pytest.mark.parametrize("place", ["/etc/zypp/locks", "/usr/lib/zypp/plugins/services/kmpsolve"])
def test_what_stands_in_the_way_is_named(place: str) -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        host.path(place).mkdir(parents=True)
        ended = host.kmpsolve("guard", "on")
        assert ended.code == 3, str(ended)
        error, hint = ended.stderr.splitlines()
        assert error.startswith(f"kmpsolve: {place}: cannot be ")
        assert "Look at what stands there" in hint


def test_only_root() -> None:
    with Host(OLD, DRIVER) as host:
        ended = without_root(host, "guard", "on")
        assert ended.code == 5, str(ended)
        assert host.kmpsolve("guard", "status", "--format", "json", "--color", "never", "--strict").code == 0


def test_keep_last_good() -> None:
    """A kernel that the drivers need is kept from purge-kernels, and the driver with it."""
    newest = "kernel-default-6.4.0-150600.23.40.1.x86_64"
    import dataclasses

    def later(nevra: str, release: str) -> PackageSpec:
        spec = specs(nevra)[0]
        old = "150600.23.30"
        return dataclasses.replace(
            spec,
            release=f"{release}.1",
            provides=tuple(p.replace(old, release) for p in spec.provides),
            files=tuple(f.replace(old, release) for f in spec.files),
        )

    for keep, disabled in ((False, False), (True, False), (True, True)):
        configuration = (
            f'on_blocked = "{"abort" if disabled else "warn"}"\nkeep_last_good = {str(keep).lower()}\n'
        )
        with Host(OLD, DRIVER, NEW, configuration=configuration) as host:
            host.add("updates", [later(NEW, "150600.23.40")])
            ended = host.zypper("up", env={"KMPSOLVE_DISABLE": "1"} if disabled else {})
            assert ended.code == 0, str(ended)
            assert newest in host.installed()
            assert ("comment: kmpsolve keep" in host.locks()) == keep
            purged = host.zypper("purge-kernels")
            assert purged.code == 0, str(purged)
            assert (DRIVER in host.installed()) == keep, str(purged)
            assert (OLD in host.installed()) == keep, str(purged)


_IGNORED = '[[kmp]]\nmatch = "tape-*"\non_blocked = "ignore"\n'
_UNUSED = '[[kmp]]\nmatch = "tape-*"\nscope = "in-use"\n'


@pytest.mark.parametrize(
    ("needs", "more", "kept"),
    [
        ("ksym(default:kfree) = 1", "", True),
        ("ksym(default:kfree) = 1", 'already_broken = "block"\n', False),
        ("ksym(default:kmalloc) = 9f00aa11", _IGNORED, True),
        ("ksym(default:kmalloc) = 9f00aa11", _UNUSED, True),
        ("ksym(default:kmalloc) = 9f00aa11", "", False),
    ],
    ids=["works nowhere", "works nowhere and counts", "ignored", "not in use", "works on the new one"],
)
def test_what_does_not_count_keeps_no_kernel_from_being_good(needs: str, more: str, kept: bool) -> None:
    tape = PackageSpec(
        name="tape-kmp-default",
        version="1_k6.4.0_150600.23.25",
        release="1",
        vendor=specs(DRIVER)[0].vendor,
        provides=("kmod(tape.ko)", "multiversion(kernel)"),
        requires=(needs,),
    )
    configuration = f'on_blocked = "warn"\nkeep_last_good = true\n{more}'
    with Host(OLD, DRIVER, configuration=configuration, more=[tape]) as host:
        host.add("updates", specs(NEW))
        empty = ["sh", "-c", "echo . | cpio --quiet -o -H newc > /boot/initrd-$(uname -r)"]
        assert host.run(empty).code == 0
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert NEW in host.installed()
        assert ("comment: kmpsolve keep" in host.locks()) == kept, str(ended)
        # The guard is of the same opinion.
        assert host.kmpsolve("guard", "on").code in (0, 4)
        assert ("comment: kmpsolve keep" in host.locks()) == kept


def test_a_driver_that_a_person_removes_keeps_no_kernel_from_being_good() -> None:
    gone = PackageSpec(
        name="tape-kmp-default",
        version="1_k6.4.0_150600.23.25",
        release="1",
        provides=("kmod(tape.ko)", "multiversion(kernel)"),
        requires=("ksym(default:kfree) = 37a0cba",),
    )
    configuration = 'on_blocked = "warn"\nkeep_last_good = true\n'
    with Host(OLD, DRIVER, NEW, configuration=configuration, more=[gone]) as host:
        assert host.zypper("rm", "tape-kmp-default").code == 0
        assert "comment: kmpsolve keep" in host.locks()


def test_a_signature_that_nobody_could_look_at_is_held_too() -> None:
    """The hook would stop every update for it, where unverified = "abort"."""
    configuration = 'require_signed = true\nunverified = "abort"\n'
    packages = specs(MIDDLE, NEW, REBUILD, NEWER_TOOL)
    with (
        Host(OLD, DRIVER, TOOL, configuration=configuration) as host,
        served(repository.rpm_md(packages)) as url,
    ):
        host.add("updates", packages, url=url)
        assert host.zypper("refresh").code == 0
        assert host.zypper("up").code == 8
        switched = host.kmpsolve("guard", "on")
        assert "acme-kmp-default: its signature is not known" in " ".join(switched.stdout.split())
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert {MIDDLE, NEWER_TOOL} <= {*host.installed()}
        assert not {NEW, REBUILD} & {*host.installed()}
