"""An audit for other programs: JSON, JSON lines, CSV, Prometheus, JUnit; large fleets in pieces."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from kmpsolve.fleet.audit import VERDICTS, Audit
from kmpsolve.fleet.deciding import Decided
from kmpsolve.model.jsontext import json_text
from kmpsolve.model.plan import SCHEMA_VERSION

__all__ = ["as_csv", "as_json", "as_json_lines", "as_junit", "as_prometheus", "nagios_line"]

_MANY = 1000
"""Hosts that are written at a time."""
_KMPS = 50
"""KMPs that Prometheus hears of; the others are few hosts each, and each is a time series for ever."""
_FORMULA = re.compile(r"[\s'\"]*[=+\-@|%\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def _text(value: object) -> str:
    return json_text(value)


def _plain(values: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(value) for value in values]


def _in_pieces(lines: Iterable[str], between: str = "") -> Iterator[str]:
    block: list[str] = []
    first = True
    for line in lines:
        block.append(line)
        if len(block) == _MANY:
            yield ("" if first else between) + between.join(block)
            block.clear()
            first = False
    if block:
        yield ("" if first else between) + between.join(block)


def as_json(audit: Audit) -> Iterator[str]:
    """The contract's document: what was found, every host, and each distinct state's plan."""
    head: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "verdict": audit.verdict,
        "hosts": len(audit.fleet.hosts),
        "damaged": _plain(audit.fleet.damaged),
        "skipped": _plain(audit.skipped),
        "verdicts": audit.verdicts,
        "blocking": _plain(audit.blocking),
        "newest_safe": _plain(audit.newest_safe),
        "frees_most": _plain(audit.frees_most),
        "groups": _plain(audit.groups),
        "rebuilds": _plain(audit.rebuilds),
        "risks": _plain(audit.risks),
        "stale": audit.stale,
    }
    if audit.what_if is not None:
        head["what_if"] = dataclasses.asdict(audit.what_if)
    if audit.changes is not None:
        changes = audit.changes
        head["changes"] = {
            "changed": [{"host": h, "before": before, "now": now} for h, before, now in changes.changed],
            "appeared": changes.appeared,
            "gone": changes.gone,
        }
    yield "{\n" + "".join(f"{_text(key)}: {_text(value)},\n" for key, value in head.items())
    yield '"results": [\n'
    tails = _tails(audit.decided)
    states = audit.fleet.states
    yield from _in_pieces(
        (
            f'{{"host": {_text(host)}{tails[state]}}}'
            for host, state in zip(audit.fleet.hosts, states, strict=True)
        ),
        ",\n",
    )
    yield '\n],\n"states": {\n'
    there = sorted({audit.decided[state].fingerprint: audit.decided[state] for state in audit.counts}.items())
    yield from _in_pieces((f"{_text(name)}: {one.plan.rstrip()}" for name, one in there), ",\n")
    yield "\n}\n}\n"


def _tails(decided: Iterable[Decided]) -> list[str]:
    return [f', "verdict": {_text(one.verdict)}, "state": {_text(one.fingerprint)}' for one in decided]


def as_json_lines(audit: Audit) -> Iterator[str]:
    """One object a host, with what stands in its way."""
    tails = []
    for one, tail in zip(audit.decided, _tails(audit.decided), strict=True):
        flavors = [
            {
                "flavor": flavor.flavor,
                "verdict": flavor.verdict,
                "target": flavor.target,
                "newest_safe": flavor.newest_safe,
                "blocked": [blocked.kmp for blocked in flavor.blocked],
                "unverified": list(flavor.unverified),
            }
            for flavor in one.flavors
        ]
        tails.append(f'{tail}, "flavors": {_text(flavors)}')
    hosts = zip(audit.fleet.hosts, audit.fleet.states, strict=True)
    yield from _in_pieces(f'{{"host": {_text(host)}{tails[state]}}}\n' for host, state in hosts)


def _safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP: CSV injection)."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return f"'{shown}" if _FORMULA.match(text) else shown


def as_csv(audit: Audit) -> Iterator[str]:
    """A row for each host and flavor."""
    columns = ("host", "verdict", "flavor", "target", "newest_safe", "blocked", "unverified", "state")
    tails: list[list[tuple[str, ...]]] = []
    for one in audit.decided:
        rows = [
            (
                flavor.verdict,
                flavor.flavor,
                flavor.target or "",
                flavor.newest_safe or "",
                " ".join(blocked.kmp for blocked in flavor.blocked),
                " ".join(flavor.unverified),
                one.fingerprint,
            )
            for flavor in one.flavors
        ] or [(one.verdict, "", "", "", "", "", one.fingerprint)]
        tails.append([tuple(map(_safe_cell, row)) for row in rows])

    def lines() -> Iterator[str]:
        stream = io.StringIO()
        write = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow
        write(columns)
        for host, state in zip(audit.fleet.hosts, audit.fleet.states, strict=True):
            for row in tails[state]:
                write((_safe_cell(host), *row))
            if stream.tell() > 1 << 16:
                yield stream.getvalue()
                stream.seek(0)
                stream.truncate()
        yield stream.getvalue()

    return lines()


def as_prometheus(audit: Audit, now: int) -> str:
    """A file for node_exporter's textfile collector; few time series, however large the fleet."""
    lines: list[str] = []

    def metric(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], int]]) -> None:
        lines.append(f"# HELP kmpsolve_{name} {text}")
        lines.append(f"# TYPE kmpsolve_{name} gauge")
        for labels, value in samples:
            inside = ",".join(f'{key}="{_label(label)}"' for key, label in labels.items())
            lines.append(f"kmpsolve_{name}{{{inside}}} {value}" if inside else f"kmpsolve_{name} {value}")

    metric("fleet_hosts", "Hosts by verdict.", (({"verdict": v}, audit.verdicts[v]) for v in VERDICTS))
    metric(
        "fleet_damaged_records", "Inventory records that could not be read.", [({}, len(audit.fleet.damaged))]
    )
    metric("fleet_states", "Distinct states among the hosts.", [({}, len(audit.counts))])
    metric(
        "fleet_stale_hosts", "Hosts whose repositories were not refreshed lately.", [({}, len(audit.stale))]
    )
    by_kmp: dict[str, int] = {}
    for one in audit.blocking:
        by_kmp[one.kmp] = by_kmp.get(one.kmp, 0) + one.hosts
    most = sorted(by_kmp.items(), key=lambda pair: (-pair[1], pair[0]))[:_KMPS]
    metric("fleet_blocked_hosts", "Hosts that a KMP blocks.", (({"kmp": kmp}, hosts) for kmp, hosts in most))
    metric(
        "fleet_newest_safe_hosts",
        "Hosts that are safe on the kernel that suits most of them.",
        (
            ({"flavor": s.flavor, "arch": s.arch, "kernel": s.nevra or ""}, s.hosts_safe)
            for s in audit.newest_safe
        ),
    )
    metric("fleet_audit_timestamp_seconds", "When the audit was made.", [({}, now)])
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def as_junit(audit: Audit) -> Iterator[str]:
    """A test case a host, for a promotion gate: blocked is a failure, unverified and damaged are errors."""
    tails: list[str] = []
    for one in audit.decided:
        if one.verdict == "blocked":
            why = "; ".join(
                f"{blocked.kmp} on {blocked.kernel}: {len(blocked.symbols)} symbols do not fit"
                for flavor in one.flavors
                for blocked in flavor.blocked
            )
            tails.append(f'><failure type="blocked" message={_attribute(why or "blocked")}/></testcase>\n')
        elif one.verdict == "unverified":
            names = ", ".join(name for flavor in one.flavors for name in flavor.unverified)
            why = f"{names} cannot be verified" if names else "not everything could be read"
            tails.append(f'><error type="unverified" message={_attribute(why)}/></testcase>\n')
        else:
            tails.append("/>\n")
    damaged = audit.fleet.damaged
    total = len(audit.fleet.hosts) + len(damaged)
    failures = audit.verdicts["blocked"]
    errors = audit.verdicts["unverified"] + len(damaged)
    counts = f'tests="{total}" failures="{failures}" errors="{errors}"'
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites {counts}>\n'
    yield f'<testsuite name="kmpsolve audit" {counts}>\n'
    hosts = zip(audit.fleet.hosts, audit.fleet.states, strict=True)
    yield from _in_pieces(
        f'<testcase classname="fleet" name={_attribute(host)}{tails[state]}' for host, state in hosts
    )
    for damage in damaged:
        place = f"{damage.source}:{damage.line}" if damage.line else damage.source
        why = _attribute(damage.reason)
        yield f'<testcase classname="inventory" name={_attribute(place)}>'
        yield f'<error type="damaged" message={why}/></testcase>\n'
    yield "</testsuite>\n</testsuites>\n"


def _legal(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _attribute(text: str) -> str:
    return quoteattr(_legal(text))


def nagios_line(audit: Audit, code: int) -> str:
    """The one line, with performance data, that Nagios and its kin show."""
    word = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[code]
    parts = [f"{audit.verdicts[v]} {v}" for v in ("blocked", "unverified", "safe", "nothing-to-do")]
    if audit.fleet.damaged:
        parts.append(f"{len(audit.fleet.damaged)} damaged")
    data = " ".join(f"{v.replace('-', '_')}={audit.verdicts[v]}" for v in VERDICTS)
    return f"KMPSOLVE {word} - {len(audit.fleet.hosts)} hosts: {', '.join(parts)} | {data}\n"
