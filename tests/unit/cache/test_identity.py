"""The name of a cache changes with whatever it was made from, and with nothing else; on a real system."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.cache.identity import name_of
from kmpsolve.metadata.root import read_root
from tests.sandbox import Sandbox
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

ONE = PackageSpec(name="one", version="1", release="1")
TWO = PackageSpec(name="two", version="1", release="1")


def settled(sandbox: Sandbox) -> str | None:
    time.sleep(1.1)
    return name_of(read_root(sandbox.root), solver="x")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        made.install_rpms(rpmbuild.build([ONE]))
        patches = [repository.PatchSpec(id="SUSE-2026-1", packages=(TWO,))]
        made.add_repository("r", f"dir:{repository.rpm_md((ONE, TWO), patches)}", refresh=False)
        assert made.zypper("refresh").code == 0
        yield made


def test_nothing_changes_it_while_nothing_changes(sandbox: Sandbox) -> None:
    first = settled(sandbox)
    assert first is not None
    assert sandbox.run(["rpm", "-qa"]).code == 0
    assert sandbox.zypper("--no-refresh", "update", "--dry-run").code == 0
    assert settled(sandbox) == first
    assert name_of(read_root(sandbox.root), solver="y") != first


def test_a_file_that_changed_just_now_has_no_name(sandbox: Sandbox) -> None:
    os.utime(sandbox.path("/var/cache/zypp/solv/r/solv"))
    assert name_of(read_root(sandbox.root), solver="x") is None


def test_rpm_changes_it(sandbox: Sandbox) -> None:
    first = settled(sandbox)
    sandbox.install_rpms(rpmbuild.build([TWO]))
    second = settled(sandbox)
    assert None not in (first, second)
    assert first != second
    assert sandbox.run(["rpm", "-e", "--nodeps", "two"]).code == 0
    assert settled(sandbox) not in (None, first, second)


def test_a_refresh_changes_it(sandbox: Sandbox) -> None:
    first = settled(sandbox)
    assert sandbox.zypper("refresh", "--force").code == 0
    assert settled(sandbox) not in (None, first)


@pytest.mark.parametrize("how", ["cut short", "gone"])
def test_damaged_patches_change_it(sandbox: Sandbox, how: str) -> None:
    """They are read beside zypper's cache of the packages, which stays as it is."""
    first = settled(sandbox)
    (patches,) = sandbox.path("/var/cache/zypp/raw/r/repodata").glob("*updateinfo*")
    if how == "gone":
        patches.unlink()
    else:
        patches.write_bytes(patches.read_bytes()[:-10])
    assert settled(sandbox) not in (None, first)
    assert sandbox.zypper("refresh", "--force").code == 0


def test_where_downloads_are_kept_changes_it(sandbox: Sandbox) -> None:
    first = settled(sandbox)
    system = read_root(sandbox.root)
    (repository,) = system.repositories
    assert name_of(system, solver="x") == first
    moved = replace(system, repositories=(replace(repository, packages=Path("/elsewhere")),))
    assert name_of(moved, solver="x") not in (None, first)


def test_a_priority_changes_it(sandbox: Sandbox) -> None:
    first = settled(sandbox)
    assert sandbox.zypper("modifyrepo", "--priority", "5", "r").code == 0
    assert settled(sandbox) not in (None, first)


def test_without_zyppers_cache_there_is_no_name(sandbox: Sandbox) -> None:
    sandbox.path("/var/cache/zypp/solv/r/solv").unlink()
    assert settled(sandbox) is None
