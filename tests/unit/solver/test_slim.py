"""What a cache keeps of a system and its repositories: whatever a solve can reach, and what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kmpsolve.metadata.content import Content
from kmpsolve.request import Policy
from kmpsolve.solver.listing import every_package
from kmpsolve.solver.slim import slim
from kmpsolve.solver.universe import Universe
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Kernel, Kmp, Tool

STAYING = (
    "conf=1e010abc kept=1 asked=1 core=7 mixed=1 strange=1 rich=1 both=1 odd=01",
    "conf=1e10abc kept=2 asked=1 core=7 mixed=1 strange=1 rich=1 both=1",
)
"""To libsolv the first are equal; of the others one is spelled oddly, and somebody else mentions the rest."""
KERNELS = [
    replace(
        Kernel(
            release=f"{number}0.1",
            ksyms=f"a={number} b=1 {STAYING[number - 1]}",
            modules="asked.ko loop.ko",
            provides="ksym(rh) = 1; ksym(default:strange) < 5",
        ).spec(),
        conflicts=("ksym(default:kept) = 9",),
    )
    for number in (1, 2)
]
ACME = Kmp(name="acme", krel="6.4.0-10", symbols="a=1 b=1", modules="acme.ko extra.ko").spec()
FIXED = Kmp(
    name="acme",
    krel="6.4.0-20",
    version="2.0",
    symbols="a=2 core=7",
    modules="acme.ko",
    requires="lib = 1.0; (one and two); (three if four); /usr/bin/prog; mentioned >= 2",
    post="for-scripts",
).spec()


def tool(name: str, **more: tuple[str, ...]) -> PackageSpec:
    return replace(Tool(name=name).spec(), **more)  # type: ignore[arg-type]


def silent(build: Kmp) -> PackageSpec:
    """A KMP that does not offer itself to a kernel."""
    return replace(build.spec(), enhances=())


LOST = Kmp(
    name="acme",
    krel="6.4.0-20",
    version="5.0",
    symbols="gone=1",
    requires="(ksym(default:rich) = 1 or nobody)",
).spec()
"""Needs what no kernel has."""
REACHED = [
    FIXED,
    tool("lib", recommends=("recommended",)),
    tool("one"),
    tool("two", requires=("behind",)),
    tool("three"),
    tool("four"),
    tool("mentioned"),
    tool("behind"),
    tool("prog", files=("/usr/bin/prog", "/usr/bin/nobodys")),
    tool("for-scripts"),
    tool("recommended"),
    tool(
        "supplementing",
        supplements=("far", "(bash and far)"),
        requires=("ksym(default:asked) = 1", "kmod(asked.ko)"),
    ),
    Kmp(name="acme", krel="6.4.0-20", version="3.0", symbols="mixed=1", requires="ksym(rt:z) = 1").spec(),
    Kmp(name="acme", krel="6.4.0-20", version="4.0", symbols="both=1", exports="both=1").spec(),
    LOST,
    tool("enhancing", enhances=("nobody", "acme-kmp")),
    tool("driving", supplements=("modalias(pci:v1*)",)),
    tool("replacing", obsoletes=("nobody", "bash < 9")),
    tool("kernel-tools"),
    Tool(name="bash", version="2.0").spec(),
    silent(Kmp(name="core", krel="6.4.0-20", symbols="a=2", exports="core=7")),
    silent(Kmp(name="part", krel="6.4.0-20", symbols="a=2", modules="extra.ko")),
]
FAR = [
    tool("far", requires=("bash",), recommends=("acme-kmp",)),
    tool("beside", supplements=("far",), obsoletes=("nobody",)),
    silent(Kmp(name="stray", krel="6.4.0-20", symbols="a=2", exports="stray=1", modules="stray.ko")),
]


def kept(of: Universe, folder: Path) -> Universe:
    again = Universe(Policy())
    files, _ = slim(of)
    for number, alias in enumerate(of.repositories):
        place = folder / f"{number}.solv"
        place.write_bytes(files[f"{number}.solv"])
        again.load(Content(alias=alias, source=alias, solv=place, trusted=True))
    return again


def test_what_a_solve_can_reach_is_kept(tmp_path: Path) -> None:
    system = [KERNELS[0], ACME, tool("bash")]
    of = sealed(tmp_path, {"r": [KERNELS[1], *FAR, *REACHED]}, system)
    found = list(every_package(kept(of, tmp_path)))
    assert {str(one.nevra) for one in found} == {
        one.nevra for one in (*KERNELS, ACME, tool("bash"), *REACHED)
    }
    told = {str(one.nevra): one for one in found}
    assert set(FIXED.requires) - set(told[FIXED.nevra].requires) == {"ksym(default:a) = 2"}
    assert told[FIXED.nevra].vendor == FIXED.vendor
    assert "/usr/bin/prog" in told[tool("prog").nevra].provides
    assert "/usr/bin/nobodys" not in told[tool("prog").nevra].provides
    assert told[tool("replacing").nevra].obsoletes == ("nobody", "bash < 9")
    left = {text for text in told[KERNELS[0].nevra].provides if text.startswith(("ksym(", "kmod("))}
    staying = (symbol.split("=") for symbol in STAYING[0].split())
    assert left == {
        *(f"ksym(default:{name}) = {crc}" for name, crc in staying),
        "ksym(rh) = 1",
        "ksym(default:strange) < 5",
        "kmod(asked.ko)",
    }
    provided = {text for kernel in KERNELS for text in told[kernel.nevra].provides}
    assert provided.isdisjoint(told[LOST.nevra].requires)
