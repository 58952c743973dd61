"""What a KMP declares, against what its modules need and export: symbols that rpm and zypper rely on.

The rules are those of the scripts that make a KMP's dependencies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from kmpsolve.model.needs import Need
from kmpsolve.modules.findings import Finding, Severity, against_manual, named, number_of
from kmpsolve.modules.kmp import Candidate

__all__ = ["of_declarations"]

_KSYMS = "rpm-config-SUSE: find-requires.ksyms and find-provides.ksyms"


def of_declarations(candidate: Candidate) -> Iterator[Finding]:
    """Compare what the package declares with what its modules need and export."""
    without = [module.name for module in candidate.modules if not module.versions]
    if without:
        yield against_manual(
            candidate.path,
            "no-symbol-versions",
            "warning",
            f"{number_of(without, 'module')} built without symbol versions (was kernel-syms missing?);"
            f" nothing can be said of another kernel: {named(without)}",
            "build requirements",
        )
    if candidate.rpm is None:
        return
    yield from _of_forms(candidate)
    if candidate.absent:
        yield Finding(
            reference="module-absent",
            severity="warning",
            subject=candidate.path,
            message=f"owns {number_of(candidate.absent, 'module')} made on the host, or behind a link, of which"
            f" nothing is known: {named(candidate.absent)}",
            rule="rpm: %ghost",
        )
    if candidate.readable:
        yield from _of_requires(candidate)
        yield from _of_provides(candidate)


def _ksyms(candidate: Candidate, reference: str, severity: Severity, message: str) -> Finding:
    return Finding(
        reference=reference, severity=severity, subject=candidate.path, message=message, rule=_KSYMS
    )


def _of_forms(candidate: Candidate) -> Iterator[Finding]:
    damaged = [repr(need.name) for need in candidate.needs if need.kind == "damaged"]
    if damaged:
        yield _ksyms(
            candidate,
            "ksym-damaged",
            "warning",
            f"{number_of(damaged, 'requirement')} of no known form: {named(damaged)}",
        )
    others = {need.flavor for need in candidate.needs if need.flavor} - {candidate.flavor}
    if others:
        yield _ksyms(
            candidate,
            "ksym-other-flavor",
            "error",
            f"is for flavor {candidate.flavor} but requires symbols of {named(others)}",
        )


def _of_requires(candidate: Candidate) -> Iterator[Finding]:
    exported = {
        (symbol, export.crc) for module in candidate.modules for symbol, export in module.exports.items()
    }
    real: dict[str, set[str]] = defaultdict(set)
    for module in candidate.modules:
        for symbol, crc in module.versions.items():
            real[symbol].add(crc)
    declared = _versions(need for need in candidate.needs if need.kind == "ksym")
    # A symset or an exact kernel stands for all symbols at once.
    covered = any(need.kind in ("symset", "exact-kernel") for need in candidate.needs)
    missing = {
        symbol
        for symbol, crcs in real.items()
        if symbol not in declared and any((symbol, crc) not in exported for crc in crcs)
    }
    if missing and not covered:
        yield _ksyms(
            candidate,
            "ksym-missing",
            "error",
            f"its modules need {number_of(missing, 'symbol')} that the package does not require, so that rpm"
            f" and zypper cannot know: {named(missing)}",
        )
    if wrong := {symbol for symbol, crcs in real.items() if declared.get(symbol, crcs) != crcs}:
        yield _ksyms(
            candidate,
            "ksym-wrong",
            "error",
            f"requires {number_of(wrong, 'symbol')} in another version than its modules need: {named(wrong)}",
        )
    if surplus := declared.keys() - real.keys():
        yield _ksyms(
            candidate,
            "ksym-surplus",
            "warning",
            f"requires {number_of(surplus, 'symbol')} that none of its modules needs: {named(surplus)}",
        )


def _of_provides(candidate: Candidate) -> Iterator[Finding]:
    real: dict[str, set[str]] = defaultdict(set)
    for module in candidate.modules:
        for symbol, export in module.exports.items():
            if export.crc is not None:
                real[symbol].add(export.crc)
    declared = _versions(candidate.declared)
    if missing := real.keys() - declared.keys():
        yield _ksyms(
            candidate,
            "export-missing",
            "warning",
            f"does not provide {number_of(missing, 'symbol')} that its modules export: {named(missing)}",
        )
    if wrong := {symbol for symbol, crcs in declared.items() if real.get(symbol) != crcs}:
        yield _ksyms(
            candidate,
            "export-wrong",
            "error",
            f"provides {number_of(wrong, 'symbol')} that its modules do not export in that version:"
            f" {named(wrong)}",
        )


def _versions(needs: Iterable[Need]) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = defaultdict(set)
    for need in needs:
        versions[need.name].add(need.value)
    return versions
