"""What the hook and the guard say in the middle of somebody's ``zypper up``."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kmpsolve.errors import KmpsolveError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import FlavorPlan, KmpPlan, Plan, WayOut
from kmpsolve.planner.signing import REQUIRED
from kmpsolve.report.terminal import printable
from kmpsolve.zypp.action import falling

if TYPE_CHECKING:
    from kmpsolve.zypp.survey import Guarded, Held

__all__ = ["failure", "held", "journal_line", "passed", "patch_command", "said", "stopped", "warned"]

_INDENT = " " * len("kmpsolve: ")
_WIDTH = 100
_VERBS = ("up", "update", "dup", "dist-upgrade", "patch", "in", "install", "rm", "remove")
_IN_VAIN = "zypper up would still be stopped: an update of a KMP breaks one, and the guard holds kernels only"
_LABELS = {
    "fetch-with": "Do it right:",
    "newest-safe": "Safe instead:",
    "vendor-change": "From another vendor:",
    "lock": "Without the lock:",
    "repository": "With another repository:",
}


def said(text: str) -> list[str]:
    """One paragraph, wrapped and set off as the other lines are; a command is never cut in two."""
    return textwrap.wrap(
        printable(text),
        width=_WIDTH,
        initial_indent="kmpsolve: ",
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def stopped(
    plan: Plan,
    arguments: Sequence[str],
    *,
    guarded: Guarded | None = None,
    unheld: str | None = None,
    snapper: bool = False,
) -> list[str]:
    """Why a transaction was stopped, and what to do instead.

    Parameters
    ----------
    plan
        The judgement.
    arguments
        zypper's command line.
    guarded
        What the guard holds from now on, where that was asked for.
    unheld
        Why nothing could be held then.
    snapper
        Whether snapper's plugin may have made a snapshot for this run.
    """
    lines = said(f"stopped this update before anything was changed: {_reason(plan)}")
    commands = list(_commands(plan))
    held = [f"{one.kernel.name} {one.kernel.nevra.evr}" for one in guarded.held] if guarded else []
    again = _again(arguments)
    once = f"KMPSOLVE_DISABLE=1 {again}"
    if unheld:
        lines += _more(f"not held back from the next run: {unheld}")
    if patches := _held_patches(plan):
        lines += _more(f"this holds back: {'; '.join(patches)}")
    if held:
        once = f"kmpsolve guard off && {once}"  # with the lock in place that run would leave the kernel out
        rest = "" if guarded and guarded.in_vain else " Everything else is updated by:"
        lines += _more(
            f"held from now on: {', '.join(held)}. Only the guard lifts that when a rebuild appears:"
            f" kmpsolve guard on.{rest}"
        )
        commands = [(label, _unlocked(way, held)) for label, way in commands]
    if guarded and guarded.in_vain:
        lines += _more(_IN_VAIN)
    elif guarded:
        if not held:
            lines += _more("no kernel has to be held: plain zypper up keeps every KMP")
        commands = [_everything_else(arguments), *commands]
    elif not commands:
        commands = [("Everything else:", "kmpsolve guard on && zypper up")] if _arriving_kernel(plan) else []
    commands += [("Details:", "zypper kmp plan"), ("Once, anyway:", once)]
    width = max(len(label) for label, _ in commands)
    lines += [f"{_INDENT}{label:<{width}}  {printable(command)}" for label, command in commands]
    if snapper:
        lines += _more("snapper's snapshot from before this run may stay; its own cleanup removes it")
    return lines


def passed(plan: Plan) -> list[str]:
    """A line for each KMP, and what has to be known besides."""
    lines: list[str] = []
    for flavor in plan.flavors:
        # One that goes because it was named works no less than before: the warning says what happens to it.
        going = {w.message.partition(" ")[0] for w in flavor.warnings if w.reference == "removed"}
        staying = [kmp for kmp in flavor.kmps if kmp.name not in going]
        lines += [f"kmpsolve: {printable(_fate(kmp, flavor))}" for kmp in staying]
        lines += [line for message in _unchecked(flavor) for line in said(f"warning: {message}")]
        for warning in flavor.warnings:
            if warning.reference not in ("stale-metadata",):
                lines += said(f"warning: {warning.message}")
    return lines


def warned(plan: Plan) -> list[str]:
    """The verdict where the configuration lets a blocked transaction through."""
    return said(f"warning: {_reason(plan)} This update goes on, since on_blocked is warn.")


def held(guarded: Guarded) -> list[str]:
    """A line for each flavor with held kernels: the newest, why, and what zypper takes instead.

    Where one works with what ``zypper up`` does not bring along, there is the command for the newest such.
    """
    newest: dict[str, Held] = {}
    for one in guarded.held:
        name = one.kernel.name
        if name not in newest or newest[name].kernel.nevra.evr < one.kernel.nevra.evr:
            newest[name] = one
    lines = []
    for name, one in sorted(newest.items()):
        lost = ", ".join(f"{kmp}: {reason}" for kmp, reason in one.kmps)
        count = sum(other.kernel.name == name for other in guarded.held) - 1
        others = f" and {count} older" if count else ""
        instead = f"the newest safe one is {one.instead.nevra.evr}" if one.instead else "no newer one is safe"
        lines.append(
            printable(f"kmpsolve: {name} {one.kernel.nevra.evr}{others} held back ({lost}); {instead}")
        )
        ways = [other for other in guarded.held if other.kernel.name == name and other.command]
        if ways:
            way = max(ways, key=lambda other: other.kernel.nevra.evr)
            label = f"With what {way.kernel.nevra.evr} needs:"
            command = f"kmpsolve guard off && {way.command}; kmpsolve guard on"
            lines.append(f"{_INDENT}{label}  {printable(command)}")
    return lines + (said(_IN_VAIN) if guarded.in_vain else [])


def patch_command(patches: Sequence[str]) -> list[str]:
    """The command that installs the patches without the kernel's."""
    if not patches:
        return []
    return [f"{_INDENT}All other patches:  zypper install -t patch {printable(shlex.join(patches))}"]


