"""What is asked for, and the rules of the house it is asked in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from kmpsolve.model.evr import Evr
from kmpsolve.model.modalias import Modaliases
from kmpsolve.model.plan import Unmanaged, Warned

__all__ = ["KmpRule", "LockRule", "Policy", "Request", "Waiver"]


class LockRule(Protocol):
    """A zypp lock, as far as the planner asks it."""

    def matches(self, name: str, evr: Evr, arch: str, repository: str, installed: bool) -> bool:
        """Whether the lock holds this package; `repository` is ``@System`` for an installed one."""
        ...

    @property
    def argument(self) -> tuple[str, ...] | None:
        """The words by which ``zypper removelock`` knows it; ``None`` if there are none."""
        ...


class MachineView(Protocol):
    """The running machine, as far as the planner asks it."""

    def uses(self, module: str) -> tuple[str, ...]:
        """Why a module counts as in use; empty if it does not."""
        ...

    def boots_from(self, modules: Iterable[str]) -> tuple[str, ...]:
        """What the machine would lose without these modules, the most important first."""
        ...

    def starts_with(self, modules: Iterable[str]) -> bool:
        """Whether the initrd is known to hold one of these modules."""
        ...


class DiskView(Protocol):
    """The system's disk, as far as the planner asks it."""

    def unmanaged(
        self, flavor: str, uname_r: str, nevra: str, provides: Callable[[], Iterable[str]]
    ) -> tuple[Unmanaged, ...]:
        """The modules that no package owns, judged against a kernel that provides these capabilities."""
        ...

    def rebuilds(
        self, kmps: Iterable[str], uname_r: str, arch: str, missing_headers: Iterable[str]
    ) -> tuple[Warned, ...]:
        """What keeps DKMS, and these KMPs, from building for a kernel."""
        ...

    def parts(
        self, builds: Iterable[str], uname_r: str, nevra: str, provides: Callable[[], Iterable[str]]
    ) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Of installed builds, by NEVRA: modules that would load on a kernel, and those that would not."""
        ...

    def overruled(self, build: str, modules: Iterable[str], uname_r: str, *, native: bool) -> tuple[str, ...]:
        """Of a build's modules that a kernel ships too, the file names that it would take from itself."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """zypp's settings that decide what zypp would do by itself.

    Parameters
    ----------
    multiversion
        zypp.conf's ``multiversion``: package names or ``provides:CAPABILITY``; empty: nothing is.
    keep
        zypp.conf's ``multiversion.kernels``.
    vendor_class
        Maps a vendor to its class; zypp exchanges packages within one class only.
    allow_vendor_change
        zypp.conf's ``solver.allowVendorChange``.
    dup_allow_vendor_change
        zypp.conf's ``solver.dupAllowVendorChange``, for a dist-upgrade.
    locks
        What /etc/zypp/locks holds.
    devices
        Reads the machine's hardware; ``None`` where the machine is not at hand.
    """

    multiversion: tuple[str, ...] = ("provides:multiversion(kernel)",)
    keep: str = "latest,latest-1,running"
    vendor_class: Callable[[str], str] = str.casefold
    allow_vendor_change: bool = False
    dup_allow_vendor_change: bool = False
    locks: tuple[LockRule, ...] = ()
    devices: Callable[[], Modaliases] | None = None

    def allows(self, vendor: str, *, instead_of: str) -> bool:
        """Whether zypp would put a package of `vendor` in the place of one of another, or the same, vendor."""
        return self.allow_vendor_change or self.vendor_class(vendor) == self.vendor_class(instead_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmpRule:
    """One ``[[kmp]]`` entry of the configuration; the first that matches a name counts."""

    match: str
    on_blocked: str | None = None
    scope: str = "all"
    rebuilt_on_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One ``[[waiver]]`` entry; `expires` is an ISO date."""

    kmp: str
    reason: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to plan.

    Parameters
    ----------
    kernel
        ``None`` for what ``zypper up`` would pick, ``latest``, ``newest-safe``, VERSION-RELEASE or UNAME-R.
    flavors
        Empty for all installed flavors.
    running
        The running kernel's uname -r, where known.
    notes
        Warnings about the sources, told with every flavor.
    efivars
        Where the firmware's variables of the system can be read.
    machine
        The running machine; ``None`` offline, where everything counts as in use.
    disk
        The system's disk, where the system has one.
    """

    kernel: str | None = None
    flavors: tuple[str, ...] = ()
    running: str | None = None
    policy: Policy = field(default_factory=Policy)
    kmp_rules: tuple[KmpRule, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    already_broken: str = "warn"
    protect_fallback: bool = False
    require_signed: bool = False
    today: str = ""
    notes: tuple[Warned, ...] = ()
    efivars: Path | None = None
    machine: MachineView | None = None
    disk: DiskView | None = None

    def rule(self, name: str) -> KmpRule | None:
        """The configuration's entry for a KMP's name: the first that matches."""
        return next((rule for rule in self.kmp_rules if fnmatchcase(name, rule.match)), None)

    def waiver(self, name: str) -> Waiver | None:
        """The waiver that holds for a KMP's name today."""
        return next((w for w in self.waivers if fnmatchcase(name, w.kmp) and w.expires >= self.today), None)
