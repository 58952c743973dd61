"""What a person can do about a blocked KMP: least loss first, removal of a driver last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kmpsolve.compat.judgement import open_needs
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import Cause, KmpPlan, WayOut
from kmpsolve.planner.command import forced, quoted, word_for
from kmpsolve.planner.evaluation import Evaluation
from kmpsolve.planner.system import FlavorSystem, Kmp, preference

HeldPatch = dict[str, Any]

__all__ = ["ways_out"]


def ways_out(
    system: FlavorSystem, evaluation: Evaluation, newest_safe: KernelUnit | None, command: str | None
) -> tuple[WayOut, ...]:
    """The ways out of a blocked plan for one flavor.

    Parameters
    ----------
    command
        What brings `newest_safe` with its KMPs; ``None`` if it stands already.
    """
    return tuple(_WaysOut(system, evaluation, newest_safe).in_order(command))


class _WaysOut:
    """The ways out of what keeps the counted KMPs from one kernel, a method for each kind."""

    def __init__(self, system: FlavorSystem, evaluation: Evaluation, newest_safe: KernelUnit | None) -> None:
        self.system = system
        self.unit = evaluation.unit
        self.safe = newest_safe
        pairs = zip(system.kmps, evaluation.kmps, strict=True)
        self.blocked = [(kmp, plan) for kmp, plan in pairs if plan.decision == "blocked" and kmp.counts]
        self.names = tuple(kmp.name for kmp, _ in self.blocked)
        self.held = held_patches(system, self.unit, newest_safe)
        self.fitting = {b.nevra for kmp in system.kmps for b in kmp.installed if self.fits(b)}
        """Installed builds that fit by themselves, and are kept from the kernel by something else."""

    def in_order(self, command: str | None) -> Iterator[WayOut]:
        """All of them, the ones that lose least first."""
        yield from self.newest_safe(command)
        for kmp, plan in self.blocked:
            yield from self.vendor_change(kmp, plan)
            yield from self.lock(kmp, plan)
        yield from self.reinstall()
        yield from self.vendor_rebuild()
        yield from self.hold()
        for name in self.names:
            text = f"accept the loss on this host: a [[waiver]] for {name} in /etc/kmpsolve/kmpsolve.toml"
            yield WayOut(kind="waiver", text=text, command=None, kmps=(name,))
        removals = sorted((self.remove(kmp) for kmp, _ in self.blocked), key=lambda way: len(way.kmps))
        for number, way in enumerate(removals):
            if way.kmps not in [told.kmps for told in removals[:number]]:
                yield way

    def fits(self, build: KmpBuild) -> bool:
        return build.versioned and not open_needs(build, self.unit, self.system.universe.table)

    def newest_safe(self, command: str | None) -> Iterator[WayOut]:
        if self.safe is None or self.safe.main.handle == self.unit.main.handle:
            return
        evr = self.safe.nevra.evr
        if not self.safe.installed and evr < self.system.newest.nevra.evr:
            text = f"install {evr}, the newest kernel that keeps every driver, and choose it at boot"
        elif not self.safe.installed:
            text = f"update to the newest kernel that keeps every driver, {evr}"
        elif self.safe.main.handle == self.system.newest.main.handle:
            text = f"stay on {evr}, the newest kernel that keeps every driver"
        else:
            text = f"boot {evr}, which is installed and the newest kernel that keeps every driver"
        yield WayOut(kind="newest-safe", text=text, command=command, kmps=self.names, held_patches=self.held)

    def vendor_change(self, kmp: Kmp, plan: KmpPlan) -> Iterator[WayOut]:
        for cause in cause_of(plan.causes, "vendor"):
            pick = _best(_kept_out(kmp, cause))
            wanted = [pick.package, *([] if self.unit.installed else [self.unit.main])]
            words = [quoted(word_for(self.system.universe, package)) for package in wanted]
            flags = ["--no-recommends", "--oldpackage", *forced(self.system.universe, wanted)]
            yield WayOut(
                kind="vendor-change",
                text=f"take {pick} from another vendor; it fits {self.unit.nevra.evr}",
                command=" ".join(["zypper", "install", *flags, *words]),
                kmps=(kmp.name,),
            )

    def lock(self, kmp: Kmp, plan: KmpPlan) -> Iterator[WayOut]:
        for cause in cause_of(plan.causes, "lock"):
            # What comes from another vendor stays out without the lock too.
            allowed = [build for build in _kept_out(kmp, cause) if self.allowed(kmp, build)]
            if not allowed:
                continue
            pick = _best(allowed)
            same = [build.package for build, _ in kmp.refused if build.nevra == pick.nevra]
            command = self.unlocking([*same, *_packages(kmp)])
            how = "" if command else " (zypper removelock takes its number in zypper locks)"
            yield WayOut(
                kind="lock",
                text=f"remove the lock that keeps {pick} out{how}; it fits {self.unit.nevra.evr}",
                command=command,
                kmps=(kmp.name,),
            )

    def allowed(self, kmp: Kmp, build: KmpBuild) -> bool:
        """Whether zypp's vendor rules let a build follow an installed one."""
        policy, vendor = self.system.universe.policy, build.package.vendor
        return any(policy.allows(vendor, instead_of=own.package.vendor) for own in kmp.installed)

    def unlocking(self, packages: Iterable[Package]) -> str | None:
        """What removes all locks on these packages; ``None`` if one has no name that zypper would know it by."""
        universe = self.system.universe
        locks = dict.fromkeys(lock for package in packages for lock in universe.locks_on(package))
        named = dict.fromkeys(lock.argument for lock in locks)
        if None in named:
            return None
        return (
            " && ".join(f"zypper removelock {' '.join(map(quoted, words))}" for words in named if words)
            or None
        )

    def reinstall(self) -> Iterator[WayOut]:
        for kmp, _ in self.blocked:
            for twin in kmp.twins:
                if self.fits(twin) and twin.nevra not in self.fitting:
                    wanted = f"{twin.package.repository}:{_spec(str(twin))}"
                    yield WayOut(
                        kind="fetch-with",
                        text=f"reinstall {twin} from {twin.package.repository}: it has other content there, "
                        f"which fits {self.unit.nevra.evr}",
                        command=f"zypper install --force {quoted(wanted)}",
                        kmps=(kmp.name,),
                    )

    def vendor_rebuild(self) -> Iterator[WayOut]:
        krel = self.unit.uname_r.removesuffix(f"-{self.unit.flavor}")
        asked: dict[str, list[str]] = {}
        for kmp, _ in self.blocked:
            if self.fitting.isdisjoint(build.nevra for build in kmp.installed):
                asked.setdefault(kmp.installed[0].package.vendor or "its vendor", []).append(kmp.name)
        for vendor, names in sorted(asked.items()):
            what = f"a build of {', '.join(names)} for kernel {krel} ({self.unit.flavor})"
            yield WayOut(
                kind="vendor-rebuild", text=f"ask {vendor} for {what}", command=None, kmps=tuple(names)
            )

    def hold(self) -> Iterator[WayOut]:
        if not self.unit.installed:
            yield WayOut(
                kind="hold",
                text="hold this kernel back and update everything else",
                command="kmpsolve guard on && zypper up",
                kmps=self.names,
                held_patches=self.held,
            )

    def remove(self, kmp: Kmp) -> WayOut:
        locked = any(map(self.system.universe.locked, _packages(kmp)))
        what = f"remove the lock on {kmp.name}, then {kmp.name} itself," if locked else f"remove {kmp.name}"
        # zypper takes them too, and whoever names the one alone has not said so.
        along = self.needing(kmp)
        also = f" with {', '.join(along)}, which cannot be without it," if along else ""
        names = sorted((kmp.name, *along))
        return WayOut(
            kind="remove",
            text=f"{what}{also} if nothing needs {'them' if along else 'it'} any more",
            command=None if locked else f"zypper remove {' '.join(map(quoted, names))}",
            kmps=tuple(names),
        )

    def needing(self, kmp: Kmp) -> list[str]:
        """The KMPs, by name, with an installed build whose symbols nothing provides once this one is gone."""
        going = {kmp.name}
        standing = [unit.exports.capabilities for unit in self.system.units]
        while True:
            left = [other for other in self.system.kmps if other.name not in going]
            lent = frozenset().union(*(b.exports.capabilities for o in left for b in o.installed), *standing)
            lost = frozenset().union(
                *(b.exports.capabilities for o in self.system.kmps if o.name in going for b in o.installed)
            )
            more = {o.name for o in left if any(not (b.needs & lost) <= lent for b in o.installed)}
            if not more:
                return sorted(going - {kmp.name})
            going |= more


