"""Locks hold the packages that the real zypper says they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from kmpsolve.metadata.locks import parse_locks
from kmpsolve.model.evr import Evr
from tests.sandbox import Sandbox
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec


def package(name: str, evr: str, **more: object) -> PackageSpec:
    version, release = evr.split("-")
    return PackageSpec(name=name, version=version, release=release, **more)  # type: ignore[arg-type]


INSTALLED = (package("kernel-default", "1-1"), package("old", "1-1"))
AVAILABLE = (
    package("kernel-default", "1-1"),
    package("kernel-default", "2-1"),
    package("kernel-default", "3-1.1"),
    package("Kernel-rt", "2-1"),
    package("kernel", "2-1"),
    package("acme-kmp-default", "2-1", epoch=1),
    package("kernel-macros", "2-1", arch="noarch"),
    package("a+b", "1-1"),
    package("subkernelx", "1-1"),
)
EXACT = "type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: kernel-default\n"
LOCKS = {
    "exact": EXACT,
    "exact version": EXACT + "version: == 2-1\n",
    "exact version without release": EXACT + "version: == 3\n",
    "version without operator": EXACT + "version: 2-1\n",
    "single =": EXACT + "version: = 2-1\n",
    "not equal": EXACT + "version: != 2-1\n",
    "less": EXACT + "version: < 2\n",
    "less or equal": EXACT + "version: <= 2-1\n",
    "greater": EXACT + "version: > 1-1\n",
    "greater or equal, no blank": EXACT + "version: >=2-1\n",
    "epoch": "match_type: exact\nsolvable_name: acme-kmp-default\nversion: < 1:0\n",
    "epoch, greater": "match_type: exact\nsolvable_name: acme-kmp-default\nversion: > 2-1\n",
    "default is a substring without case": "solvable_name: KERNEL\n",
    "substring": "match_type: substring\nsolvable_name: ernel-d\n",
    "substring, case": "case_sensitive: true\nsolvable_name: kernel\n",
    "case off": "case_sensitive: off\nmatch_type: exact\nsolvable_name: KERNEL-RT\n",
    "case nonsense": "case_sensitive: perhaps\nsolvable_name: KERNEL\n",
    "glob": "match_type: glob\nsolvable_name: kernel-*\n",
    "glob, case": "match_type: glob\ncase_sensitive: on\nsolvable_name: [kK]ernel-??\n",
    "glob is anchored": "match_type: glob\nsolvable_name: kern\n",
    "glob is anchored at its beginning": "match_type: glob\nsolvable_name: kernelx\n",
    "regex": "match_type: regex\nsolvable_name: ^kernel-(default|macros)$\n",
    "regex searches": "match_type: regex\nsolvable_name: nel.rt\n",
    "regex, damaged": "match_type: regex\nsolvable_name: kernel(\n",
    "word": "match_type: word\nsolvable_name: kernel\n",
    "exact, special characters": "match_type: exact\nsolvable_name: a+b\n",
    "two names": "match_type: exact\nsolvable_name: old\nsolvable_name: kernel\n",
    "two names, glob": "match_type: glob\nsolvable_name: ol?\nsolvable_name: a+*\n",
    "unknown match_type": "match_type: bogus\nsolvable_name: kernel-d\n",
    "repository": EXACT + "repo: a\n",
    "unknown repository": EXACT + "repo: nosuch\n",
    "installed system as repository": EXACT + "repo: @System\n",
    "installed": EXACT + "install_status: installed\n",
    "not installed": EXACT + "install_status: not-installed\n",
    "last status wins": EXACT + "install_status: installed\ninstall_status: all\n",
    "other kind": EXACT.replace("package", "patch"),
    "kind in old spelling": EXACT.replace("type:", "kind:"),
    "two kinds": EXACT + "type: patch\n",
    "no kind": EXACT.replace("type: package\n", ""),
    "kind in the name": "match_type: exact\nsolvable_name: package:kernel-default\n",
    "other kind in the name": "match_type: exact\nsolvable_name: patch:kernel-default\n",
    "version in the name": "match_type: exact\nsolvable_name: kernel-default > 1-1\n",
    "version in the name, substring": "solvable_name: kernel >= 2\n",
    "complex": 'complex: AttrMatchData solvable:name kernel-default C SolvableRange\\ >\\ 1\\ \\"\\"\n',
    "complex, exact": 'complex: AttrMatchData solvable:name kernel T SolvableRange\\ <\\ 3\\ \\"\\"\n',
    "complex, architecture": "complex: AttrMatchData solvable:name kernel B SolvableRange\\ >\\ 1\\ noarch\n",
    "complex, malformed": "complex: AttrMatchData solvable:name kernel\n",
    "kind only locks everything": "type: package\n",
    "garbage ends a block": "type: package\nrubbish\nsolvable_name: old\n",
    "garbage at first": "rubbish\n" + EXACT,
    "comment line": "# mine: yes\n" + EXACT,
    "query string": "type: package\nquery_string: kernel-d\n",
    "query string and name": "query_string: old\nsolvable_name:\n",
    "architecture": "match_type: exact\nsolvable_arch: noarch\n",
    "name or architecture": "match_type: exact\nsolvable_name: old\nsolvable_arch: noarch\n",
    "name or architectures": "match_type: exact\nsolvable_name: old\nsolvable_arch: old\n"
    "solvable_arch: noarch\n",
    "names or architecture": "match_type: exact\nsolvable_arch: old\nsolvable_name: old\n"
    "solvable_name: kernel\n",
    "two attributes, the same text": "match_type: exact\nsolvable_name: noarch\nsolvable_arch: noarch\n",
    "blanks": "  type :  package  \n match_type:exact\n solvable_name:   old   \n",
    "Windows line ends": "type: package\r\nmatch_type: exact\r\nsolvable_name: old\r\n",
    "several blocks": EXACT
    + "version: < 2\n\n"
    + EXACT
    + "version: > 2\n\n\n\nmatch_type: exact\nsolvable_name: old\n",
    "require_all": "require_all: on\n" + EXACT,
    "unknown word": "name: old\ntype: package\n",
    "empty file": "",
}
WHOLE = re.compile(r"\s+(\S+)-([^-\s]+)-([^-\s]+)\.([^.\s]+) \((\S+)\)")
SINGLE = re.compile(r"(?:Keep installed|Do not install)\s*: (\S+)-([^-\s]+)-([^-\s]+)\.([^.\s]+) \((\S+)\)")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    rpms = rpmbuild.build(INSTALLED)
    with Sandbox() as one:
        one.install_rpms(rpms)
        one.add_repository("a", f"dir:{repository.rpm_md(AVAILABLE)}")
        assert one.zypper("refresh").code == 0
        yield one


def held(text: str) -> set[tuple[str, str, str, str]]:
    locks = parse_locks(text)
    return {
        (spec.name, spec.evr, spec.arch, alias)
        for specs, alias in ((INSTALLED, "@System"), (AVAILABLE, "a"))
        for spec in specs
        if locks.matching(spec.name, Evr.parse(spec.evr), spec.arch, alias, alias == "@System")
    }


@pytest.mark.parametrize("name", LOCKS)
def test_matches_what_zypper_matches(name: str, sandbox: Sandbox) -> None:
    sandbox.write("/etc/zypp/locks", LOCKS[name])
    ended = sandbox.zypper("--no-refresh", "locks", "-s")
    assert ended.code == 0, ended
    matches = [*WHOLE.findall(ended.stdout), *SINGLE.findall(ended.stdout)]
    zypper = {(name, f"{version}-{release}", arch, alias) for name, version, release, arch, alias in matches}
    assert held(LOCKS[name]) == zypper, ended


def _arguments(text: str) -> list[tuple[str, ...] | None]:
    return [block.lock.argument for block in parse_locks(text).blocks if block.lock is not None]


@pytest.mark.parametrize(
    "name", [name for name, text in LOCKS.items() if any(_arguments(text)) and held(text)]
)
def test_zypper_removes_what_it_is_told_to(name: str, sandbox: Sandbox) -> None:
    arguments = [words for words in _arguments(LOCKS[name]) if words]
    sandbox.write("/etc/zypp/locks", LOCKS[name])
    for words in arguments:
        ended = sandbox.zypper("removelock", *words)
        assert "1 lock has been successfully removed" in ended.stdout, ended
    left = parse_locks(sandbox.path("/etc/zypp/locks").read_text())
    assert [block.lock.argument for block in left.blocks if block.lock] == _arguments(LOCKS[name])[
        len(arguments) :
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["acme-kmp-default"],
        ["acme*"],
        ["acme-kmp-default = 1:2-1"],
        ["acme-kmp-default<3"],
        ["--repo", "a", "kernel-default >= 2"],
    ],
)
def test_what_zypper_locks_it_can_be_told_to_unlock(words: list[str], sandbox: Sandbox) -> None:
    sandbox.write("/etc/zypp/locks", "")
    assert sandbox.zypper("addlock", *words).code == 0
    (argument,) = _arguments(sandbox.path("/etc/zypp/locks").read_text())
    assert argument is not None
    assert "1 lock has been" in sandbox.zypper("removelock", *argument).stdout


@pytest.mark.parametrize("name", LOCKS)
def test_blocks_are_the_file(name: str) -> None:
    text = LOCKS[name] + "\n# kept: as it is\n\n\n" + EXACT
    assert "".join(block.raw for block in parse_locks(text).blocks) == text


def test_owner_is_told_by_the_comment() -> None:
    blocks = parse_locks(EXACT + "comment: kmpsolve hold\n\n" + EXACT).blocks
    assert [block.lock and block.lock.comment for block in blocks] == ["kmpsolve hold", ""]


def test_operator_that_zypper_refuses(sandbox: Sandbox) -> None:
    text = EXACT + "version: => 2\n"
    sandbox.write("/etc/zypp/locks", text)
    assert sandbox.zypper("--no-refresh", "locks").code == 4
    locks = parse_locks(text)
    assert locks.problems and "'=>'" in locks.problems[0]
    assert held(text) == set()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("type: package\nrubbish\n", "line 2"),
        ("type: package\n", "every package"),
        ("match_type: bogus\nsolvable_name: x\n", "bogus"),
        ("match_type: regex\nsolvable_name: x(\n", "locks nothing"),
        ("solvable_summary: x\n", "solvable_summary"),
        ("complex: AttrMatchData\n", "complex"),
        ("install_status: maybe\nsolvable_name: x\n", "maybe"),
        ("match_type: glob\nsolvable_name: " + "[a" * 50_000 + "\n", "more than 4096 characters"),
        ("complex: AttrMatchData solvable:name " + "[a" * 50_000 + ' G ""\n', "more than 4096 characters"),
    ],
)
def test_what_misleads_is_reported(text: str, problem: str) -> None:
    assert any(problem in line for line in parse_locks(text).problems)
