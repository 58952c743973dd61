"""The commit hook's first stage: speaks with libzypp, and does what the second stage decides.

libzypp starts every file in its commit plugin folder for each transaction, with frames on stdin and stdout,
and waits at most 30 seconds for an answer. There is no answer that means no: an error, an exit and silence
are all ignored. What stops a transaction is zypper itself: this plugin leaves COMMITBEGIN unanswered, so that
zypper neither goes on nor serves the plugins after this one, and sends SIGTERM twice. The first makes zypper
ask for an orderly end, the second makes it end at once, with exit code 8 and the lock released. (Measured on
zypper 1.14.42: no order of signals and answers makes libzypp send COMMITEND afterwards.)

This file runs on the distribution's Python, which is 3.6 on SLE 15, isolated and without site-packages; it
imports nothing but the standard library, and of that as little as it can before it has seen a kernel or a
KMP. Everything else is the second stage's, in kmpsolve's own Python, which answers with one line of JSON: ::

    {"action": "pass" or "abort", "message": [lines], "journal": {field: value}}
"""

import json
import os
import re
import signal
import stat
import sys
import time

# What is newer than Python 3.6 does not run here; what needs an import costs every zypper its time.
# ruff: noqa: B904, PTH115, PTH116, PTH118, PTH119, PTH123, PTH208, SIM105, SIM905, UP031

DEADLINE = 20.0
"""Seconds after which a verdict comes too late; libzypp goes on by itself after 30."""

ON_ERROR = "/var/lib/kmpsolve/on-error"
"""What the last valid configuration says about errors: ``warn`` or ``abort``; written by the second stage."""

_KERNEL = re.compile(r"kernel-(?!firmware|livepatch)[A-Za-z0-9_]+(?:-base|-extra|-optional)?")
_NO_KERNEL = frozenset(
    "kernel-" + name
    for name in "devel docs docs-html headers install-tools macros obs-build obs-qa source syms vdso".split()
)
_BEGINS_PLAINLY = re.compile("[A-Za-z0-9_]")
_OF_EACH = "= %{NAME}\n[%{PROVIDENAME}\n][%{REQUIRENAME}\n][%{DIRNAMES}\n]"
_NAMED = re.compile("^= (.*)$", re.MULTILINE)
_MODULES = re.compile(r"(?:kmod|ksym)\(|/(?:usr/)?lib/modules/", re.MULTILINE)
_SETTING = re.compile(r"^[ \t]*on_error[ \t]*=[ \t]*[\"'](\w*)[\"']", re.MULTILINE)
_KEEPS = re.compile(r"^[ \t]*keep_last_good[ \t]*=[ \t]*true", re.MULTILINE)
_PIDFD_OPEN, _PIDFD_GETFD = 434, 438
_JOURNAL = "/run/systemd/journal/socket"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


def _log(text: bytes) -> None:
    """Write to this plugin's standard error, which libzypp puts into zypper's log."""
    try:
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()
    except OSError:
        pass


