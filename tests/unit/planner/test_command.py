"""The command that carries a transaction out, where no fixture shows a case of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.model.plan import Step
from kmpsolve.planner.command import word_for, zypper_install
from kmpsolve.solver.transaction import Transacted
from tests.support.packages import PackageSpec
from tests.support.universes import sealed


def acme(version: str, *requires: str) -> PackageSpec:
    return PackageSpec(name="acme-kmp-default", version=version, release="1", requires=requires)


KERNEL = PackageSpec(
    name="kernel-default", version="6.4.0", release="1.1", provides=("kernel-uname-r = 6.4.0-1-default",)
)

_NEW = replace(KERNEL, release="2.1", provides=("kernel-uname-r = 6.4.0-2-default",))


def test_the_same_evr_with_other_content_is_neither_old_nor_removed(tmp_path: Path) -> None:
    of = sealed(tmp_path, {"r1": [acme("1.0", "ksym(default:a) = 2")]}, [acme("1.0", "ksym(default:a) = 1")])
    old, new = of.called("acme-kmp-default")
    step = Step(action="upgrade", nevra=str(new), repository="r1")
    said = zypper_install(of, Transacted((step,), (new,), (old,), ()))
    assert said == "zypper install --no-recommends acme-kmp-default=1.0-1"


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (acme("1.0", "ksym(default:a) = 1"), "acme-kmp-default=1.0-1"),
        (acme("1.0", "ksym(default:a) = 2"), "r1:acme-kmp-default=1.0-1"),
        (acme("1.1", "ksym(default:a) = 2"), "acme-kmp-default=1.0-1"),
        (replace(acme("1.0"), vendor="Other GmbH"), "r1:acme-kmp-default=1.0-1"),
        (replace(acme("1.0"), arch="i586"), "r1:acme-kmp-default.x86_64=1.0-1"),
        (replace(acme("1.0"), arch="s390x"), "acme-kmp-default=1.0-1"),
    ],
)
def test_what_else_the_name_and_evr_mean(tmp_path: Path, other: PackageSpec, word: str) -> None:
    of = sealed(tmp_path, {"r1": [acme("1.0", "ksym(default:a) = 1")], "r2": [other]}, [KERNEL])
    (meant,) = (p for p in of.called("acme-kmp-default") if p.repository == "r1")
    assert word_for(of, meant) == word


def test_an_older_evr_and_what_only_goes(tmp_path: Path) -> None:
    of = sealed(tmp_path, {"r1": [acme("1.0")]}, [acme("2.0")])
    old, new = of.called("acme-kmp-default")
    steps = (
        Step(action="install", nevra=str(new), repository="r1"),
        Step(action="erase", nevra=str(old), repository=None),
    )
    assert zypper_install(of, Transacted(steps, (new,), (old,), ())) == (
        "zypper install --no-recommends --oldpackage -- acme-kmp-default=1.0-1 -acme-kmp-default=2.0-1"
    )


@pytest.mark.parametrize(
    ("lock", "force"),
    [
        ("kernel-default", " --force"),
        ("kernel-default == 6.4.0-2.1", " --force"),
        ("kernel-default == 6.4.0-1.1", ""),
        ("acme-kmp-default", ""),
    ],
)
def test_zypper_is_forced_where_a_lock_holds_what_is_named(tmp_path: Path, lock: str, force: str) -> None:
    of = sealed(tmp_path, {"r1": [_NEW]}, [KERNEL], locks=(lock,))
    (new,) = (k.package for k in of.kernels if not k.package.installed)
    step = Step(action="install", nevra=str(new), repository="r1")
    said = zypper_install(of, Transacted((step,), (new,), (), ()))
    assert said == f"zypper install --no-recommends{force} kernel-default=6.4.0-2.1"


def test_zypper_is_forced_to_what_is_retracted_where_a_lock_holds_another_of_its_name(tmp_path: Path) -> None:
    retracted = replace(_NEW, provides=(*_NEW.provides, "retracted-patch-package()"))
    for lock, force in (("kernel-default == 6.4.0-1.1", " --force"), ("acme-kmp-default", "")):
        of = sealed(tmp_path / str(len(lock)), {"r1": [retracted]}, [KERNEL], locks=(lock,))
        (new,) = (k.package for k in of.kernels if not k.package.installed)
        step = Step(action="install", nevra=str(new), repository="r1")
        said = zypper_install(of, Transacted((step,), (new,), (), ()))
        assert said == f"zypper install --no-recommends{force} kernel-default=6.4.0-2.1"
