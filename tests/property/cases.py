"""Small worlds with answers worked out by hand, each from a sentence of the contract.

An answer is written as ``VERDICT TARGET | KMP DECISION VERSION, ... | newest-safe RELEASE``; what the
transaction adds beside the kernel and the KMPs' builds follows a ``+``, other acceptable choices an ``or``.
"""

from __future__ import annotations

from typing import Any

from tests.support.worlds import ACME, Kernel, KernelExtra, Kmp, Noun, Repository, Tool, World


def kernel(number: int, ksyms: str = "a=1", **more: Any) -> Kernel:
    return Kernel(**({"release": f"{number}0.1", "ksyms": ksyms} | more))


def acme(version: str = "1.0", symbols: str = "a=1", **more: Any) -> Kmp:
    made = {"name": "acme", "krel": "6.4.0-10", "version": version, "symbols": symbols, "modules": "acme.ko"}
    return Kmp(**(made | more))


def beta(version: str = "1.0", symbols: str = "a=1", **more: Any) -> Kmp:
    return acme(version, symbols, **({"name": "beta", "modules": "beta.ko"} | more))


def made(installed: list[Noun], offered: list[Noun], **more: Any) -> World:
    return World(installed=installed, repositories=[Repository(alias="r1", packages=offered)], **more)


