"""``kmpsolve collect``."""

from __future__ import annotations

import argparse
import json

from kmpsolve.cli.options import add_output, add_system, configuration, sources, write_result
from kmpsolve.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``collect``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  kmpsolve collect >> fleet.jsonl\n"
        "  kmpsolve collect --label env=prod --label site=fra -o /var/lib/kmpsolve/inventory.json\n"
    )
    add_system(parser)
    parser.add_argument("--host", metavar="ID", help="what to call this host (default: its host name)")
    parser.add_argument(
        "--label", metavar="KEY=VALUE", action="append", help="something to group hosts by: env=prod"
    )
    parser.add_argument(
        "--hardware", action="store_true", help="tell the modaliases of its devices too, for kmpsolve suggest"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of a line and stop")
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Print one line."""
    if options.schema:
        from kmpsolve.metadata.inventory import schema

        write_result(json.dumps(schema(), indent=2) + "\n", options)
        return 0
    from kmpsolve.fleet.collecting import collect

    where = sources(options)
    configuration(options, where, repositories=False)
    line = collect(
        where,
        host=options.host,
        labels=_labels(options.label or ()),
        running=options.running,
        hardware=options.hardware,
    )
    write_result(line + "\n", options)
    return 0


def _labels(texts: list[str] | tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        is_text = not any("\ud800" <= character <= "\udfff" for character in text)  # bytes that are none
        if not (key and equals and is_text):
            raise UsageError(
                f"{text!r} is no KEY=VALUE",
                reference="usage",
                where="--label",
                hint="such as --label env=prod",
            )
        found[key] = value
    return found
