"""A throw-away ``/`` for the real zypper: everything it does vanishes with its mount namespace.

libzypp reads commit plugins, locks and configuration only for a system that it believes to be the real one,
so ``--root`` is no stand-in. A `Sandbox` is a holder process in new mount and PID namespaces with the
machine's own file tree below it: as root through an overlay whose upper half is a tmpfs, without privileges
through bind mounts of the folders with programs (``unshare -r``). It starts with an empty rpmdb, no
repositories, an empty ``systemCheck``, no os-release and a zypp.conf of two lines. When the holder ends (its
standard input is a pipe that this process holds, so it ends however this process does), the kernel drops the
mounts and kills what was started inside.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.support import cache as rpm_cache

__all__ = ["ZYPP_CONF", "Finished", "Sandbox", "python_folders"]

ZYPP_CONF = """\
[main]
multiversion = provides:multiversion(kernel)
multiversion.kernels = latest,latest-1,running
"""

_ENVIRONMENT = {
    "PATH": "/opt/kmpsolve/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
}

# $R: a folder that exists everywhere and is not needed inside; it is covered in the new namespace only.
_OVERLAY = """\
set -e
R=/mnt
mount -t tmpfs -o mode=0755 kmpsolve-sandbox $R
mkdir $R/upper $R/work $R/new
mount -t overlay -o lowerdir=/,upperdir=$R/upper,workdir=$R/work kmpsolve-sandbox $R/new
R=$R/new
rm -rf $R/var/lib/rpm $R/var/cache/zypp $R/var/lib/zypp $R/var/log/zypp $R/var/log/zypper.log $R/etc/zypp \
    $R/usr/etc/zypp $R/usr/lib/zypp $R/usr/lib/zypper $R/usr/lib/sysimage/rpm $R/etc/rpm \
    $R/etc/os-release $R/usr/lib/os-release $R/etc/products.d $R/etc/kmpsolve
