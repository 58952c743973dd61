"""The plan: frozen values whose fields are the JSON contract, key for key.

Nothing here decides anything. `Plan.to_dict` is the JSON document (schema_version 1); field names,
their order and the closed sets of words are fixed, since scripts and other tools rely on them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from kmpsolve.model.jsontext import json_text

__all__ = [
    "SCHEMA_VERSION",
    "Attempt",
    "BootState",
    "BuildInUse",
    "Cause",
    "CauseKind",
    "Decision",
    "FlavorPlan",
    "Inputs",
    "InstalledKernel",
    "KmpPlan",
    "Mismatch",
    "Plan",
    "RepositoryInput",
    "SkippedInput",
    "Step",
    "Target",
    "Unmanaged",
    "Verdict",
    "Waived",
    "Warned",
    "WayOut",
    "ZypperWould",
    "worst",
]

SCHEMA_VERSION = 1

Verdict = Literal["safe", "blocked", "unverified", "nothing-to-do"]
Decision = Literal["reuse", "fetch", "builtin", "rebuild-on-host", "unverified", "blocked"]
MismatchKind = Literal["disagrees", "unknown"]
CauseKind = Literal[
    "symbols",
    "kmp",
    "exact-kernel",
    "missing",
    "conflict",
    "vendor",
    "lock",
    "architecture",
    "retracted",
    "falls-back-to-in-tree",
    "module-dropped",
    "user-space",
    "already-broken",
    "signature",
]
Via = Literal["native", "weak-updates", "builtin", "none", "unknown"]
KernelState = Literal["running", "new", "purged-next", "installed"]
WayOutKind = Literal[
    "newest-safe",
    "fetch-with",
    "repository",
    "vendor-rebuild",
    "vendor-change",
    "lock",
    "hold",
    "waiver",
    "remove",
]
Action = Literal["install", "upgrade", "downgrade", "erase"]

_SEVERITY: dict[Verdict, int] = {"blocked": 3, "unverified": 2, "safe": 1, "nothing-to-do": 0}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that counts among several: blocked > unverified > safe > nothing-to-do."""
    return max(verdicts, key=_SEVERITY.__getitem__, default="nothing-to-do")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Warned:
    """Something worth knowing that does not change the verdict."""

    reference: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mismatch:
    """A symbol version (or symset) that a build wants and the target does not have.

    Parameters
    ----------
    symbol
        The symbol's or symset's name.
    kind
        depmod's words: ``disagrees`` about the version, or ``unknown`` symbol.
    wanted, found
        CRCs: lower-case hex, no ``0x``, no leading zeros.
    """

    symbol: str
    kind: MismatchKind
    wanted: str
    found: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A build that was tried for a KMP, and how far it fits."""

    nevra: str
    repository: str | None
    mismatches: int
    cause: CauseKind | None


@dataclass(frozen=True, slots=True, order=True)
class Cause:
    """One reason why a KMP is blocked.

    Parameters
    ----------
    kind
        From the contract's list.
    message
        One sentence, present tense, naming packages in full.
    packages
        Names or NEVRAs of the packages that the reason is about, sorted.
    """

    kind: CauseKind
    message: str
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A waiver that applies to a KMP."""

    reason: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KmpPlan:
    """What happens to one installed KMP."""

    name: str
    decision: Decision
    installed: tuple[str, ...]
    chosen: str | None
    repository: str | None
    symbols_required: int
    mismatches: tuple[Mismatch, ...]
    tried: tuple[Attempt, ...]
    causes: tuple[Cause, ...]
    waived: Waived | None
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledKernel:
    """A kernel that stands on the system now."""

    nevra: str
    uname_r: str
    running: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The kernel that will boot next."""

    nevra: str
    uname_r: str
    repository: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZypperWould:
    """What plain ``zypper up`` would do, for comparison."""

    target: str | None
    kmps: dict[str, str | None]
    held_because: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmanaged:
    """A module under /lib/modules that no RPM owns."""

    module: str
    path: str
    state: Literal["loads", "blocked", "unverified"]
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInUse:
    """The build that serves a KMP on one kernel, and how it gets there."""

    build: str | None
    via: Via


@dataclass(frozen=True, slots=True, kw_only=True)
class BootState:
    """One kernel after the update and what each KMP is on it."""

    uname_r: str
    state: KernelState
    kmps: dict[str, BuildInUse]


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """Something a person can do about a blocked KMP; least loss first."""

    kind: WayOutKind
    text: str
    command: str | None
    kmps: tuple[str, ...]
    held_patches: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlavorPlan:
    """The plan for the kernels of one flavor."""

    flavor: str
    arch: str
    verdict: Verdict
    current: tuple[InstalledKernel, ...]
    target: Target | None
    zypper_would: ZypperWould
    kmps: tuple[KmpPlan, ...]
    modules_lost: tuple[str, ...]
    unmanaged: tuple[Unmanaged, ...]
    boot_matrix: tuple[BootState, ...]
    newest_safe: str | None
    ways_out: tuple[WayOut, ...]
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryInput:
    """A repository that was read."""

    alias: str
    source: str
    packages: int
    revision: str | None
    timestamp: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedInput:
    """A repository that was not read, and why."""

    alias: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the plan was made from."""

    root: str | None
    repositories: tuple[RepositoryInput, ...]
    skipped: tuple[SkippedInput, ...]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Step:
    """One package that the transaction installs or removes; `repository` is null for an erase."""

    action: Action
    nevra: str
    repository: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a kernel update would do to every KMP of a system."""

    schema_version: int = SCHEMA_VERSION
    verdict: Verdict
    complete: bool
    inputs: Inputs
    flavors: tuple[FlavorPlan, ...]
    transaction: tuple[Step, ...]
    command: str | None

    def to_dict(self) -> dict[str, Any]:
        """The JSON document as Python values."""
        document: dict[str, Any] = json.loads(self.to_json())
        return document

    def to_json(self, indent: int | None = 2) -> str:
        """The JSON document as text, ending in a newline; the same input gives the same bytes.

        Parameters
        ----------
        indent
            Blanks for each level; ``None``: everything on one line.
        """
        return json_text(dataclasses.asdict(self), indent) + "\n"

    @staticmethod
    def schema() -> dict[str, Any]:
        """The JSON schema of `to_json`'s document (draft 2020-12)."""
        from pydantic import TypeAdapter

        schema = TypeAdapter(Plan).json_schema(mode="serialization")
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "kmpsolve plan", **schema}
