"""Hypothesis strategies that make small and nasty worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.support.packages import SUSE
from tests.support.worlds import ACME, Kernel, KernelExtra, Kmp, Noun, Repository, Tool, World, pairs

FEATURES = (
    "base",
    "chains",
    "conflicts",
    "damaged",
    "exact",
    "extras",
    "flavors",
    "locks",
    "modules",
    "obsoletes",
    "pins",
    "priorities",
    "rebuilds",
    "renames",
    "retracted",
    "scripts",
    "symsets",
    "targets",
    "vendors",
    "versionless",
)
"""What a family of worlds may have beside kernels, KMPs and symbols."""

# rpm takes 1e010abc and 1e10abc, and abc01de and 00abc1de, for equal versions; they are different CRCs.
CRCS = ("1", "2", "1e010abc", "1e10abc", "0abc01de", "00abc1de")
HASHES = ("00c0ffee00c0ffee", "c0ffee00c0ffee01", "0c0ffee00c0ffee1")
KERNEL_SYMBOLS = ("a", "b", "c", "d")
KMP_NAMES = ("acme", "beta", "corp", "dyna")
KMP_VERSIONS = ("1.0", "2.0", "2.1", "3.0")

_T = TypeVar("_T")
_N = TypeVar("_N", Kernel, KernelExtra, Kmp, Tool)


class _Dice:
    """Draws that shrink to the plain case."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def upto(self, most: int) -> int:
        return self._draw(st.integers(0, most))

    def one_in(self, odds: int) -> bool:
        return self.upto(odds - 1) == odds - 1

    def pick(self, among: Sequence[_T]) -> _T:
        return among[self.upto(len(among) - 1)]


