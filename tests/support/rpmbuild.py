"""Real RPMs, made by rpmbuild from package descriptions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from functools import cache
from pathlib import Path

from tests.support import cache as rpm_cache
from tests.support.packages import PackageSpec

BUILD_TIME = 1_700_000_000
_BUILDERS = 2
_LARGEST_BATCH = 64
_DEFINITIONS = {
    # kernel-uname-r = 6.4.0-1-default has a dash too many for rpm, which refuses it by default.
    "_wrong_version_format_terminate_build": "0",
    "_buildhost": "kmpsolve.test",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "source_date_epoch_from_changelog": "0",
    "_binary_payload": "w1.gzdio",
    "_build_id_links": "none",
    "debug_package": "%{nil}",
    "__os_install_post": "%{nil}",
    "__brp_compress": "%{nil}",
}


class RpmbuildError(Exception):
    """rpmbuild failed; the message is what it said."""


def build(specs: Iterable[PackageSpec]) -> tuple[Path, ...]:
    """Build what is not yet cached and return the RPMs' paths, in the order of `specs`.

    A file is named ``NAME-VERSION-RELEASE.ARCH.rpm`` as usual, in a folder of its own: two descriptions
    with the same NEVRA and different content are two files.
    """
    wanted = tuple(specs)
    missing = [spec for spec in dict.fromkeys(wanted) if not _cached(spec).is_file()]
    with ThreadPoolExecutor(_BUILDERS) as builders:
        for _ in builders.map(_build_batch, _batches(missing)):
            pass
    return tuple(_cached(spec) for spec in wanted)


def file_name(spec: PackageSpec) -> str:
    return f"{spec.name}-{spec.version}-{spec.release}.{spec.arch}.rpm"


def _cached(spec: PackageSpec) -> Path:
    name = _digest(spec)
    return rpm_cache.root() / "rpms" / name[:2] / name / file_name(spec)


@cache
def _digest(spec: PackageSpec) -> str:
    return rpm_cache.digest(_rpm_version(), _DEFINITIONS, BUILD_TIME, astuple(spec))


@cache
def _rpm_version() -> str:
    return subprocess.run(["rpmbuild", "--version"], check=True, capture_output=True, text=True).stdout


def _batches(specs: Sequence[PackageSpec]) -> Iterator[tuple[PackageSpec, ...]]:
    """Group packages that one spec file can make: one arch, no name and no path with two meanings.

    rpmbuild takes 50 ms to start and 1 ms for one more small package, so that a repository of
    sub-packages is built about as fast as a single RPM.
    """
    open_batches: dict[str, list[dict[str, PackageSpec]]] = {}
    for spec in specs:
        batches = open_batches.setdefault(spec.arch, [])
        fitting = (batch for batch in batches if len(batch) < _LARGEST_BATCH and _fits(spec, batch))
        batch = next(fitting, None)
        if batch is None:
            batch = {}
            batches.append(batch)
        batch[spec.name] = spec
    for batches in open_batches.values():
        for batch in batches:
            yield tuple(batch.values())


def _fits(spec: PackageSpec, batch: dict[str, PackageSpec]) -> bool:
    return spec.name not in batch and not (spec.contents and any(other.contents for other in batch.values()))


def _build_batch(specs: tuple[PackageSpec, ...]) -> None:
    # Not below the cache: rpmbuild's own scripts do not quote, and a checkout's path may have spaces.
    with tempfile.TemporaryDirectory(prefix="kmpsolve-rpmbuild-") as name:
        work = Path(name)
        tree = work / "tree"
        tree.mkdir()
        for spec in specs:
            for path, content in _files(spec):
                place = tree / path.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        (work / "fixture.spec").write_text(_spec_file(specs, tree), encoding="utf-8")
        _run(work, specs[0].arch)
        for spec in specs:
            _keep(work / "rpms" / spec.arch / file_name(spec), _cached(spec))


def _files(spec: PackageSpec) -> tuple[tuple[str, bytes], ...]:
    return tuple((path, f"{path}\n".encode()) for path in spec.files) + spec.contents


def _run(work: Path, arch: str) -> None:
    definitions = {
        **_DEFINITIONS,
        "_topdir": str(work),
        "_rpmdir": str(work / "rpms"),
        "_dbpath": str(work / "rpmdb"),
        "_tmppath": str(work),
        "_rpmfilename": "%%{ARCH}/%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
    }
    defines = [argument for key, value in definitions.items() for argument in ("--define", f"{key} {value}")]
    done = subprocess.run(
        ["rpmbuild", "-bb", "--quiet", "--nodeps", "--target", f"{arch}-linux", *defines, "fixture.spec"],
        cwd=work,
        # HOME keeps a developer's ~/.rpmmacros and ~/.rpmrc out of it.
        env={
            "HOME": str(work),
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "SOURCE_DATE_EPOCH": str(BUILD_TIME),
            "TZ": "UTC",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RpmbuildError(done.stderr)


def _keep(built: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=place.parent)
    os.close(descriptor)
    shutil.copyfile(built, draft)
    # createrepo_c writes the file's time into primary.xml.
    os.utime(draft, (BUILD_TIME, BUILD_TIME))
    Path(draft).chmod(0o644)
    Path(draft).replace(place)


def _spec_file(specs: tuple[PackageSpec, ...], tree: Path) -> str:
    """Return a spec file with `specs` as sub-packages; without ``%files`` its own package is not built."""
    lines = [
        "Name: fixture",
        "Version: 1",
        "Release: 1",
        "Summary: Packages for tests",
        "License: GPL-2.0-or-later",
        "%description",
        "Packages for tests.",
    ]
    for spec in specs:
        lines += _sub_package(spec)
    lines += ["%install", "mkdir -p %{buildroot}", f"cp -a {tree}/. %{{buildroot}}/"]
    return "\n".join(lines) + "\n"


def _sub_package(spec: PackageSpec) -> Iterator[str]:
    def tag(name: str, values: Iterable[str]) -> Iterator[str]:
        return (f"{name}: {_literal(value)}" for value in values)

    yield f"%package -n {spec.name}"
    yield from tag("Version", [spec.version])
    yield from tag("Release", [spec.release])
    if spec.epoch:
        yield f"Epoch: {spec.epoch}"
    if spec.vendor:
        yield from tag("Vendor", [spec.vendor])
    yield from tag("Summary", [spec.name])
    yield "AutoReqProv: no"
    yield from tag("Provides", spec.provides)
    yield from tag("Requires", spec.requires)
    yield from tag("Requires(post)", spec.post)
    yield from tag("Conflicts", spec.conflicts)
    yield from tag("Obsoletes", spec.obsoletes)
    yield from tag("Recommends", spec.recommends)
    yield from tag("Supplements", spec.supplements)
    yield from tag("Enhances", spec.enhances)
    yield f"%description -n {spec.name}"
    yield _literal(spec.name)
    for section, body in spec.scripts:
        yield f"%{section} -n {spec.name}"
        yield _literal(body)
    for trigger in spec.triggers:
        yield f"%triggerin -n {spec.name} -- {trigger}"
        yield "exit 0"
    yield f"%files -n {spec.name}"
    yield "%defattr(-, root, root)"
    for path, _ in _files(spec):
        yield f'"{_literal(path)}"'


def _literal(text: str) -> str:
    return text.replace("%", "%%")
