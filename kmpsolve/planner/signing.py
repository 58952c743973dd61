"""Signatures of what a plan would install: a module that is not signed does not load under Secure Boot.

Metadata does not tell whether a package or its modules are signed, so this looks at RPMs that are at hand and
says of the others that they were not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from kmpsolve.errors import KmpsolveError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KmpBuild, Package
from kmpsolve.model.plan import Cause, KmpPlan, Warned
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe

__all__ = ["REQUIRED", "Signatures", "Signing", "look_at_signatures"]


_NOT_CHECKED = Warned(
    reference="signature-not-checked",
    message="not checked: signatures of what is fetched; only RPMs tell, and kmpsolve apply looks at them",
)
REQUIRED = "signature-required"
"""Refers to a signature that has to be there, and of which nobody can tell."""
_ALWAYS = "damaged"
_STATES = {
    _ALWAYS: "with a signature that every kernel refuses",
    "unsigned": "not signed",
    "corrupted": "its signature is broken",
    "unknown-key": "signed with a key that is not enrolled",
    "unchecked": "signed in a way that is not known here",
}
_REFUSED = frozenset(("unsigned", "corrupted"))
"""What no kernel loads under Secure Boot; the others it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What signatures add to a flavor's plan.

    Parameters
    ----------
    kmps
        The KMPs, those that are refused for their signature turned to blocked.
    unchecked
        Names of KMPs whose signature would have to be known and is not; those that come along included.
    refused
        Why builds are refused, by their handle.
    """

    kmps: tuple[KmpPlan, ...]
    unchecked: tuple[str, ...]
    refused: Mapping[int, Cause]
    warnings: tuple[Warned, ...]


def look_at_signatures(
    signatures: Signatures,
    chosen: Mapping[str, KmpBuild | None],
    companions: Iterable[Nevra],
    kmps: Iterable[KmpPlan],
    added: Iterable[KmpBuild] = (),
) -> Signing:
    """Check the modules of every fetched build whose RPM is at hand.

    A module that no kernel loads blocks its KMP. Under ``require_signed`` an unsigned one does, and one that cannot
    be looked at leaves it unverified. Where Secure Boot is on, it blocks in any case; whose key is not among the
    firmware's may still be known to the kernel, so that a stranger's signature is told. A signature of a kind that
    not every kernel knows proves nothing: it leaves its KMP unverified where one has to be there.

    Parameters
    ----------
    signatures
        What is known of them.
    chosen
        The build that is chosen for each KMP, by its name.
    companions
        What else comes along.
    added
        KMPs that are not installed and come along.
    """
    seen: list[KmpPlan] = []
    looks: list[tuple[KmpBuild, _Look]] = []
    for kmp_plan in kmps:
        build = chosen[kmp_plan.name]
        if kmp_plan.decision != "fetch" or build is None:
            seen.append(kmp_plan)
            continue
        look = signatures.of(build)
        looks.append((build, look))
        if look.cause is not None:
            kmp_plan = replace(
                kmp_plan, decision="blocked", chosen=None, repository=None, causes=(look.cause,)
            )
        elif look.warning is not None:
            kmp_plan = replace(kmp_plan, warnings=tuple(sorted({*kmp_plan.warnings, look.warning})))
        seen.append(kmp_plan)
    beside = [(build, signatures.of(build)) for build in added]
    told = [look.warning for _, look in beside if look.warning not in (None, _NOT_CHECKED)]
    looks += beside
    return Signing(
        kmps=tuple(seen),
        unchecked=tuple(build.name for build, look in looks if look.unchecked),
        refused={build.package.handle: look.cause for build, look in looks if look.cause is not None},
        warnings=(*filter(None, told), *_new_certificates(companions)),
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """Why a build is refused, else what there is to tell of it; whether it has to be known and is not."""

    cause: Cause | None = None
    warning: Warned | None = None
    unchecked: bool = False


class Signatures:
    """Looks at each build once, whatever kernel it is for.

    Parameters
    ----------
    universe, request
        What there is, and what is asked of signatures.
    """

    def __init__(self, universe: Universe, request: Request) -> None:
        self.universe = universe
        self.request = request
        self.refused: dict[int, Cause] = {}
        """Why builds that were looked at are refused, by handle."""
        self._known: dict[int, _Look] = {}

    @cached_property
    def _enforced(self) -> bool:
        return self.request.require_signed or _secure_boot(self.request)

    def of(self, build: KmpBuild) -> _Look:
        """Look at a build's modules."""
        handle = build.package.handle
        if handle not in self._known:
            look = self._known[handle] = self._look(build)
            if look.cause is not None:
                self.refused[handle] = look.cause
        return self._known[handle]

    def _look(self, build: KmpBuild) -> _Look:
        required = self.request.require_signed
        doubted = _doubted_modules(self.universe, self.request, build.package)
        if doubted is None and required:
            text = f"nobody looked at the signature of {build}: metadata does not tell"
            return _Look(warning=Warned(reference=REQUIRED, message=text), unchecked=True)
        if doubted is None:
            return _Look(warning=_NOT_CHECKED)
        states = {state for _, state in doubted}
        text = _would_not_load(build, doubted)
        stranger = required and "unknown-key" in states
        if _ALWAYS in states or (self._enforced and states & _REFUSED) or stranger:
            return _Look(cause=Cause("signature", text, (str(build),)))
        if self._enforced and "unchecked" in states:
            return _Look(warning=Warned(reference=REQUIRED, message=text), unchecked=True)
        return _Look(warning=Warned(reference="signature", message=text) if states else None)


def _would_not_load(build: KmpBuild, doubted: Iterable[tuple[str, str]]) -> str:
    said = ", ".join(f"{name} ({_STATES[state]})" for name, state in doubted)
    where = "" if any(state == _ALWAYS for _, state in doubted) else "under Secure Boot, "
    return f"{where}modules of {build} do not load: {said}"


def _secure_boot(request: Request) -> bool:
    from kmpsolve.modules.efikeys import secure_boot

    return request.efivars is not None and secure_boot(request.efivars) is True


def _doubted_modules(
    universe: Universe, request: Request, package: Package
) -> tuple[tuple[str, str], ...] | None:
    """Modules that Secure Boot may refuse, with the state of their signature; ``None`` if nobody can look.

    Whether a key is enrolled is only asked where the firmware's lists can be read.
    """
    file = universe.file_of(package)
    if file is None:
        return None
    from kmpsolve.modules.efikeys import enrolled_certificates
    from kmpsolve.modules.kmp import Candidate, read_candidate
    from kmpsolve.modules.signature import verify

    try:
        candidate = read_candidate(file)
    except KmpsolveError:
        return None
    if not isinstance(candidate, Candidate) or not candidate.readable:
        return None
    efivars = request.efivars
    keys = enrolled_certificates(efivars) if efivars is not None else None
    counting = _STATES.keys() - ({"unknown-key"} if keys is None else set())
    states = (
        # Whether it is what was signed matters to a kernel that knows the key; some it refuses without knowing any.
        (module.name, _ALWAYS)
        if verify(module.signature, ()) == "corrupted"
        else (module.name, verify(module.signature, keys or ()))
        for module in candidate.modules
    )
    return tuple(sorted((name, state) for name, state in states if state in counting))


def _new_certificates(companions: Iterable[Nevra]) -> Iterable[Warned]:
    for package in companions:
        if package.name.endswith("-ueficert"):
            yield Warned(
                reference="new-certificate",
                message=f"{package} brings a certificate: under Secure Boot its modules load only "
                "after somebody approves it at the console, at the next reboot",
            )
