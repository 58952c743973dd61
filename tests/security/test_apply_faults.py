"""kill -9, full and broken disks at every call with which ``kmpsolve apply`` itself writes, around the real zypper:
the system is as before or as planned, and the next run works.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.host import DRIVER, NEW, OLD, REBUILD, Host, specs
from tests.security.writers import FAULTS

# The fault is armed in this process alone: zypper and rpm, which it starts, write without faults.
APPLY = """
import ctypes, sys
sys.path.insert(0, "/usr/lib/kmpsolve")
shim = ctypes.CDLL(sys.argv[1])
from kmpsolve.cli.entry import main
shim.fault_arm(b"/", int(sys.argv[2]), int(sys.argv[3]))
code = main(["apply", "--non-interactive"])
sys.stdout.flush()
left = shim.fault_left()
shim.fault_arm(b"", 0, 0)
with open("/srv/attempt/left", "w") as file:
    file.write(str(left))
sys.exit(code)
"""
SAVE = "cp -a /var/lib/rpm /var/lib/rpm.old"
# Never /tmp: the sandbox may share folders of the machine below it.
RESTORE = (
    "rm -rf /var/lib/rpm /var/cache/zypp /run/zypp.pid /usr/lib/modules/* /srv/attempt && mkdir /srv/attempt"
    " && cp -a /var/lib/rpm.old /var/lib/rpm"
)
NEVER = 100_000


class Machine:
    """A machine with an update to apply, brought back to where it was before each attempt."""

    def __init__(self, host: Host, shim: Path) -> None:
        self.host = host
        self.shim = shim
        self.old = host.installed()
        self.new = sorted([*self.old, NEW, REBUILD])
        host.run(["sh", "-c", SAVE])

    def attempt(self, step: int, error: int) -> int | None:
        """Apply with a fault; how many writes were left before it, ``None`` if none was or it was a kill."""
        self.host.run(["sh", "-c", RESTORE])
        words = [sys.executable, "-I", "-c", APPLY, str(self.shim), str(step), str(error)]
        # Files, since they are written to as well.
        place = self.host.path("/srv/attempt")
        with (place / "out").open("w") as out, (place / "err").open("w") as err:
            environment = {"LD_PRELOAD": str(self.shim), "TMPDIR": "/srv/attempt"}
            code = self.host.popen(words, env=environment, stdout=out, stderr=err).wait(120)
        said = (place / "out").read_text() + (place / "err").read_text()
        case = f"step {step}, error {error}, exit {code}:\n{said}"
        state = self.host.installed()
        assert state in (self.old, self.new), case
        assert "Traceback" not in said, case
        assert "a bug in kmpsolve" not in said, case
        left = place / "left"
        reached = not left.exists() or left.read_text() == "0"
        if error == 0:
            assert code in ((-9, 137) if reached else (0,)), case
        elif code == 0:
            assert state == self.new, case
        elif code == 7:  # zypp's lock could not be given back, and zypper found it taken
            assert "nothing was changed" in said, case
            assert state == self.old, case
        else:
            assert code == 3, case
            assert "kmpsolve: " in said, case
        return None if reached else int(left.read_text())

    def next_run(self) -> None:
        """Apply once more, without a fault."""
        ended = self.host.kmpsolve("apply", "--non-interactive")
        assert ended.code == 0, str(ended)
        assert self.host.installed() == self.new, str(ended)
        assert self.host.zypper("locks").code == 0


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    shim = tmp_path / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
    with Host(OLD, DRIVER, shared=[tmp_path]) as host:
        host.add("updates", specs(NEW, REBUILD))
        yield Machine(host, shim)


def test_apply_at_some_steps(machine: Machine) -> None:
    left = machine.attempt(NEVER, 0)
    assert left is not None
    writes = NEVER - left
    assert machine.host.installed() == machine.new
    assert writes > 20
    cases = [*FAULTS.values()] * 2
    for number, error in enumerate(cases):
        assert machine.attempt(1 + writes * number // len(cases), error) is None
        machine.next_run()


@pytest.mark.deep
@pytest.mark.parametrize("fault", FAULTS)
def test_apply_at_every_step(fault: str, machine: Machine) -> None:
    for step in count(1):
        if machine.attempt(step, FAULTS[fault]) is not None:
            break
        machine.next_run()
    assert step > 20
    print(step - 1, "writes")
