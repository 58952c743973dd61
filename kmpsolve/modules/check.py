"""The check: KMPs, driver disks and single modules against the kernels they will meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra, same_architecture
from kmpsolve.modules.checkreport import CheckReport, Subject
from kmpsolve.modules.declarations import of_declarations
from kmpsolve.modules.findings import Finding, named, number_of
from kmpsolve.modules.folder import files_below
from kmpsolve.modules.kernel import Kernel, machine_of
from kmpsolve.modules.kmp import Candidate, UefiCert, folders_of, read_candidate, read_ueficert, spoken_for
from kmpsolve.modules.loader import Judgement, Verdict, judge_together
from kmpsolve.modules.module import MODULE_FILE, Module
from kmpsolve.modules.packaging import of_packaging, of_support
from kmpsolve.modules.requirements import elsewhere_only, of_requirements, symset_mismatches, untold_by
from kmpsolve.modules.rpmfile import Rpm, check_rpm_signature
from kmpsolve.modules.signature import read_certificates
from kmpsolve.modules.signers import modules_refused, of_module_signatures, of_rpm_signature

__all__ = ["check"]

_LOADER = "Linux: kernel/module/main.c"


@dataclass(slots=True)
class _Collected:
    """What the given paths hold."""

    candidates: list[Candidate]
    companions: dict[str, UefiCert]
    left_out: list[Finding]


def _collect(paths: Iterable[Path]) -> _Collected:
    """Read everything once. A file that was named must be readable; one in a folder becomes a finding.

    Of what is in a folder only KMPs and modules are meant; a package that was named and is no KMP is told.
    """
    collected = _Collected([], {}, [])
    for path in paths:
        if not path.is_dir():
            if not _add(collected, path):
                collected.left_out.append(
                    Finding(
                        reference="no-kmp",
                        severity="note",
                        subject=str(path),
                        message="is no KMP and was left out",
                        rule="A KMP carries modules for a kernel that is not its own",
                    )
                )
            continue
        for file in files_below(path):
            if file.suffix != ".rpm" and not MODULE_FILE.search(file.name):
                continue
            try:
                _add(collected, file)
            except MetadataError as error:
                collected.left_out.append(
                    Finding(
                        reference=error.reference,
                        severity="error",
                        subject=str(file),
                        message=error.message,
                        rule="What cannot be read cannot be vouched for",
                    )
                )
    return collected


def _add(collected: _Collected, path: Path) -> bool:
    """Take a file; false if it is a package that matters to nothing here."""
    read = read_candidate(path)
    if isinstance(read, Rpm):
        companion = read_ueficert(read)
        if companion is not None:
            collected.companions[companion.name] = companion
        return companion is not None
    if read not in collected.candidates:
        collected.candidates.append(read)
    return True


def _judgeable(candidate: Candidate) -> bool:
    """Whether all modules could be read; one that brings none is judged by what it declares, if anything."""
    if candidate.files or candidate.payload_damage or candidate.absent:
        return candidate.readable
    return any(need.kind != "damaged" for need in candidate.needs)


def _judge(
    candidate: Candidate,
    kernel: Kernel,
    judgements: Sequence[Judgement],
    spoken: Sequence[Judgement],
    refused: Sequence[str],
) -> tuple[Subject, list[Finding]]:
    said = [replace(judgement, obstacles=()) for judgement in spoken]
    findings = list(_explain(candidate, kernel, (*judgements, *said)))
    mismatches = {mismatch for judgement in (*judgements, *spoken) for mismatch in judgement.mismatches}
    mismatches.update(symset_mismatches(candidate, kernel))
    elsewhere, untold = elsewhere_only(candidate, kernel), untold_by(candidate, kernel)
    findings += of_requirements(candidate, kernel)
    verdict: Verdict = "safe"
    would_not_load = any(judgement.verdict == "blocked" for judgement in judgements)
    if mismatches or elsewhere or refused or would_not_load or _of_another_machine(candidate):
        verdict = "blocked"
    elif (
        untold
        or not _judgeable(candidate)
        or any(judgement.verdict == "unverified" for judgement in judgements)
        or any(judgement.unverified for judgement in spoken)
    ):
        verdict = "unverified"
    subject = Subject(
        path=candidate.path,
        nevra=candidate.nevra,
        kernel=kernel.label,
        verdict=verdict,
        mismatches=tuple(
            sorted(
                mismatches,
                key=lambda mismatch: (mismatch.symbol, mismatch.wanted or "", mismatch.found or ""),
            )
        ),
    )
    return subject, findings


def _of_another_machine(candidate: Candidate) -> tuple[Module, ...]:
    """The modules that no kernel loads on the machines that the package can be installed on."""
    machine = machine_of(candidate.arch)
    return tuple(one for one in candidate.modules if machine and one.machine and one.machine != machine)


def _fits(candidate: Candidate, kernel: Kernel) -> bool:
    """Whether this is the kernel that the package requires, as far as it is not a matter of single symbols."""
    return not elsewhere_only(candidate, kernel) and not any(symset_mismatches(candidate, kernel))


_Judgements = tuple[list[Judgement], list[Judgement]]
"""Of a candidate's modules, and of what it says besides."""


