"""KMPs that exclude each other: who steps back, against the oracle that tries everything."""

from __future__ import annotations

import random

import pytest

from tests.property.acceptance import disagreements, plan_of
from tests.support.oracle import UndeterminedError, answers
from tests.support.worlds import Kernel, Kmp, Noun, Repository, Tool, World

NAMES = ("acme", "beta", "corp", "dyna")
VERSIONS = ("2.0", "3.0", "4.0")


def competition(number: int) -> World:
    """Two kernels, and KMPs of which most have builds for the newer one that conflict with the others'."""
    dice = random.Random(number)  # noqa: S311 - worlds, no secrets
    names = NAMES[: dice.choice((2, 3, 3, 4))]
    installed: list[Noun] = [Kernel(release="10.1", ksyms="a=1 b=1", modules="loop.ko")]
    absorbed = [f"{name}.ko" for name in names if dice.random() < 0.2]
    carriers: list[Noun] = []
    offered: list[Noun] = [Kernel(release="20.1", ksyms="a=2 b=1", modules=" ".join(["loop.ko", *absorbed]))]
    for name in names:
        extra = f" {name}_x.ko" if dice.random() < 0.2 else ""
        symbols = dice.choice(("a=1", "a=1", "a=1", "b=1", "", "z=9"))
        installed.append(Kmp(name=name, krel="6.4.0-10", symbols=symbols, modules=f"{name}.ko{extra}"))
        for version in VERSIONS[: dice.choice((1, 2, 2, 3))]:
            others = [other for other in names if other != name]
            against = [
                f"{dice.choice(others)}-kmp = {dice.choice(VERSIONS)}",
                f"{dice.choice(others)}-kmp-default",
            ]
            offered.append(
                Kmp(
                    name=name,
                    krel="6.4.0-20",
                    version=version,
                    symbols=dice.choice(("a=2", "a=2", "a=2", "b=1", "", "a=1")),
                    modules=f"{name}.ko{extra if dice.random() < 0.7 else ''}",
                    conflicts=dice.choice(("", against[0], against[0], against[1], "editor")),
                    requires=dice.choice(
                        ("", "", "", f"{dice.choice(others)}-kmp = {dice.choice(VERSIONS)}")
                    ),
                    vendor=dice.choice(("ACME Inc.", "ACME Inc.", "Other GmbH")),
                )
            )
        if extra and dice.random() < 0.7:
            vendor = dice.choice(("ACME Inc.", "Other GmbH"))
            carrier = f"{name}-extra"
            carriers.append(
                Kmp(name=carrier, krel="6.4.0-20", symbols="a=2", modules=f"{name}_x.ko", vendor=vendor)
            )
    if dice.random() < 0.5:
        installed.append(Tool(name="editor"))
    repositories = [
        Repository(alias="r1", packages=[*carriers, *(noun for noun in offered if dice.random() < 0.9)]),
        Repository(alias="r2", packages=offered, priority=dice.choice((99, 99, 50))),
    ]
    return World(installed=installed, repositories=repositories)


@pytest.mark.parametrize("hundred", range(3))
def test_nobody_steps_back_who_need_not(hundred: int) -> None:
    judged = 0
    for number in range(100 * hundred, 100 * hundred + 100):
        of = competition(number)
        try:
            answers(of)
        except UndeterminedError:
            continue
        found = disagreements(plan_of(of), of)
        assert not found, "\n".join([*found, of.text()])
        judged += 1
    assert judged > 60