mkdir -p $R/usr/lib/modules
for D in root boot usr/lib/modules; do mount -t tmpfs -o mode=0755 kmpsolve-sandbox $R/$D; done
for D in dev sys; do mount --rbind /$D $R/$D; done
"""
_BINDS = """\
set -e
R=/mnt
mount -t tmpfs -o mode=0755 kmpsolve-sandbox $R
mkdir -p $R/usr/lib $R/usr/local $R/etc $R/dev $R/sys $R/proc $R/run $R/tmp $R/root $R/var/tmp $R/var/log
for D in bin sbin lib lib64; do [ -L /$D ] && ln -s "$(readlink /$D)" $R/$D; done
for D in /usr/* /usr/lib/*; do
    case $D in
        /usr/lib|/usr/etc|/usr/lib/os-release|/usr/lib/sysimage|/usr/lib/modules) ;;
        /usr/lib/zypp|/usr/lib/zypper) ;;
        *) if [ -L "$D" ]; then ln -s "$(readlink "$D")" "$R$D"
           elif [ -d "$D" ]; then mkdir -p "$R$D"; mount --rbind "$D" "$R$D"
           else touch "$R$D"; mount --bind "$D" "$R$D"; fi ;;
    esac
done
mkdir -p $R/usr/lib/modules
for F in passwd group nsswitch.conf ld.so.cache alternatives ssl login.defs; do
    [ ! -e /etc/$F ] || cp -a --no-preserve=ownership /etc/$F $R/etc/ 2>/dev/null || :
done
for D in dev sys; do mount --rbind /$D $R/$D; done
"""
_FINISH = """\
mount -t proc proc $R/proc
mount -t tmpfs -o mode=0755 kmpsolve-sandbox $R/run
mount -t tmpfs -o mode=1777 kmpsolve-sandbox $R/tmp
mkdir -p $R/etc/zypp/repos.d $R/etc/zypp/services.d $R/etc/zypp/vendors.d $R/etc/zypp/multiversion.d \
    $R/etc/rpm $R/var/lib/rpm $R/var/cache/zypp $R/var/lib/zypp $R/var/log/zypp $R/run/lock
: > $R/etc/zypp/systemCheck
printf %s "$ZYPP_CONF" > $R/etc/zypp/zypp.conf
echo '%_dbpath /var/lib/rpm' > $R/etc/rpm/macros
"""
_HOLD = """\
exec chroot $R /bin/sh -c 'rpm --initdb && echo ready && exec cat'
"""


def python_folders() -> Iterator[Path]:
    """Where the tests' own Python lives, as far as it is not among the system's programs.

    What is shared is the machine's own, also for who writes: never ``/usr``.
    """
    for folder in {Path(sys.prefix), Path(sys.base_prefix)}:
        if folder.is_dir() and not folder.is_relative_to("/usr"):
            yield folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program in the sandbox ended: its exit code and what it printed."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"$ {shlex.join(self.argv)}\n{self.stdout}{self.stderr}exit {self.code}"


class Sandbox:
    """One throw-away system; a context.

    Parameters
    ----------
    shared
        Folders of the machine that the sandbox sees live and writable at the same path, such as a test's
        tmp_path. The tests' cache of RPMs and repositories is always one of them.
    unprivileged
        True: use bind mounts in a user namespace, as somebody without root does; by default so unless this
        is root.
    zypp_conf
        The text of ``/etc/zypp/zypp.conf``.
    """

    def __init__(
        self, *, shared: Iterable[Path] = (), unprivileged: bool | None = None, zypp_conf: str = ZYPP_CONF
    ) -> None:
        cache = rpm_cache.root()
        cache.mkdir(parents=True, exist_ok=True)
        self._shared = (cache, *shared)
        self.unprivileged = os.geteuid() != 0 if unprivileged is None else unprivileged
        self._zypp_conf = zypp_conf
        self._holder: subprocess.Popen[str] | None = None
        self._pid = 0

    def __enter__(self) -> Sandbox:
        script = (_BINDS if self.unprivileged else _OVERLAY) + _FINISH
        for folder in self._shared:
            at = shlex.quote(str(folder.resolve()))
            script += f"mkdir -p $R{at}\nmount --rbind {at} $R{at}\n"
        flags = ["-m", "-p", "-f", "--kill-child=SIGKILL", "--propagation", "private"]
        if self.unprivileged:
            flags.insert(0, "-r")
        self._holder = subprocess.Popen(
            ["unshare", *flags, "/bin/sh", "-c", script + _HOLD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=_ENVIRONMENT | {"ZYPP_CONF": self._zypp_conf},
        )  # fmt: skip
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            _, complaint = self._holder.communicate()
            raise RuntimeError(f"the sandbox did not start: {complaint.strip()}")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text()
        self._pid = int(children.split()[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holder is not None:
            self._holder.communicate()  # end of input: the holder ends, and everything inside with it
            self._holder = None

    @property
    def root(self) -> Path:
        """The sandbox's root folder as this process reaches it.

        A magic link: resolving it (`Path.resolve`) gives a path that exists in the sandbox only.
        """
        return Path(f"/proc/{self._pid}/root")

    @property
    def pid(self) -> int:
        """The holder's process id on the machine."""
        return self._pid

    def path(self, inside: str) -> Path:
        """Where this process finds the file that is `inside` in the sandbox."""
        return self.root / inside.lstrip("/")

    def write(self, inside: str, text: str, *, mode: int | None = None) -> Path:
        """Write a file in the sandbox, with the folders above it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if mode is not None:
            path.chmod(mode)
        return path

    def _entering(self) -> list[str]:
        user = ["-U", "--preserve-credentials"] if self.unprivileged else []
        return ["nsenter", "-t", str(self._pid), *user, "-m", "-p", "-r", "-w"]

    def popen(
        self, argv: Sequence[str], *, env: Mapping[str, str] = {}, **kwargs: object
    ) -> subprocess.Popen[str]:
        """Start a program in the sandbox with `subprocess.Popen`'s keywords (text by default)."""
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [*self._entering(), "--", *argv], env={**_ENVIRONMENT, **env}, **{"text": True, **kwargs}
        )

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] = {}, stdin: str = "", timeout: float = 120
    ) -> Finished:
        """Run a program in the sandbox to its end."""
        ended = subprocess.run(
            [*self._entering(), "--", *argv],
            input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout,
            env={**_ENVIRONMENT, **env}, check=False,
        )  # fmt: skip
        return Finished(argv=tuple(argv), code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)

    def zypper(self, *arguments: str, env: Mapping[str, str] = {}) -> Finished:
        """``zypper --non-interactive ARGUMENTS``."""
        return self.run(["zypper", "--non-interactive", *arguments], env=env)

    def install_rpms(self, paths: Iterable[Path], *, scripts: bool = False) -> None:
        """Install RPMs as they are: no dependency, signature, order or (by default) scriptlet counts."""
        names = [str(path) for path in paths]
        if not names:
            return
        flags = ["--nodeps", "--force", "--noorder", "--nosignature", "--ignoreos", "--ignorearch", "--quiet"]
        if not scripts:
            flags += ["--noscripts", "--notriggers"]
        ended = self.run(["rpm", "-i", *flags, *names])
        if ended.code:
            raise RuntimeError(str(ended))

    def add_repository(
        self,
        alias: str,
        url: str,
        *,
        priority: int = 99,
        gpgcheck: bool = False,
        refresh: bool = True,
        extra: str = "",
    ) -> None:
        """Define an enabled repository; zypper refreshes it by itself."""
        self.write(
            f"/etc/zypp/repos.d/{alias}.repo",
            f"[{alias}]\nname={alias}\nenabled=1\nautorefresh={int(refresh)}\nbaseurl={url}\ntype=rpm-md\n"
            f"priority={priority}\ngpgcheck={int(gpgcheck)}\n{extra}",
        )

    def installed(self) -> list[str]:
        """NEVRAs in the rpmdb, sorted; the epoch only where there is one."""
        form = "%{NAME}-%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\n"
        ended = self.run(["rpm", "-qa", "--qf", form])
        if ended.code:
            raise RuntimeError(str(ended))
        return sorted(ended.stdout.split())
