"""Writes docs/man/*.1 and completions/* from the command line's own parser; run it after changing an option.

    .venv/bin/python tools/manual.py

A test holds what is committed against what this writes.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))

from kmpsolve.cli.entry import VERBS  # noqa: E402
from kmpsolve.version import __version__  # noqa: E402

EXIT_CODES = (
    ("0", "safe, or nothing to do"),
    ("1", "a bug in kmpsolve"),
    ("2", "wrong usage"),
    (
        "3",
        "bad input: unreadable metadata, a wrong configuration, an unknown kernel or KMP, no kernel",
    ),
    ("4", "blocked: a KMP would not load"),
    ("5", "not enough privileges"),
    ("6", "no repository is defined or enabled"),
    ("7", "another program holds zypp's lock"),
    ("110", "nothing is blocked, but something cannot be verified (4 with --strict)"),
    ("130", "interrupted"),
)
FILES = (
    ("/etc/kmpsolve/kmpsolve.toml, /etc/kmpsolve/conf.d/*.toml", "the configuration"),
    ("/etc/zypp/zypp.conf, /etc/zypp/repos.d, /etc/zypp/locks", "what zypper goes by, and so kmpsolve too"),
)
VALUES = {
    "kmp": "kmps",
    "a": "kernels",
    "b": "kernels",
    "kernel": "targets",
    "running": "unames",
    "flavor": "flavors",
}
"""What an argument stands for; any other is a file."""


def verbs() -> dict[str, argparse.ArgumentParser]:
    """The parser of each verb."""
    found = {}
    for verb, text in VERBS.items():
        parser = argparse.ArgumentParser(
            prog=f"kmpsolve {verb}", description=f"{text[0].upper()}{text[1:]}.", add_help=False
        )
        importlib.import_module(f"kmpsolve.cli.{verb}").add_arguments(parser)
        parser.add_argument("-h", "--help", action="help", help="show all options and an example")
        found[verb] = parser
    return found


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What begins with a dash; hidden ones are left out."""
    return [a for a in parser._actions if a.option_strings and a.help != argparse.SUPPRESS]


def positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What does not."""
    return [a for a in parser._actions if not a.option_strings and a.help != argparse.SUPPRESS]


def placeholder(action: argparse.Action) -> str:
    """The word for an option's value; empty if it takes none."""
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


# man pages


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in escaped.splitlines())


def _entry(term: str, text: str) -> str:
    return f".TP\n{term}\n{_roff(text)}"


def _option(action: argparse.Action) -> str:
    value = placeholder(action)
    names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in action.option_strings)
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return _entry(f"{names} \\fI{_roff(value)}\\fR" if value else names, text)


def _heading(name: str, text: str) -> Iterator[str]:
    title = name.upper().replace(" ", "\\-")
    yield f'.TH {title} 1 "" "kmpsolve {__version__}" "kmpsolve"'
    yield ".SH NAME"
    yield f"{_roff(name.replace(' ', '-'))} \\- {_roff(text)}"


def _endings() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    yield from (_entry(code, text) for code, text in EXIT_CODES)
    yield ".SH FILES"
    yield from (_entry(f"\\fI{_roff(path)}\\fR", text) for path, text in FILES)


def _examples(epilog: str) -> Iterator[str]:
    lines = epilog.splitlines()
    shown = [line.strip() for line in lines if line.startswith("  ")]
    rest = [line for line in lines if line and not line.startswith("  ") and not line.startswith("example")]
    if rest:
        yield ".PP"
        yield _roff(" ".join(rest))
    if shown:
        yield ".SH EXAMPLES"
        yield ".nf"
        yield from (f"\\fB{_roff(line)}\\fR" for line in shown)
        yield ".fi"