CASES: dict[str, tuple[World, str]] = {
    # -- verdicts
    "no KMP and a newer kernel: safe": (
        made([kernel(1)], [kernel(2)]),
        "safe 20.1 |  | newest-safe 20.1",
    ),
    "nothing newer: nothing-to-do": (
        made([kernel(1), acme()], [kernel(1)]),
        "nothing-to-do | acme reuse | newest-safe 10.1",
    ),
    "KMP updates alone, with everything working, are nothing-to-do": (
        made([kernel(1), acme()], [acme("2.0")]),
        "nothing-to-do | acme reuse | newest-safe 10.1",
    ),
    "an older candidate is nothing newer": (
        made([kernel(2), acme(krel="6.4.0-20")], [kernel(1)]),
        "nothing-to-do | acme reuse | newest-safe 20.1",
    ),
    "works on an older installed kernel only, and a fetch helps: safe with the newest installed as target": (
        made([kernel(1), kernel(2, "a=2"), acme()], [acme("2.0", "a=2", krel="6.4.0-20")]),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "works on an older installed kernel only, and nothing helps: blocked": (
        made([kernel(1), kernel(2, "a=2"), acme()], []),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "an unverified KMP makes a flavor unverified when there is a target": (
        made([kernel(1), acme(symbols="")], [kernel(2)]),
        "unverified 20.1 | acme unverified 1.0 | newest-safe None",
    ),
    "with nothing new the decision alone says unverified": (
        made([kernel(1), acme(symbols="")], []),
        "nothing-to-do | acme unverified | newest-safe None",
    ),
    "an already broken KMP loses nothing and does not count": (
        made([kernel(1), acme(symbols="a=7"), beta()], [kernel(2)]),
        "safe 20.1 | acme blocked, beta reuse 1.0 | newest-safe 20.1",
    ),
    "an already broken KMP is fetched on a target where that works": (
        made([kernel(1), acme(symbols="a=7")], [kernel(2), acme("2.0")]),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "an already broken KMP is reused on a target where that works": (
        made([kernel(1), acme(symbols="a=2")], [kernel(2, "a=2")]),
        "safe 20.1 | acme reuse 1.0 | newest-safe 20.1",
    ),
    "an already broken KMP alone never makes a plan": (
        made([kernel(1), acme(symbols="a=7")], [acme("2.0")]),
        "nothing-to-do | acme | newest-safe 10.1",
    ),
    "a KMP that only an older installed kernel uses counts": (
        made([kernel(1), kernel(2, "a=2"), acme()], [kernel(3, "a=3")]),
        "blocked 30.1 | acme blocked | newest-safe 10.1",
    ),
    "a broken KMP is not used through a build that nobody can verify": (
        made([kernel(1), acme(symbols="a=7")], [kernel(2), acme("2.0", symbols="")]),
        "safe 20.1 | acme blocked | newest-safe 20.1",
    ),
    "blocked is worse than unverified": (
        made([kernel(1), acme(), beta(symbols="")], [kernel(2, "a=2")]),
        "blocked 20.1 | acme blocked, beta unverified 1.0 | newest-safe None",
    ),
    # -- compatibility
    "reuse is preferred to any update": (
        made([kernel(1), acme()], [kernel(2), acme("2.0", krel="6.4.0-20")]),
        "safe 20.1 | acme reuse 1.0 | newest-safe 20.1",
    ),
    "a changed CRC blocks": (
        made([kernel(1), acme()], [kernel(2, "a=2")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a missing symbol blocks": (
        made([kernel(1, "a=1 b=1"), acme(symbols="a=1 b=1")], [kernel(2, "a=1")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "CRCs are compared exactly, not as versions": (
        made([kernel(1, "a=1e010abc"), acme(symbols="a=1e010abc")], [kernel(2, "a=1e10abc")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "leading zeros of a CRC mean nothing": (
        made([kernel(1, "a=0abc01de"), acme(symbols="a=abc01de")], [kernel(2, "a=0abc01de")]),
        "safe 20.1 | acme reuse 1.0 | newest-safe 20.1",
    ),
    "leading zeros inside a CRC do": (
        made([kernel(1, "a=0abc01de"), acme(symbols="a=abc01de")], [kernel(2, "a=00abc1de")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a symset is compared as well": (
        made([kernel(1, symsets="fs=aa"), acme(symsets="fs=aa")], [kernel(2, symsets="fs=ab")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "an exact kernel fits this kernel only": (
        made([kernel(1), acme(symbols="", exact="6.4.0-10-default")], [kernel(2)]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a self-provided symbol is satisfied": (
        made([kernel(1), acme(symbols="a=1 own=5", exports="own=5")], [kernel(2)]),
        "safe 20.1 | acme reuse 1.0 | newest-safe 20.1",
    ),
    "a symbol of another compatible KMP is satisfied": (
        made([kernel(1), acme(symbols="a=1 s=5"), beta(exports="s=5")], [kernel(2)]),
        "safe 20.1 | acme reuse 1.0, beta reuse 1.0 | newest-safe 20.1",
    ),
    "a symbol of an incompatible KMP is not": (
        made(
            [kernel(1, "a=1 b=1"), acme(symbols="a=1 s=5"), beta(symbols="b=1", exports="s=5")], [kernel(2)]
        ),
        "blocked 20.1 | acme blocked, beta blocked | newest-safe 10.1",
    ),
    "KMPs that need each other are compatible together": (
        made(
            [kernel(1), acme(symbols="a=1 s=5", exports="t=6"), beta(symbols="t=6", exports="s=5")],
            [kernel(2)],
        ),
        "safe 20.1 | acme reuse 1.0, beta reuse 1.0 | newest-safe 20.1",
    ),
    "a cycle falls as a whole": (
        made(
            [kernel(1), acme(symbols="a=1 s=5", exports="t=6"), beta(symbols="t=6", exports="s=5")],
            [kernel(2, "a=2")],
        ),
        "blocked 20.1 | acme blocked, beta blocked | newest-safe 10.1",
    ),
    "one KMP is fetched only because another one's build needs it": (
        made(
            [kernel(1, "a=1 b=1"), acme(symbols="b=1 s=5"), beta(exports="s=5")],
            [kernel(2, "a=1 b=2"), acme("2.0", "b=2 s=6"), beta("2.0", exports="s=6")],
        ),
        "safe 20.1 | acme fetch 2.0, beta fetch 2.0 | newest-safe 20.1",
    ),
    "no decision could be better without another's getting worse": (
        made(
            [kernel(1, "a=1 b=1"), acme(symbols="b=1"), beta(symbols="a=1")],
            [kernel(2, "a=1 b=2"), acme("2.0", "b=2", conflicts="beta-kmp = 1.0"), beta("2.0")],
        ),
        "safe 20.1 | acme fetch 2.0, beta fetch 2.0 | newest-safe 20.1",
    ),
    "two KMPs that exclude each other: either one": (
        made(
            [kernel(1, "a=1 b=1"), acme(symbols="b=1"), beta(symbols="b=1")],
            [kernel(2, "a=1 b=2"), acme("2.0", "b=2", conflicts="beta-kmp = 2.0"), beta("2.0", "b=2")],
        ),
        "blocked 20.1 | acme blocked, beta fetch 2.0 or acme fetch 2.0, beta blocked | newest-safe 10.1",
    ),
    "fewest blocked comes before a better decision": (
        made(
            [
                kernel(1, "a=1 b=1"),
                acme(symbols="b=1", exports="s=5"),
                acme("1.5", "a=1", exports="s=4", krel="6.4.0-11"),
                beta(symbols="b=1 s=5"),
            ],
            [kernel(2, "a=1 b=2"), acme("2.0", "b=2", exports="s=6"), beta("2.0", "b=2 s=6")],
        ),
        "safe 20.1 | acme fetch 2.0, beta fetch 2.0 | newest-safe 20.1",
    ),
    "unless the one that would be blocked does not count": (
        made(
            [kernel(1, "a=1 b=1"), acme("1.5", "a=1", exports="s=4"), beta(symbols="b=1 s=5")],
            [kernel(2, "a=1 b=2"), acme("2.0", "b=2", exports="s=6"), beta("2.0", "b=2 s=6")],
        ),
        "safe 20.1 | acme fetch 2.0, beta fetch 2.0 or acme reuse 1.5, beta blocked | newest-safe 20.1",
    ),
    # -- candidates
    "the best candidate is the newest": (
        made([kernel(1), acme()], [kernel(2, "a=2"), acme("2.0", "a=2"), acme("3.0", "a=2"), acme("4.0")]),
        "safe 20.1 | acme fetch 3.0 | newest-safe 20.1",
    ),
    "an older EVR than the installed one is allowed": (
        made([kernel(1), acme("3.0")], [kernel(2, "a=2"), acme("2.0", "a=2")]),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a higher repository priority comes before EVR": (
        World(
            installed=[kernel(1), acme()],
            repositories=[
                Repository(alias="r1", packages=[kernel(2, "a=2"), acme("3.0", "a=2")]),
                Repository(alias="r2", packages=[acme("2.0", "a=2")], priority=50),
            ],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "priority comes before EVR for the kernel too": (
        World(
            installed=[kernel(1)],
            repositories=[
                Repository(alias="r1", packages=[kernel(3)]),
                Repository(alias="r2", packages=[kernel(2)], priority=50),
            ],
        ),
        "safe 20.1 |  | newest-safe 30.1",
    ),
    "a locked kernel is no candidate": (
        made([kernel(1)], [kernel(2), kernel(3)], locks=["kernel-default == 6.4.0-30.1"]),
        "safe 20.1 |  | newest-safe 20.1",
    ),
    "unless it is the one that is named": (
        made(
            [kernel(1)],
            [kernel(2), kernel(3)],
            locks=["kernel-default == 6.4.0-30.1"],
            kernel="6.4.0-30.1",
        ),
        "safe 30.1 |  | newest-safe 20.1",
    ),
    "latest ignores locks": (
        made([kernel(1)], [kernel(2), kernel(3)], locks=["kernel-default == 6.4.0-30.1"], kernel="latest"),
        "safe 30.1 |  | newest-safe 20.1",
    ),
    "a locked build is no candidate": (
        made(
            [kernel(1), acme()],
            [kernel(2, "a=2"), acme("3.0", "a=2"), acme("2.0", "a=2")],
            locks=["acme-kmp-default == 3.0_k6.4.0_10-1"],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a locked companion does not go along": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2"),
                Tool(name="tools", version="2.0", requires="acme-kmp = 2.0"),
            ],
            locks=["tools"],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a locked -extra does not belong to the target": (
        made(
            [kernel(1), KernelExtra(release="10.1", ksyms="x=1"), acme(symbols="x=1")],
            [kernel(2), KernelExtra(release="20.1", ksyms="x=1")],
            locks=["kernel-default-extra == 6.4.0-20.1"],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a repository of higher priority that has the newest installed kernel hides newer ones": (
        World(
            installed=[kernel(1)],
            repositories=[
                Repository(alias="r1", packages=[kernel(2)]),
                Repository(alias="r2", packages=[kernel(1)], priority=50),
            ],
        ),
        "nothing-to-do |  | newest-safe 20.1",
    ),
    "one that has older kernels only does not": (
        World(
            installed=[kernel(1), kernel(2)],
            repositories=[
                Repository(alias="r1", packages=[kernel(3)]),
                Repository(alias="r2", packages=[kernel(1)], priority=50),
            ],
        ),
        "safe 30.1 |  | newest-safe 30.1",
    ),
    "latest ignores priority": (
        World(
            installed=[kernel(1)],
            repositories=[
                Repository(alias="r1", packages=[kernel(3)]),
                Repository(alias="r2", packages=[kernel(2)], priority=50),
            ],
            kernel="latest",
        ),
        "safe 30.1 |  | newest-safe 30.1",
    ),
    "a build of another vendor is no candidate": (
        made([kernel(1), acme()], [kernel(2, "a=2"), acme("2.0", "a=2", vendor="Other GmbH")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a vendor in other letters is the same": (
        made([kernel(1), acme()], [kernel(2, "a=2"), acme("2.0", "a=2", vendor=ACME.upper())]),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "SUSE's vendors are one class": (
        made([kernel(1)], [kernel(2, vendor="SUSE Linux Products GmbH")]),
        "safe 20.1 |  | newest-safe 20.1",
    ),
    "a kernel of openSUSE is no candidate for one of SUSE": (
        made([kernel(1)], [kernel(2, vendor="openSUSE")]),
        "nothing-to-do |  | newest-safe 10.1",
    ),
    "a build for another architecture is no candidate": (
        made([kernel(1), acme()], [kernel(2, "a=2"), acme("2.0", "a=2", arch="i586")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a retracted build is no candidate": (
        World(
            installed=[kernel(1), acme()],
            repositories=[
                Repository(
                    alias="r1",
                    packages=[kernel(2, "a=2"), acme("2.0", "a=2")],
                    retracted=["acme-kmp-default-2.0_k6.4.0_10-1.x86_64"],
                )
            ],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a retracted kernel is no candidate": (
        World(
            installed=[kernel(1)],
            repositories=[
                Repository(
                    alias="r1",
                    packages=[kernel(2), kernel(3)],
                    retracted=["kernel-default-6.4.0-30.1.x86_64"],
                )
            ],
        ),
        "safe 20.1 |  | newest-safe 20.1",
    ),
    "unless it is named": (
        World(
            installed=[kernel(1)],
            repositories=[
                Repository(
                    alias="r1",
                    packages=[kernel(2), kernel(3)],
                    retracted=["kernel-default-6.4.0-30.1.x86_64"],
                )
            ],
            kernel="6.4.0-30.1",
        ),
        "safe 30.1 |  | newest-safe 20.1",
    ),
    "a rename that obsoletes the name may replace it": (
        made(
            [kernel(1), acme()],
            [kernel(2, "a=2"), acme("1.0", "a=2", name="nova", obsoletes="acme-kmp-default")],
        ),
        "safe 20.1 | acme fetch 1.0 | newest-safe 20.1",
    ),
    "another name that does not obsolete it may not": (
        made(
            [kernel(1), acme()],
            [kernel(2, "a=2"), acme("1.0", "a=2", name="nova", provides="acme-kmp-default = 9")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "one rename may replace two": (
        made(
            [kernel(1), acme(), beta()],
            [
                kernel(2, "a=2"),
                acme(
                    "4.0",
                    "a=2",
                    name="nova",
                    modules="acme.ko beta.ko",
                    obsoletes="acme-kmp-default; beta-kmp-default",
                ),
            ],
        ),
        "safe 20.1 | acme fetch 4.0, beta fetch 4.0 | newest-safe 20.1",
    ),
    "a build that the target obsoletes is neither reused nor fetched": (
        made(
            [kernel(1), acme()],
            [kernel(2, modules="acme.ko", obsoletes="acme-kmp-default"), acme("2.0", krel="6.4.0-20")],
        ),
        "safe 20.1 | acme builtin | newest-safe 20.1",
    ),
    "what it does not obsolete is": (
        made(
            [kernel(1), acme()],
            [kernel(2, modules="acme.ko", obsoletes="acme-kmp-default < 2.0"), acme("2.0", krel="6.4.0-20")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    # -- modules
    "a build that drops a module does not do": (
        made(
            [kernel(1), acme(modules="acme.ko acme_x.ko")],
            [kernel(2, "a=2"), acme("2.0", "a=2")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "an older build that has all modules does": (
        made(
            [kernel(1), acme(modules="acme.ko acme_x.ko")],
            [kernel(2, "a=2"), acme("3.0", "a=2"), acme("2.0", "a=2", modules="acme.ko acme_x.ko")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a module that moved to another package adds it": (
        made(
            [kernel(1), acme(modules="acme.ko acme_x.ko")],
            [kernel(2, "a=2"), acme("2.0", "a=2"), acme("2.0", "a=2", name="extra", modules="acme_x.ko")],
        ),
        "safe 20.1 | acme fetch 2.0, +extra 2.0 | newest-safe 20.1",
    ),
    "but not one of another vendor": (
        made(
            [kernel(1), acme(modules="acme.ko acme_x.ko")],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2"),
                acme("2.0", "a=2", name="extra", modules="acme_x.ko", vendor="Other GmbH"),
            ],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a module that moved to an installed KMP's update fetches that": (
        made(
            [kernel(1, "a=1 b=1"), acme(symbols="b=1", modules="acme.ko acme_x.ko"), beta()],
            [kernel(2, "a=1 b=2"), acme("2.0", "b=2"), beta("2.0", modules="beta.ko acme_x.ko")],
        ),
        "safe 20.1 | acme fetch 2.0, beta fetch 2.0 | newest-safe 20.1",
    ),
    "a module that moved into the kernel is covered": (
        made(
            [kernel(1), acme(modules="acme.ko acme_x.ko")],
            [kernel(2, "a=2", modules="acme_x.ko"), acme("2.0", "a=2")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "one that only falls back to the in-tree module is covered too": (
        made(
            [kernel(1, modules="acme_x.ko"), acme(modules="acme.ko acme_x.ko")],
            [kernel(2, "a=2", modules="acme_x.ko"), acme("2.0", "a=2")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a KMP that brings a needed symbol is added": (
        made(
            [kernel(1), acme()],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2 c=5"),
                acme("1.0", "a=2", name="core", modules="c.ko", exports="c=5"),
            ],
        ),
        "safe 20.1 | acme fetch 2.0, +core 1.0 | newest-safe 20.1",
    ),
    "a KMP is added even for a reuse": (
        made(
            [kernel(1, "a=1 c=5"), acme(symbols="a=1 c=5")],
            [kernel(2), acme("2.0"), acme("1.0", name="core", modules="c.ko", exports="c=5")],
        ),
        "safe 20.1 | acme reuse 1.0, +core 1.0 | newest-safe 20.1",
    ),
    # -- builtin
    "builtin: the target has every module, and one is new in it": (
        made([kernel(1), acme()], [kernel(2, "a=2", modules="acme.ko")]),
        "safe 20.1 | acme builtin | newest-safe 20.1",
    ),
    "fetch comes before builtin": (
        made([kernel(1), acme()], [kernel(2, "a=2", modules="acme.ko"), acme("2.0", "a=2")]),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "an overridden in-tree driver is no builtin": (
        made([kernel(1, modules="acme.ko"), acme()], [kernel(2, "a=2", modules="acme.ko")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "unless the target obsoletes the KMP": (
        made(
            [kernel(1, modules="acme.ko"), acme()],
            [kernel(2, "a=2", modules="acme.ko", obsoletes="acme-kmp-default")],
        ),
        "safe 20.1 | acme builtin | newest-safe 20.1",
    ),
    "the old kernel is the newest on which the KMP works": (
        made(
            [kernel(1), kernel(2, "a=2", modules="acme.ko"), acme()],
            [kernel(3, "a=3", modules="acme.ko")],
        ),
        "safe 30.1 | acme builtin | newest-safe 30.1",
    ),
    "builtin comes before unverified": (
        made([kernel(1), acme(symbols="")], [kernel(2, modules="acme.ko")]),
        "safe 20.1 | acme builtin | newest-safe 20.1",
    ),
    "fetch of a verified build comes before unverified": (
        made([kernel(1), acme(symbols="")], [kernel(2), acme("2.0")]),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    # -- user space
    "a pinned package goes along": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2"),
                Tool(name="tools", version="2.0", requires="acme-kmp = 2.0"),
            ],
        ),
        "safe 20.1 | acme fetch 2.0, +tools 2.0 | newest-safe 20.1",
    ),
    "or blocks": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [kernel(2, "a=2"), acme("2.0", "a=2")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "another build that keeps it is taken": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [kernel(2, "a=2"), acme("2.0", "a=2"), acme("1.0", "a=2", krel="6.4.0-20")],
        ),
        "safe 20.1 | acme fetch 1.0 | newest-safe 20.1",
    ),
    "it goes upwards only": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2"),
                Tool(name="tools", version="0.5", requires="acme-kmp = 2.0"),
            ],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "it keeps its vendor": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2"),
                Tool(name="tools", version="2.0", requires="acme-kmp = 2.0", vendor="Other GmbH"),
            ],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a pin that the new build meets stays": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp >= 1.0")],
            [kernel(2, "a=2"), acme("2.0", "a=2"), Tool(name="tools", version="2.0")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a builtin KMP keeps satisfying user space": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [kernel(2, "a=2", modules="acme.ko")],
        ),
        "safe 20.1 | acme builtin | newest-safe 20.1",
    ),
    "unless the target obsoletes it": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")],
            [kernel(2, "a=2", modules="acme.ko", obsoletes="acme-kmp-default")],
            kernel="6.4.0-20.1",
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "what was unmet before counts as met": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 7.0")],
            [kernel(2, "a=2"), acme("2.0", "a=2")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a build that requires what nobody has is not fetched": (
        made(
            [kernel(1), acme(), Tool(name="editor")],
            [kernel(2, "a=2"), acme("3.0", "a=2", requires="nowhere"), acme("2.0", "a=2")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "in an inventory without user space what nobody mentions counts as met": (
        made(
            [kernel(1), acme()],
            [kernel(2, "a=2"), acme("3.0", "a=2", requires="nowhere"), acme("2.0", "a=2")],
        ),
        "safe 20.1 | acme fetch 3.0 | newest-safe 20.1",
    ),
    "nor is one whose scripts require it": (
        made(
            [kernel(1), acme(), Tool(name="editor")],
            [kernel(2, "a=2"), acme("3.0", "a=2", post="nowhere"), acme("2.0", "a=2")],
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a kernel that requires what nobody has cannot come": (
        made([kernel(1), acme(), Tool(name="editor")], [kernel(2, post="nowhere")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "what a kernel requires counts as met as well in an inventory without user space": (
        made([kernel(1, post="nowhere"), acme()], [kernel(2, post="nowhere")]),
        "safe 20.1 | acme reuse 1.0 | newest-safe 20.1",
    ),
    "unless a repository mentions it": (
        made([kernel(1), acme()], [kernel(2, post="firmware >= 2.0"), Tool(name="firmware")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "and so does what the packages require that it brings": (
        made([kernel(1), acme()], [kernel(2, post="firmware"), Tool(name="firmware", post="nowhere")]),
        "safe 20.1 | acme reuse 1.0, +firmware 1.0 | newest-safe 20.1",
    ),
    "what an installed kernel misses already does not count": (
        made([kernel(1, post="nowhere"), acme(), Tool(name="editor")], [kernel(2, "a=2")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a script of user space pins a build like anything else": (
        made(
            [kernel(1), acme(), Tool(name="tools", post="acme-kmp = 1.0")],
            [kernel(2, "a=2"), acme("2.0", "a=2")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "what a fetched build requires is installed": (
        made(
            [kernel(1), acme()],
            [kernel(2, "a=2"), acme("2.0", "a=2", requires="firmware"), Tool(name="firmware")],
        ),
        "safe 20.1 | acme fetch 2.0, +firmware 1.0 | newest-safe 20.1",
    ),
    "a conflict with an installed package blocks": (
        made(
            [kernel(1), acme(), Tool(name="editor")],
            [kernel(2, "a=2"), acme("2.0", "a=2", conflicts="editor")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "and so does a conflict that the installed package declares": (
        made(
            [kernel(1), acme(), Tool(name="editor", conflicts="acme-kmp >= 2.0")],
            [kernel(2, "a=2"), acme("3.0", "a=2"), acme("1.5", "a=2")],
        ),
        "safe 20.1 | acme fetch 1.5 | newest-safe 20.1",
    ),
    "builds of one KMP for one kernel replace each other": (
        made([kernel(1), acme()], [kernel(2, "a=2"), acme("2.0", "a=2", krel="6.4.0-10")]),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    # -- the request
    "an installed kernel is a valid target": (
        made(
            [kernel(1), kernel(2, "a=2"), acme(symbols="a=2")],
            [kernel(3, "a=2"), acme("2.0")],
            kernel="6.4.0-10.1",
        ),
        "safe 10.1 | acme fetch 2.0 | newest-safe 30.1",
    ),
    "VERSION without the rebuild counter is the newest rebuild": (
        made([kernel(1)], [kernel(2), kernel(2, release="20.3"), kernel(3)], kernel="6.4.0-20"),
        "safe 20.3 |  | newest-safe 30.1",
    ),
    "newest-safe": (
        made([kernel(1), acme()], [kernel(2), kernel(3, "a=3")], kernel="newest-safe"),
        "safe 20.1 | acme reuse 1.0 | newest-safe 20.1",
    ),
    "a -base host never switches to the full kernel": (
        made(
            [kernel(1, package="kernel-default-base"), acme()],
            [kernel(3, "a=1 b=1"), kernel(2, "a=2", package="kernel-default-base")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "-extra belongs to the target if it is installed now": (
        made(
            [kernel(1), KernelExtra(release="10.1", ksyms="x=1"), acme(symbols="x=1")],
            [kernel(2), KernelExtra(release="20.1", ksyms="x=1")],
        ),
        "safe 20.1 | acme reuse 1.0 | newest-safe 20.1",
    ),
    "and not if it is not": (
        made([kernel(1, "x=1"), acme(symbols="x=1")], [kernel(2), KernelExtra(release="20.1", ksyms="x=1")]),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    # -- found by comparing the planner with the oracle
    "a pinned KMP that the target obsoletes blocks itself and no other": (
        made(
            [kernel(1), acme(), beta(), Tool(name="tools", requires="acme-kmp-default")],
            [kernel(2, obsoletes="acme-kmp-default")],
            kernel="6.4.0-20.1",
        ),
        "blocked 20.1 | acme blocked, beta reuse 1.0 | newest-safe 10.1",
    ),
    "a pinned KMP that the target absorbs and obsoletes is not builtin": (
        made(
            [kernel(1), acme(), Tool(name="tools", requires="acme-kmp-default")],
            [kernel(2, "a=2", modules="acme.ko", obsoletes="acme-kmp-default")],
            kernel="6.4.0-20.1",
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a better candidate is not bought with another KMP's decision": (
        made(
            [kernel(1, "a=1 b=1"), acme(symbols="b=1"), beta()],
            [
                kernel(2, "a=1 b=2"),
                acme("2.0", "b=2", krel="6.4.0-20"),
                acme(
                    "4.0",
                    "b=2",
                    name="acme-ng",
                    modules="acme.ko beta.ko",
                    obsoletes="acme-kmp-default; beta-kmp-default",
                ),
            ],
        ),
        "safe 20.1 | acme fetch 2.0, beta reuse 1.0 | newest-safe 20.1",
    ),
    "with as many blocked, fewer unverified": (
        made(
            [kernel(1, "b=1"), acme(symbols="b=1"), beta(symbols="b=1")],
            [kernel(2), acme("2.0"), beta("2.0", "", conflicts="acme-kmp = 2.0")],
        ),
        "blocked 20.1 | acme fetch 2.0, beta blocked | newest-safe 10.1",
    ),
    "an absorbed KMP that was overriding is builtin on the target": (
        made(
            [kernel(1, modules="acme.ko"), acme(symbols="b=1")],
            [kernel(2, modules="acme.ko", obsoletes="acme-kmp-default")],
        ),
        "safe 20.1 | acme builtin | newest-safe 20.1",
    ),
    "user space that requires the other installed build holds nothing up when nothing is done": (
        made(
            [
                kernel(2, "b=1"),
                acme(symbols="b=1", krel="6.4.0-20"),
                acme("2.0"),
                Tool(name="tools", requires="acme-kmp = 2.0"),
            ],
            [],
        ),
        "nothing-to-do | acme reuse | newest-safe None",
    ),
    "a build may conflict with a name that it provides": (
        made(
            [kernel(2, "b=2"), acme(symbols="b=2"), beta(symbols="s=2", multiversion=False)],
            [
                beta("2.1", "", modules="x.ko", requires="nowhere", multiversion=False),
                acme(
                    "4.0",
                    "",
                    name="acme-ng",
                    modules="acme.ko beta.ko",
                    provides="acme-kmp-default = 9; beta-kmp-default = 9; corp-kmp-default = 9",
                    conflicts="corp-kmp-default",
                    obsoletes="acme-kmp-default; beta-kmp-default; corp-kmp-default",
                ),
            ],
        ),
        "nothing-to-do | acme reuse, beta | newest-safe 20.1",
    ),
    "a companion of another vendor is none, whatever else is offered": (
        made(
            [
                kernel(1),
                beta(multiversion=False),
                Tool(name="acme-tools"),
                Tool(name="beta-tools", requires="beta-kmp = 1.0_k6.4.0_10-1"),
            ],
            [
                kernel(2, "b=2"),
                beta("2.0", "b=2", krel="6.4.0-30", modules="other.ko", multiversion=False),
                beta("3.0", "b=2", krel="6.4.0-30", multiversion=False),
                Tool(name="acme-tools", version="2.0", requires="acme-kmp >= 2.1"),
                Tool(name="beta-tools", version="2.0", requires="beta-kmp = 3.0", vendor="Other GmbH"),
            ],
        ),
        "blocked 20.1 | beta blocked | newest-safe 10.1",
    ),
    "one build conflicts and its companion would not, the other the other way round": (
        made(
            [
                kernel(1),
                acme(),
                Tool(name="tools", requires="acme-kmp = 1.0"),
                Tool(name="editor", conflicts="acme-kmp = 3.0"),
            ],
            [
                kernel(2, "a=2"),
                acme("2.1", "a=2", conflicts="editor"),
                acme("3.0", "a=2"),
                Tool(name="tools", version="2.0", requires="acme-kmp = 3.0"),
            ],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a build that requires a companion which requires the old build": (
        made(
            [kernel(1), beta(), Tool(name="tools", requires="beta-kmp = 1.0")],
            [
                kernel(2, "a=2"),
                beta("2.0", "a=2", requires="tools >= 2.0"),
                Tool(name="tools", version="2.0", requires="beta-kmp = 1.0"),
            ],
        ),
        "blocked 20.1 | beta blocked | newest-safe 10.1",
    ),
    "a native build wins over a newer one": (
        made(
            [
                kernel(1, "d=1"),
                kernel(2, "a=2"),
                acme(symbols="d=1"),
                beta(symbols="a=2", krel="6.4.0-20"),
                beta("2.0", "a=2"),
            ],
            [acme("4.0", "a=2", name="acme-ng", krel="6.4.0-20", obsoletes="acme-kmp-default")],
        ),
        "safe 20.1 | acme fetch 4.0, beta reuse 1.0 | newest-safe 20.1",
    ),
    "a broken KMP that user space needs is lost with the kernel that takes it, whatever nobody can verify": (
        made(
            [kernel(2), acme(symbols="x=1"), Tool(name="tools", requires="acme-kmp-default >= 1.0")],
            [
                kernel(3, modules="acme.ko", obsoletes="acme-kmp-default"),
                acme(
                    "0.9",
                    "",
                    name="acme-ng",
                    provides="acme-kmp-default = 9",
                    obsoletes="acme-kmp-default",
                ),
            ],
            kernel="6.4.0-30.1",
        ),
        "blocked 30.1 | acme blocked | newest-safe 20.1",
    ),
    "a build left behind without what it requires goes with what is replaced": (
        made(
            [
                kernel(1),
                acme(symbols="a=1 s=9", exports="t=2", krel="6.4.0-10"),
                beta(symbols="a=1 t=2"),
            ],
            [
                kernel(2, "c=1"),
                beta("2.0", "c=1", exports="s=2", krel="6.4.0-20"),
                acme("3.0", "s=2", krel="6.4.0-10"),
            ],
        ),
        "safe 20.1 | acme fetch 3.0, beta fetch 2.0 | newest-safe 20.1",
    ),
    "a build left behind without what it requires goes, though its KMP only reuses another one": (
        made(
            [
                kernel(1),
                acme(symbols="a=1 s=9", exports="t=2"),
                beta(symbols="a=1 t=2"),
                beta("2.0", krel="6.4.0-20"),
            ],
            [kernel(2), acme("2.0")],
        ),
        "safe 20.1 | acme fetch 2.0, beta reuse 2.0 | newest-safe 20.1",
    ),
    "a build that nobody needs any more brings no kernel in": (
        made(
            [kernel(1), kernel(2, "a=1 b=2"), acme(symbols="b=2", krel="6.4.0-20"), acme("2.0")],
            [
                kernel(3, "a=1 b=2"),
                kernel(2, "a=1 b=1", release="20.2", obsoletes="kernel-default = 6.4.0-20.1"),
            ],
            kernel="6.4.0-20.2",
        ),
        "safe 20.2 | acme reuse 2.0 | newest-safe 30.1",
    ),
    "a broken KMP goes where what it requires is replaced": (
        made(
            [kernel(1), acme(exports="s=2", multiversion=False), beta(symbols="a=7 s=2")],
            [kernel(2, "a=2"), acme("2.0", "a=2", multiversion=False)],
        ),
        "safe 20.1 | acme fetch 2.0, beta blocked | newest-safe 20.1",
    ),
    "a broken KMP that a lock holds does not go": (
        made(
            [kernel(1), acme(exports="s=2", multiversion=False), beta(symbols="a=7 s=2")],
            [kernel(2, "a=2"), acme("2.0", "a=2", multiversion=False)],
            locks=["beta-kmp-default"],
        ),
        "blocked 20.1 | acme fetch 2.0, beta blocked | newest-safe 10.1",
    ),
    "a KMP that is built in goes where what it requires is replaced and user space does not ask for it": (
        made(
            [kernel(1), acme(exports="s=2", multiversion=False), beta(symbols="a=1 s=2")],
            [kernel(2, "a=2", modules="beta.ko"), acme("2.0", "a=2", multiversion=False)],
        ),
        "safe 20.1 | acme fetch 2.0, beta builtin | newest-safe 20.1",
    ),
    "no rename that was not chosen comes with what is left behind": (
        made(
            [
                kernel(2),
                acme(krel="6.4.0-20"),
                acme("2.0", "a=7 t=2"),
                beta(symbols="a=7", exports="t=2"),
            ],
            [
                kernel(3),
                acme("0.9", name="acme-ng", modules="acme.ko beta.ko", obsoletes="acme-kmp-default"),
                acme("0.9", name="beta-ng", modules="beta.ko", obsoletes="beta-kmp-default"),
            ],
        ),
        "safe 30.1 | acme reuse 1.0, beta fetch 0.9 | newest-safe 30.1",
    ),
    "a KMP of another flavor does not move for a build that conflicts with it": (
        made(
            [
                kernel(1),
                acme(),
                kernel(1, flavor="rt"),
                beta(flavor="rt"),
            ],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2", conflicts="beta-kmp = 1.0"),
                beta("2.0", flavor="rt", multiversion=False),
            ],
            kernel="6.4.0-20.1",
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    # -- which kernel, and what stays around it
    "a flavor that only a repository has, or only an -extra, is none of the system's": (
        made(
            [kernel(1), KernelExtra(release="10.1", flavor="rt", ksyms="x=1")],
            [kernel(2), kernel(2, flavor="rt")],
        ),
        "safe 20.1 |  | newest-safe 20.1",
    ),
    "the newest safe kernel is an older installed one": (
        made([kernel(1), kernel(2, "a=2"), acme()], [], kernel="newest-safe"),
        "safe 10.1 | acme reuse 1.0 | newest-safe 10.1",
    ),
    "the newest safe kernel stands already, but its KMP has to be fetched": (
        made(
            [kernel(1), kernel(2, "a=2"), acme()],
            [acme("2.0", "a=2", krel="6.4.0-20")],
            kernel="newest-safe",
        ),
        "safe 20.1 | acme fetch 2.0 | newest-safe 20.1",
    ),
    "a kernel of another flavor does not come in for a KMP": (
        made(
            [kernel(1), acme()],
            [kernel(2, "a=2"), acme("2.0", "a=2", requires="kernel-rt"), kernel(2, flavor="rt")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "the kernel that a build requires is not there any more when the target has booted": (
        made(
            [kernel(1), acme()],
            [kernel(2, "a=2"), acme("2.0", "a=2", requires="kernel-default = 6.4.0-10.1")],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    # -- what a kernel loads
    "a build in the kernel's own folder goes where it does not load there and another one is linked": (
        made(
            [
                kernel(1, "a=2 b=1"),
                kernel(2, "a=2 b=1"),
                acme(symbols="a=2"),
                acme("2.0", "b=1", krel="6.4.0-20"),
            ],
            [kernel(2, "a=2 b=3", release="20.2", obsoletes="kernel-default = 6.4.0-20.1")],
        ),
        "safe 20.2 | acme reuse 1.0 | newest-safe 20.2",
    ),
    "the build in the kernel's own folder goes where another KMP needs the symbols of an older one": (
        made(
            [
                kernel(2),
                acme(krel="6.4.0-20"),
                acme("2.0", exports="s=2"),
                beta(symbols="a=1 s=2"),
            ],
            [],
        ),
        "safe 20.1 | acme reuse 2.0, beta reuse 1.0 | newest-safe 20.1",
    ),
    "the newest build goes where another KMP needs the symbols of an older one": (
        made(
            [
                kernel(1),
                kernel(2),
                acme(exports="s=2", krel="6.4.0-10"),
                acme("2.0", krel="6.4.0-20"),
                beta(symbols="a=1 s=2"),
            ],
            [kernel(3)],
        ),
        "safe 30.1 | acme reuse 1.0, beta reuse 1.0 | newest-safe 30.1",
    ),
    "a newer build that does not work beside the others is in nobody's way": (
        made(
            [
                kernel(1),
                kernel(2, "a=2 d=1"),
                acme(),
                acme("2.0", "d=1", krel="6.4.0-20"),
            ],
            [kernel(3)],
        ),
        "safe 30.1 | acme reuse 1.0 | newest-safe 30.1",
    ),
    "a kernel that takes from user space what a broken KMP gives it cannot be installed": (
        made(
            [kernel(2), acme(symbols="a=7"), Tool(name="tools", requires="acme-kmp = 1.0")],
            [kernel(3, modules="acme.ko", obsoletes="acme-kmp-default")],
            kernel="6.4.0-30.1",
        ),
        "blocked 30.1 | acme blocked | newest-safe 20.1",
    ),
    "a kernel that takes a broken KMP away which nobody needs is safe": (
        made(
            [kernel(2), acme(symbols="a=7"), Tool(name="tools")],
            [kernel(3, obsoletes="acme-kmp-default")],
            kernel="6.4.0-30.1",
        ),
        "safe 30.1 | acme blocked | newest-safe 30.1",
    ),
    "a rebuild of a kernel whose -extra has none cannot be installed": (
        made(
            [kernel(1), KernelExtra(release="10.1", modules="x.ko"), acme()],
            [kernel(1, release="10.2", obsoletes="kernel-default = 6.4.0-10.1")],
            kernel="6.4.0-10.2",
        ),
        "blocked 10.2 | acme reuse 1.0 | newest-safe 10.1",
    ),
    "a broken KMP does not keep a rename from one that counts, though nobody can verify it": (
        made(
            [
                kernel(1),
                acme(symbols="a=7"),
                beta(),
                beta(symbols="a=7", name="corp", modules="corp.ko"),
                Tool(name="tools", requires="acme-kmp-default >= 1.0"),
            ],
            [
                kernel(2, "a=2", modules="acme.ko"),
                beta(
                    "4.0",
                    "",
                    name="acme-ng",
                    modules="acme.ko beta.ko corp.ko",
                    provides="acme-kmp-default = 9",
                    obsoletes="acme-kmp-default; beta-kmp-default; corp-kmp-default",
                ),
            ],
        ),
        "unverified 20.1 | acme blocked, beta unverified 4.0, corp blocked | newest-safe 10.1",
    ),
    "unless user space needs what it gives": (
        made(
            [
                kernel(1),
                acme(symbols="a=7"),
                beta(),
                Tool(name="tools", requires="acme-kmp-default >= 1.0"),
            ],
            [
                kernel(2, "a=2"),
                beta(
                    "4.0",
                    "",
                    name="acme-ng",
                    modules="acme.ko beta.ko",
                    obsoletes="acme-kmp-default; beta-kmp-default",
                ),
            ],
        ),
        "blocked 20.1 | acme blocked, beta unverified 4.0 | newest-safe 10.1",
    ),
    "of the installed builds that work, the one made for the kernel stays": (
        made(
            [
                kernel(1, "a=1 b=1"),
                kernel(2),
                acme(krel="6.4.0-20"),
                acme("2.0"),
                beta(symbols="b=1"),
            ],
            [kernel(3, "a=3")],
            locks=["acme-kmp-default"],
        ),
        "blocked 30.1 | acme blocked, beta blocked | newest-safe 10.1",
    ),
    "a broken KMP takes no decision from one that counts": (
        made(
            [kernel(1), acme(), beta(symbols="a=7")],
            [
                kernel(2),
                acme(
                    "2.0",
                    name="acme-ng",
                    modules="acme.ko beta.ko",
                    obsoletes="acme-kmp-default; beta-kmp-default",
                ),
            ],
        ),
        "safe 20.1 | acme fetch 2.0, beta fetch 2.0 or acme reuse 1.0, beta blocked | newest-safe 20.1",
    ),
    "a KMP is not given up for user space and used for another KMP at once": (
        made(
            [
                kernel(1),
                acme(exports="s=2"),
                acme("2.0", krel="6.4.0-20"),
                beta(symbols="a=1 s=2"),
                Tool(name="tools", requires="acme-kmp = 2.0"),
            ],
            [kernel(3)],
        ),
        "blocked 30.1 | acme reuse 2.0, beta blocked | newest-safe None",
    ),
    "every build of a KMP that is built in stays for user space": (
        made(
            [
                kernel(2),
                acme("2.0"),
                acme(krel="6.4.0-20"),
                Tool(name="tools", requires="acme-kmp = 2.0"),
                Tool(name="others", requires="acme-kmp = 1.0"),
            ],
            [kernel(3, "a=3", modules="acme.ko")],
        ),
        "safe 30.1 | acme builtin | newest-safe 30.1",
    ),
    "a broken KMP that the kernel takes away is not fetched without one of its modules": (
        made(
            [
                kernel(1),
                acme(symbols="a=7", modules="acme.ko acme_x.ko"),
                Tool(name="tools", requires="acme-kmp-default"),
            ],
            [
                kernel(2, modules="acme.ko", obsoletes="acme-kmp-default < 2.0"),
                acme("2.1", "", krel="6.4.0-20"),
            ],
            kernel="6.4.0-20.1",
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "a newer build that works beside what is chosen has to go, though only the older one makes that work": (
        made(
            [
                kernel(1),
                kernel(2),
                acme(symbols="a=1 s=2", exports="t=1"),
                beta(krel="6.4.0-20", exports="s=2"),
                beta("2.0", "a=1 t=1"),
            ],
            [kernel(3)],
        ),
        "safe 30.1 | acme reuse 1.0, beta reuse 1.0 | newest-safe 30.1",
    ),
    "who names a locked kernel names its locked -extra with it, also where the kernel was retracted": (
        World(
            installed=[
                kernel(2),
                KernelExtra(release="20.1", modules="x.ko"),
                acme(krel="6.4.0-20"),
            ],
            repositories=[
                Repository(
                    alias="r1",
                    packages=[
                        Kernel(release="20.2", ksyms="a=1", obsoletes="kernel-default = 6.4.0-20.1"),
                        KernelExtra(
                            release="20.2",
                            modules="x.ko",
                            obsoletes="kernel-default-extra = 6.4.0-20.1",
                        ),
                    ],
                    retracted=["kernel-default-6.4.0-20.2.x86_64"],
                )
            ],
            kernel="6.4.0-20.2",
            locks=["kernel-default == 6.4.0-20.2", "kernel-default-extra == 6.4.0-20.2"],
        ),
        "safe 20.2 | acme reuse 1.0 | newest-safe 20.1",
    ),
    # -- what zypper would refuse is not safe
    "a kernel whose build would replace a locked one is not the newest safe one": (
        made(
            [kernel(1), acme(multiversion=False)],
            [kernel(2, "a=2"), acme("2.0", "a=2", multiversion=False), kernel(3, "a=3")],
            locks=["acme-kmp-default == 1.0_k6.4.0_10-1"],
        ),
        "blocked 30.1 | acme blocked | newest-safe 10.1",
    ),
    "nor one for which a locked build would have to go": (
        made(
            [
                kernel(1),
                acme("2.0", krel="6.4.0-20"),
                acme(exports="s=1", krel="6.4.0-5"),
                beta(symbols="a=1 s=1"),
            ],
            [kernel(2), kernel(3, "a=3")],
            locks=["acme-kmp-default == 2.0_k6.4.0_20-1"],
        ),
        "blocked 30.1 | acme blocked, beta blocked | newest-safe None",
    ),
    "nor one whose build takes from a KMP of another flavor what it requires": (
        made(
            [
                kernel(1),
                kernel(1, flavor="rt"),
                acme(multiversion=False),
                beta(symbols="a=7", flavor="rt", requires="acme-kmp = 1.0"),
            ],
            [kernel(2, "a=2"), acme("2.0", "a=2", multiversion=False), kernel(3, "a=3")],
        ),
        "blocked 30.1 | acme blocked | newest-safe 10.1",
    ),
    "where a build goes, no KMP comes in for what nobody needs": (
        made(
            [
                kernel(1),
                acme("2.0", exports="t=1"),
                acme(exports="s=1", krel="6.4.0-5"),
                beta(symbols="a=1 s=1"),
                beta(symbols="a=7 t=1", name="corp", modules="corp.ko"),
            ],
            [beta(exports="t=1", name="nova", modules="nova.ko")],
        ),
        "safe 10.1 | acme reuse 1.0, beta reuse 1.0, corp blocked | newest-safe 10.1",
    ),
    "a KMP that would be added is compared exactly as well": (
        made(
            [kernel(1), acme()],
            [
                kernel(2, "a=2 z=1e10abc"),
                acme("2.0", "a=2 c=5"),
                acme(symbols="z=1e010abc", name="core", modules="c.ko", exports="c=5"),
            ],
        ),
        "blocked 20.1 | acme blocked | newest-safe 10.1",
    ),
    "two packages that each replace a KMP together with another one stand beside each other": (
        made(
            [kernel(1), acme(), beta(), beta(name="dyna", modules="dyna.ko")],
            [
                kernel(2, "a=2"),
                acme("2.0", "a=2"),
                acme(
                    "4.0",
                    "a=2",
                    name="acme-ng",
                    modules="acme.ko dyna.ko",
                    obsoletes="acme-kmp-default; dyna-kmp-default",
                ),
                beta(
                    "4.0",
                    "a=2",
                    name="beta-ng",
                    modules="acme.ko beta.ko",
                    obsoletes="beta-kmp-default; acme-kmp-default",
                ),
            ],
        ),
        "safe 20.1 | acme fetch 4.0, beta fetch 4.0, dyna fetch 4.0 | newest-safe 20.1",
    ),
}
