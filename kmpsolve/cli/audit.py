"""``kmpsolve audit``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmpsolve.cli.options import (
    EXIT_CODES,
    add_output,
    add_system,
    configuration,
    sources,
    told_after_repositories,
    write_result,
)
from kmpsolve.cli.streams import deliver
from kmpsolve.errors import ConfigError, KmpsolveError, MetadataError, UsageError

if TYPE_CHECKING:
    from kmpsolve.fleet.audit import Audit
    from kmpsolve.fleet.dask import Cluster

__all__ = ["add_arguments", "run"]

_FORMATS = ("text", "json", "jsonl", "csv", "html", "prometheus", "junit")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``audit``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  kmpsolve audit fleet.jsonl.zst --repo SLE-Updates=/srv/mirror/sle --group-by env\n"
        "  ssh db1 kmpsolve collect | kmpsolve audit -\n"
        "  kmpsolve audit inventories/ --format junit -o gate.xml --fail-on unverified\n"
    )
    parser.add_argument(
        "inventory",
        metavar="INVENTORY",
        nargs="*",
        help="lines of `kmpsolve collect`, lists of rpm -qa, Ansible, Salt or Uyuni, a supportconfig, a folder"
        " of any of these or of system roots, - for standard input, an address that fsspec knows",
    )
    add_system(parser)
    parser.add_argument(
        "--kernel",
        metavar="V",
        help="latest, newest-safe, VERSION-RELEASE or UNAME-R (default: what zypper up would pick)",
    )
    group = parser.add_argument_group("audit")
    group.add_argument(
        "--group-by", metavar="KEY", help="arch, running, kernel, flavor, or a label of the hosts"
    )
    group.add_argument(
        "--with-repo",
        metavar="[ALIAS=]SRC",
        action="append",
        help="tell what this repository would change",
    )
    group.add_argument("--baseline", metavar="FILE", help="an earlier audit (JSON): tell what changed since")
    group.add_argument(
        "--fail-on",
        choices=("blocked", "unverified", "never"),
        help="exit 4 at this or worse and 0 otherwise, instead of by the verdict",
    )
    group.add_argument("--exit-style", choices=("zypper", "nagios"), default="zypper", help="default: zypper")
    group.add_argument("--jobs", metavar="N", type=int, help="processes to work with (default: all cores)")
    group.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the work")
    group.add_argument(
        "--schema", action="store_true", help="print the JSON schema of --format json and stop"
    )
    add_output(parser, _FORMATS)


def run(options: argparse.Namespace) -> int:
    """Audit; the exit code follows the worst host."""
    if options.schema:
        from kmpsolve.fleet.schema import audit_schema

        write_result(json.dumps(audit_schema(), indent=2) + "\n", options)
        return 0
    if options.exit_style == "nagios":
        try:
            return _run(options)
        except KmpsolveError as error:
            from kmpsolve.report.terminal import printable

            print(printable(f"KMPSOLVE UNKNOWN - {error}"))
            if error.hint:
                print(printable(error.hint))
            return 3
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    if not options.inventory:
        raise UsageError(
            "no inventory is given",
            reference="usage",
            hint="name files or folders, or - for standard input; kmpsolve collect makes one",
        )
    audit = _audited(options)
    code = _code(audit, options)
    _write(audit, options, code)
    return code


def _audited(options: argparse.Namespace) -> Audit:
    from kmpsolve.fleet.engine import Engine, machine
    from kmpsolve.fleet.progress import Bar

    options.installed = "the inventory"
    where = replace(sources(options), installed=None)
    config = configuration(options, where)
    from kmpsolve.request import Request

    request = Request(kernel=options.kernel, flavors=tuple(options.flavor or ()), running=options.running)
    with told_after_repositories(where):
        baseline = _baseline(options.baseline) if options.baseline else None
    with Bar(options.quiet) as bar:
        engine: Engine
        if options.scheduler:
            engine = _cluster()(options.scheduler, where, request, config)
        else:
            engine = machine(where, request, config, options.jobs)
        with engine:
            more = _more(options) if options.with_repo else []
            audit = engine.audit(options.inventory, options.group_by, bar, more)
            if more:
                audit = engine.with_repositories(audit, more, bar)
    return audit if baseline is None else audit.since(baseline)


def _cluster() -> type[Cluster]:
    try:
        from kmpsolve.fleet.dask import Cluster
    except ImportError as error:
        raise ConfigError(
            f"a cluster needs Dask ({error})",
            reference="dask-missing",
            where="--scheduler",
            hint="pip install 'kmpsolve[cluster]'",
        ) from error
    return Cluster


def _more(options: argparse.Namespace) -> list[tuple[str, str]]:
    more = sources(argparse.Namespace(**{**vars(options), "repo": options.with_repo}))
    return list(more.repositories or ())


def _baseline(path: str) -> dict[str, str]:
    try:
        document: Any = json.loads(Path(path).read_bytes())
        return {str(one["host"]): str(one["verdict"]) for one in document["results"]}
    except OSError as error:
        raise MetadataError(
            f"cannot be read: {error.strerror}",
            reference="baseline-unreadable",
            where=path,
            hint="Check its path and its permissions",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MetadataError(
            "is no audit that kmpsolve wrote",
            reference="baseline-unreadable",
            where=path,
            hint="make one with: kmpsolve audit ... --format json -o FILE",
        ) from error


def _code(audit: Audit, options: argparse.Namespace) -> int:
    code = EXIT_CODES[audit.verdict]
    if audit.fleet.damaged and code == 0:
        code = 110
    if options.fail_on is not None:
        failing = {"blocked": (4,), "unverified": (4, 110), "never": ()}[options.fail_on]
        code = 4 if code in failing else 0
    elif options.strict and code == 110:
        code = 4
    if options.exit_style == "nagios":
        return {0: 0, 110: 1, 4: 2}[code]
    return code


def _write(audit: Audit, options: argparse.Namespace, code: int) -> None:
    from kmpsolve.fleet import formats

    if options.format == "text":
        from kmpsolve.fleet.text import render_text
        from kmpsolve.report.terminal import Terminal

        text = render_text(audit, Terminal.of(options.color, to_file=options.output is not None))
        write_result(
            formats.nagios_line(audit, code) + text if options.exit_style == "nagios" else text, options
        )
    elif options.format == "html":
        from kmpsolve.fleet.html import render_html

        write_result(render_html(audit), options)
    elif options.format == "prometheus":
        from kmpsolve.model.clock import now

        write_result(formats.as_prometheus(audit, now()), options)
    else:
        render: dict[str, Callable[[Audit], Iterable[str]]] = {
            "json": formats.as_json,
            "jsonl": formats.as_json_lines,
            "csv": formats.as_csv,
            "junit": formats.as_junit,
        }
        _stream(render[options.format](audit), options)


def _stream(pieces: Iterable[str], options: argparse.Namespace) -> None:
    if options.output is None or options.output == "-":
        deliver(pieces)
        return
    from kmpsolve.report.files import write_output

    write_output(Path(options.output), pieces)