def verb_page(verb: str, parser: argparse.ArgumentParser) -> str:
    """The man page of one verb."""
    words = "".join(
        f" [\\fI{_roff(placeholder(a))}\\fR]..."
        if a.nargs == "*"
        else f" \\fI{_roff(placeholder(a))}\\fR..."
        if a.nargs == "+"
        else f" [\\fI{_roff(placeholder(a))}\\fR]"
        if a.nargs == "?"
        else f" \\fI{_roff(placeholder(a))}\\fR"
        for a in positionals(parser)
    )
    lines = [
        *_heading(f"kmpsolve {verb}", VERBS[verb]),
        ".SH SYNOPSIS",
        f"\\fBkmpsolve {verb}\\fR{words} [\\fIoptions\\fR]",
        ".br",
        f"\\fBzypper kmp {verb}\\fR{words} [\\fIoptions\\fR]",
        ".SH DESCRIPTION",
        _roff(parser.description or ""),
        *_examples(parser.epilog or ""),
        ".SH OPTIONS",
        *(_entry(f"\\fI{_roff(placeholder(a))}\\fR", a.help or "") for a in positionals(parser)),
        *map(_option, options(parser)),
        *_endings(),
        ".SH SEE ALSO",
        ", ".join(
            [
                "\\fBkmpsolve\\fR(1)",
                *(f"\\fBkmpsolve\\-{v}\\fR(1)" for v in VERBS if v != verb),
                "\\fBzypper\\fR(8)",
            ]
        ),
    ]
    return "\n".join(lines) + "\n"


def main_page() -> str:
    """The man page of the command as a whole."""
    text = "tells before a kernel update whether every third-party driver still loads"
    about = (
        "A kernel module package (KMP) works on a kernel if that kernel exports every symbol that its "
        "modules use, in the very version that they were built for. rpm asks whether any installed kernel "
        "does; with several kernels side by side the old one always does, and so an update can bring a "
        "kernel that boots without its drivers. kmpsolve asks whether the kernel that boots next does, and "
        "finds the builds, or the older kernel, that keep every driver."
    )
    lines = [
        *_heading("kmpsolve", text),
        ".SH SYNOPSIS",
        "\\fBkmpsolve\\fR \\fIVERB\\fR [\\fIoptions\\fR]",
        ".br",
        "\\fBzypper kmp\\fR \\fIVERB\\fR [\\fIoptions\\fR]",
        ".SH DESCRIPTION",
        _roff(about),
        ".SH VERBS",
        *(_entry(f"\\fB{verb}\\fR", f"{said}; see kmpsolve-{verb}(1)") for verb, said in VERBS.items()),
        *_endings(),
        ".SH ENVIRONMENT",
        _entry("\\fBKMPSOLVE_DISABLE=1\\fR", "lets one run of zypper pass the hook, with a line saying so"),
        _entry("\\fBNO_COLOR\\fR", "no colours"),
        _entry("\\fBSOURCE_DATE_EPOCH\\fR", "what counts as today, in seconds since 1970"),
        ".SH SEE ALSO",
        ", ".join([*(f"\\fBkmpsolve\\-{verb}\\fR(1)" for verb in VERBS), "\\fBzypper\\fR(8)"]),
    ]
    return "\n".join(lines) + "\n"


# completions

_CACHE = '"${KMPSOLVE_SOLV_CACHE:-/var/cache/zypp/solv}"'
_IS_KERNEL = "$1 ~ /^kernel-[a-z0-9]+$/ && $1 !~ /^kernel-(devel|docs|firmware|macros|source|syms|vdso)$/"
# Names come from repositories, and bash's compgen -W expands what it is given: $(...) would be run.
_IS_PLAIN = r"$0 !~ /[^A-Za-z0-9._+~^:\t-]/"
_IS_KMP = "$1 ~ /-kmp-[A-Za-z0-9_]+$/"  # and no debuginfo of one
_UNAMES = "ls /lib/modules 2>/dev/null | grep -v '[^A-Za-z0-9._+~-]'"
# solv.idx is what libzypp writes beside each cache for completions: name, version-release, architecture.
_FUNCTIONS = f"""\
_kmpsolve_index() {{
    cat {_CACHE}/$1/solv.idx 2>/dev/null | awk '{_IS_PLAIN}'
}}
_kmpsolve_kmps() {{
    _kmpsolve_index "$1" | awk -F '\\t' '{_IS_KMP} {{print $1}}' | sort -u
}}
_kmpsolve_kernels() {{
    _kmpsolve_index '*' | awk -F '\\t' '{_IS_KERNEL} {{print $2}}' | sort -u
}}
_kmpsolve_targets() {{
    echo latest newest-safe
    _kmpsolve_kernels
}}
_kmpsolve_flavors() {{
    _kmpsolve_index '*' | awk -F '\\t' '{_IS_KMP} {{sub(/.*-kmp-/, "", $1); print $1}}' | sort -u
}}
_kmpsolve_unames() {{
    {_UNAMES}
}}
"""
_GENERATED = "# Written by tools/manual.py; do not edit.\n"