class Caller:
    """The program that libzypp runs in.

    Parameters
    ----------
    pid
        Its process id; by default, this process's parent.

    Attributes
    ----------
    name
        The file name of its executable; empty if that cannot be read.
    arguments
        Its command line.
    """

    def __init__(self, pid: int = 0) -> None:
        self.pid = pid or os.getppid()
        try:
            self.name = os.path.basename(os.readlink("/proc/%d/exe" % self.pid))
            with open("/proc/%d/cmdline" % self.pid, "rb") as file:
                self.arguments = file.read().decode("utf-8", "surrogateescape").split("\0")[:-1]
        except OSError:
            self.name, self.arguments = "", []

    @property
    def is_zypper(self) -> bool:
        """Whether it is zypper: nobody else is signalled, or told something on its terminal."""
        return self.name == "zypper"

    @property
    def lives(self) -> bool:
        """Whether it is still this process's parent, so that its process id is its own."""
        return os.getppid() == self.pid

    def tell(self, lines: "list[str]") -> None:
        """Print lines on zypper's standard error, wherever that leads, and in zypper's log.

        A reader that reads no more must not make this plugin miss its answer: what cannot be written soon is
        left out.
        """
        if not lines:
            return
        text = "".join(line + "\n" for line in lines).encode("utf-8", "replace")
        _log(text)
        if not self.is_zypper:
            return
        import select

        try:
            stream = self._stderr()
        except OSError:
            return
        try:
            end = time.monotonic() + 2
            while text and select.select([], [stream], [], max(0.0, end - time.monotonic()))[1]:
                text = text[os.write(stream, text[:4096]) :]
        except OSError:
            pass
        finally:
            os.close(stream)

    def _stderr(self) -> int:
        """Open zypper's own standard error: a copy of its descriptor, which works for a socket too.

        Before Linux 5.6 there is only its file, which is opened for appending and never emptied.
        """
        try:
            import ctypes

            libc = ctypes.CDLL(None, use_errno=True)
            process = libc.syscall(_PIDFD_OPEN, self.pid, 0)
            if process >= 0:
                try:
                    stream = libc.syscall(_PIDFD_GETFD, process, 2, 0)
                finally:
                    os.close(process)
                if stream >= 0:
                    return int(stream)
        except (ImportError, OSError):
            pass
        return os.open("/proc/%d/fd/2" % self.pid, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)

    def stop(self) -> None:
        """Make zypper end before it changes anything; returns when it has."""
        import select

        for number, patience in ((signal.SIGTERM, 0.05), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            if not (self.is_zypper and self.lives):
                return
            try:
                os.kill(self.pid, number)
            except OSError:
                return
            end = time.monotonic() + patience
            while time.monotonic() < end and self.lives:
                if select.select([0], [], [], 0.02)[0] and not os.read(0, 65536):
                    return


def relevant(steps: "list[tuple[str, str]]") -> bool:
    """Tell whether a kernel or a KMP is among the steps (type and name of each), or may go with one of them.

    A KMP without ``-kmp`` in its name is found by what it provides if it is installed: that is the one whose
    loss matters. What an arriving package obsoletes goes without being named by libzypp, so that the second
    stage looks at a new name too if an installed KMP's begins with a part of it (``acme-dkms`` instead of
    ``acme-kmp-default``): to look at every new name would double the time of an ordinary ``zypper install``.
    """
    names = [name for _, name in steps]
    if any(map(relevant_name, names)):
        return True
    if not all(map(_BEGINS_PLAINLY.match, names)):
        return True  # rpmbuild lets no name begin like an option
    known = set()
    try:
        for at in range(0, len(names), 1000):
            said = _rpm("-q", "--qf", _OF_EACH, "--", *names[at : at + 1000])
            if _MODULES.search(said):
                return True
            known.update(_NAMED.findall(said))
        arriving = {name for kind, name in steps if kind != "-"}
        new = arriving - known
        kmps = [name for name in _rpm("-qa", "--qf", "%{NAME}\n").split() if "-kmp" in name] if new else []
        return any(kmp.partition("-")[0] in name for kmp in kmps for name in new)
    except (OSError, ValueError):
        return True


def relevant_name(name: str) -> bool:
    """Tell whether a name is that of a kernel or a KMP."""
    return "-kmp" in name or (_KERNEL.fullmatch(name) is not None and name not in _NO_KERNEL)


def _rpm(*arguments: str) -> str:
    """What rpm says of the system.

    Raises
    ------
    OSError, ValueError
        If it does not run, or takes too long.
    """
    import subprocess

    try:
        said = subprocess.run(
            ["/usr/bin/rpm", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            timeout=5,
            check=False,
        ).stdout
    except subprocess.TimeoutExpired as error:
        raise ValueError(str(error))
    return said.decode("utf-8", "replace")


def journal(fields: "dict[str, str]") -> None:
    """Leave a line in the journal, or where there is none, in syslog."""
    import socket

    record = b""
    for key, value in sorted({"SYSLOG_IDENTIFIER": "kmpsolve", "PRIORITY": "5", **fields}.items()):
        content = value.encode("utf-8", "replace")
        if b"\n" in content:
            record += key.encode() + b"\n" + len(content).to_bytes(8, "little") + content + b"\n"
        else:
            record += key.encode() + b"=" + content + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
            stream.settimeout(1)
            stream.sendto(record, _JOURNAL)
    except OSError:
        import syslog

        syslog.openlog("kmpsolve")
        syslog.syslog(syslog.LOG_NOTICE, fields.get("MESSAGE", ""))


def last_on_error(root: str = "/") -> str:
    """What to do about an error when the configuration cannot be asked: its last valid ``on_error``.

    That is what the files say line by line, however wrong the rest of them is; else what the last
    configuration said that was right as a whole.
    """
    found = ""
    for text in _configuration(root):
        said = _SETTING.findall(text)
        found = ([value for value in said if value in ("warn", "abort")] or [found])[-1]
    return found or remembered_on_error() or "warn"


def _configuration(root: str) -> "list[str]":
    """The texts of the configuration's files, weakest first."""
    folder = os.path.join(root, "etc/kmpsolve")
    try:
        names = [os.path.join("conf.d", name) for name in sorted(os.listdir(os.path.join(folder, "conf.d")))]
    except OSError:
        names = []
    texts = []
    for name in ["kmpsolve.toml"] + [name for name in names if name.endswith(".toml") and "/." not in name]:
        try:
            if _only_roots(os.path.join(folder, name)):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    texts.append(file.read())
        except OSError:
            continue
    return texts


def _only_roots(path: str) -> bool:
    """Whether a file is one, and nobody but root (or this user) can have written it."""
    status = os.stat(path)
    by_others = status.st_mode & (0o002 if status.st_gid == 0 else 0o022)
    return stat.S_ISREG(status.st_mode) and status.st_uid in (0, os.geteuid()) and not by_others


def remembered_on_error() -> str:
    """What the last valid configuration said; empty if there was none yet."""
    try:
        if not _only_roots(ON_ERROR):
            return ""
        with open(ON_ERROR, encoding="ascii") as file:
            said = file.read().strip()
            return said if said in ("warn", "abort") else ""
    except (OSError, ValueError):
        return ""


def _deadline() -> float:
    """Seconds for a verdict; less if zypper was told to wait less for its plugins."""
    try:
        return min(DEADLINE, float(os.environ.get("ZYPP_PLUGIN_TIMEOUT", "30")) * 2 / 3)
    except ValueError:
        return DEADLINE


class Hook:
    """The plugin.

    Parameters
    ----------
    library
        The folder that kmpsolve is installed in; ``python`` there names the interpreter of the second stage.
    """

    def __init__(self, library: str) -> None:
        self.library = library
        self.caller = Caller()

    def serve(self) -> None:
        """Answer libzypp's frames until it closes the pipe."""
        received = b""
        while True:
            chunk = os.read(0, 65536)
            if not chunk:
                return
            frames = (received + chunk).split(b"\0")
            received = frames.pop()
            for frame in frames:
                if self._handle(frame):
                    os.write(1, b"ACK\n\n\0")
                    if frame.startswith(b"_DISCONNECT"):
                        return

    def _handle(self, frame: bytes) -> bool:
        """Do what a frame asks for; tells whether it is to be answered with ACK."""
        command, _, rest = frame.lstrip(b"\n").partition(b"\n")
        if command == b"COMMITBEGIN":
            return self._commit(rest.partition(b"\n\n")[2] if not rest.startswith(b"\n") else rest[1:])
        if command in (b"PLUGINBEGIN", b"COMMITEND", b"PLUGINEND", b"_DISCONNECT"):
            return True
        os.write(1, b"_ENOMETHOD\ncommand:%s\n\n\0" % command[:40].replace(b":", b"_"))
        return False

    def _commit(self, body: bytes) -> bool:
        """Judge a transaction; tells whether zypper may go on."""
        try:
            listed = json.loads(body.decode("utf-8"))["TransactionStepList"]
            steps = [
                dict(step["solvable"], type=step["type"])
                for step in listed
                if step.get("type") and ":" not in step["solvable"]["n"]
            ]
            if not relevant([(step["type"], step["n"]) for step in steps]):
                return True
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._failed("libzypp's description of the transaction cannot be read (%s)" % error)
        if os.environ.get("KMPSOLVE_DISABLE") == "1":
            self._disabled(steps)
            return True
        try:
            answer = self._ask(steps)
            action, message, fields = answer["action"], answer["message"], answer["journal"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            return self._failed(str(error) or type(error).__name__)
        if fields:
            journal(fields)
        return self._go_on(action, message)

    def _disabled(self, steps: "list[dict[str, str]]") -> None:
        """Let a transaction through unchecked; what keeps the last good kernel from purge is done all the
        same.
        """
        line = "kmpsolve: not checked, since KMPSOLVE_DISABLE=1 is set"
        self.caller.tell([line])
        journal({"MESSAGE": line[10:], "KMPSOLVE_VERDICT": "disabled", "PRIORITY": "4"})
        if any(_KEEPS.search(text) for text in _configuration("/")):
            try:
                self._ask(steps, disabled=True)
            except (OSError, ValueError) as error:
                _log(("kmpsolve: %s\n" % error).encode("utf-8", "replace"))

    def _ask(self, steps: "list[dict[str, str]]", disabled: bool = False) -> "dict[str, Any]":  # type: ignore[name-defined] # noqa: F821
        """Ask the second stage.

        Raises
        ------
        ValueError, OSError
            If it gives no answer, or none in time.
        """
        import subprocess

        with open(os.path.join(self.library, "python")) as file:
            python = file.read().rstrip("\n")
        question = {
            "steps": steps,
            "disabled": disabled,
            "arguments": self.caller.arguments,
            "caller": self.caller.name,
            "pid": self.caller.pid,
            "transactional": os.environ.get("TRANSACTIONAL_UPDATE") == "1",
        }
        child = subprocess.Popen(
            [python, "-I", os.path.join(self.library, "start"), "second-stage"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        patience = _deadline()
        try:
            said, complaint = child.communicate(json.dumps(question).encode(), timeout=patience)
        except subprocess.TimeoutExpired:
            raise ValueError("no verdict within %.0f seconds" % patience)
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except OSError:
                pass
        _log(complaint)
        try:
            return json.loads(said.decode("utf-8"))  # type: ignore[no-any-return]
        except ValueError:
            last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise ValueError("the check ended with %d: %s" % (child.returncode, last or "no word"))

    def _failed(self, reason: str) -> bool:
        """A failure of kmpsolve itself, of which the second stage could not tell what it means."""
        reason = " ".join(reason.split())
        on_error = last_on_error()
        journal({"MESSAGE": "not checked: " + reason, "KMPSOLVE_VERDICT": "error", "PRIORITY": "3"})
        if on_error == "warn":
            told = ["kmpsolve: this update was not checked: %s" % reason, "          See: kmpsolve doctor"]
        else:
            told = [
                "kmpsolve: stopped this update before anything was changed, since it cannot be checked: %s"
                % reason,
                "          See: kmpsolve doctor     Once, anyway:  KMPSOLVE_DISABLE=1 zypper ...",
            ]
        return self._go_on("abort" if on_error == "abort" else "pass", told)

    def _go_on(self, action: str, message: "list[str]") -> bool:
        if action != "abort":
            self.caller.tell(message)
            return True
        if not self.caller.is_zypper:
            # PackageKit and YaST have no way to be stopped that is not a crash.
            line = "%s is not stopped, only zypper is" % (self.caller.name or "an unknown program")
            self.caller.tell([*message, "kmpsolve: " + line])
            journal({"MESSAGE": line, "PRIORITY": "4", "KMPSOLVE_VERDICT": "not-stopped"})
            return True
        self.caller.tell(message)
        self.caller.stop()
        return False


def main(library: str) -> None:
    """Run the plugin on stdin and stdout.

    Parameters
    ----------
    library
        As in `Hook`.
    """
    # Ctrl-C is zypper's to handle; a plugin that dies of it would let the transaction through.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    try:
        Hook(library).serve()
    except BrokenPipeError:
        pass
