"""The JSON schema of an audit."""

from __future__ import annotations

from typing import Any

from kmpsolve.fleet.audit import VERDICTS
from kmpsolve.model.plan import SCHEMA_VERSION, Plan

__all__ = ["audit_schema"]


def _object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _list(entries: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": entries}


def audit_schema() -> dict[str, Any]:
    """The schema (draft 2020-12); the plans in it are those of ``plan --schema``."""
    text, number = {"type": "string"}, {"type": "integer", "minimum": 0}
    maybe = {"type": ["string", "null"]}
    verdict = {"enum": list(VERDICTS)}
    tally = _object(dict.fromkeys(VERDICTS, number))
    newest = _list(
        _object({"flavor": text, "arch": text, "nevra": maybe, "hosts_total": number, "hosts_safe": number})
    )
    skipped = _list(_object({"alias": text, "reason": text}))
    plan = Plan.schema()
    definitions = plan.pop("$defs", {})
    plan.pop("$schema", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kmpsolve audit",
        **_object(
            {
                "schema_version": {"const": SCHEMA_VERSION},
                "verdict": verdict,
                "hosts": number,
                "damaged": _list(
                    _object({"source": text, "line": {"type": ["integer", "null"]}, "reason": text})
                ),
                "skipped": skipped,
                "verdicts": tally,
                "blocking": _list(
                    _object(
                        {
                            "kmp": text,
                            "kernel": text,
                            "hosts": number,
                            "mismatches": number,
                            "symbols": _list(text),
                        }
                    )
                ),
                "newest_safe": newest,
                "frees_most": _list(
                    _object({"flavor": text, "nevra": text, "hosts": number, "hosts_blocked": number})
                ),
                "groups": _list(_object({"key": text, "verdicts": tally, "newest_safe": newest})),
                "rebuilds": _list(
                    _object(
                        {
                            "vendor": text,
                            "kmp": text,
                            "kernel": text,
                            "hosts": number,
                            "hosts_unblocked": number,
                        }
                    )
                ),
                "risks": _list(_object({"reference": text, "message": text, "hosts": number})),
                "stale": _list(text),
                "what_if": _object(
                    {
                        "repositories": _list(text),
                        "verdicts": tally,
                        "freed": _list(text),
                        "skipped": skipped,
                    }
                ),
                "changes": _object(
                    {
                        "changed": _list(_object({"host": text, "before": text, "now": text})),
                        "appeared": _list(text),
                        "gone": _list(text),
                    }
                ),
                "results": _list(_object({"host": text, "verdict": verdict, "state": text})),
                "states": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Plan"}},
            },
            optional=("what_if", "changes"),
        ),
        "$defs": {**definitions, "Plan": plan},
    }