def _packages(kmp: Kmp) -> list[Package]:
    return [build.package for build in kmp.installed]


def _kept_out(kmp: Kmp, cause: Cause) -> list[KmpBuild]:
    """The builds that a rule keeps out."""
    return [build for build, _ in kmp.refused if str(build.nevra) in cause.packages]


def _best(builds: Iterable[KmpBuild]) -> KmpBuild:
    """Of several builds the one that a plan would take."""
    return min(builds, key=lambda build: preference(build, ""))


def held_patches(
    system: FlavorSystem, unit: KernelUnit, newest_safe: KernelUnit | None
) -> tuple[HeldPatch, ...]:
    """The patches that do not arrive without `unit`: id, severity and CVEs, sorted by id.

    These are the ones with a kernel of the target's name that is newer than what can boot instead.
    """
    base = max(u.nevra.evr for u in (system.newest, *([newest_safe] if newest_safe else [])))
    found: dict[str, HeldPatch] = {}
    for patch in system.universe.patches:
        if patch.status == "retracted":
            continue
        for text in patch.packages:
            if text.startswith(f"{unit.main.name}-"):
                nevra = Nevra.parse(text)
                if nevra.name == unit.main.name and base < nevra.evr <= unit.nevra.evr:
                    found[patch.id] = {"id": patch.id, "severity": patch.severity, "cves": list(patch.cves)}
    return tuple(found[name] for name in sorted(found))


def cause_of(causes: tuple[Cause, ...], kind: str) -> list[Cause]:
    """The causes of one kind."""
    return [cause for cause in causes if cause.kind == kind]


def _spec(nevra: str) -> str:
    parsed = Nevra.parse(nevra)
    return f"{parsed.name}={parsed.evr}"