def _kind(action: argparse.Action, verb: str) -> str:
    kind = VALUES.get(action.dest, "files")
    if kind == "kmps":
        return "_kmpsolve_kmps @System" if verb == "explain" else "_kmpsolve_kmps '*'"
    return kind if kind == "files" else f"_kmpsolve_{kind}"


_BASH_FILES = """\
_kmpsolve_files() {
    local name
    # Only here: else a verb would get a slash where a folder has its name.
    compopt -o filenames 2>/dev/null
    while IFS= read -r name; do
        COMPREPLY+=("$name")
    done < <(compgen -f -- "$word")
}
"""


def bash(parsers: dict[str, argparse.ArgumentParser]) -> str:
    """The completion for bash; ``zypper kmp`` has zypper's own."""
    lines = [_GENERATED + _FUNCTIONS + _BASH_FILES + "_kmpsolve() {"]
    lines += [
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= index",
        "    COMPREPLY=()",
        "    # --option=value is three words to bash, and so is ALIAS=SRC.",
        "    if [[ $word == = || $before == = ]]; then",
        "        if [[ $word == = ]]; then word=; else before=${COMP_WORDS[COMP_CWORD-2]}; fi",
        "        [[ $before == -* ]] || before=--repo",
        "    fi",
    ]
    lines += [
        "    for ((index = 1; index < COMP_CWORD; index++)); do",
        "        case ${COMP_WORDS[index]} in",
    ]
    lines += [
        f"            {'|'.join(VERBS)}) verb=${{COMP_WORDS[index]}}; break ;;",
        "        esac",
        "    done",
    ]
    lines += ["    case $verb,$before in"]
    for verb, parser in parsers.items():
        for action in options(parser):
            if action.nargs == 0:
                continue
            names = "|".join(f"{verb},{name}" for name in action.option_strings)
            lines.append(f"        {names}) {_bash_reply(action, verb)}; return ;;")
    lines += ["    esac", "    case $verb in"]
    lines.append(
        f"        '') COMPREPLY=($(compgen -W '{' '.join(VERBS)} --help --version' -- \"$word\")) ;;"
    )
    for verb, parser in parsers.items():
        words = " ".join(
            name for action in options(parser) for name in action.option_strings if name.startswith("--")
        )
        first = next(iter(positionals(parser)), None)
        reply = _bash_reply(first, verb) if first is not None else ":"
        lines.append(f"        {verb})")
        lines.append(
            f"            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '{words}' -- \"$word\"))"
        )
        lines.append(f"            else {reply}; fi ;;")
    lines += ["    esac", "}", "complete -o bashdefault -F _kmpsolve kmpsolve"]
    return "\n".join(lines) + "\n"


def _bash_reply(action: argparse.Action, verb: str) -> str:
    if action.choices is not None:
        return f"COMPREPLY=($(compgen -W '{' '.join(map(str, action.choices))}' -- \"$word\"))"
    kind = _kind(action, verb)
    if kind == "files":
        return "_kmpsolve_files"
    names = f'COMPREPLY=($(compgen -W "$({kind})" -- "$word"))'
    return f"{names}; _kmpsolve_files" if action.dest in ("a", "b") else names


def zsh(parsers: dict[str, argparse.ArgumentParser]) -> str:
    """The completion for zsh."""
    lines = [
        "#compdef kmpsolve",
        _GENERATED.rstrip(),
        _FUNCTIONS.rstrip().replace("/$1/solv.idx", "/${~1}/solv.idx"),
    ]
    lines += [
        "_kmpsolve() {",
        "    local context state state_descr line",
        "    typeset -A opt_args",
        "    local -a verbs",
    ]
    lines.append("    verbs=(")
    lines += [f"        {_zsh_quoted(f'{verb}:{text}')}" for verb, text in VERBS.items()]
    lines += [
        "    )",
        "    _arguments -C '--help[show help]' '--version[show the version]' '1: :->verb' '*:: :->rest'",
    ]
    lines += [
        "    case $state in",
        "        verb) _describe verb verbs ;;",
        "        rest)",
        "            case $words[1] in",
    ]
    for verb, parser in parsers.items():
        lines.append(f"                {verb})")
        lines.append("                    _arguments \\")
        specs = [
            _zsh_option(action, verb, name) for action in options(parser) for name in action.option_strings
        ]
        for position, action in enumerate(positionals(parser), 1):
            where = "*" if action.nargs in ("*", "+") else str(position)
            specs.append(_zsh_quoted(f"{where}:{placeholder(action)}:{_zsh_values(action, verb)}"))
        lines += [f"                        {spec} \\" for spec in specs[:-1]]
        lines += [f"                        {specs[-1]}", "                    ;;"]
    lines += ["            esac ;;", "    esac", "}", '_kmpsolve "$@"']
    return "\n".join(lines) + "\n"


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_option(action: argparse.Action, verb: str, name: str) -> str:
    text = (action.help or "").replace("[", "(").replace("]", ")").replace(":", ";")
    value = (
        f":{placeholder(action).replace(':', ' ')}:{_zsh_values(action, verb)}" if action.nargs != 0 else ""
    )
    # With a sign the value may also stand behind one.
    sign = "=" if value and name.startswith("--") else ""
    return _zsh_quoted(f"{name}{sign}[{text}]{value}")