def failure(error: KmpsolveError, *, stops: bool, arguments: Sequence[str]) -> list[str]:
    """What to say when there is no verdict."""
    hint = f" {error.hint}" if error.hint else ""
    if not stops:
        return said(f"this update was not checked: {error}.{hint}")
    lines = said(
        f"stopped this update before anything was changed, since it cannot be checked: {error}.{hint}"
    )
    return [*lines, f"{_INDENT}Once, anyway:  KMPSOLVE_DISABLE=1 {printable(_again(arguments))}"]


def journal_line(plan: Plan) -> str:
    """The verdict in one line."""
    if plan.verdict == "blocked":
        return printable(_reason(plan))
    parts = []
    for flavor in plan.flavors:
        fates = ", ".join(f"{kmp.name} {kmp.decision}" for kmp in flavor.kmps) or "no KMP"
        parts.append(f"{_kernel(flavor)}: {fates}")
    return printable(f"{plan.verdict}: {'; '.join(parts) or 'no kernel'}")


def _more(text: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        width=_WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _kernel(flavor: FlavorPlan) -> str:
    if flavor.target is None:
        return f"kernel-{flavor.flavor}"
    nevra = Nevra.parse(flavor.target.nevra)
    return f"{nevra.name} {nevra.evr}"


def _lost(flavor: FlavorPlan) -> list[KmpPlan]:
    return [kmp for kmp in flavor.kmps if kmp.decision == "blocked" and kmp.waived is None]


def _arriving_kernel(plan: Plan) -> bool:
    """Whether a kernel is part of what is wrong: one that the guard would hold."""
    return any(_arrives(flavor) for flavor in plan.flavors if flavor.verdict in ("blocked", "unverified"))


def _arrives(flavor: FlavorPlan) -> bool:
    return flavor.target is not None and flavor.target.repository is not None


def _reason(plan: Plan) -> str:
    sentences = []
    for flavor in plan.flavors:
        if flavor.verdict == "blocked":
            lost = [(f"{kmp.name} ({_why(kmp, flavor, plan)})", kmp.installed) for kmp in _lost(flavor)]
            who = _kernel(flavor) if _arrives(flavor) else "it"
            if gone := ", ".join(what for what, installed in lost if installed):
                sentences.append(f"{who} would leave this machine without {gone}.")
            if new := ", ".join(what for what, installed in lost if not installed):
                it = "It" if sentences else "it"
                sentences.append(f"{it} would install {new}, which does not work on {_kernel(flavor)}.")
            for loss in () if lost else _losses_of_fallbacks(flavor):
                sentences.append(f"{'The' if sentences else 'the'} {loss.removeprefix('the ')}.")
        if flavor.verdict == "unverified" or (flavor.verdict == "blocked" and _arrives(flavor)):
            doubtful = ", ".join(kmp.name for kmp in flavor.kmps if kmp.decision == "unverified")
            if doubtful:
                sentences.append(
                    f"{'Nobody' if sentences else 'nobody'} can tell whether {doubtful} works on {_kernel(flavor)}: "
                    "built without symbol versions."
                )
            sentences += [f"{message}." for message in _unchecked(flavor)]
    return " ".join(sentences)


def _losses_of_fallbacks(flavor: FlavorPlan) -> list[str]:
    """What is told of kernels that stay and lose a KMP that counts."""
    told = [w.message for w in flavor.warnings if w.reference == "fallback-loses"]
    counted = falling(flavor)
    return [message for message in told if message.rpartition(" ")[2] in counted]


def _unchecked(flavor: FlavorPlan) -> list[str]:
    """What is told of signatures that had to be known, and of headers that a rebuild needs."""
    told = ("headers-missing", REQUIRED) if _arrives(flavor) else (REQUIRED,)
    return [w.message for kmp in flavor.kmps for w in kmp.warnings if w.reference in told]


def _why(kmp: KmpPlan, flavor: FlavorPlan, plan: Plan) -> str:
    kind = kmp.causes[0].kind if kmp.causes else "symbols"
    if kind == "missing" and kmp.causes[0].packages == (kmp.name,):
        return "it would be removed"
    if kind == "missing" and flavor.target is None:
        return f"no kernel-{flavor.flavor} would be left"
    if kind in ("missing", "user-space", "signature"):
        return kmp.causes[0].message
    if kind == "module-dropped":
        return f"{', '.join(kmp.causes[0].packages)} would be gone"
    if kind == "exact-kernel":
        found = f"built for {kmp.causes[0].packages[0]} only"
    elif kmp.mismatches:
        found = f"{len(kmp.mismatches)} of {kmp.symbols_required} kernel symbols changed"
    else:
        found = kmp.causes[0].message
    if any(way.kind == "fetch-with" and kmp.name in way.kmps for way in flavor.ways_out) and not any(
        a.repository and not a.mismatches and a.cause is None for a in kmp.tried
    ):
        return f"{found}; its rebuild is not part of this update"
    fitting = [a for a in kmp.tried if a.repository and not a.mismatches and a.cause is None]
    if fitting:
        best = Nevra.parse(fitting[0].nevra)
        return f"{found}; the rebuilt {best.evr} from {fitting[0].repository} is not part of this update"
    count = len(plan.inputs.repositories)
    return f"{found}; no rebuilt KMP in {count} {'repository' if count == 1 else 'repositories'}"


def _held_patches(plan: Plan) -> list[str]:
    """The patches that wait until the kernel may come: id, severity, CVEs."""
    found = {
        ", ".join([patch["id"], patch["severity"], *patch["cves"]])
        for flavor in plan.flavors
        for way in flavor.ways_out
        for patch in way.held_patches
        if flavor.verdict == "blocked"
    }
    return sorted(found)


def _commands(plan: Plan) -> Iterator[tuple[str, str]]:
    given: set[str] = set()
    for flavor in plan.flavors:
        if flavor.verdict != "blocked":
            continue
        # What suits an older kernel than boots next is for who chooses that one: the hook would stop it as well.
        unfit = {"newest-safe"} if _older_is_safe(flavor) else set()
        ways = (w for w in flavor.ways_out if w.command and w.kind in _LABELS and w.kind not in unfit)
        way: WayOut | None = next(ways, None)
        if way is not None and way.command not in given:
            assert way.command is not None
            given.add(way.command)
            yield _LABELS[way.kind], way.command


def _unlocked(command: str, held: Sequence[str]) -> str:
    """The command, after the locks are gone if it installs what these hold: zypper refuses it with them."""
    locked = [kernel.partition(" ") for kernel in held]
    words = shlex.split(command)
    refused = any(name in word and word.endswith(f"={evr}") for name, _, evr in locked for word in words)
    return f"kmpsolve guard off && {command}" if refused else command


def _older_is_safe(flavor: FlavorPlan) -> bool:
    """Whether the newest safe kernel is older than the newest installed one, which boots next without a choice."""
    if flavor.newest_safe is None or not flavor.current:
        return False
    return Nevra.parse(flavor.newest_safe).evr < Nevra.parse(flavor.current[0].nevra).evr


def _again(arguments: Sequence[str]) -> str:
    return shlex.join(["zypper", *arguments[1:]]) if arguments else "zypper up"


def _everything_else(arguments: Sequence[str]) -> tuple[str, str]:
    """What updates the rest beside a lock, with its label: ``patch``, ``in`` and ``dup`` stumble over it."""
    words = list(arguments[1:])
    verb = next((place for place, word in enumerate(words) if word in _VERBS), None)
    if verb is None:
        return "Everything else:", "zypper up"
    if words[verb] in ("up", "update") and all(word.startswith("-") for word in words[verb + 1 :]):
        return "Again:", _again(arguments)
    return "Everything else:", shlex.join(["zypper", *words[:verb], "up"])


def _fate(kmp: KmpPlan, flavor: FlavorPlan) -> str:
    kernel = _kernel(flavor)
    evr = f" {Nevra.parse(kmp.chosen).evr}" if kmp.chosen else ""
    count = f"{kmp.symbols_required} symbol{'' if kmp.symbols_required == 1 else 's'}"
    unchanged = f"{count}, none changed"
    if not kmp.symbols_required:
        count = unchanged = "built for exactly this kernel"
    if kmp.decision == "reuse":
        return f"{kmp.name}{evr} keeps working on {kernel} ({unchanged})"
    if kmp.decision == "fetch":
        return f"{kmp.name}{evr} comes along and works on {kernel} ({count})"
    if kmp.decision == "builtin":
        return f"{kmp.name}: {kernel} ships its modules itself"
    if kmp.decision == "rebuild-on-host":
        return f"{kmp.name}{evr} rebuilds itself for {kernel}"
    if kmp.decision == "unverified":
        return f"{kmp.name}{evr}: nobody can tell whether it works on {kernel}: built without symbol versions"
    if kmp.waived is not None:
        return f"{kmp.name} does not work on {kernel}; waived until {kmp.waived.expires}: {kmp.waived.reason}"
    return f"{kmp.name} does not work on {kernel}"