def _judge_all(candidates: Sequence[Candidate], kernel: Kernel) -> list[_Judgements]:
    sets = [(one.modules, spoken_for(one, kernel, offers=_fits(one, kernel))) for one in candidates]
    judged = iter(judge_together([module for both in sets for part in both for module in part], kernel))
    return [([next(judged) for _ in modules], [next(judged) for _ in said]) for modules, said in sets]


def _judge_in_use(candidates: Sequence[Candidate], kernel: Kernel) -> list[_Judgements]:
    """Judge all together, and those that the kernel would use once more, without the symbols of the others."""
    judged = _judge_all(candidates, kernel)
    passed_over = _passed_over(
        kernel,
        {
            number: candidate
            for number, candidate in enumerate(candidates)
            if _fits(candidate, kernel)
            and not any(judgement.verdict == "blocked" for part in judged[number] for judgement in part)
        },
    )
    if passed_over:
        used = [number for number in range(len(candidates)) if number not in passed_over]
        again = _judge_all([candidates[number] for number in used], kernel)
        for number, judgements in zip(used, again, strict=True):
            judged[number] = judgements
    return judged


def _passed_over(kernel: Kernel, loading: Mapping[int, Candidate]) -> frozenset[int]:
    """The numbers of the builds that the kernel does not use, because it uses another one of that package.

    Its own folder's modules come before linked ones, and of those the highest version's (weak-modules2).
    """

    def rank(rpm: Rpm) -> tuple[bool, Evr]:
        return any(uname_r == kernel.uname_r for uname_r, _ in folders_of(rpm.files)), rpm.nevra.evr

    builds: dict[tuple[str, str], dict[int, tuple[bool, Evr]]] = defaultdict(dict)
    for number, candidate in loading.items():
        if candidate.rpm:
            nevra = candidate.rpm.nevra
            builds[nevra.name, nevra.arch][number] = rank(candidate.rpm)
    return frozenset(
        number for ranks in builds.values() for number, mine in ranks.items() if mine < max(ranks.values())
    )


def _explain(candidate: Candidate, kernel: Kernel, judgements: Iterable[Judgement]) -> Iterator[Finding]:
    """Why each module would not load, or why nobody can tell."""
    for judgement in judgements:
        module = judgement.module

        def finding(
            reference: str, severity: Literal["error", "warning"], text: str, name: str = module.name
        ) -> Finding:
            return Finding(
                reference=reference,
                severity=severity,
                subject=candidate.path,
                message=f"{name} on {kernel.label}: {text}",
                rule=_LOADER,
            )

        if judgement.mismatches:
            total = len({*module.versions, *module.undefined})
            changed = named(found.symbol for found in judgement.mismatches if found.kind == "disagrees")
            gone = named(found.symbol for found in judgement.mismatches if found.kind == "unknown")
            parts = [
                *([f"disagrees about version of {changed}"] if changed else []),
                *([f"unknown {gone}"] if gone else []),
            ]
            yield finding(
                "symbols",
                "error",
                f"{len(judgement.mismatches)} of {total} symbols do not fit: {'; '.join(parts)}",
            )
        for obstacle in judgement.obstacles:
            yield finding(obstacle.kind, "error", obstacle.message)
        if "vermagic" not in module.modinfo and not kernel.vermagic:
            yield finding(
                "version-magic",
                "warning",
                "has no version magic: only a kernel that may be forced loads it, and is tainted then",
            )
        if judgement.unverified and judgement.verdict == "unverified" and module.versions:
            reason = kernel.symvers.gap or "no version is known on one side"
            yield finding(
                "unverified-symbols",
                "warning",
                f"{number_of(judgement.unverified, 'symbol')} cannot be verified ({reason}):"
                f" {named(judgement.unverified)}",
            )


def _same_machine(candidate: Candidate, kernel: Kernel) -> bool:
    """Whether they are for the same architecture, as far as both tell."""
    return kernel.nevra is None or same_architecture(candidate.arch, Nevra.parse(kernel.nevra).arch)


def _meets(candidate: Candidate, kernel: Kernel, kernels: Sequence[Kernel]) -> bool:
    """Whether that kernel uses it: a module of its own counts with whatever kernel was named.

    Where kernels for several machines were, those are not meant that are for another one than the module.
    """
    if candidate.rpm is None:
        machines = {module.machine for module in candidate.modules}
        return kernel.made_for in ("", *machines) or machines.isdisjoint(one.made_for for one in kernels)
    if not kernel.flavor:
        return _same_machine(candidate, kernel)
    return candidate.flavor in ("", kernel.flavor) and _same_machine(candidate, kernel)


