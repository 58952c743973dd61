"""What a check answers: a verdict on each subject, findings, and what follows from both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kmpsolve.modules.findings import Finding
from kmpsolve.modules.loader import Mismatch, Verdict

__all__ = ["CheckReport", "Subject"]

_BLOCKED, _UNVERIFIED = 4, 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One package or module against one kernel.

    Parameters
    ----------
    kernel
        What it was judged against; ``None`` if no given kernel has its flavor and architecture.
    mismatches
        Of all its modules, sorted by symbol.
    """

    path: str
    nevra: str | None
    kernel: str | None
    verdict: Verdict
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The answer to one check."""

    subjects: tuple[Subject, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst there is: of a subject, or an error among the findings."""
        verdicts = {subject.verdict for subject in self.subjects}
        if "blocked" in verdicts or any(finding.severity == "error" for finding in self.findings):
            return "blocked"
        return "unverified" if "unverified" in verdicts else "safe"

    @property
    def exit_code(self) -> int:
        """zypper's meaning: 0, 4 or 110."""
        return {"safe": 0, "blocked": _BLOCKED, "unverified": _UNVERIFIED}[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """The document that ``check --format json`` prints."""
        return {
            "schema_version": 1,
            "verdict": self.verdict,
            "subjects": [
                {
                    "path": subject.path,
                    "nevra": subject.nevra,
                    "kernel": subject.kernel,
                    "verdict": subject.verdict,
                    "mismatches": [
                        {
                            "symbol": mismatch.symbol,
                            "kind": mismatch.kind,
                            "wanted": mismatch.wanted,
                            "found": mismatch.found,
                        }
                        for mismatch in subject.mismatches
                    ],
                }
                for subject in self.subjects
            ],
            "findings": [
                {
                    "reference": finding.reference,
                    "severity": finding.severity,
                    "subject": finding.subject,
                    "message": finding.message,
                    "rule": finding.rule,
                }
                for finding in self.findings
            ],
        }
