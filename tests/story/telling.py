"""The acts, each on a machine of its own; every step is held against the machine.

Again and again the same machine: a kernel with a driver in a KMP, and a repository with newer kernels. Each
time the real zypper updates it, and what it leaves boots in qemu.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable
from pathlib import Path

from tests.e2e.host import Host
from tests.modules import debian, qemu
from tests.story.cast import MODULES, Kernel, a_choice, an_update, scriptlets
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

DRIVER = MODULES[-1]
LOADED, GONE = "The driver is loaded.", "The driver is not loaded."
_NOISE = re.compile(
    r"Retriev|Building|Loading|Reading|Resolving|Overall|Continue|Checking|Additional|rpm: |\(\d+/\d+\)|"
    r"\d+ new packages?|Refreshing service|Repository '.*' is up to date|Nothing to do|.*\[\.*done\]"
)
# $1: the folder of modules that belongs to the kernel, which says another uname -r than its package's.
_IN_THE_MACHINE = f"""\
say() {{ echo "$ $*"; "$@" 2>&1 || echo "[$?]"; }}
ln -s $1 /lib/modules/$(uname -r)
dmesg -c >/dev/null
say uname -r
say modprobe {DRIVER}
if ! grep -q {DRIVER} /proc/modules; then
    for module in /lib/modules/*-default/updates/{MODULES[0]}.ko; do say insmod $module; done
fi
dmesg | sed 's/^\\[[^]]*\\] //' | grep kmpsolve_ | grep -v taint | awk '!said[$0]++'
grep -q '^{DRIVER} .* Live' /proc/modules && echo "{LOADED}" || echo "{GONE}"
"""


class StoryError(Exception):
    """The story did not go as told."""


class Machine(Host):
    """A machine with a kernel and the driver built for it."""

    def __init__(self, kernel: Kernel, *, hook: bool) -> None:
        super().__init__(hook=hook)
        self.kernel = kernel

    def __enter__(self) -> Machine:
        super().__enter__()
        installed = [scriptlets(), self.kernel.package(), self.kernel.kmp("1.0")]
        self.install_rpms(rpmbuild.build(installed), scripts=True)
        return self

    def offer(self, alias: str, packages: Iterable[PackageSpec]) -> None:
        self.add_repository(alias, f"dir:{repository.rpm_md(packages)}")

    def say(self, command: str, code: int) -> None:
        """Run a command and print what it says, without what zypper always says."""
        words = shlex.split(command)
        if words[0] == "zypper":
            words.insert(1, "--non-interactive")
        print(f"$ {command}")
        ended = self.run(words)
        for line in f"{ended.stdout}{ended.stderr}".splitlines():
            if line.strip() and not _NOISE.match(line):
                print(line.rstrip())
        if ended.code:
            print(f"[{ended.code}]")
        if ended.code != code:
            raise StoryError(f"exit code {code} was expected: {ended}")

    def boot(self, *, kernel: Kernel | None = None, driver: bool) -> None:
        """Boot what is the newest kernel to this machine, or another one, with the modules that it has."""
        vmlinuz = self.path("/boot/vmlinuz").readlink().name if kernel is None else Path(kernel.vmlinuz).name
        uname_r = vmlinuz.removeprefix("vmlinuz-")
        print(f"-- {uname_r} boots --")
        says = qemu.run_script(
            self.path(f"/boot/{vmlinuz}"),
            f"set -- {uname_r}\n{_IN_THE_MACHINE}",
            {"/lib/modules": self.path("/usr/lib/modules")},
            busybox=debian.busybox(),
        )
        print(textwrap.indent(says.replace("\r", "").strip(), "  "))
        expect_driver(says, driver, uname_r)

    def boots_next(self, expected: Kernel) -> None:
        link = self.path("/boot/vmlinuz").readlink().name
        if link != Path(expected.vmlinuz).name:
            raise StoryError(f"{link} would boot, and not {expected.uname_r}")


def expect_driver(says: str, driver: bool, uname_r: str) -> None:
    """Hold what a booted kernel said about the driver against what should be."""
    if (LOADED in says) != driver or (GONE in says) == driver:
        raise StoryError(f"the driver should {'' if driver else 'not '}be there on {uname_r}")


def _told(text: str) -> None:
    print()
    print(textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False))


def tell() -> None:
    """Tell it, and hold it against the machine at every step.

    Raises
    ------
    StoryError
        At the first step that goes another way.
    """
    without_and_with(*an_update())
    guarded(*a_choice())


def without_and_with(old: Kernel, new: Kernel) -> None:
    """The gap, the hook that stops the update, and the rebuild that lets it through."""
    with Machine(old, hook=False) as machine:
        _told(f"A machine with kernel {old.krel} and a driver. The kernels are Debian's, as kernel-default.")
        machine.say("rpm -q kernel-default acme-kmp-default", 0)
        machine.boot(driver=True)
        _told(f"Without kmpsolve. zypper takes kernel {new.krel}, says nothing, and the driver is gone.")
        machine.offer("updates", [new.package()])
        machine.say("zypper update", 0)
        machine.boots_next(new)
        machine.boot(driver=False)
    with Machine(old, hook=True) as machine:
        _told("With kmpsolve's commit hook. The same command is stopped before anything is changed.")
        machine.offer("updates", [new.package()])
        before = machine.rpmdb()
        machine.say("zypper update", 8)
        if machine.rpmdb() != before:
            raise StoryError("the rpmdb changed")
        machine.boots_next(old)
        machine.boot(driver=True)
        _told("A rebuilt driver appears in a repository. It comes along, and both kernels boot with theirs.")
        machine.offer("acme", [new.kmp("1.1")])
        machine.say("zypper update", 0)
        machine.boots_next(new)
        machine.boot(driver=True)
        machine.boot(kernel=old, driver=True)


def guarded(old: Kernel, safe: Kernel, new: Kernel) -> None:
    """The guard holds back the kernel that has another kABI; `safe` may be the old one."""
    with Machine(old, hook=True) as machine:
        if safe is old:
            _told(f"With the guard. {new.krel} is held back, and the machine stays whole.")
        else:
            _told(
                f"With the guard. The repository has {safe.krel}, which changed nothing, and {new.krel}: zypper "
                "takes the newest safe one by itself, and the driver is linked into its weak-updates."
            )
        machine.offer("updates", [kernel.package() for kernel in (safe, new) if kernel is not old])
        machine.say("kmpsolve guard on", 0)
        machine.say("zypper update", 0)
        machine.boots_next(safe)
        if safe is not old:
            machine.say(f"readlink /lib/modules/{safe.uname_r}/weak-updates/updates/{DRIVER}.ko", 0)
        machine.boot(driver=True)
