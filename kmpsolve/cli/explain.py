"""``kmpsolve explain KMP``."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from kmpsolve.cli.options import (
    EXIT_CODES,
    add_output,
    add_system,
    configuration,
    request,
    sources,
    tell_unread,
    write_result,
)
from kmpsolve.errors import RequestError
from kmpsolve.model.jsontext import json_text
from kmpsolve.report.progress import Progress

if TYPE_CHECKING:
    from kmpsolve.explain.modulefiles import ModuleHit
    from kmpsolve.explain.story import Story
    from kmpsolve.model.plan import FlavorPlan, Plan
    from kmpsolve.modules.module import Module
    from kmpsolve.session import Loaded
    from kmpsolve.sources import Sources

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``explain``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Tells why one KMP works on a kernel or does not: every build on every kernel, every "
        "symbol with the version that is wanted and the one that is there, since which kernel "
        "that is so, which of its modules are hit, and what would help. The same as prose for a "
        "ticket comes first."
    )
    parser.epilog = (
        "examples:\n"
        "  kmpsolve explain acme-storage-kmp-default\n"
        "  kmpsolve explain acme-storage --kernel 6.4.0-150600.23.30.1 --format json\n"
    )
    parser.add_argument(
        "kmp", metavar="KMP", help="its package name, the part before -kmp-FLAVOR, or a NEVRA"
    )
    parser.add_argument(
        "--kernel",
        metavar="V",
        help="latest, newest-safe, VERSION-RELEASE or UNAME-R (default: what zypper up would pick)",
    )
    add_system(parser)
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Explain one KMP; the exit code tells its decision."""
    from kmpsolve.explain.story import stories
    from kmpsolve.planner import plan
    from kmpsolve.report.elsewhere import of_release
    from kmpsolve.session import load

    where = sources(options)
    with Progress(options.quiet) as progress:
        progress.step("reading the system and its repositories")
        loaded = load(where, request(options, where, options.kernel), configuration(options, where))
        progress.step("holding every KMP against the kernels")
        result = of_release(plan(loaded.universe, loaded.request, loaded.inputs), options.releasever)
        if options.format != "json":
            from kmpsolve.report.elsewhere import typed_here

            result = typed_here(result, where.folder)
        flavor, name = _find(options.kmp, result, loaded)
        story = stories(loaded.universe, loaded.request, result, lambda kmp: kmp.name == name)[
            flavor.flavor, name
        ]
        hits = _module_hits(story, where, result)
    if options.format == "json":
        from kmpsolve.report.explain import document

        text = json_text(document(result, flavor, story, hits), indent=2) + "\n"
    else:
        from kmpsolve.report.explain import render_story
        from kmpsolve.report.terminal import Terminal

        terminal = Terminal.of(options.color, to_file=options.output is not None)
        text = render_story(result, flavor, story, hits, terminal)
    write_result(text, options)
    tell_unread(loaded.inputs, options)
    code = {"blocked": EXIT_CODES["blocked"], "unverified": EXIT_CODES["unverified"]}.get(
        story.entry.decision, 0
    )
    broken_before = any(cause.kind == "already-broken" for cause in story.entry.causes)
    if story.entry.waived is not None or (broken_before and loaded.request.already_broken != "block"):
        code = 0
    if code == 0 and not result.complete:
        code = EXIT_CODES["unverified"]
    return 4 if options.strict and code == 110 else code


_BAD = ("unverified", "blocked")
"""Decisions that are no good, the worst last."""


def _find(asked: str, result: Plan, loaded: Loaded) -> tuple[FlavorPlan, str]:
    """The flavor and the full name of the KMP that is meant.

    One that names no flavor is for each: then it is the one where it fares worst.

    Raises
    ------
    RequestError
        If none is installed under that name, or several flavors have one.
    """
    judged = [(kmp, flavor) for flavor in result.flavors for kmp in flavor.kmps]
    judged.sort(key=lambda entry: _BAD.index(entry[0].decision) if entry[0].decision in _BAD else -1)
    found = {kmp.name: flavor for kmp, flavor in judged}
    builds = loaded.universe.kmps
    asked = next((build.name for build in builds if str(build.nevra) == asked), asked)
    if asked in found:
        return found[asked], asked
    meant = sorted(name for name in found if name.rpartition("-kmp-")[0] == asked.removesuffix("-kmp"))
    if len(meant) == 1:
        return found[meant[0]], meant[0]
    if meant:
        raise RequestError(
            f"{asked} may be {' or '.join(meant)}", reference="ambiguous-kmp", hint="give the whole name"
        )
    named = [build for build in builds if build.name == asked]
    flavors = {build.flavor for build in named if build.package.installed}
    looked_at = [flavor.flavor for flavor in result.flavors]
    if flavors and flavors.isdisjoint({*loaded.universe.standing_flavors, ""}):
        raise RequestError(
            f"{asked} is for flavor {min(flavors)}, of which no kernel is installed",
            reference="unknown-kmp",
            hint=f"it does nothing here without kernel-{min(flavors)}",
        )
    if flavors and flavors.isdisjoint({*looked_at, ""}):
        raise RequestError(
            f"{asked} is for flavor {min(flavors)}, and this is about {' and '.join(looked_at)}",
            reference="unknown-kmp",
            hint="leave out --flavor and --kernel, or name a kernel of its flavor",
        )
    available = sorted({build.package.repository or "" for build in named})
    if any(available):
        raise RequestError(
            f"{asked} is not installed; it is in {', '.join(filter(None, available))}",
            reference="unknown-kmp",
            hint=f"see on which kernels it works: kmpsolve matrix {asked}",
        )
    near = difflib.get_close_matches(asked, found, n=3, cutoff=0.5)
    near += [name for name in found if asked in name and name not in near][:3]
    hint = f"did you mean {' or '.join(near)}?" if near else "see the installed ones: kmpsolve plan"
    raise RequestError(f"no KMP {asked} is installed", reference="unknown-kmp", hint=hint)


def _module_hits(story: Story, where: Sources, result: Plan) -> tuple[ModuleHit, ...]:
    """Which modules are hit, where the files of the build can be read."""
    if not story.entry.mismatches:
        return ()
    from kmpsolve.explain.modulefiles import module_hits, modules_in_root, modules_in_rpm

    modules: tuple[Module, ...] = ()
    if story.subject_repository is not None:
        place = next(r.source for r in result.inputs.repositories if r.alias == story.subject_repository)
        modules = modules_in_rpm(story.subject, _folder(place))
    elif where.installed is not None:
        modules = modules_in_rpm(story.subject, Path(where.installed))
    elif where.root is not None:
        modules = modules_in_root(where.root, story.folders, story.modules)
    return module_hits(modules, [mismatch.symbol for mismatch in story.entry.mismatches])


def _folder(source: str) -> Path:
    for scheme in ("file://", "dir:"):
        if source.startswith(scheme):
            return Path(source.removeprefix(scheme))
    return Path(source)
