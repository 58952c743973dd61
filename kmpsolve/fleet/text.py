"""An audit for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kmpsolve.fleet.audit import Audit, Group, NewestSafe
from kmpsolve.model.plan import SkippedInput, Verdict
from kmpsolve.report.table import TextCell, table
from kmpsolve.report.terminal import Terminal, Tone, printable
from kmpsolve.report.words import evr, few, plural

__all__ = ["render_text"]

_TONES: dict[Verdict, Tone] = {
    "safe": "good",
    "blocked": "bad",
    "unverified": "doubt",
    "nothing-to-do": "plain",
}
_ORDER: tuple[Verdict, ...] = ("blocked", "unverified", "safe", "nothing-to-do")
_MOST = 10
"""Lines of each list; JSON and HTML have all."""


def render_text(audit: Audit, terminal: Terminal) -> str:
    """The verdict, what blocks, what frees most hosts, and what else to know."""
    return "\n".join(_lines(audit, terminal)) + "\n"


def _lines(audit: Audit, terminal: Terminal) -> Iterator[str]:
    hosts = len(audit.fleet.hosts)
    told = ", ".join(f"{audit.verdicts[v]:,} {v.replace('-', ' ')}" for v in _ORDER if audit.verdicts[v])
    word = audit.verdict.replace("-", " ").upper()
    yield from terminal.flow(
        [(plural(hosts, "host"), "strong"), (f"{word}: {told}", _TONES[audit.verdict])], indent=2
    )
    if audit.fleet.damaged:
        yield ""
        yield from terminal.wrapped("", f"{plural(len(audit.fleet.damaged), 'record')} could not be read:")
        for damage in audit.fleet.damaged[:_MOST]:
            place = f"{damage.source}:{damage.line}" if damage.line else damage.source
            yield from terminal.wrapped("  ", f"{place}: {damage.reason}", hang=4)
        yield from _more(len(audit.fleet.damaged))
    if audit.skipped:
        yield ""
        yield from _not_read(audit.skipped, terminal)
    if audit.blocking:
        yield ""
        yield "What blocks"
        rows = [
            [
                TextCell(f"{one.hosts:,}", "bad", number=True),
                TextCell(one.kmp, "strong"),
                TextCell(evr(one.kernel)),
                TextCell(_symbols(one.symbols)),
            ]
            for one in audit.blocking[:_MOST]
        ]
        yield from table(
            [_head("hosts", "KMP", "on kernel", "symbols that do not fit"), *rows], terminal, fixed=2
        )
        yield from _more(len(audit.blocking))
    if audit.newest_safe:
        yield ""
        yield "The newest kernel that is safe for all, or for most"
        for kernel in audit.newest_safe:
            yield from terminal.wrapped(f"  {kernel.flavor}  ", _newest(kernel), hang=4)
    for freeing in audit.frees_most:
        told = f"{freeing.nevra} frees {freeing.hosts:,} of {plural(freeing.hosts_blocked, 'blocked host')}"
        yield from terminal.wrapped(f"  {freeing.flavor}  ", told, hang=4)
    if audit.groups:
        yield ""
        rows = [_group(group) for group in audit.groups]
        heads = _head("group", *(v.replace("-", " ") for v in _ORDER), "newest safe")
        yield from table([heads, *rows], terminal)
    if audit.rebuilds:
        yield ""
        yield "Rebuilds to ask for, by hosts that they free"
        for rebuild in audit.rebuilds[:_MOST]:
            vendor = rebuild.vendor or "an unknown vendor"
            yield from terminal.wrapped(
                f"  {rebuild.hosts_unblocked:>7,}  ",
                f"{vendor}: {rebuild.kmp} for {evr(rebuild.kernel)} (blocks {plural(rebuild.hosts, 'host')} in all)",
            )
        yield from _more(len(audit.rebuilds))
    if audit.risks:
        yield ""
        yield "After the update"
        for risk in audit.risks[:_MOST]:
            yield from terminal.wrapped(f"  {plural(risk.hosts, 'host')}: ", risk.message, hang=4)
        yield from _more(len(audit.risks))
    if audit.stale:
        yield ""
        yield from terminal.wrapped(
            "",
            f"{plural(len(audit.stale), 'host')} with repositories that were not refreshed lately: "
            + few(audit.stale),
        )
    yield from _what_if(audit, terminal)
    yield from _changes(audit, terminal)


def _head(*names: str) -> list[TextCell]:
    return [TextCell(name, number=name == "hosts") for name in names]


def _not_read(skipped: Iterable[SkippedInput], terminal: Terminal) -> Iterator[str]:
    for one in skipped:
        yield from terminal.wrapped(f"Not read: {printable(one.alias)}: ", one.reason, hang=10)


def _more(count: int) -> Iterator[str]:
    if count > _MOST:
        yield f"  (and {count - _MOST:,} more: --format json)"


def _symbols(symbols: tuple[str, ...]) -> str:
    return f"{len(symbols)}: {few(symbols, 2)}" if symbols else "none: another cause"


def _newest(one: NewestSafe) -> str:
    if one.nevra is None:
        return f"none is safe for any of {plural(one.hosts_total, f'{one.arch} host')}"
    whom = "all" if one.hosts_safe == one.hosts_total else f"{one.hosts_safe:,} of"
    return f"{one.nevra}: {whom} {plural(one.hosts_total, 'host')}"


def _group(group: Group) -> list[TextCell]:
    safe = ", ".join(
        f"{one.nevra or 'none'} ({one.hosts_safe:,}/{one.hosts_total:,})" for one in group.newest_safe
    )
    counts = [
        TextCell(f"{group.verdicts[v]:,}", _TONES[v] if group.verdicts[v] else "plain", number=True)
        for v in _ORDER
    ]
    return [TextCell(group.key or "(none)", "strong"), *counts, TextCell(safe)]


def _what_if(audit: Audit, terminal: Terminal) -> Iterator[str]:
    what_if = audit.what_if
    if what_if is not None:
        told = ", ".join(
            f"{what_if.verdicts[v]:,} {v.replace('-', ' ')}" for v in _ORDER if what_if.verdicts[v]
        )
        yield ""
        yield from terminal.wrapped(
            "",
            f"With {', '.join(what_if.repositories)}: {told}; "
            f"it frees {plural(len(what_if.freed), 'host')}"
            + (f": {few(what_if.freed)}" if what_if.freed else ""),
        )
        yield from _not_read([one for one in what_if.skipped if one not in audit.skipped], terminal)


def _changes(audit: Audit, terminal: Terminal) -> Iterator[str]:
    changes = audit.changes
    if changes is not None:
        yield ""
        yield from terminal.wrapped(
            "",
            f"Since the baseline: {plural(len(changes.changed), 'verdict')} changed, "
            f"{plural(len(changes.appeared), 'host')} new, {plural(len(changes.gone), 'host')} gone",
        )
        for host, before, now in changes.changed[:_MOST]:
            yield f"  {printable(host)}: {before} -> {now}"
        yield from _more(len(changes.changed))
