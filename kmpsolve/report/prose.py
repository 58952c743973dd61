"""The story of a KMP in full sentences, for tickets and mails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kmpsolve.explain.modulefiles import ModuleHit
from kmpsolve.explain.story import Story
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import FlavorPlan, Plan
from kmpsolve.report.terminal import printable
from kmpsolve.report.words import evr, few, kinds, listed, plural, short_builds

__all__ = ["sentences"]


def sentences(
    plan: Plan, flavor: FlavorPlan, story: Story, hits: Sequence[ModuleHit] = ()
) -> tuple[str, ...]:
    """Why it is as it is, in the order of importance."""
    return tuple(printable(text) for text in _Teller(plan, flavor, story, hits).tell())


class _Teller:
    def __init__(self, plan: Plan, flavor: FlavorPlan, story: Story, hits: Sequence[ModuleHit]) -> None:
        self.plan = plan
        self.flavor = flavor
        self.story = story
        self.entry = story.entry
        self.hits = hits
        self.short = short_builds({story.subject, *(a.nevra for a in story.entry.tried)})
        target = Nevra.parse(story.target)
        self.kernel = f"{target.name} {target.evr}"
        self.subject = f"{Nevra.parse(story.subject).name} {self.short[story.subject]}"

    def tell(self) -> Iterator[str]:
        decision = self.entry.decision
        if decision == "blocked":
            yield from self._blocked()
        elif decision in ("reuse", "fetch"):
            yield self._safe()
            yield (
                "Matching versions are necessary, not sufficient: signatures and what the code does are not "
                "part of them."
            )
        elif decision == "builtin":
            yield (
                f"{self.entry.name} is no longer needed on {self.kernel}, because the kernel has all of its "
                "modules."
            )
        elif decision == "rebuild-on-host":
            yield (
                f"{self.subject} carries no symbol versions, because it is compiled on this machine; it will "
                f"be compiled again for {self.kernel}, and the headers for that are there."
            )
        else:
            yield (
                f"Whether {self.subject} loads on {self.kernel} cannot be told, because it was built without "
                "symbol versions: nothing in the package says which kernel it needs."
            )
        if self.entry.waived is not None:
            waived = self.entry.waived
            yield f"A waiver accepts this until {waived.expires}: {waived.reason.rstrip('.')}."

    def _safe(self) -> str:
        count = plural(self.entry.symbols_required, "symbol version")
        where = []
        for maker, number in sorted(
            self.story.met_by.items(), key=lambda entry: (entry[0] != "kernel", entry[0])
        ):
            what = {"kernel": "in the kernel", "itself": "in its own modules"}.get(maker, f"in {maker}")
            where.append(f"{number:,} {what}")
        parts = f" ({listed(where)})" if len(where) > 1 else ""
        if self.entry.symbols_required:
            every = (
                f"every one of the {count}" if self.entry.symbols_required > 1 else "the one symbol version"
            )
            because = f"because {every} that it requires is there unchanged{parts}"
        else:
            because = "because it was built for exactly this kernel"
        if self.entry.decision == "reuse":
            return f"{self.subject} keeps working on {self.kernel}, {because}."
        old = [a for a in self.entry.tried if a.repository is None and a.nevra in self.entry.installed]
        lacking = min(old, key=lambda a: a.mismatches, default=None)
        lead = ""
        if lacking is not None and lacking.mismatches:
            lacks = f"lacks {plural(lacking.mismatches, 'symbol')} of {self.kernel}"
            lead = f"The installed build {self.short[lacking.nevra]} {lacks}, so it is replaced. "
        return f"{lead}{self.subject} from {self.entry.repository} works on {self.kernel}, {because}."

    def _blocked(self) -> Iterator[str]:
        made = {cause.kind for cause in self.entry.causes}
        if "already-broken" in made:
            yield (
                f"{self.entry.name} works on no kernel that is installed now, so an update to {self.kernel} "
                "takes nothing from it."
            )
        else:
            reasons = [*self._reasons(), *self._other_builds()]
            end = "it would be lost" if self.entry.waived is not None else "the update is blocked"
            yield f"Because {', and '.join(reasons)}, {end}."
            yield from self._behind()
        if self.story.works_up_to and self.story.since:
            yield (
                f"The last kernel on which {self.entry.name} works is {evr(self.story.works_up_to)}; "
                f"it fails since {evr(self.story.since)}."
            )
        yield from self._when()
        yield from self._modules()

    def _behind(self) -> Iterator[str]:
        """The causes behind other KMPs that fail."""
        for entry in self.flavor.kmps:
            own = [m for m in entry.mismatches if m.kind == "disagrees" or m.found is None]
            if entry.name in self.story.from_kmps.values() and entry.decision == "blocked" and own:
                count = plural(len(own), "symbol")
                yield f"{entry.name} does not load because {self.kernel} {kinds(own)} {count} that it uses."

    def _reasons(self) -> Iterator[str]:
        own = [m for m in self.entry.mismatches if m.symbol not in self.story.from_kmps]
        changed = sum(m.kind == "disagrees" for m in own)
        gone = len(own) - changed
        made = {cause.kind for cause in self.entry.causes}
        if own and "symbols" in made:
            if changed and gone:
                yield (
                    f"{self.kernel} changed {plural(changed, 'symbol')} that {self.subject} uses and dropped "
                    f"{gone:,}"
                )
            else:
                verb, count = ("changed", changed) if changed else ("dropped", gone)
                yield f"{self.kernel} {verb} {plural(count, 'symbol')} that {self.subject} uses"
        makers = Counter(self.story.from_kmps.values())
        for maker, count in sorted(makers.items()):
            symbols = [s for s, m in self.story.from_kmps.items() if m == maker]
            some = f"{plural(count, 'symbol')} of {maker}"
            missing = {m.symbol for m in self.entry.mismatches if m.kind == "unknown"}
            if missing.issuperset(symbols):
                yield f"{self.subject} uses {some}, which does not load there either"
            else:
                verb = "has another version" if count == 1 else "have other versions"
                yield f"{some} that {self.subject} uses {verb} in the build that fits the kernel"
        for cause in self.entry.causes:
            if cause.kind == "exact-kernel":
                yield f"{self.subject} was built for kernel {cause.packages[0]} and no other"
            elif cause.kind not in ("symbols", "kmp", "vendor", "lock", "retracted", "architecture"):
                yield cause.message

    def _other_builds(self) -> Iterator[str]:
        own = next((b for b in self.story.builds if b.attempt.nevra == self.story.subject), None)
        others = [b for b in self.story.builds if b is not own]
        repositories = len(self.plan.inputs.repositories)
        if not others:
            where = (
                "one repository that was" if repositories == 1 else f"{repositories} repositories that were"
            )
            yield f"no other build is in the {where} read"
            return
        same = [b for b in others if own and b.mismatches and b.mismatches == own.mismatches]
        if same:
            names = listed([self._build(b.attempt.nevra, b.attempt.repository) for b in same])
            verb = "fails" if len(same) == 1 else "fail"
            count = len(same[0].mismatches)
            yield (
                f"{names} {verb} for the same {count:,}" if count > 1 else f"{names} {verb} for the same one"
            )
        refused = {
            "vendor": "comes from another vendor",
            "lock": "is locked",
            "retracted": "was retracted or is a PTF",
            "architecture": "is for another architecture",
        }
        for build in others:
            if build in same:
                continue
            name, cause = self._build(build.attempt.nevra, build.attempt.repository), build.attempt.cause
            if cause in refused:
                lacks = (
                    f"lacks {plural(build.attempt.mismatches, 'symbol')} and"
                    if build.attempt.mismatches
                    else "fits but"
                )
                yield f"{name} {lacks} {refused[cause]}"
            elif cause in ("symbols", "kmp"):
                yield f"{name} lacks {plural(build.attempt.mismatches, 'symbol')}"
            elif cause == "exact-kernel":
                yield f"{name} was built for {build.only_for} only"

    def _build(self, nevra: str, repository: str | None) -> str:
        return f"{self.short[nevra]} ({repository or 'installed'})"

    def _when(self) -> Iterator[str]:
        when = Counter(kernel for kernel in self.story.changed_in.values() if kernel is not None)
        order = [kernel.nevra for kernel in self.story.kernels]
        if len(when) > 1:
            parts = [f"{when[kernel]:,} in {evr(kernel)}" for kernel in order if kernel in when]
            yield f"Of these symbols, {listed(parts)} became different."
        never = [symbol for symbol, kernel in self.story.changed_in.items() if kernel is None]
        never = [symbol for symbol in never if symbol not in self.story.from_kmps]
        if never:
            yield f"No kernel that was read has the wanted version of {few(never)}."

    def _modules(self) -> Iterator[str]:
        hit = [h.module for h in self.hits if h.symbols]
        fine = [h.module for h in self.hits if not h.symbols]
        if hit and fine:
            yield (
                f"Of its modules, {listed(hit)} would not load; {listed(fine)} would, if nothing else in the "
                "package kept it from being installed."
            )
        elif hit:
            yield f"{'Its module' if len(hit) == 1 else 'All of its modules'}, {listed(hit)}, would not load."
