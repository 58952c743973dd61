"""Signatures of what a plan would install: a module that is not signed does not load under Secure Boot.

Metadata does not tell whether a package or its modules are signed, so this looks at RPMs that are at hand and
says of the others that they were not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kmpsolve.errors import KmpsolveError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KmpBuild, Package
from kmpsolve.model.plan import Cause, KmpPlan, Warned
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe

__all__ = ["REQUIRED", "Signing", "look_at_signatures"]


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
    universe: Universe,
    request: Request,
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
    chosen
        The build that is chosen for each KMP, by its name.
    companions
        What else comes along.
    added
        KMPs that are not installed and come along.
    """
    look = _Look(universe, request)
    seen: list[KmpPlan] = []
    for kmp_plan in kmps:
        build = chosen[kmp_plan.name]
        if kmp_plan.decision != "fetch" or build is None:
            seen.append(kmp_plan)
            continue
        cause, warning = look.at(build)
        if cause is not None:
            kmp_plan = replace(kmp_plan, decision="blocked", chosen=None, repository=None, causes=(cause,))
        elif warning is not None:
            kmp_plan = replace(kmp_plan, warnings=tuple(sorted({*kmp_plan.warnings, warning})))
        seen.append(kmp_plan)
    told = [warning for _, warning in map(look.at, added) if warning not in (None, _NOT_CHECKED)]
    return Signing(
        kmps=tuple(seen),
        unchecked=tuple(look.unchecked),
        refused=look.refused,
        warnings=(*told, *_new_certificates(companions)),
    )


class _Look:
    """Looks at one build after the other, and remembers which are refused and of which nobody can tell."""

    def __init__(self, universe: Universe, request: Request) -> None:
        self.universe = universe
        self.request = request
        self.required = request.require_signed
        self.enforced = self.required or _secure_boot(request)
        self.unchecked: list[str] = []
        self.refused: dict[int, Cause] = {}

    def at(self, build: KmpBuild) -> tuple[Cause | None, Warned | None]:
        """Why a build is refused, else what there is to tell of it."""
        doubted = _doubted_modules(self.universe, self.request, build.package)
        if doubted is None:
            if not self.required:
                return None, _NOT_CHECKED
            self.unchecked.append(build.name)
            text = f"nobody looked at the signature of {build}: metadata does not tell"
            return None, Warned(reference=REQUIRED, message=text)
        states = {state for _, state in doubted}
        text = _would_not_load(build, doubted)
        stranger = self.required and "unknown-key" in states
        if _ALWAYS in states or (self.enforced and states & _REFUSED) or stranger:
            cause = self.refused[build.package.handle] = Cause("signature", text, (str(build),))
            return cause, None
        if self.enforced and "unchecked" in states:
            self.unchecked.append(build.name)
            return None, Warned(reference=REQUIRED, message=text)
        return None, Warned(reference="signature", message=text) if states else None


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
