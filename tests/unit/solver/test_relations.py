"""Copies of packages say what the packages say."""

from __future__ import annotations

import pytest
import solv

from kmpsolve.solver.relations import RELATIONS, copy_package, relation


@pytest.mark.parametrize("vendor", ["ACME Inc.", "", None])
def test_a_copy_says_the_same(vendor: str | None) -> None:
    pool = solv.Pool()
    origin = pool.add_repo("a").add_solvable()
    origin.name, origin.evr, origin.arch = "acme", "5:1-2", "x86_64"
    if vendor is not None:
        origin.vendor = vendor
    for key in RELATIONS:
        origin.add_deparray(key, pool.str2id(f"one-{key}"))
        origin.add_deparray(key, pool.str2id(f"other-{key}"))
    for key in (solv.SOLVABLE_PROVIDES, solv.SOLVABLE_REQUIRES):  # files, and what scripts require
        origin.add_deparray(key, pool.str2id(f"behind-{key}"), 1)
    copy = copy_package(pool.add_repo("b"), origin)
    assert str(copy) == "acme-5:1-2.x86_64"
    assert copy.vendor == (vendor or "")
    for key in RELATIONS:
        parted = key in (solv.SOLVABLE_PROVIDES, solv.SOLVABLE_REQUIRES)
        expected = [f"one-{key}", f"other-{key}", *[f"behind-{key}"] * parted]
        assert list(map(pool.id2str, relation(origin, key))) == expected
        assert list(map(pool.id2str, copy.lookup_idarray(key))) == expected