class _Maker:
    """Makes one world; what it makes twice under the same NEVRA gets another release."""

    def __init__(self, dice: _Dice, features: frozenset[str]) -> None:
        self.dice = dice
        self.features = features
        self.kernels: list[Kernel] = []
        self.names: list[str] = []
        """Package names of the installed KMPs."""
        self.installed: list[Noun] = []
        self.offered: list[Noun] = []
        self.known: set[str] = set()

    def has(self, feature: str, odds: int) -> bool:
        return feature in self.features and self.dice.one_in(odds)

    def keep(self, noun: _N, place: list[Noun]) -> _N:
        release = 1
        while noun.spec().nevra in self.known:
            release += 1
            noun = replace(noun, release=f"{noun.release.partition('.')[0]}.{release}")
        self.known.add(noun.spec().nevra)
        place.append(noun)
        return noun

    # -- kernels ------------------------------------------------------------------------------------------

    def make_kernels(self, flavor: str) -> None:
        dice = self.dice
        installed = 1 + dice.upto(1)
        offered = dice.pick((1, 2, 1, 0))
        symbols = {symbol: dice.pick(CRCS) for symbol in KERNEL_SYMBOLS[: 2 + dice.upto(2)]}
        sets = {name: dice.pick(HASHES) for name in ("fs", "blk")} if "symsets" in self.features else {}
        modules = {"loop.ko"}
        # Where nothing changes, every KMP is simply used on.
        steady = 4 if self.features <= {"targets", "flavors", "extras"} else 3
        package = f"kernel-{flavor}-base" if self.has("base", 2) else ""
        # A -base may count its own rebuilds; what it was made of is in its provides, and in its uname -r.
        own = ".22.7" if package and dice.one_in(2) else ""
        made: list[Kernel] = []
        for number in range(installed + offered):
            if number:
                symbols = {symbol: crc for symbol, crc in symbols.items() if not dice.one_in(10)}
                symbols |= {symbol: dice.pick(CRCS) for symbol in symbols if dice.one_in(steady)}
                sets |= {name: dice.pick(HASHES) for name in sets if dice.one_in(3)}
            if "modules" in self.features:
                modules |= {f"{name}.ko" for name in KMP_NAMES[:3] if dice.one_in(5)}
                modules |= {f"{name}_x.ko" for name in KMP_NAMES[:2] if dice.one_in(6)}
            kernel = Kernel(
                release=f"{number + 1}0.1{own}",
                flavor=flavor,
                package=package,
                uname=f"6.4.0-{number + 1}0-{flavor}" if own else "",
                provides=f"{package} = 6.4.0-{number + 1}0" if own else "",
                ksyms=" ".join(f"{symbol}={crc}" for symbol, crc in symbols.items()),
                symsets=" ".join(f"{name}={value}" for name, value in sets.items()),
                modules=" ".join(sorted(modules)),
                vendor=dice.pick((SUSE, SUSE, "SUSE Linux Products GmbH", "openSUSE"))
                if number >= installed and "vendors" in self.features
                else SUSE,
            )
            made.append(self.keep(kernel, self.installed if number < installed else self.offered))
        if self.has("targets", 3):
            old = replace(made[0], release=f"5.1{own}")
            if own:
                old = replace(old, uname=f"6.4.0-5-{flavor}", provides=f"{package} = 6.4.0-5")
            made.insert(0, self.keep(old, self.offered))
        if self.has("rebuilds", 2):
            self.rebuild(dice.pick(made[::-1]), made)
        if package:  # the full kernels of the same releases, to which such a host never switches
            for kernel in made:
                full = (
                    f"{kernel.ksyms} {KERNEL_SYMBOLS[-1]}={dice.pick(CRCS)}"
                    if dice.one_in(2)
                    else kernel.ksyms
                )
                ksyms = " ".join(f"{symbol}={crc}" for symbol, crc in pairs(full).items())
                release = kernel.release.removesuffix(own)
                self.keep(
                    replace(kernel, package="", release=release, provides="", ksyms=ksyms), self.offered
                )
        self.kernels += made
        # An -extra requires the full kernel: a host of -base kernels cannot have one.
        if not package and self.has("extras", 2):
            for kernel in made:
                place = self.installed if kernel in self.installed else self.offered
                if place is self.offered and dice.one_in(6):
                    continue
                extra = KernelExtra(
                    release=kernel.release,
                    flavor=flavor,
                    ksyms=f"x={dice.pick(CRCS[:2])}",
                    modules="x.ko",
                    obsoletes=kernel.obsoletes.replace(f"kernel-{flavor} ", f"kernel-{flavor}-extra "),
                )
                self.keep(extra, place)

    def rebuild(self, kernel: Kernel, made: list[Kernel]) -> None:
        """Offer the same kernel release once more, as kernels are: in place of the one before."""
        symbols = {
            s: self.dice.pick(CRCS) if self.dice.one_in(4) else c for s, c in pairs(kernel.ksyms).items()
        }
        again = replace(
            kernel,
            release=kernel.release.replace(".1", ".2", 1),
            ksyms=" ".join(f"{symbol}={crc}" for symbol, crc in symbols.items()),
            obsoletes=f"{kernel.name} = {kernel.spec().evr}",
        )
        made.append(self.keep(again, self.offered))

    # -- KMPs ---------------------------------------------------------------------------------------------

    def make_kmps(self, flavor: str) -> None:
        dice = self.dice
        names = KMP_NAMES[: dice.pick((1, 2, 1, 3, 2, 4, 0))]
        if len(self.features) > 6:
            names = names[:3]
        for name in names:
            multiversion = not dice.one_in(4)
            modules = f"{name}.ko" if not self.has("modules", 3) else f"{name}.ko {name}_x.ko"
            builds = dice.pick((2, 1, 3, 4, 2))
            installed = 1 + (multiversion and builds > 1 and dice.one_in(3))
            made: list[Kmp] = []
            for number in range(builds):
                build = self.build(name, flavor, names, number < installed)
                build = replace(build, version=KMP_VERSIONS[number], multiversion=multiversion)
                build = replace(build, modules=self.changed_modules(modules, name, number >= installed))
                if number < installed and any(build.krel == other.krel for other in made):
                    installed = number  # two builds for one kernel exclude each other
                if number >= installed:  # zypper installs nothing with damaged requires
                    build = replace(build, requires="")
                made.append(self.keep(build, self.installed if number < installed else self.offered))
            self.names.append(made[0].spec().name)

    def builds(self, package: str) -> list[Kmp]:
        """Builds of a KMP, installed ones first."""
        kmps = [noun for noun in (*self.installed, *self.offered) if isinstance(noun, Kmp)]
        return [kmp for kmp in kmps if kmp.spec().name == package]

    def build(self, name: str, flavor: str, names: Sequence[str], installed: bool) -> Kmp:
        dice = self.dice
        kernels = [kernel for kernel in self.kernels if kernel.flavor == flavor]
        old = [kernel for kernel in kernels if kernel in self.installed]
        # What is offered is more often than not for the newest kernel.
        kernel = dice.pick(old if installed else [kernels[-1], kernels[-1], *kernels])
        symbols: dict[str, str] = {}
        provided = pairs(kernel.ksyms) | ({"x": dice.pick(CRCS[:2])} if "extras" in self.features else {})
        for symbol, crc in provided.items():
            if not symbols or dice.one_in(3):
                symbols[symbol] = dice.pick(CRCS) if dice.one_in(16) else crc
        symbols = symbols or {"a": dice.pick(CRCS)}
        exports = ""
        if "chains" in self.features:
            if dice.upto(2):
                exports = f"{name}_s={dice.pick(CRCS[:3])}"
            for other in names:
                if dice.one_in(4) and (other != name or exports):
                    symbols[f"{other}_s"] = (
                        pairs(exports)[f"{name}_s"] if other == name else dice.pick(CRCS[:3])
                    )
        sets = ""
        if self.has("symsets", 3):
            sets = " ".join(f"{s}={v}" for s, v in pairs(kernel.symsets).items() if dice.one_in(2))
        exact = kernel.uname_r if self.has("exact", 4) else ""
        if exact and dice.one_in(2):
            symbols = {}
        if self.has("versionless", 4):
            symbols, sets, exact, exports = {}, "", "", ""
        written = {symbol: self.written(crc) for symbol, crc in symbols.items()}
        damaged = dice.pick(("ksym(default:", "ksym(default:)", "modversions", "retpoline"))
        return Kmp(
            name=name,
            krel=kernel.krel,
            flavor=flavor,
            symbols=" ".join(f"{symbol}={crc}" for symbol, crc in written.items()),
            symsets=sets,
            exact=exact,
            exports=exports,
            requires=damaged if installed and self.has("damaged", 2) else "",
            vendor=dice.pick((ACME, ACME, "acme inc.", "Other GmbH"))
            if "vendors" in self.features and not installed
            else ACME,
            arch="i586" if not installed and self.has("vendors", 12) else "x86_64",
        )

    def written(self, crc: str) -> str:
        """The CRC with or without leading zeros, as long as rpm takes that for the same.

        Before a letter it does not: zypper does not install what requires abc01de and finds 0abc01de.
        """
        bare = crc.lstrip("0")
        return self.dice.pick((bare, f"0{bare}")) if bare[0].isdigit() else crc

    def changed_modules(self, modules: str, name: str, offered: bool) -> str:
        if not offered:
            return modules
        if self.has("modules", 4):
            modules = modules.split()[0]
        if self.has("modules", 6):
            modules += f" {self.dice.pick(KMP_NAMES)}_x.ko"
        return " ".join(sorted(set(modules.split())))

    def offer_kmp(self, name: str, like: Kmp, **changes: Any) -> Kmp:
        build = self.build(name, like.flavor, [name], installed=False)
        return self.keep(replace(build, multiversion=like.multiversion, **changes), self.offered)

    def change(self, place: list[Noun], package: str, odds: int = 1, **changes: Any) -> None:
        """Change one in `odds` builds of a KMP."""
        for number, noun in enumerate(place):
            if isinstance(noun, Kmp) and noun.spec().name == package and self.dice.one_in(odds):
                place[number] = replace(noun, **changes)

    def add_symbol(self, package: str, wanted: str) -> None:
        """Let offered builds require one symbol more."""
        for number, noun in enumerate(self.offered):
            if isinstance(noun, Kmp) and noun.spec().name == package and noun.symbols:
                self.offered[number] = replace(noun, symbols=f"{noun.symbols} {wanted}")

    def add_modules(self) -> None:
        """Packages to which a module may have moved, or from which a symbol may come."""
        for package in self.names[:2]:
            kmp = self.builds(package)[0]
            if self.has("modules", 2):
                both = f"{kmp.name}.ko {kmp.name}_x.ko"
                self.change(self.installed, package, modules=both)
                self.change(self.offered, package, modules=both)
                self.change(self.offered, package, odds=2, modules=f"{kmp.name}.ko")
                for _ in range(self.dice.pick((1, 2, 1, 0))):
                    self.offer_kmp(f"{kmp.name}-extra", kmp, modules=f"{kmp.name}_x.ko")
            if self.has("chains", 4):
                wanted = f"{kmp.name}_c={self.dice.pick(CRCS[:2])}"
                self.add_symbol(package, wanted)
                for _ in range(1 + self.dice.upto(1)):
                    exports = wanted if self.dice.upto(2) else f"{kmp.name}_c={self.dice.pick(CRCS[:2])}"
                    self.offer_kmp(f"{kmp.name}-core", kmp, modules=f"{kmp.name}-core.ko", exports=exports)

    def add_renames(self) -> None:
        for name in self.names[:2]:
            if self.has("renames", 2):
                kmp = self.builds(name)[0]
                others = [o for o in self.names if o != name and self.builds(o)[0].flavor == kmp.flavor]
                gone = [name, *(other for other in others if self.dice.one_in(4))]
                modules = " ".join(sorted({m for n in gone for m in self.builds(n)[0].modules.split()}))
                provides = "; ".join(f"{n} = 9" for n in gone) if self.dice.upto(3) else ""
                self.offer_kmp(
                    f"{kmp.name}-ng",
                    kmp,
                    version=self.dice.pick(("4.0", "0.9")),
                    modules=modules,
                    obsoletes="; ".join(gone),
                    provides=provides,
                )

    def add_obsoletes(self) -> bool:
        """Let offered kernels absorb KMPs."""
        absorbed = False
        for number, noun in enumerate(self.offered):
            if isinstance(noun, Kernel) and self.has("obsoletes", 2):
                for name in self.names[:2]:
                    if self.builds(name)[0].flavor == noun.flavor and self.dice.upto(1):
                        modules = noun.modules.split()
                        modules += self.builds(name)[0].modules.split()[: self.dice.pick((9, 9, 1, 0))]
                        bound = self.dice.pick(("", "", " < 2.0", " < 9"))
                        provides = f"{noun.provides}; {name} = 9" if self.dice.one_in(3) else noun.provides
                        noun = replace(
                            noun,
                            obsoletes=f"{noun.obsoletes}; {name}{bound}".strip("; "),
                            modules=" ".join(sorted(set(modules))),
                            provides=provides.strip("; "),
                        )
                        absorbed = True
                self.offered[number] = noun
        return absorbed

    # -- user space ---------------------------------------------------------------------------------------

    def add_tools(self) -> None:
        dice = self.dice
        for name in self.names[:2]:
            if not self.has("pins", 2):
                continue
            builds = self.builds(name)
            tool = f"{name}-tools"
            installed = [build for build in builds if build in self.installed]
            pin = self.pin(name, installed[-1])
            self.keep(Tool(name=tool, requires=pin), self.installed)
            for version in ("2.0", "0.5", "3.0")[: 1 + dice.upto(2)]:
                vendor = "Other GmbH" if dice.one_in(5) else ACME
                pinned = self.pin(name, dice.pick([builds[-1], *builds]))
                self.keep(Tool(name=tool, version=version, requires=pinned, vendor=vendor), self.offered)
            if dice.one_in(3):
                wanted = dice.pick((f"{tool} >= 2.0", "acme-firmware", "nowhere"))
                self.change(self.offered, name, odds=2, requires=wanted)
        if any("acme-firmware" in noun.spec().requires for noun in self.offered) and dice.upto(3):
            self.keep(Tool(name="acme-firmware"), self.offered)

    def pin(self, name: str, build: Kmp) -> str:
        if "flavors" in self.features:  # what both flavors provide would tie their plans together
            return self.dice.pick((f"{name} = {build.spec().evr}", f"{name} >= {build.version}", name))
        kmp = f"{build.name}-kmp"
        return self.dice.pick(
            (
                f"{kmp} = {build.version}",
                f"{kmp} = {build.spec().evr}",
                f"{kmp} >= {build.version}",
                name,
                f"kmod({build.modules.split()[0]})",
            )
        )

    def add_conflicts(self) -> None:
        dice = self.dice
        for number, noun in enumerate(self.offered):
            if isinstance(noun, Kmp) and self.has("conflicts", 3):
                others = [name for name in self.names if name != noun.spec().name]
                last = [self.builds(name)[-1] for name in others]
                against = [f"{noun.spec().name}-tools < 2.0", "editor"]
                against += others
                against += [f"{build.name}-kmp = {build.version}" for build in last]
                self.offered[number] = replace(noun, conflicts=dice.pick(against))
        if self.has("conflicts", 2):
            conflicts = ""
            if self.names and dice.one_in(2):
                build = self.builds(self.names[0])[-1]
                # With what is installed nothing conflicts: rpm would not have it, in no flavor.
                there = {(kmp.name, kmp.version) for kmp in self.installed if isinstance(kmp, Kmp)}
                if (build.name, build.version) not in there:
                    conflicts = f"{build.name}-kmp = {build.version}"
            self.keep(Tool(name="editor", conflicts=conflicts), self.installed)

    def add_scripts(self) -> None:
        """What is required for a script counts like any other requirement; libsolv lists it apart."""
        dice = self.dice
        for place in (self.installed, self.offered):
            for number, noun in enumerate(place):
                if isinstance(noun, Kernel) and self.has("scripts", 4):
                    place[number] = replace(noun, post=dice.pick(("nowhere", "acme-firmware", "editor")))
                elif isinstance(noun, Kmp | Tool) and noun.requires and self.has("scripts", 2):
                    place[number] = replace(noun, requires="", post=noun.requires)

    # -- all of it ----------------------------------------------------------------------------------------

    def make(self) -> World:
        for flavor in ("default", "rt") if self.has("flavors", 2) else ("default",):
            self.make_kernels(flavor)
            self.make_kmps(flavor)
        self.add_modules()
        self.add_renames()
        self.add_tools()
        self.add_conflicts()
        self.add_obsoletes()
        self.add_scripts()
        return self.world()

    def world(self) -> World:
        dice = self.dice
        aliases = ["r1", "r2", "r3"][: 1 + dice.upto(2)]
        placed: dict[str, list[Noun]] = {alias: [] for alias in aliases}
        for noun in self.offered:
            for alias in dict.fromkeys(
                [dice.pick(aliases), *([dice.pick(aliases)] if dice.one_in(5) else [])]
            ):
                placed[alias].append(noun)
        if dice.one_in(4):
            placed[dice.pick(aliases)] += self.installed
        retracted = [noun.spec().nevra for noun in self.offered if self.has("retracted", 4)]
        repositories = [
            Repository(
                alias=alias,
                packages=packages,
                priority=dice.pick((99, 90, 50)) if "priorities" in self.features else 99,
                retracted=[n.spec().nevra for n in packages if n.spec().nevra in retracted],
            )
            for alias, packages in placed.items()
        ]
        kernels = [noun for noun in (*self.installed, *self.offered) if isinstance(noun, Kernel)]
        asked: str | None = None
        absorbing = [kernel for kernel in kernels if kernel.obsoletes]
        if "targets" in self.features and not absorbing:
            kernel = dice.pick(kernels)
            asked = dice.pick((None, kernel.spec().evr, kernel.uname_r, "latest", "newest-safe", kernel.krel))
        elif absorbing:
            # zypper up holds back a kernel that obsoletes what something else needs: name the target instead.
            kernel = dice.pick(absorbing)
            asked = kernel.spec().evr
        running = dice.pick(kernels).uname_r if "targets" in self.features and dice.one_in(2) else None
        if running not in {noun.uname_r for noun in self.installed if isinstance(noun, Kernel)}:
            running = None
        return World(
            installed=self.installed,
            repositories=repositories,
            kernel=asked,
            running=running,
            locks=[lock for noun in self.offered for lock in self.locks(noun)],
        )

    def locks(self, noun: Noun) -> list[str]:
        if not self.has("locks", 4):
            return []
        spec = noun.spec()
        # A lock on the name holds the installed package too; what would replace it is another question.
        whole = not {"renames", "obsoletes", "rebuilds"} & self.features and self.dice.one_in(4)
        return [spec.name if whole else f"{spec.name} == {spec.evr}"]


@st.composite
def worlds(draw: st.DrawFn, *features: str) -> World:
    """Small worlds with these `features`; each shows in some of them."""
    unknown = set(features) - set(FEATURES)
    assert not unknown, unknown
    return _Maker(_Dice(draw), frozenset(features)).make()