def _met_by_none(candidate: Candidate, kernels: Sequence[Kernel]) -> tuple[Subject, Finding]:
    """What to say of a package that none of the kernels uses."""
    foreign = not any(_same_machine(candidate, kernel) for kernel in kernels)
    what = f"architecture {candidate.arch}" if foreign else f"flavor {candidate.flavor}"
    return (
        Subject(
            path=candidate.path,
            nevra=candidate.nevra,
            kernel=None,
            verdict="blocked" if foreign else "unverified",
            mismatches=(),
        ),
        Finding(
            reference="architecture" if foreign else "no-kernel-of-flavor",
            severity="error" if foreign else "warning",
            subject=candidate.path,
            message=f"is for {what}; the kernels given are {named({kernel.label for kernel in kernels})}",
            rule="A KMP is used by kernels of its own architecture and flavor only",
        ),
    )


def check(
    paths: Sequence[Path],
    kernels: Sequence[Kernel],
    *,
    certificates: Path | None = None,
    keys: Sequence[bytes] | None = None,
    require_signed: bool = False,
) -> CheckReport:
    """Check KMP RPMs, single modules, and folders of both against kernels.

    Everything given counts as installed together: modules may use each other's symbols. A package is
    judged against each kernel of its flavor, a single module against each kernel.

    Parameters
    ----------
    paths
        Files and folders. N-ueficert packages among them supply certificates; other packages are left out.
    kernels
        See `kmpsolve.modules.kernel.read_kernels`.
    certificates
        A certificate or a folder of them: what the target machine trusts.
    keys
        Armored OpenPGP keys to check packages with; ``None`` if there are none to check with.
    require_signed
        Whether what is unsigned, or signed by a stranger, is an error.

    Raises
    ------
    MetadataError
        If a named file cannot be read.
    RequestError
        ``nothing-to-check`` if there is neither a KMP nor a module.
    """
    collected = _collect(paths)
    candidates = collected.candidates
    if not candidates and all(finding.severity == "note" for finding in collected.left_out):
        raise RequestError(
            "holds no KMP and no kernel module",
            reference="nothing-to-check",
            where=", ".join(str(path) for path in paths),
            hint="Give KMP RPMs, .ko files, or folders of them",
        )
    trusted = read_certificates(certificates) if certificates else ()
    enrolled = [
        *trusted,
        *(
            certificate
            for companion in collected.companions.values()
            for certificate in companion.certificates
        ),
    ]
    findings = list(collected.left_out)
    for candidate in candidates:
        findings += _standing_findings(candidate)
        if candidate.rpm:
            state = check_rpm_signature(Path(candidate.path), keys or ())
            findings += of_rpm_signature(candidate, state, keys=keys is not None, required=require_signed)
        findings += of_module_signatures(candidate, trusted, collected.companions, required=require_signed)
    subjects: list[Subject] = []
    for kernel in kernels:
        matching = [candidate for candidate in candidates if _meets(candidate, kernel, kernels)]
        for candidate, (own, spoken) in zip(matching, _judge_in_use(matching, kernel), strict=True):
            subject, reasons = _judge(candidate, kernel, own, spoken, modules_refused(candidate, enrolled))
            subjects.append(subject)
            findings += reasons
    met = {subject.path for subject in subjects}
    for candidate in candidates:
        if candidate.path not in met:
            subject, reason = _met_by_none(candidate, kernels)
            subjects.append(subject)
            findings.append(reason)
    return CheckReport(
        subjects=tuple(sorted(subjects, key=lambda subject: (subject.path, subject.kernel or ""))),
        findings=tuple(
            sorted(findings, key=lambda finding: (finding.subject, finding.reference, finding.message))
        ),
    )


def _standing_findings(candidate: Candidate) -> Iterator[Finding]:
    """What holds against any kernel."""
    if candidate.rpm and not (candidate.files or candidate.absent or candidate.payload_damage):
        yield Finding(
            reference="no-module",
            severity="warning",
            subject=candidate.path,
            message="declares modules but contains none: judged by what it declares",
            rule="The module is the truth, the package only speaks of it",
        )
    for file in candidate.files:
        if file.module is None:
            yield Finding(
                reference="unreadable-module",
                severity="error",
                subject=candidate.path,
                message=f"{file.path} {file.damage}",
                rule=_LOADER,
            )
    if candidate.payload_damage:
        yield Finding(
            reference="payload-damaged",
            severity="error",
            subject=candidate.path,
            message=candidate.payload_damage,
            rule="rpmkeys(8): --checksig",
        )
    if foreign := _of_another_machine(candidate):
        names, machines = [module.name for module in foreign], {module.machine for module in foreign}
        yield Finding(
            reference="module-other-machine",
            severity="error",
            subject=candidate.path,
            message=f"is a package for {candidate.arch} with {number_of(names, 'module')}"
            f" for {named(machines)}: {named(names)}",
            rule=_LOADER,
        )
    yield from of_declarations(candidate)
    yield from of_packaging(candidate)
    yield from of_support(candidate)
