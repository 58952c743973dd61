"""What zypper downloaded for a plan, looked into before it is installed.

A plan is made from metadata. The RPMs themselves tell more: who signed them, and which symbols their modules
really need and export.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import Package
from kmpsolve.model.plan import FlavorPlan, Plan
from kmpsolve.modules.check import check
from kmpsolve.modules.findings import Finding
from kmpsolve.modules.kernel import Kernel, kernel_from_capabilities
from kmpsolve.modules.kmp import read_candidate, read_ueficert
from kmpsolve.modules.rpmfile import Rpm, readable_keys
from kmpsolve.modules.signature import read_certificates
from kmpsolve.planner import flavor_systems
from kmpsolve.session import Loaded
from kmpsolve.solver.universe import Universe

__all__ = ["Arrival", "look_into"]

_CERTIFICATES = "etc/uefi/certs"
_CONTRADICTIONS = frozenset(
    ("export-wrong", "ksym-wrong", "module-corrupted", "payload-damaged", "rpm-corrupted")
)
"""Findings after which the plan no longer stands; the maker's other slips are told and change nothing."""

_SIGNATURES = frozenset(("rpm-key-unknown", "rpm-unsigned", "unreadable-module"))
"""What forbids an installation where everything has to be signed."""

_TOLD = (
    _CONTRADICTIONS
    | _SIGNATURES
    | {
        "exact-kernel",
        "export-missing",
        "gpl-only",
        "ksym-damaged",
        "ksym-missing",
        "ksym-other-flavor",
        "ksym-surplus",
        "ueficert-other-key",
        "unreadable-module",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What was found in the KMPs that a plan fetches.

    Parameters
    ----------
    looked_into
        NEVRAs.
    missing
        NEVRAs of those that are not where zypper keeps what it downloads.
    sure
        Whether everything in them could be checked; what could not is taken as the package declares it.
    refused
        Whether what was found forbids to install them.
    """

    looked_into: tuple[str, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    sure: bool
    refused: bool


def look_into(loaded: Loaded, planned: Plan, keys: Sequence[bytes]) -> Arrival:
    """Check the KMPs that a plan fetches, as `kmpsolve check` does, against the kernels that it plans for.

    Signatures of modules are the planner's to judge: it sees the files as soon as they are there.

    Parameters
    ----------
    keys
        The armored OpenPGP keys that rpm trusts on the system.

    Raises
    ------
    MetadataError
        If an RPM is damaged so that nothing can be said of it.
    """
    required = loaded.request.require_signed
    looked_into: list[str] = []
    missing: list[str] = []
    findings: set[Finding] = set()
    refused, sure = False, True
    companions: list[Path] = []
    for file in _certificate_packages(loaded.universe, planned):
        unreadable = _unreadable_certificate(file)
        if unreadable is None:
            companions.append(file)
        else:
            findings.add(unreadable)
    for flavor in planned.flavors:
        packages = _fetched(loaded.universe, planned, flavor.flavor)
        files = {package: loaded.universe.file_of(package) for package in packages}
        missing += [str(package) for package, file in files.items() if file is None]
        paths = [file for file in files.values() if file is not None]
        if not paths:
            continue
        try:
            report = check(
                [*paths, *companions],
                _kernels(loaded, flavor),
                certificates=_certificates(planned),
                keys=readable_keys(keys),
                require_signed=required,
            )
        except RequestError as error:
            if error.reference != "nothing-to-check":
                raise
            continue
        looked_into += [str(package) for package, file in files.items() if file is not None]
        told = {_doubted(f) for f in report.findings if f.reference in _TOLD or _of_loading(f)}
        findings |= told
        sure &= all(subject.verdict != "unverified" for subject in report.subjects)
        refused |= any(subject.verdict == "blocked" for subject in report.subjects)
        refused |= any(f.reference in _CONTRADICTIONS for f in told)
        refused |= required and any(f.reference in _SIGNATURES for f in told)
    return Arrival(
        looked_into=tuple(sorted(looked_into)),
        missing=tuple(sorted(missing)),
        findings=tuple(sorted(findings, key=lambda f: (f.subject, f.reference, f.message))),
        sure=sure,
        refused=refused or (required and bool(missing)),
    )


def _doubted(finding: Finding) -> Finding:
    """A module that nobody can read proves nothing against a plan that was made from metadata."""
    if finding.reference != "unreadable-module":
        return finding
    return replace(
        finding, severity="warning", message=f"{finding.message}; taken as the package declares it"
    )


def _of_loading(finding: Finding) -> bool:
    """Whether it says why a module would not load: whatever the kernel's loader objects to."""
    return finding.rule.startswith("Linux: kernel/module")


def _fetched(universe: Universe, planned: Plan, flavor: str) -> list[Package]:
    """The KMPs of a flavor that the transaction brings."""
    coming = _coming(planned)
    return [
        build.package
        for build in universe.kmps
        if build.flavor in (flavor, "") and (str(build.package), build.package.repository) in coming
    ]


def _coming(planned: Plan) -> set[tuple[str, str | None]]:
    return {(step.nevra, step.repository) for step in planned.transaction if step.action != "erase"}


def _certificate_packages(universe: Universe, planned: Plan) -> Iterator[Path]:
    """The N-ueficert packages that come along: what they bring counts as enrolled."""
    for nevra, repository in sorted(_coming(planned), key=str):
        name = Nevra.parse(nevra).name
        if name.endswith("-ueficert"):
            for package in universe.called(name):
                file = universe.file_of(package)
                if file is not None and (str(package), package.repository) == (nevra, repository):
                    yield file


def _unreadable_certificate(file: Path) -> Finding | None:
    """What is wrong with the certificates in an N-ueficert package; none of them is believed then."""
    read = read_candidate(file)
    try:
        if isinstance(read, Rpm):
            read_ueficert(read)
    except MetadataError as error:
        if error.reference != "unreadable-certificate":
            raise
        return Finding(
            reference=error.reference,
            severity="warning",
            subject=str(file),
            message=f"{(error.where or '').rpartition(': ')[2]} {error.message}: it enrols nothing",
            rule="What cannot be read cannot be vouched for",
        )
    return None


def _certificates(planned: Plan) -> Path | None:
    """The folder of the certificates that installed packages brought, if it can be read."""
    if planned.inputs.root is None:
        return None
    folder = Path(planned.inputs.root) / _CERTIFICATES
    try:
        return folder if read_certificates(folder) else None
    except MetadataError:
        return None


def _kernels(loaded: Loaded, flavor: FlavorPlan) -> list[Kernel]:
    """The target, with the symbols of the KMPs that stay; those of the fetched ones are what is looked at."""
    if flavor.target is None:
        return []
    system = flavor_systems(loaded.universe, loaded.request)[flavor.flavor]
    wanted = (flavor.target.nevra, flavor.target.repository)
    units = [*system.units, *system.kernels.candidates(named=True)]
    exported = [unit.exports for unit in units if (str(unit.nevra), unit.main.repository) == wanted]
    reused = {kmp.chosen for kmp in flavor.kmps if kmp.repository is None}
    exported += [
        build.exports
        for build in loaded.universe.kmps
        if build.package.installed and str(build.package) in reused
    ]
    return [
        kernel_from_capabilities(
            (text for exports in exported for text in loaded.universe.spelled(exports)),
            source=flavor.target.nevra,
            uname_r=flavor.target.uname_r,
            nevra=flavor.target.nevra,
        )
    ]