def _zsh_values(action: argparse.Action, verb: str) -> str:
    if action.choices is not None:
        return f"({' '.join(map(str, action.choices))})"
    kind = _kind(action, verb)
    if kind == "files":
        return "_files"
    names = "{compadd -- $(" + kind + ")}"
    return "{compadd -- $(" + kind + "); _files}" if action.dest in ("a", "b") else names


def fish(parsers: dict[str, argparse.ArgumentParser]) -> str:
    """The completion for fish."""
    cache = "set -q KMPSOLVE_SOLV_CACHE; or set -l KMPSOLVE_SOLV_CACHE /var/cache/zypp/solv"
    lines = [_GENERATED.rstrip()]
    for name, awk in (
        ("kmps", _IS_KMP + " {print $1}"),
        (
            "kernels",
            _IS_KERNEL + " {print $2}",
        ),
        ("flavors", _IS_KMP + ' {sub(/.*-kmp-/, "", $1); print $1}'),
    ):
        lines += [f"function _kmpsolve_{name}", f"    {cache}"]
        # fish complains of a pattern that matches nothing, but for set.
        lines.append("    set -l indexes $KMPSOLVE_SOLV_CACHE/*/solv.idx")
        lines.append(
            f"    set -q indexes[1]; and awk -F '\\t' '{_IS_PLAIN} && {awk}' $indexes 2>/dev/null | sort -u"
        )
        lines.append("end")
    lines += [
        "function _kmpsolve_targets",
        "    printf '%s\\n' latest newest-safe",
        "    _kmpsolve_kernels",
        "end",
        "function _kmpsolve_unames",
        f"    {_UNAMES}",
        "end",
        "complete -c kmpsolve -f",
    ]
    for verb, text in VERBS.items():
        lines.append(f"complete -c kmpsolve -n __fish_use_subcommand -a {verb} -d {_fish_quoted(text)}")
    for verb, parser in parsers.items():
        seen = f"'__fish_seen_subcommand_from {verb}'"
        for action in options(parser):
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in action.option_strings
            )
            values = _fish_values(action)
            value = f"{' -r' if values == ' -F' else ' -x'}{values}" if action.nargs != 0 else ""
            lines.append(
                f"complete -c kmpsolve -n {seen} {names}{value} -d {_fish_quoted(action.help or '')}"
            )
        for action in positionals(parser)[:1]:
            lines.append(f"complete -c kmpsolve -n {seen}{_fish_values(action)}")
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_values(action: argparse.Action) -> str:
    if action.choices is not None:
        return f" -a '{' '.join(map(str, action.choices))}'"
    kind = VALUES.get(action.dest, "files")
    if kind == "files":
        return " -F"
    return f" -a '(_kmpsolve_{kind})'" + (" -F" if action.dest in ("a", "b") else "")


def files() -> dict[str, str]:
    """Path below the checkout -> text."""
    parsers = verbs()
    written = {"docs/man/kmpsolve.1": main_page()}
    written |= {f"docs/man/kmpsolve-{verb}.1": verb_page(verb, parser) for verb, parser in parsers.items()}
    written |= {
        "completions/kmpsolve.bash": bash(parsers),
        "completions/_kmpsolve": zsh(parsers),
        "completions/kmpsolve.fish": fish(parsers),
    }
    return written


def main() -> None:
    """Write all of them."""
    for name, text in files().items():
        file = CHECKOUT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
