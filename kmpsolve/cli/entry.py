"""``kmpsolve VERB``: the way in, and the one place where errors become exit codes."""

from __future__ import annotations

import argparse
import gc
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from kmpsolve.cli.streams import complain, deliver, silence
from kmpsolve.errors import KmpsolveError, MetadataError, UsageError
from kmpsolve.version import __version__

__all__ = ["main"]

VERBS = {
    "plan": "what a kernel update would do to every KMP: reuse, fetch or blocked, and the transaction",
    "check": "KMP RPMs, driver disks and single modules against a kernel",
    "explain": "the whole proof for one KMP: every symbol, every build tried, what would help",
    "matrix": "every KMP build on every kernel: how many of its symbols do not fit",
    "diff": "what changed between two kernels, and which KMPs it hits",
    "verify": "what stands on disk: links, modules, signatures and initrds against the installed kernels",
    "suggest": "KMPs in the repositories that match this machine's hardware, and the kernels they fit",
    "apply": "carries a plan out through zypper, with exact NEVRAs",
    "guard": "holds back kernels that would break a KMP, with zypp locks of its own",
    "collect": "this host's kernels and KMPs as one inventory line (JSON)",
    "audit": "a fleet: which hosts are safe to update, which are blocked, by which KMP",
    "doctor": "versions, hook and guard, the last verdict, and what makes kmpsolve blind",
}


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage as every other error: one line and a hint, exit code 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message, reference="usage", hint=f"see {self.prog} --help")


def _parser() -> tuple[_Parser, argparse._SubParsersAction[_Parser]]:
    parser = _Parser(
        prog="kmpsolve",
        description="Will every third-party driver load on the kernel that boots next?",
        epilog="Exit codes: 0 safe, 2 usage, 3 bad input, 4 blocked, 5 privileges, 6 no repository,"
        " 110 unverified.",
    )
    parser.add_argument("--version", action="version", version=f"kmpsolve {__version__}")
    return parser, parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never lets an exception out."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "-v" in words or "--verbose" in words
    gc.set_threshold(100_000)  # what is read stays until the end: looking for garbage in it only takes time
    _fill_standard_streams()
    os.umask(os.umask(0o022) | 0o022)  # others read what is written here, and never change it
    _keep_to_safe_folders()
    try:
        return _run(words)
    except KmpsolveError as error:
        _tell(error, verbose)
        return error.exit_code
    except KeyboardInterrupt:
        complain("kmpsolve: interrupted")
        return 130
    except OSError as error:
        silence(sys.stdout)
        _tell(_of_the_system(error), verbose)
        return 3
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "kmpsolve").startswith("kmpsolve"):
            _tell(_of_the_python(error), verbose)
            return 3
        if verbose:
            raise
        hint = "Please report it with what this prints with -v"
        said = f"a bug in kmpsolve: {type(error).__name__}: {' '.join(str(error).split())}"
        _tell(KmpsolveError(said, reference="bug", hint=hint), verbose)
        return 1


def _fill_standard_streams() -> None:
    """A stream that the caller closed is /dev/null: else the next file that is opened takes its number, and what
    is printed goes there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 (for as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names are not in every locale's letters


def _keep_to_safe_folders() -> None:
    """Root's temporary files lie nowhere where somebody else can put others in their place, whatever came through
    sudo: keys and copies of the rpmdb are among them.
    """
    for name in ("TMPDIR", "TEMP", "TMP"):
        place = os.environ.get(name)
        if place and os.geteuid() == 0:
            from kmpsolve.metadata.files import safe_place

            if not safe_place(Path(place, "file").absolute()):
                del os.environ[name]


def _of_the_system(error: OSError) -> MetadataError:
    """A full disk, a file that may not be read: nothing is wrong with kmpsolve."""
    return MetadataError(
        (error.strerror or str(error)).lower(),
        reference="system-error",
        where=os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "writing",
        hint="Make room, or look at the permissions and at the kernel's log",
    )


def _of_the_python(error: ModuleNotFoundError) -> MetadataError:
    """It had everything when kmpsolve was installed, and lost it since: by an update, or an autoremove."""
    return MetadataError(
        f"has no module {error.name} any more, which kmpsolve needs",
        reference="no-module",
        where=sys.executable,
        hint="Install kmpsolve again: make install PYTHON=..., or its package",
    )


def _run(words: list[str]) -> int:
    parser, verbs = _parser()
    named = next((word for word in words if word in VERBS), None)
    # Where the verb comes first nobody sees the other ones.
    for verb in VERBS if named is None or words[0] != named else (named,):
        help_text = VERBS[verb]
        sub = verbs.add_parser(verb, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        if verb == named:
            module = importlib.import_module(f"kmpsolve.cli.{verb}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    try:
        options = parser.parse_args(words)
    except BrokenPipeError:
        silence(sys.stdout)  # enough help for whoever read it
        return 0
    except SystemExit:  # --help and --version have printed what they are for
        deliver()
        raise
    if options.verb is None:
        deliver([parser.format_help()])
        return 2 if words else 0
    _refuse_empty(words, options.verb)
    if getattr(options, "root", None) is not None:
        from kmpsolve.sources import root_folder

        options.root = str(root_folder(options.root))
    for_programs = options.verb == "collect" or getattr(options, "format", "text") != "text"
    if for_programs and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever letters the locale has
    code: int = options.run(options)
    deliver()
    return code


def _refuse_empty(words: list[str], verb: str) -> None:
    """An empty word is a script's unset variable: as a path it would be the folder that one happens to be in."""
    for before, word in pairwise(["", *words]):
        empty = before if not word else word[:-1] if re.fullmatch(r"--[a-z-]+=", word) else None
        if empty is not None:
            raise UsageError(
                f"{empty if empty.startswith('-') else 'an argument'} is empty",
                reference="usage",
                hint=f"see kmpsolve {verb} --help",
            )


def _tell(error: KmpsolveError, verbose: bool) -> None:
    complain(f"kmpsolve: {error}")
    if error.hint:
        complain(f"          {error.hint}")
    cause = error.__cause__
    while verbose and cause is not None:
        complain(f"          because of {type(cause).__name__}: {cause}")
        cause = cause.__cause__
