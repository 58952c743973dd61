"""Inventories that other tools keep: package lists as they write them, read as hosts.

What they tell is names and versions; the dependencies come from the repositories later. A list in which
something cannot be read is incomplete, and its host is told apart for that.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kmpsolve.metadata.content import UNKNOWN_ARCH
from kmpsolve.metadata.inventory import State, is_package

__all__ = [
    "Absent",
    "Census",
    "csv_columns",
    "from_csv",
    "from_json",
    "from_supportconfig",
    "listed_package",
    "shown",
]

_ARCH = (
    r"(?:noarch|src|nosrc|x86_64\w*|amd64|ia32e|i[3-6]86|athlon|geode|aarch64\w*|arm\w+|ppc\w*|s390x?"
    r"|riscv\w+|loongarch64|ia64|mips\w*|sparc\w*|alpha\w*|m68k|sh[34]\w*|hppa\w*)"
)
"""rpm's architectures: what else ends a name is part of a release, or of nothing."""
_RPM = re.compile(rf"(?P<nevra>[A-Za-z0-9_][^\s/:]*-[^\s/-]+-[^\s/-]+\.{_ARCH})(?:\.rpm)?(?:\s.*)?")
_TWO = re.compile(r"-[^-]+-[^-]+\.(?:noarch|x86_64|aarch64|i[56]86|ppc64le|s390x)[^-]*-.*-")
"""What a NEVRA holds that is two, since no line ended between them."""
_KNOWN = re.compile(_ARCH)
_ANOTHER = re.compile(r"\s(?!\S+src\.rpm)\w[^\s/]*-[^\s/-]+-[^\s/-]+\.[a-z]\w*(?:\.rpm)?(?!\S)")
_NOT_PACKAGES = re.compile(r"gpg-pubkey-[0-9a-f]+-[0-9a-f]+(?:\.\(none\))?(?:\s.*)?")
_UNAME = re.compile(
    r"^Linux (?P<host>\S+) (?P<running>\S+) .* (?P<arch>[a-z0-9_]+) GNU/Linux\s*$", re.MULTILINE
)
_USUAL = re.compile(r"(?:kernel-|.+-kmp-|rpm$|glibc$|bash$|filesystem$)")
"""Packages that every system has: a JSON object with none of them as keys is no list of packages."""
_UNTOLD = "its packages are not told; it may not have answered"
_SECTION = re.compile(r"^#==\[ .* \]=*#?\s*$", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class Census:
    """One host's packages while they are being read.

    Parameters
    ----------
    host
        ``None`` if the source does not name it.
    gaps
        What could not be read, one sentence each.
    """

    host: str | None = None
    arch: str | None = None
    running: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def add(self, name: object, version: object, release: object, epoch: object, arch: object) -> None:
        """Take one package; what is none becomes a gap."""
        if name == "gpg-pubkey":
            return
        parts = ["" if part is None else str(part) for part in (name, version, release)]
        number = str(epoch or "").strip()
        number = "0" if number in ("", "(none)", "None") else number
        nevra = (
            f"{parts[0]}-{'' if number == '0' else number + ':'}{parts[1]}-{parts[2]}.{arch or UNKNOWN_ARCH}"
        )
        whole = all(parts) and not any("-" in part for part in parts[1:])
        if whole and number.isdigit() and (not arch or _KNOWN.fullmatch(str(arch))) and is_package(nevra):
            self.packages.append(nevra)
        else:
            self.gaps.append(f"{shown(nevra)} is no package")

    def add_edition(self, name: object, edition: str, arch: object) -> None:
        """Take one package whose version is written ``[epoch:]version-release``."""
        epoch, colon, rest = edition.partition(":")
        if not (colon and epoch.isdigit()):
            epoch, rest = "0", edition
        version, _, release = rest.rpartition("-")
        self.add(name, version, release, epoch, arch)

    def state(self, wanted: Iterable[str] | None = None) -> State:
        """The host's state.

        Parameters
        ----------
        wanted
            Package names that matter besides kernels and KMPs; ``None``: all do.
        """
        packages: Iterable[str] = self.packages
        if wanted is not None:
            packages = [
                p
                for p in self.packages
                if (name := p.rsplit("-", 2)[0]) in wanted or _MATTERS.fullmatch(name)
            ]
        return State(
            arch=self.arch,
            running=self.running,
            packages=tuple(sorted(set(packages))),
            gaps=tuple(sorted(set(self.gaps))),
        )


_MATTERS = re.compile(
    r"kernel-(?!firmware|source|syms|macros|docs|devel|obs)[A-Za-z0-9_]+"
    r"(?:-base|-extra|-optional|-devel|-livepatch.*)?"
    r"|kernel-modules-.+|kmod-.+|kernel-livepatch-.*|kgraft-patch-.*|.+-kmp(?:-.*)?"
)


def shown(text: str) -> str:
    """What may be printed of a text from elsewhere."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:80])


@dataclass(frozen=True, slots=True)
class Absent:
    """A host that a source names, or an entry for one, without any package."""

    name: str
    reason: str


# rpm -qa


def listed_package(line: str) -> str | None:
    """The NEVRA in a line of ``rpm -qa``; ``""`` for a public key or nothing, ``None`` if it is neither."""
    text = line.strip()
    if _ANOTHER.search(text):  # line ends that are none here: the second package would be lost
        return None
    if not text or text.startswith("#") or _NOT_PACKAGES.fullmatch(text):
        return ""
    match = _RPM.fullmatch(text)
    if not match or _TWO.search(match["nevra"]) or not is_package(match["nevra"]):
        return None
    return match["nevra"]


# JSON


def from_json(document: object) -> list[Census | Absent]:
    """Find the hosts in a JSON document of Ansible, Salt or Uyuni, with those that did not answer.

    Raises
    ------
    ValueError
        If it is none of these, with one sentence.
    """
    if isinstance(document, list):
        if document and all(isinstance(one, dict) and "name" in one and "version" in one for one in document):
            return [*_from_rows(document)]
        found = _from_list(document)
        if any(isinstance(one, Census) for one in found):
            return found
    if isinstance(document, dict):
        if "plays" in document:
            return _from_plays(document["plays"])
        facts = document.get("ansible_facts", document)
        if isinstance(facts, dict) and isinstance(facts.get("packages", facts.get("ansible_packages")), dict):
            return [_from_facts(facts)]
        found = [_from_minion(host, told) or Absent(host, _UNTOLD) for host, told in document.items()]
        if any(isinstance(one, Census) for one in found):
            return found
    raise ValueError("is JSON, but neither an inventory line nor packages of Ansible, Salt or Uyuni")


def _from_list(documents: Sequence[object]) -> list[Census | Absent]:
    found: list[Census | Absent] = []
    for number, one in enumerate(documents, 1):
        try:
            if not isinstance(one, dict):
                raise ValueError("is no JSON object")
            found += from_json(one)
        except ValueError as error:
            found.append(Absent(f"entry {number}", str(error)))
    return found


def _from_plays(plays: object) -> list[Census | Absent]:
    """The output of Ansible's json callback: plays, their tasks, the results by host.

    A host without packages was to be asked if it is among those of a task that gathered some, or failed before.
    """
    found: dict[str, Census] = {}
    asked: dict[str, None] = {}
    for play in _dicts(plays):
        for task in _dicts(play.get("tasks")):
            hosts = task.get("hosts")
            results = hosts if isinstance(hosts, dict) else {}
            gathered = {}
            for host, result in results.items():
                facts = result.get("ansible_facts") if isinstance(result, dict) else None
                if isinstance(facts, dict) and isinstance(facts.get("packages"), dict):
                    gathered[host] = _from_facts(facts, host)
            found |= gathered
            asked |= dict.fromkeys(host for host, result in results.items() if gathered or _failed(result))
    if not found:
        raise ValueError("is Ansible's output, but no task gathered package_facts")
    return [*found.values(), *(Absent(host, _UNTOLD) for host in asked if host not in found)]


def _failed(result: object) -> bool:
    return isinstance(result, dict) and True in (result.get("unreachable"), result.get("failed"))


def _dicts(values: object) -> Iterator[dict[str, Any]]:
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, dict))


def _text(facts: Mapping[str, Any], *keys: str) -> str | None:
    for key in keys:
        if isinstance(facts.get(key), str) and facts[key]:
            return str(facts[key])
    return None


def _from_facts(facts: Mapping[str, Any], host: str | None = None) -> Census:
    census = Census(
        host=host or _text(facts, "inventory_hostname", "ansible_fqdn", "ansible_hostname"),
        arch=_text(facts, "ansible_architecture", "architecture"),
        running=_text(facts, "ansible_kernel", "kernel"),
    )
    product = [_text(facts, "ansible_distribution"), _text(facts, "ansible_distribution_version")]
    if product[0]:
        census.labels["product"] = " ".join(filter(None, product))
    packages = facts.get("packages", facts.get("ansible_packages"))
    assert isinstance(packages, dict)
    for name, builds in packages.items():
        for build in builds if isinstance(builds, list) else [builds]:
            if not isinstance(build, dict):
                census.gaps.append(f"{shown(str(name))} is not described")
            elif build.get("source", "rpm") == "rpm":
                census.add(
                    build.get("name", name),
                    build.get("version"),
                    build.get("release"),
                    build.get("epoch"),
                    build.get("arch"),
                )
    return census


def _from_minion(host: str, told: object) -> Census | None:
    """One minion of Salt: pkg.list_pkgs alone, or several functions' results by their names.

    Also one system of Uyuni's system.listPackages, where a script keeps them by system.
    """
    if isinstance(told, list):
        rows = [row for row in told if isinstance(row, dict) and "version" in row]
        found = _from_rows(rows) if rows and len(rows) == len(told) else []
        return replace(found[0], host=host) if len(found) == 1 else None
    if not isinstance(told, dict):
        return None
    packages = told.get("pkg.list_pkgs", {} if "grains.items" in told else told)
    grains = told.get("grains.items", {})
    if not isinstance(packages, dict) or not any(_USUAL.match(str(name)) for name in packages):
        return None
    grains = grains if isinstance(grains, dict) else {}
    census = Census(
        host=None if host == "local" else host,
        arch=_text(grains, "cpuarch", "osarch"),
        running=_text(grains, "kernelrelease"),
    )
    census.host = census.host or _text(grains, "id")
    if product := _text(grains, "osfullname"):
        census.labels["product"] = " ".join(filter(None, [product, _text(grains, "osrelease")]))
    for name, builds in packages.items():
        editions: Sequence[object] = builds.split(",") if isinstance(builds, str) else builds
        for edition in editions if isinstance(editions, list) else [editions]:
            if isinstance(edition, str):
                census.add_edition(name, edition, None)
            elif isinstance(edition, dict):
                census.add(
                    name,
                    edition.get("version"),
                    edition.get("release"),
                    edition.get("epoch"),
                    edition.get("arch"),
                )
            else:
                census.gaps.append(f"{shown(str(name))} is not described")
    return census


# rows: Uyuni's API, its CSV exports

_NO_COLUMN = "\0"
"""The key of what stands behind a row's last column."""
_COLUMNS = {
    "host": (
        "hostname",
        "host",
        "system_name",
        "server_name",
        "profile_name",
        "system",
        "minion_id",
        "system_id",
        "server_id",
    ),
    "name": ("name", "package_name", "package"),
    "version": ("version", "package_version"),
    "release": ("release", "package_release"),
    "epoch": ("epoch", "package_epoch"),
    "arch": ("arch", "package_arch", "architecture", "arch_label", "package_architecture"),
    "nevra": ("nevra", "nvra", "nvrea", "installed_package", "latest_package", "package_nvra"),
    "running": ("kernel_version", "running_kernel", "kernel"),
}
_NUMBERS = ("system_id", "server_id")
"""What tells systems of one name apart."""


def _from_rows(rows: Iterable[Mapping[str, Any]]) -> list[Census]:
    """Packages as rows; a row may name its host, and tell it by a number from others of that name."""
    found: dict[tuple[str | None, object], Census] = {}
    for row in rows:
        plain = {
            str(key).strip().lower().replace(" ", "_"): value.strip() if isinstance(value, str) else value
            for key, value in row.items()
            if key
        }
        told = {
            meaning: next((plain[key] for key in keys if plain.get(key) not in (None, "")), None)
            for meaning, keys in _COLUMNS.items()
        }
        host = str(told["host"]) if told["host"] is not None else None
        number = next((plain[key] for key in _NUMBERS if plain.get(key) not in (None, "")), None)
        census = found.setdefault((host, number), Census(host=host))
        if told["running"] is not None:
            census.running = str(told["running"])
        arch = told["arch"]
        # Uyuni writes labels such as ``x86_64`` and, in some places, ``AMD64``.
        arch = {"AMD64": "x86_64", "ARM64": "aarch64"}.get(str(arch), arch)
        if any(row.get(_NO_COLUMN) or ()):
            census.gaps.append(
                f"the row of {shown(str(told['name']))} has more fields than there are columns"
            )
        elif told["version"] is not None and told["release"] is not None:
            census.add(told["name"], told["version"], told["release"], told["epoch"], arch)
        else:
            text = str(told["nevra"] or told["name"])
            nevra = listed_package(text)
            if nevra:
                census.packages.append(nevra)
            elif nevra is None:
                census.gaps.append(f"{shown(text)} is no package")
    return list(found.values())


def csv_columns(line: str) -> str | None:
    """The delimiter, if a line is the header of a package list; else ``None``."""
    for delimiter in (",", ";", "\t"):
        columns = {c.strip().strip('"').lower().replace(" ", "_") for c in line.strip().split(delimiter)}
        named = bool(columns & {"name", "package_name", "package"}) and columns & {
            "version",
            "package_version",
        }
        if len(columns) > 1 and (named or columns & set(_COLUMNS["nevra"])):
            return delimiter
    return None


def from_csv(lines: Sequence[str], delimiter: str) -> list[Census]:
    """Find the hosts in a CSV export; the first line is the header.

    Raises
    ------
    ValueError
        If it is malformed, with one sentence.
    """
    try:
        rows = list(csv.DictReader(lines, delimiter=delimiter, strict=True, restkey=_NO_COLUMN))
    except csv.Error as error:
        raise ValueError(f"is malformed CSV: {shown(str(error))}") from error
    if not rows:
        raise ValueError("lists no package")
    return _from_rows(rows)


# supportconfig


def from_supportconfig(rpm: str, environment: str) -> Census:
    """Read rpm.txt and basic-environment.txt of a supportconfig.

    ``rpm -qa --last`` in it tells whole names; the table of names, distributions and versions before it tells
    no architecture and is used where the other is missing.

    Raises
    ------
    ValueError
        If no list of packages is in it.
    """
    census = Census()
    if uname := _UNAME.search(environment):
        census.host, census.running, census.arch = uname["host"], uname["running"], uname["arch"]
    if product := re.search(r'^PRETTY_NAME="?([^"\n]+)', environment, re.MULTILINE):
        census.labels["product"] = product[1].strip()
    sections = [section.strip("\n").split("\n") for section in _SECTION.split(rpm)]
    for lines in sections:
        if lines[0].startswith("# rpm -qa --last"):
            for line in lines[1:]:
                nevra = listed_package(line)
                if nevra:
                    census.packages.append(nevra)
                elif nevra is None:
                    census.gaps.append(f"rpm.txt: {shown(line)} is no package")
    if census.packages:
        return census
    for lines in sections:
        if (
            lines[0].startswith("# rpm -qa --queryformat")
            and re.search(r"%(?:-\d+)?\{NAME\}", lines[0])
            and "VENDOR" not in lines[0]
        ):
            for line in lines[1:]:
                words = line.split()
                if words and words[0] not in ("NAME", "gpg-pubkey"):
                    census.add_edition(words[0], words[-1], None)
    if not census.packages:
        raise ValueError("is a supportconfig without a list of packages (rpm.txt)")
    return census
