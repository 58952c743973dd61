"""A system as its rpmdb has it, ready for the oracle: nothing that a world or a plan said is believed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.sandbox import Sandbox
from tests.support.oracle import Reading, System
from tests.support.worlds import Kernel, KernelExtra, Kmp, Noun, Tool, World

_TAGS = {"P": "PROVIDE", "R": "REQUIRE", "O": "OBSOLETE"}
_DEPENDENCIES = "".join(
    f"[{letter} %{{{tag}NAME}} %{{{tag}FLAGS:depflags}} %{{{tag}VERSION}}\n]" for letter, tag in _TAGS.items()
)
_FORMAT = f"N %{{NAME}} %{{VERSION}} %{{RELEASE}} %{{ARCH}} %{{VENDOR}}\n{_DEPENDENCIES}"
_KMP = re.compile(r"(?P<name>.+)-kmp-(?P<flavor>\w+)")
_KERNEL = re.compile(r"kernel-(?P<flavor>\w+)(?:-(?P<part>base|extra|optional))?")
_OF_SYMBOL = re.compile(r"ksym\(\w+:(.+)\)")
_OF_SYMSET = re.compile(r"kernel\(\w+:(.+)\)")
_OF_MODULE = re.compile(r"kmod\((.+)\)")


@dataclass(kw_only=True)
class _Header:
    name: str
    version: str
    release: str
    arch: str
    vendor: str
    relations: dict[str, list[tuple[str, str, str]]] = field(
        default_factory=lambda: {letter: [] for letter in _TAGS}
    )

    def pairs(self, letter: str, pattern: re.Pattern[str]) -> str:
        """``a=1 b=2`` for the capabilities of a kind."""
        found = ((pattern.fullmatch(name), version) for name, _, version in self.relations[letter])
        return " ".join(f"{match[1]}={version}" for match, version in found if match)

    @property
    def modules(self) -> str:
        found = (_OF_MODULE.fullmatch(name) for name, _, _ in self.relations["P"])
        return " ".join(match[1] for match in found if match)

    def exact(self, letter: str) -> str:
        return next((v for name, _, v in self.relations[letter] if name == "kernel-uname-r"), "")

    def spelled(self, letter: str) -> str:
        """All of a kind."""
        return "; ".join(" ".join(filter(None, relation)) for relation in self.relations[letter])

    def noun(self) -> Noun:
        kernel, kmp = _KERNEL.fullmatch(self.name), _KMP.fullmatch(self.name)
        if kmp:
            version, _, krel = self.version.partition("_k")
            return Kmp(
                name=kmp["name"],
                krel=krel.replace("_", "-"),
                version=version,
                release=self.release,
                flavor=kmp["flavor"],
                symbols=self.pairs("R", _OF_SYMBOL),
                symsets=self.pairs("R", _OF_SYMSET),
                exact=self.exact("R"),
                exports=self.pairs("P", _OF_SYMBOL),
                modules=self.modules,
                obsoletes=self.spelled("O"),
                vendor=self.vendor,
                arch=self.arch,
            )
        if kernel and self.exact("P"):
            return Kernel(
                release=self.release,
                version=self.version,
                flavor=kernel["flavor"],
                package=self.name,
                uname=self.exact("P"),
                ksyms=self.pairs("P", _OF_SYMBOL),
                symsets=self.pairs("P", _OF_SYMSET),
                modules=self.modules,
                obsoletes=self.spelled("O"),
                vendor=self.vendor,
                arch=self.arch,
            )
        if kernel and kernel["part"]:
            return KernelExtra(
                release=self.release,
                version=self.version,
                flavor=kernel["flavor"],
                suffix=kernel["part"],
                ksyms=self.pairs("P", _OF_SYMBOL),
                modules=self.modules,
                vendor=self.vendor,
                arch=self.arch,
            )
        return Tool(
            name=self.name,
            version=self.version,
            release=self.release,
            requires=self.spelled("R"),
            vendor=self.vendor,
        )


def _headers(lines: Iterable[str]) -> list[_Header]:
    found: list[_Header] = []
    for line in lines:
        letter, _, rest = line.partition(" ")
        if letter == "N":
            name, version, release, arch, vendor = rest.split(" ", 4)
            found.append(_Header(name=name, version=version, release=release, arch=arch, vendor=vendor))
        elif letter in _TAGS:
            name, _, relation = rest.partition(" ")
            flag, _, version = relation.strip().partition(" ")
            found[-1].relations[letter].append((name, flag, version.strip()))
    return found


def read(sandbox: Sandbox) -> System:
    """The oracle's system of what is installed in the sandbox."""
    asked = sandbox.run(["rpm", "-qa", "--qf", _FORMAT])
    assert asked.code == 0, asked
    nouns = [header.noun() for header in _headers(asked.stdout.splitlines())]
    system = System(World(installed=nouns), Reading())
    assert sorted(package.nevra for package in system.installed) == sandbox.installed()
    return system
