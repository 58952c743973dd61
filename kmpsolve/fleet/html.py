"""An audit as a page: hosts by verdict, what blocks them, kernels against KMPs, and every state in detail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from kmpsolve.fleet.audit import Audit
from kmpsolve.fleet.deciding import Decided
from kmpsolve.model.plan import Verdict
from kmpsolve.report.html.page import Badge, Section, render_page, render_part
from kmpsolve.report.matrix import short_kernels
from kmpsolve.report.words import evr, few, plural

__all__ = ["render_html"]

_BADGES: dict[Verdict, Badge] = {
    "safe": "good",
    "blocked": "bad",
    "unverified": "doubt",
    "nothing-to-do": "plain",
}
_ORDER: tuple[Verdict, ...] = ("blocked", "unverified", "safe", "nothing-to-do")
_HOSTS = 2000
"""Hosts in the table; a browser is no place for a hundred thousand rows."""
_STATES = 200
_NAMED = 20
_WIDTH = 240


def render_html(audit: Audit) -> str:
    """One page."""
    hosts = len(audit.fleet.hosts)
    told = ", ".join(f"{audit.verdicts[v]:,} {v.replace('-', ' ')}" for v in _ORDER if audit.verdicts[v])
    lead = [f"{plural(hosts, 'host')} in {plural(len(audit.counts), 'state')}: {told}."]
    for one in audit.newest_safe:
        those = plural(one.hosts_total, f"{one.arch} host")
        if one.nevra is None:
            lead.append(f"kernel-{one.flavor}: no kernel is safe for any of {those}.")
        else:
            whom = "all" if one.hosts_safe == one.hosts_total else f"{one.hosts_safe:,} of"
            lead.append(
                f"kernel-{one.flavor}: {evr(one.nevra)} is the newest kernel safe for {whom} {those}."
            )
    for freeing in audit.frees_most:
        lead.append(
            f"kernel-{freeing.flavor}: {evr(freeing.nevra)} frees {freeing.hosts:,} of "
            f"{plural(freeing.hosts_blocked, 'blocked host')}."
        )
    then = audit.what_if.skipped if audit.what_if is not None else ()
    for skipped in dict.fromkeys([*audit.skipped, *then]):
        lead.append(f"Not read: {skipped.alias}: {skipped.reason}.")
    if audit.stale:
        lead.append(f"{plural(len(audit.stale), 'host')} with metadata that was not refreshed lately.")
    return render_page(
        title="kmpsolve audit",
        verdict=audit.verdict.replace("-", " "),
        badge=_BADGES[audit.verdict],
        lead=lead,
        sections=[section for section in _sections(audit) if section is not None],
    )


def _sections(audit: Audit) -> Iterable[Section | None]:
    yield _by_verdict(audit)
    yield _blocking(audit)
    yield _heatmap(audit)
    yield _groups(audit)
    yield _table(
        "rebuilds",
        "Rebuilds to ask for",
        "By hosts that nothing else blocks",
        ["KMP", "vendor", "for kernel", "hosts it frees", "hosts it blocks"],
        [[r.kmp, r.vendor, r.kernel, f"{r.hosts_unblocked}", f"{r.hosts}"] for r in audit.rebuilds],
    )
    yield _table(
        "risks",
        "After the update",
        "What older kernels and the next purge lose",
        ["what", "kind", "hosts"],
        [[risk.message, risk.reference, f"{risk.hosts}"] for risk in audit.risks],
    )
    if audit.what_if is not None:
        rows = [[v.replace("-", " "), f"{audit.verdicts[v]}", f"{audit.what_if.verdicts[v]}"] for v in _ORDER]
        title = f"With {', '.join(audit.what_if.repositories)}"
        yield _table("what-if", title, title, ["verdict", "hosts now", "hosts then"], rows)
    if audit.changes is not None:
        rows = [[host, before, now] for host, before, now in audit.changes.changed]
        rows += [[host, "", "new"] for host in audit.changes.appeared]
        rows += [[host, "", "gone"] for host in audit.changes.gone]
        heads = ["host", "before", "now"]
        yield _table("changes", "Since the baseline", "Hosts whose verdict changed", heads, rows[:_HOSTS])
    yield _table(
        "damaged",
        "Could not be read",
        "Records of the inventory that could not be read",
        ["where", "line", "why"],
        [[one.source, f"{one.line or ''}", one.reason] for one in audit.fleet.damaged[:_HOSTS]],
    )
    yield _hosts(audit)
    yield _states(audit)


def _table(
    id_: str, title: str, caption: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Section | None:
    if not rows:
        return None
    body = render_part("table", id=f"table-{id_}", caption=caption, heads=heads, rows=rows)
    return Section(id=id_, title=title, body=body)


def _bar(count: int, most: int) -> Markup:
    """A bar; the number beside it says the same."""
    width = max(1, round(_WIDTH * count / most)) if most and count else 0
    return Markup(
        '<svg aria-hidden="true" width="{}" height="12" viewBox="0 0 {} 12">'
        '<rect width="{}" height="12" fill="currentColor"/></svg>'
    ).format(_WIDTH, _WIDTH, width)


def _by_verdict(audit: Audit) -> Section | None:
    most = max(audit.verdicts.values())
    rows = [
        [
            v.replace("-", " "),
            {"badge": _BADGES[v], "text": f"{audit.verdicts[v]:,}"},
            _bar(audit.verdicts[v], most),
        ]
        for v in _ORDER
    ]
    return _table("verdicts", "Hosts by verdict", "Hosts by verdict", ["verdict", "hosts", "share"], rows)


def _blocking(audit: Audit) -> Section | None:
    most = max((one.hosts for one in audit.blocking), default=0)
    rows = [
        [
            one.kmp,
            one.kernel,
            f"{one.hosts}",
            _bar(one.hosts, most),
            f"{one.mismatches}",
            few(one.symbols, 20),
        ]
        for one in audit.blocking
    ]
    heads = ["KMP", "on kernel", "hosts", "share", "symbols", "which"]
    return _table("blocking", "What blocks", "KMPs that would not load, most hosts first", heads, rows)


def _heatmap(audit: Audit) -> Section | None:
    """KMPs against the kernels that hosts would boot, coloured by the share of the fleet that is blocked."""
    if not audit.blocking:
        return None
    hosts = {(one.kmp, one.kernel): one.hosts for one in audit.blocking}
    kernels = sorted({one.kernel for one in audit.blocking})
    common, short = short_kernels([evr(kernel) for kernel in kernels])
    total = len(audit.fleet.hosts)
    rows = [
        {"name": kmp, "cells": [_cell(hosts.get((kmp, kernel), 0), total) for kernel in kernels]}
        for kmp in dict.fromkeys(one.kmp for one in audit.blocking)
    ]
    legend = [("h0", "0: no host blocked"), ("h1", "up to 1 % of the hosts"), ("h2", "up to 10 %")]
    body = render_part(
        "heatmap",
        id="heatmap-hosts",
        caption="Hosts that a KMP keeps from a kernel",
        common=f"{common}*" if common else "",
        kernels=[{"label": label, "marks": []} for label in short],
        groups=[{"name": "", "rows": rows}],
        legend=[*legend, ("h3", "up to half"), ("h4", "more")],
    )
    return Section(id="heat", title="Where hosts are blocked", body=body)


def _cell(hosts: int, total: int) -> tuple[str, str]:
    share = hosts / total if total else 0
    steps = ((0.0, "h0"), (0.01, "h1"), (0.1, "h2"), (0.5, "h3"), (1.0, "h4"))
    return next(kind for most, kind in steps if share <= most), f"{hosts}"


def _groups(audit: Audit) -> Section | None:
    rows = [
        [
            group.key or "(none)",
            *(
                {"badge": _BADGES[v] if group.verdicts[v] else "plain", "text": f"{group.verdicts[v]}"}
                for v in _ORDER
            ),
            ", ".join(f"{s.nevra or 'none'} ({s.hosts_safe} of {s.hosts_total})" for s in group.newest_safe),
        ]
        for group in audit.groups
    ]
    heads = ["group", *(v.replace("-", " ") for v in _ORDER), "newest safe kernel"]
    return _table("groups", "Groups", "Hosts by group", heads, rows)


def _hosts(audit: Audit) -> Section | None:
    worst_first = {v: i for i, v in enumerate(_ORDER)}
    ranks = [worst_first[one.verdict] for one in audit.decided]
    states = audit.fleet.states
    first = sorted(range(len(states)), key=lambda i: ranks[states[i]])[:_HOSTS]
    rows = [
        [
            audit.fleet.hosts[i],
            {"badge": _BADGES[one.verdict], "text": one.verdict},
            ", ".join(sorted({b.kmp for flavor in one.flavors for b in flavor.blocked})),
            one.newest_kernel,
            one.fingerprint,
        ]
        for i in first
        for one in (audit.decided[states[i]],)
    ]
    left = len(states) - len(rows)
    caption = (
        f"The first {len(rows):,} hosts, worst first; {left:,} more are in --format csv"
        if left
        else "Every host"
    )
    return _table(
        "hosts", "Hosts", caption, ["host", "verdict", "blocked by", "newest kernel", "state"], rows
    )


def _states(audit: Audit) -> Section | None:
    named: defaultdict[int, list[str]] = defaultdict(list)
    for host, state in zip(audit.fleet.hosts, audit.fleet.states, strict=True):
        if len(named[state]) < _NAMED:
            named[state].append(host)
    worst_first = {v: i for i, v in enumerate(_ORDER)}
    there = sorted(audit.counts, key=lambda s: (worst_first[audit.decided[s].verdict], -audit.counts[s]))
    articles = [_state(audit.decided[s], audit.counts[s], named[s]) for s in there[:_STATES]]
    return Section(id="states", title="States", body=Markup("").join(articles)) if articles else None


def _state(one: Decided, count: int, hosts: Sequence[str]) -> Markup:
    more = f" and {count - len(hosts):,} more" if count > len(hosts) else ""
    facts = [
        ("verdict", one.verdict),
        ("hosts", f"{count:,}: {', '.join(hosts)}{more}"),
        ("running kernel", one.running or "unknown"),
    ]
    for flavor in one.flavors:
        facts.append((f"kernel-{flavor.flavor}", flavor.target or "nothing new"))
        facts.append(("newest safe kernel", flavor.newest_safe or "none"))
        facts += [
            (b.kmp, f"blocked on {b.kernel}: {few(b.symbols, 20) or 'not for its symbols'}")
            for b in flavor.blocked
        ]
        facts += [(name, "cannot be verified") for name in flavor.unverified]
        facts += [(reference, message) for reference, message in flavor.risks]
    body = render_part("prose", title=f"State {one.fingerprint}", paragraphs=[]) + render_part(
        "facts", entries=facts
    )
    return render_part("article", body=body)
