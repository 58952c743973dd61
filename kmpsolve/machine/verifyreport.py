"""What a look at the disk answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kmpsolve.model.plan import Unmanaged
from kmpsolve.modules.checkreport import CheckReport
from kmpsolve.modules.loader import Verdict

__all__ = ["VerifyReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport(CheckReport):
    """The answer of ``verify``.

    Parameters
    ----------
    unmanaged
        Modules that no package owns, judged against the newest kernel of their flavor.
    complete
        Whether it is known which package owns what, and every initrd could be read; without that nothing is safe.
    """

    unmanaged: tuple[Unmanaged, ...] = ()
    complete: bool = True

    @property
    def verdict(self) -> Verdict:
        """The worst there is; never ``safe`` if something could not be looked at."""
        verdicts = {subject.verdict for subject in self.subjects}
        if "blocked" in verdicts or any(finding.severity == "error" for finding in self.findings):
            return "blocked"
        return "unverified" if "unverified" in verdicts or not self.complete else "safe"

    def to_json(self) -> dict[str, Any]:
        """The document that ``verify --format json`` prints."""
        # Not super(): a dataclass with slots is another class than the one that super() remembers.
        return {
            **CheckReport.to_json(self),
            "unmanaged": [
                {
                    "module": one.module,
                    "path": one.path,
                    "state": one.state,
                    "mismatches": [
                        {"symbol": m.symbol, "kind": m.kind, "wanted": m.wanted, "found": m.found}
                        for m in one.mismatches
                    ],
                }
                for one in self.unmanaged
            ],
        }
