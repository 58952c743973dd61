"""The check of whole packages: real modules in real RPMs, each with one thing wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.modules.check import check
from kmpsolve.modules.checkreport import CheckReport
from kmpsolve.modules.kernel import Kernel, read_kernels
from kmpsolve.modules.kmp import is_kmp
from kmpsolve.modules.loader import Mismatch
from kmpsolve.modules.module import read_module
from kmpsolve.modules.rpmfile import read_rpm
from kmpsolve.modules.symvers import Symvers
from tests.modules import kbuild
from tests.modules.debian import DebianKernel
from tests.support import rpmbuild
from tests.support.packages import PackageSpec

Built = Callable[[DebianKernel], Path]

_FLAVOR = "amd64"
"""Debian's uname -r ends in it, so that is the flavor of a package for it."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Makes KMPs of the suite's modules as SUSE's tools would."""

    kernel: DebianKernel
    folder: Path

    @property
    def release(self) -> str:
        return self.kernel.uname_r.removesuffix(f"-{_FLAVOR}")

    def spec(self, *names: str, folder: str = "updates", modules: Path | None = None) -> PackageSpec:
        files = [(modules or self.folder) / f"{name}.ko" for name in names]
        read = [read_module(file) for file in files]
        exports = {symbol: export.crc for module in read for symbol, export in module.exports.items()}
        needs = {symbol: crc for module in read for symbol, crc in module.versions.items()}
        return PackageSpec(
            name=f"acme-kmpsolve-kmp-{_FLAVOR}",
            version=f"1.0_k{self.release.replace('-', '_')}",
            release="1",
            vendor="ACME",
            provides=(
                "multiversion(kernel)",
                *(f"kmod({file.name})" for file in files),
                *(f"ksym({_FLAVOR}:{symbol}) = {crc}" for symbol, crc in exports.items()),
            ),
            requires=tuple(
                f"ksym({_FLAVOR}:{symbol}) = {crc}"
                for symbol, crc in sorted(needs.items())
                if exports.get(symbol) != crc
            ),
            contents=tuple(
                (f"/lib/modules/{self.kernel.uname_r}/{folder}/{file.name}", file.read_bytes())
                for file in files
            ),
        )

    def check(self, *specs: PackageSpec, against: Kernel | None = None) -> CheckReport:
        return check(rpmbuild.build(specs), [against or self.target])

    @property
    def target(self) -> Kernel:
        return _target(self.kernel)


def _target(kernel: DebianKernel) -> Kernel:
    own = read_module(next((kernel.tree / "kernel" / "fs").rglob("*.ko*")))
    return Kernel(
        source=kernel.uname_r,
        symvers=kernel.symvers,
        uname_r=kernel.uname_r,
        vermagic=own.vermagic,
        structure_size=own.structure_size,
    )


@pytest.fixture(scope="module")
def shop(kernels: tuple[DebianKernel, ...], built: Built) -> Shop:
    return Shop(kernel=kernels[0], folder=built(kernels[0]))


_ALWAYS = {"module-unsigned": "warning", "rpm-unsigned": "warning"}


def _found(report: CheckReport) -> dict[str, str]:
    return {finding.reference: finding.severity for finding in report.findings}


def _message(report: CheckReport, reference: str) -> str:
    (message,) = [finding.message for finding in report.findings if finding.reference == reference]
    return message


def test_nothing_wrong(shop: Shop) -> None:
    report = shop.check(shop.spec("kmpsolve_base"))
    assert _found(report) == _ALWAYS
    assert (report.verdict, report.exit_code) == ("safe", 0)
    (subject,) = report.subjects
    assert subject.nevra == f"acme-kmpsolve-kmp-amd64-1.0_k{shop.release.replace('-', '_')}-1.x86_64"
    assert subject.mismatches == ()
    document = report.to_json()
    assert set(document) == {"schema_version", "verdict", "subjects", "findings"}
    assert set(document["findings"][0]) == {"reference", "severity", "subject", "message", "rule"}
    assert {"path", "nevra", "verdict", "mismatches"} <= set(document["subjects"][0])


def test_against_a_near_kernel(shop: Shop, kernels: tuple[DebianKernel, ...]) -> None:
    report = shop.check(shop.spec("kmpsolve_base"), against=_target(kernels[1]))
    (subject,) = report.subjects
    ours, theirs = kernels[0].symvers.crcs, kernels[1].symvers.crcs
    needed = read_module(shop.folder / "kmpsolve_base.ko").versions
    expected = [
        {"symbol": symbol, "kind": "disagrees", "wanted": ours[symbol], "found": theirs[symbol]}
        for symbol in sorted(needed)
        if ours[symbol] != theirs[symbol]
    ]
    assert report.to_json()["subjects"][0]["mismatches"] == expected
    assert len(expected) > 1
    assert (report.verdict, report.exit_code, subject.verdict) == ("blocked", 4, "blocked")
    assert "disagrees about version of dev_get_by_name, init_net" in _message(report, "symbols")


def test_a_package_that_needs_another(shop: Shop, kernels: tuple[DebianKernel, ...]) -> None:
    """The two packages help each other where both fit, and fall together where the first does not."""
    base = shop.spec("kmpsolve_base")
    user = replace(shop.spec("kmpsolve_user"), name=f"acme-user-kmp-{_FLAVOR}")
    assert [subject.verdict for subject in shop.check(base, user).subjects] == ["safe", "safe"]
    (alone,) = shop.check(user).subjects
    sums = read_module(shop.folder / "kmpsolve_base.ko").exports
    unknown = {(found.symbol, found.kind, found.found) for found in alone.mismatches}
    assert unknown == {(symbol, "unknown", None) for symbol in sums}
    # Of the kernel the second package needs nothing that changed.
    fallen = shop.check(base, user, against=_target(kernels[1]))
    by_name = {subject.nevra.partition("-kmp-")[0]: subject for subject in fallen.subjects if subject.nevra}
    assert by_name["acme-user"].verdict == "blocked"
    assert {(found.symbol, found.kind, found.found) for found in by_name["acme-user"].mismatches} == {
        (symbol, "unknown", export.crc) for symbol, export in sums.items()
    }


def test_two_builds_of_one_package(shop: Shop) -> None:
    """Of builds that fit the kernel uses one: its own folder's, else the highest version's."""

    def base(version: str, export: str, *, need: str = "1", others: tuple[str, ...] = ()) -> PackageSpec:
        return PackageSpec(
            name=f"acme-base-kmp-{_FLAVOR}",
            version=version,
            release="1",
            provides=("kmod(base.ko)", f"ksym({_FLAVOR}:base) = {export}"),
            requires=(f"ksym({_FLAVOR}:a) = {need}", *others),
        )

    def user(version: str, wanted: str) -> PackageSpec:
        return PackageSpec(
            name=f"acme-user-kmp-{_FLAVOR}",
            version=version,
            release="1",
            provides=("kmod(user.ko)",),
            requires=(f"ksym({_FLAVOR}:base) = {wanted}",),
        )

    kernel = replace(shop.target, symvers=Symvers(crcs={"a": "1"}))

    def verdicts(*specs: PackageSpec) -> list[str]:
        found = {subject.nevra: subject.verdict for subject in shop.check(*specs, against=kernel).subjects}
        return [found[spec.nevra] for spec in specs]

    old, new = base("1", "5"), base("2", "6")
    assert verdicts(old, new, user("1", "5")) == ["safe", "safe", "blocked"]
    assert verdicts(old, new, user("1", "6")) == ["safe", "safe", "safe"]
    # What the kernel does not use itself may go with what it does not use.
    assert verdicts(old, new, user("1", "5"), user("2", "6")) == ["safe"] * 4
    assert verdicts(old, base("2", "6", need="2"), user("1", "5")) == ["safe", "blocked", "safe"]
    elsewhere = base("2", "6", others=("kernel-uname-r = 6.0-1-amd64",))
    assert verdicts(old, elsewhere, user("1", "5")) == ["safe", "blocked", "safe"]
    report = shop.check(old, new, user("1", "5"), against=kernel)
    (mismatch,) = next(subject for subject in report.subjects if subject.verdict == "blocked").mismatches
    assert mismatch == Mismatch(symbol="base", kind="disagrees", wanted="5", found="6")


def test_two_builds_of_one_package_one_at_home(shop: Shop) -> None:
    """A kernel's own folder comes before what is linked, whatever the version."""
    spec = shop.spec("kmpsolve_base")
    ((path, content),) = spec.contents
    newer = replace(
        spec, version=f"2{spec.version[1:]}", contents=((path.replace("cloud", "other"), content),)
    )
    export = read_module(shop.folder / "kmpsolve_base.ko").exports["kmpsolve_sum"].crc
    assert export
    changed = content.replace(bytes.fromhex(export.zfill(8))[::-1], bytes(4))
    elder = replace(spec, contents=((path, changed),))
    user = replace(shop.spec("kmpsolve_user"), name=f"acme-user-kmp-{_FLAVOR}")

    def user_on(*specs: PackageSpec) -> str:
        subjects = shop.check(*specs, user).subjects
        return next(one.verdict for one in subjects if one.nevra and one.nevra.startswith("acme-user"))

    assert user_on(newer, elder) == "blocked"
    assert user_on(newer, replace(elder, contents=newer.contents)) == "safe"
    assert user_on(elder) == "blocked"


def test_one_too_many(shop: Shop) -> None:
    """What the package requires counts as it does to rpm and to a plan, also where no module needs it."""
    spec = shop.spec("kmpsolve_base")
    crc = shop.target.symvers.crcs["vfs_llseek"]
    report = shop.check(_more(spec, requires=(f"ksym({_FLAVOR}:vfs_llseek) = {crc}",)))
    assert (report.verdict, _found(report)["ksym-surplus"]) == ("safe", "warning")
    report = shop.check(_more(spec, requires=(f"ksym({_FLAVOR}:vfs_llseek) = 1234",)))
    (subject,) = report.subjects
    assert subject.verdict == "blocked"
    assert [(one.symbol, one.kind, one.wanted, one.found) for one in subject.mismatches] == [
        ("vfs_llseek", "disagrees", "1234", crc)
    ]
    (said,) = [found.message for found in report.findings if found.reference == "symbols"]
    assert said.endswith("1 of 1 symbols do not fit: disagrees about version of vfs_llseek")


def test_one_package_with_both(shop: Shop) -> None:
    """Symbols that a package both provides and requires are satisfied, required or not."""
    spec = shop.spec("kmpsolve_base", "kmpsolve_user")
    expected = {**_ALWAYS, "unsupported": "warning"}
    report = shop.check(spec)
    assert (report.verdict, _found(report)) == ("safe", expected)
    own = tuple(capability for capability in spec.provides if capability.startswith("ksym("))
    report = shop.check(replace(spec, requires=(*spec.requires, *own)))
    assert (report.verdict, _found(report)) == ("safe", expected)


def _without(spec: PackageSpec, symbol: str) -> PackageSpec:
    return replace(spec, requires=tuple(need for need in spec.requires if f":{symbol})" not in need))


def _more(
    spec: PackageSpec, *, requires: tuple[str, ...] = (), provides: tuple[str, ...] = ()
) -> PackageSpec:
    return replace(spec, requires=(*spec.requires, *requires), provides=(*spec.provides, *provides))


_DECLARATIONS: dict[str, tuple[Callable[[PackageSpec], PackageSpec], dict[str, str]]] = {
    "one too few": (lambda spec: _without(spec, "init_net"), {"ksym-missing": "error"}),
    "none at all": (lambda spec: replace(spec, requires=()), {"ksym-missing": "error"}),
    "exactly this kernel": (
        lambda spec: replace(spec, requires=("kernel-uname-r = " + spec.contents[0][0].split("/")[3],)),
        {},
    ),
    "another version": (
        lambda spec: _more(_without(spec, "init_net"), requires=(f"ksym({_FLAVOR}:init_net) = 1234",)),
        {"ksym-wrong": "error"},
    ),
    "one too many": (
        lambda spec: _more(spec, requires=(f"ksym({_FLAVOR}:vfs_read) = 1234",)),
        {"ksym-surplus": "warning", "symbols": "error"},
    ),
    "damaged": (
        lambda spec: _more(spec, requires=(f"ksym({_FLAVOR}:", "modversions", "retpoline")),
        {"ksym-damaged": "warning"},
    ),
    "another flavor": (
        lambda spec: _more(_without(spec, "init_net"), requires=("ksym(rt:init_net) = 1234",)),
        {"ksym-other-flavor": "error", "ksym-wrong": "error"},
    ),
    "an export too few": (
        lambda spec: replace(spec, provides=tuple(found for found in spec.provides if "scale" not in found)),
        {"export-missing": "warning"},
    ),
    "an export too many": (
        lambda spec: _more(spec, provides=(f"ksym({_FLAVOR}:kmpsolve_gone) = 1234",)),
        {"export-wrong": "error"},
    ),
    "no kmod": (
        lambda spec: replace(spec, provides=tuple(found for found in spec.provides if "kmod(" not in found)),
        {"kmod-missing": "warning"},
    ),
    "not multiversion": (
        lambda spec: replace(spec, provides=tuple(found for found in spec.provides if "multi" not in found)),
        {"not-multiversion": "note"},
    ),
    "another name": (
        lambda spec: replace(spec, name="acme-driver"),
        {"kmp-name": "warning"},
    ),
    "no prefix": (
        lambda spec: replace(spec, name=f"kmpsolve-kmp-{_FLAVOR}"),
        {"kmp-name-prefix": "note"},
    ),
    "a version without kernel": (lambda spec: replace(spec, version="1.0"), {"kmp-version": "warning"}),
    "a version of another kernel": (
        lambda spec: replace(spec, version="1.0_k5.14.21_150400.22"),
        {"kmp-version-kernel": "warning"},
    ),
    "a rebuild of the kernel": (lambda spec: replace(spec, version=f"{spec.version}.1"), {}),
    "as on Code 11": (lambda spec: replace(spec, version=spec.version.replace("_k", "_")), {}),
}


@pytest.mark.parametrize("case", _DECLARATIONS)
def test_declarations(case: str, shop: Shop) -> None:
    change, expected = _DECLARATIONS[case]
    report = shop.check(change(shop.spec("kmpsolve_base")))
    assert _found(report) == {**_ALWAYS, **expected}
    blocked = "error" in expected.values()
    assert (report.verdict, report.exit_code) == (("blocked", 4) if blocked else ("safe", 0))
    assert {subject.verdict for subject in report.subjects} == {
        "blocked" if "symbols" in expected else "safe"
    }


@pytest.mark.parametrize("folder", ["updates", "extra", "updates/acme"])
def test_good_folders(folder: str, shop: Shop) -> None:
    assert _found(shop.check(shop.spec("kmpsolve_base", folder=folder))) == _ALWAYS


def test_bad_folders(shop: Shop) -> None:
    for folder in ("weak-updates", "kernel/drivers", "misc"):
        report = shop.check(shop.spec("kmpsolve_base", folder=folder))
        assert _found(report) == {**_ALWAYS, "module-folder": "error"}
        assert folder.partition("/")[0] in _message(report, "module-folder")
    spec = shop.spec("kmpsolve_base")
    ((path, content),) = spec.contents
    outside = replace(spec, contents=(("/opt/acme/kmpsolve_base.ko", content),))
    assert _found(shop.check(outside))["module-outside"] == "error"
    other = replace(spec, contents=((path, content), (path.replace("cloud", "other"), content)))
    assert _found(shop.check(other))["several-kernels"] == "error"
    stray = replace(spec, contents=((path.replace("cloud", "other"), content),))
    assert _found(shop.check(stray))["module-other-kernel"] == "warning"
    wrong = replace(spec, contents=((path.replace("amd64", "rt"), content),))
    assert _found(shop.check(wrong))["folder-other-flavor"] == "error"


def test_without_symbol_versions(shop: Shop, kernels: tuple[DebianKernel, ...], tmp_path: Path) -> None:
    """Never fine: on its own kernel nobody can tell, any other kernel refuses it."""
    kbuild.with_section_renamed(
        shop.folder / "kmpsolve_base.ko", "__versions", ".was_versions", tmp_path / "kmpsolve_base.ko"
    )
    spec = shop.spec("kmpsolve_base", modules=tmp_path)
    own = shop.check(spec)
    assert (own.verdict, own.exit_code) == ("unverified", 110)
    assert _found(own) == {**_ALWAYS, "no-symbol-versions": "warning"}
    other = shop.check(spec, against=_target(kernels[1]))
    assert (other.verdict, other.exit_code) == ("blocked", 4)
    assert "loads on no other kernel" in _message(other, "version-magic")
    nameless = replace(shop.target, uname_r="", vermagic="")
    assert shop.check(spec, against=nameless).verdict == "unverified"


def test_another_kind_of_kernel(shop: Shop, rt_kernel: DebianKernel, built: Built) -> None:
    report = check(
        [built(rt_kernel) / "kmpsolve_user.ko", built(rt_kernel) / "kmpsolve_base.ko"], [shop.target]
    )
    assert report.verdict == "blocked"
    messages = [finding.message for finding in report.findings if finding.reference == "version-magic"]
    assert len(messages) == 2
    assert "preempt_rt" in messages[0]


def test_a_flavor_that_no_kernel_has(shop: Shop) -> None:
    report = shop.check(shop.spec("kmpsolve_base"), against=replace(shop.target, uname_r="6.1.0-53-cloud-rt"))
    assert (report.verdict, report.exit_code) == ("unverified", 110)
    assert report.subjects[0].kernel is None
    assert "no-kernel-of-flavor" in _found(report)


def test_packages_without_modules_serve_each_other(shop: Shop) -> None:
    """A driver disk whose packages only declare: the one that needs the other's symbol has it, if it fits."""
    kernel = replace(shop.target, symvers=Symvers(crcs={"a": "1"}, symsets={"mm": frozenset({"f"})}))

    def kmp(name: str, requires: tuple[str, ...], exports: tuple[str, ...] = ()) -> PackageSpec:
        provides = (f"kmod({name}.ko)", *(f"ksym({_FLAVOR}:{export}" for export in exports))
        needs = tuple(
            f"{'kernel' if need.startswith('mm') else 'ksym'}({_FLAVOR}:{need}" for need in requires
        )
        return PackageSpec(
            name=f"acme-{name}-kmp-{_FLAVOR}", version="1", release="1", provides=provides, requires=needs
        )

    def verdicts(*specs: PackageSpec, against: Kernel = kernel) -> list[object]:
        found: dict[str | None, object] = {
            subject.nevra: (subject.verdict, [(m.symbol, m.kind, m.found or "") for m in subject.mismatches])
            for subject in shop.check(*specs, against=against).subjects
        }
        return [found[spec.nevra] for spec in specs]

    low, high = kmp("low", ("a) = 1",), ("low) = 5",)), kmp("high", ("a) = 1", "low) = 5"))
    assert verdicts(low, high) == [("safe", []), ("safe", [])]
    assert verdicts(high) == [("blocked", [("low", "unknown", "")])]
    assert verdicts(low, kmp("high", ("low) = 6",)))[1] == ("blocked", [("low", "disagrees", "5")])
    broken = kmp("low", ("a) = 2",), ("low) = 5",))
    assert verdicts(broken, high)[1] == ("blocked", [("low", "unknown", "5")])
    other_set = kmp("low", ("a) = 1", "mm) = e"), ("low) = 5",))
    assert verdicts(other_set, high)[1] == ("blocked", [("low", "unknown", "")])
    partial = replace(kernel, symvers=replace(kernel.symvers, gap="not everything is known"))
    assert verdicts(kmp("high", ("a) = 1", "b) = 5")), against=partial) == [("unverified", [])]


def test_another_architecture(shop: Shop) -> None:
    """Equal symbol versions are chance then; a disk for two machines is judged on the kernels of each."""
    ours = replace(shop.target, nevra="kernel-default-6.1.0-53.1.x86_64")
    theirs = replace(ours, nevra="kernel-default-6.1.0-53.1.aarch64")
    spec = shop.spec("kmpsolve_base")
    report = shop.check(spec, against=theirs)
    assert (report.verdict, report.subjects[0].verdict, report.exit_code) == ("blocked", "blocked", 4)
    assert _found(report) == {**_ALWAYS, "architecture": "error"}
    (package,) = rpmbuild.build([spec])
    both = check([package], [theirs, ours])
    assert [(subject.kernel, subject.verdict) for subject in both.subjects] == [(ours.nevra, "safe")]


def test_kernels_of_several_architectures(shop: Shop, tmp_path: Path) -> None:
    """They may share a uname -r, and a folder. A module on its own is for those of its machine."""
    uname_r = f"kernel-uname-r = {shop.kernel.uname_r}"
    crcs = {symbol: f"ksym({_FLAVOR}:{symbol}) = {crc}" for symbol, crc in shop.kernel.symvers.crcs.items()}
    needed = read_module(shop.folder / "kmpsolve_base.ko").versions
    ours = PackageSpec(
        name=f"kernel-{_FLAVOR}",
        version="6.1.0",
        release="53.1",
        provides=(uname_r, *(crcs[symbol] for symbol in needed)),
    )
    lacking = replace(ours, provides=(uname_r, *(crcs[symbol] for symbol in sorted(needed)[1:])))
    module = shop.folder / "kmpsolve_base.ko"
    for own, verdict in ((ours, "safe"), (lacking, "blocked")):
        folder = tmp_path / verdict
        folder.mkdir()
        for file in rpmbuild.build([own, replace(ours, arch="aarch64"), replace(ours, arch="s390x")]):
            shutil.copy(file, folder)
        kernels = read_kernels(folder)
        assert [kernel.nevra for kernel in kernels] == sorted(str(kernel.nevra) for kernel in kernels)
        for path in (module, *rpmbuild.build([shop.spec("kmpsolve_base")])):
            (subject,) = check([path], kernels).subjects
            assert (subject.kernel, subject.verdict) == (own.nevra, verdict)
    with_a_list = check([module], [shop.target, *kernels])
    assert [subject.verdict for subject in with_a_list.subjects] == ["safe", "blocked"]


def test_a_package_for_another_machine_than_its_modules(shop: Shop) -> None:
    """A list of symbols does not tell its machine; but where the package can be installed, nothing loads them."""
    report = shop.check(replace(shop.spec("kmpsolve_base"), arch="s390x"))
    assert (report.verdict, report.subjects[0].verdict, report.exit_code) == ("blocked", "blocked", 4)
    assert _found(report) == {**_ALWAYS, "module-other-machine": "error"}
    assert _message(report, "module-other-machine") == (
        "is a package for s390x with 1 module for X86_64, 64-bit little-endian: kmpsolve_base"
    )
    assert shop.check(replace(shop.spec("kmpsolve_base"), arch="noarch")).verdict == "safe"


def test_exactly_another_kernel(shop: Shop) -> None:
    spec = replace(shop.spec("kmpsolve_base"), requires=("kernel-uname-r = 6.3.6-1-amd64",))
    report = shop.check(spec)
    assert _found(report) == {**_ALWAYS, "exact-kernel": "error"}
    (subject,) = report.subjects
    assert (subject.verdict, subject.mismatches) == ("blocked", ())


def test_a_kernel_that_the_package_excludes(shop: Shop) -> None:
    """It would load, but neither rpm nor zypper installs it beside that kernel."""
    target = replace(shop.target, nevra="kernel-default-6.1.0-53.1.x86_64")
    for conflict, blocked in (
        ("kernel-default = 6.1.0-53.1", True),
        ("kernel-default < 6.1", False),
        ("kernel-rt", False),
        (f"kernel-uname-r = {shop.kernel.uname_r}", True),
    ):
        report = shop.check(replace(shop.spec("kmpsolve_base"), conflicts=(conflict,)), against=target)
        assert (report.verdict, "kernel-conflict" in _found(report)) == (
            ("blocked", True) if blocked else ("safe", False)
        )


def test_symsets(shop: Shop) -> None:
    """SLE 11: one checksum for a class of symbols."""
    spec = replace(
        shop.spec("kmpsolve_base"),
        requires=(f"kernel({_FLAVOR}:mm) = 0011223344556677", f"kernel({_FLAVOR}:net) = 8899aabbccddeeff"),
    )
    good = frozenset({"11223344556677", "1"}), frozenset({"8899aabbccddeeff"})
    symvers = replace(shop.target.symvers, symsets=dict(zip(("mm", "net"), good, strict=True)))
    assert shop.check(spec, against=replace(shop.target, symvers=symvers)).verdict == "safe"
    symvers = replace(shop.target.symvers, symsets={"mm": frozenset({"5"})})
    report = shop.check(spec, against=replace(shop.target, symvers=symvers))
    assert report.subjects[0].mismatches == (
        Mismatch(symbol="mm", kind="disagrees", wanted="11223344556677", found="5"),
        Mismatch(symbol="net", kind="unknown", wanted="8899aabbccddeeff", found=None),
    )
    assert report.exit_code == 4


def test_what_a_bare_list_of_symbols_does_not_tell(shop: Shop) -> None:
    """Symsets, and which kernel it is: a package whose modules were read does without the former."""
    listed = replace(shop.target, uname_r="", nevra=None)
    spec = replace(shop.spec("kmpsolve_base"), requires=(f"kernel({_FLAVOR}:mm) = 11",))
    bare = replace(spec, release="2", contents=())
    exact = replace(spec, requires=(f"kernel-uname-r = {shop.kernel.uname_r}",))
    package = replace(listed, nevra=f"kernel-{_FLAVOR}-6.1.0-53.x86_64")
    for one, kernel, verdict, untold in (
        (spec, listed, "safe", False),
        (bare, listed, "unverified", True),
        (exact, listed, "unverified", True),
        (exact, shop.target, "safe", False),
        (spec, package, "blocked", False),
        (bare, package, "blocked", False),
    ):
        report = shop.check(one, against=kernel)
        assert report.subjects[0].verdict == verdict
        assert ("requirement-untold" in _found(report)) == untold
    assert report.subjects[0].mismatches == (Mismatch(symbol="mm", kind="unknown", wanted="11", found=None),)


def test_a_package_that_names_the_kernels_package(shop: Shop) -> None:
    """A folder of modules tells its uname -r: all of the package's version but the rebuild counter."""
    tree = replace(shop.target, uname_r=f"6.1.0-53-{_FLAVOR}", nevra=None)
    package = replace(tree, nevra=f"kernel-{_FLAVOR}-6.1.0-53.2.x86_64")
    listed = replace(shop.target, uname_r="", nevra=None)
    for comparison, by_package, by_tree, by_list in (
        ("", "safe", "safe", "safe"),
        (" = 6.1.0-53.2", "safe", "unverified", "unverified"),
        (" = 6.1.0-53.1", "blocked", "unverified", "unverified"),
        (" = 6.1.0-54.1", "blocked", "blocked", "unverified"),
        (" >= 6.1.0-53.2", "safe", "unverified", "unverified"),
        (" >= 6.1.0-53", "safe", "safe", "unverified"),
        (" >= 6.1.0-54", "blocked", "blocked", "unverified"),
        (" < 6.2", "safe", "safe", "unverified"),
        (" > 6.2", "blocked", "blocked", "unverified"),
        (" = 6.1.0", "safe", "safe", "unverified"),
    ):
        spec = replace(
            shop.spec("kmpsolve_base"),
            requires=(f"ksym({_FLAVOR}:init_net) = 1", f"kernel-{_FLAVOR}{comparison}"),
        )
        symvers = replace(shop.target.symvers, crcs={**shop.target.symvers.crcs, "init_net": "1"})
        told = [
            shop.check(replace(spec, contents=()), against=replace(kernel, symvers=symvers)).verdict
            for kernel in (package, tree, listed)
        ]
        assert told == [by_package, by_tree, by_list], comparison


def test_a_kernel_of_which_a_part_is_known(shop: Shop) -> None:
    """What is not on an incomplete list is not missing; what is on it with another version disagrees."""
    crcs = dict(shop.target.symvers.crcs)
    del crcs["init_net"]
    part = replace(shop.target, symvers=Symvers(crcs=crcs, gap="only a part is known"))
    report = shop.check(shop.spec("kmpsolve_base"), against=part)
    assert (report.verdict, report.exit_code) == ("unverified", 110)
    assert "only a part is known): init_net" in _message(report, "unverified-symbols")
    part = replace(part, symvers=Symvers(crcs={**crcs, "dev_get_by_name": "1"}, gap="only a part is known"))
    report = shop.check(shop.spec("kmpsolve_base"), against=part)
    assert [mismatch.symbol for mismatch in report.subjects[0].mismatches] == ["dev_get_by_name"]


def test_damaged_modules(shop: Shop) -> None:
    spec = shop.spec("kmpsolve_base")
    ((path, content),) = spec.contents
    report = shop.check(replace(spec, contents=((path, content[:5000]),)))
    assert _found(report) == {"rpm-unsigned": "warning", "unreadable-module": "error"}
    assert report.exit_code == 4
    assert report.subjects[0].verdict == "unverified"
    # What the package declares is then all that is known.
    changed = replace(shop.target, symvers=replace(shop.target.symvers, crcs={"init_net": "1"}))
    report = shop.check(replace(spec, contents=((path, content[:5000]),)), against=changed)
    assert len(report.subjects[0].mismatches) == len(spec.requires)
    empty = shop.check(replace(spec, contents=()))
    # Without a module in it, what it declares decides, as it does for a plan.
    assert (empty.verdict, _found(empty)["no-module"]) == ("safe", "warning")
    # A requirement of no known form declares nothing.
    mute = shop.check(replace(spec, contents=(), requires=("modversions",)))
    assert (mute.verdict, mute.exit_code) == ("unverified", 110)


def test_unsupported(shop: Shop) -> None:
    report = shop.check(_more(shop.spec("kmpsolve_user"), requires=()), shop.spec("kmpsolve_base"))
    assert "unsupported" in _found(report)
    assert "kmpsolve_user" in _message(report, "unsupported")
    assert "kmpsolve_base" not in _message(report, "unsupported")


def test_rpm_signatures(shop: Shop, gpg: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (unsigned,) = rpmbuild.build([shop.spec("kmpsolve_base")])
    signed = kbuild.signed_rpm(unsigned, gpg, tmp_path)
    key = (gpg / "key.asc").read_bytes()
    capfd.readouterr()

    def found(path: Path, keys: list[bytes] | None, *, required: bool = False) -> dict[str, str]:
        report = check([path], [shop.target], keys=keys, require_signed=required)
        return {name: level for name, level in _found(report).items() if name.startswith(("rpm-", "payload"))}

    assert found(signed, [key]) == {}
    assert found(signed, []) == {"rpm-key-unknown": "warning"}
    assert found(signed, [], required=True) == {"rpm-key-unknown": "error"}
    assert found(signed, None) == {"rpm-signature-unchecked": "note"}
    assert found(unsigned, [key]) == {"rpm-unsigned": "warning"}
    assert found(unsigned, [key], required=True) == {"rpm-unsigned": "error"}
    content = signed.read_bytes()
    summary = content.rindex(b"acme-kmpsolve-kmp-amd64\0")
    for place in (summary, len(content) - 40):
        for source in (signed, unsigned):
            whole = bytearray(source.read_bytes())
            place = whole.rindex(b"acme-kmpsolve-kmp-amd64\0") if place == summary else len(whole) - 40
            whole[place] ^= 1
            corrupted = tmp_path / "corrupted.rpm"
            corrupted.write_bytes(whole)
            assert found(corrupted, [key])["rpm-corrupted"] == "error"
            assert found(corrupted, None)["rpm-corrupted"] == "error"
    cut = tmp_path / "cut.rpm"
    cut.write_bytes(content[: len(content) // 2])
    assert found(cut, [key]) == {"rpm-corrupted": "error", "payload-damaged": "error"}
    with pytest.raises(MetadataError, match="OpenPGP key cannot be read"):
        check([signed], [shop.target], keys=[b"no key"])
    assert capfd.readouterr() == ("", ""), "rpm's own words belong on nobody's terminal"


@pytest.mark.parametrize("compression", ["w6.xzdio", "w6.lzdio", "w6.bzdio", "w3.zstdio", "w.ufdio"])
def test_payloads(shop: Shop, compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As rpm compresses them: SLE 12 and 15 use xz, Tumbleweed zstd."""
    monkeypatch.setitem(rpmbuild._DEFINITIONS, "_binary_payload", compression)
    spec = shop.spec("kmpsolve_base", "kmpsolve_user")
    report = shop.check(replace(spec, release=compression.partition(".")[2]))
    assert (report.verdict, [subject.verdict for subject in report.subjects]) == ("safe", ["safe"])


def test_a_module_made_on_the_host(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One module tells nothing of another one that the package owns as %ghost."""
    spec = replace(shop.spec("kmpsolve_base", "kmpsolve_user"), vendor="Ghosts")
    made = rpmbuild._spec_file

    def with_ghost(specs: tuple[PackageSpec, ...], tree: Path) -> str:
        text = made(specs, tree)
        return "".join(
            f"%ghost {line}" if line.endswith('user.ko"\n') and line.startswith('"') else line
            for line in text.splitlines(keepends=True)
        )

    monkeypatch.setattr(rpmbuild, "_spec_file", with_ghost)
    report = shop.check(spec)
    assert report.verdict == "unverified"
    assert "owns 1 module made on the host" in _message(report, "module-absent")
    assert "kmpsolve_user.ko" in _message(report, "module-absent")
    assert "no-module" not in _found(report)
    wanting = replace(spec, requires=(*spec.requires, f"ksym({_FLAVOR}:gone) = 1"))
    assert [found.symbol for found in shop.check(wanting).subjects[0].mismatches] == ["gone"]


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("mv kmpsolve_user.ko away && ln -s away kmpsolve_user.ko", "unverified"),
        ("mv kmpsolve_user.ko zz && ln zz kmpsolve_user.ko && touch away", "unverified"),
        ("rm kmpsolve_user.ko && ln -s /nowhere/else.ko kmpsolve_user.ko && touch away", "unverified"),
        ("ln -s kmpsolve_user.ko away.ko", "safe"),
        ("ln kmpsolve_user.ko away.ko", "safe"),
        ("mkdir away.ko && touch away.ko/x", "safe"),
    ],
)
def test_modules_behind_links(
    shop: Shop, command: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands under another name in the package, or outside of it, was not looked into."""
    spec = replace(shop.spec("kmpsolve_base", "kmpsolve_user"), vendor=command)
    folder = Path(spec.contents[0][0]).parent
    made = rpmbuild._spec_file

    def with_links(specs: tuple[PackageSpec, ...], tree: Path) -> str:
        text = made(specs, tree).replace("%defattr(-, root, root)\n", f"%defattr(-, root, root)\n{folder}\n")
        return f"{text}cd %{{buildroot}}{folder}\n{command}\n"

    monkeypatch.setattr(rpmbuild, "_spec_file", with_links)
    report = shop.check(spec)
    assert report.verdict == verdict
    assert ("module-absent" in _found(report)) == (verdict == "unverified")


def test_without_version_magic(shop: Shop, tmp_path: Path) -> None:
    """Linux: try_to_force_load, which Debian's and SUSE's kernels are built with."""
    module = tmp_path / "made.ko"
    module.write_bytes((shop.folder / "kmpsolve_base.ko").read_bytes().replace(b"vermagic=", b"vermagix="))
    report = check([module], [replace(shop.target, vermagic="")])
    assert (report.verdict, _found(report).get("version-magic")) == ("safe", "warning")
    assert check([module], [shop.target]).verdict == "blocked"
    whole = check([shop.folder / "kmpsolve_base.ko"], [replace(shop.target, vermagic="")])
    assert "version-magic" not in _found(whole)


def test_module_signatures(shop: Shop, tmp_path: Path) -> None:
    key, certificate = kbuild.signing_key(tmp_path / "ours", name="ACME")
    _, stranger = kbuild.signing_key(tmp_path / "other", name="Other")
    modules = tmp_path / "modules"
    modules.mkdir()
    made = modules / "kmpsolve_base.ko"
    sign: list[str | Path] = [
        shop.folder / "sign-file",
        "sha256",
        key,
        certificate,
        shop.folder / "kmpsolve_base.ko",
        made,
    ]
    subprocess.run(sign, check=True)
    spec = _more(shop.spec("kmpsolve_base", modules=modules), requires=("acme-kmpsolve-ueficert",))
    ueficert = PackageSpec(
        name="acme-kmpsolve-ueficert",
        version="1.0",
        release="1",
        contents=(("/etc/uefi/certs/0123ABCD.crt", certificate.read_bytes()),),
    )
    foreign = replace(ueficert, contents=(("/etc/uefi/certs/0123ABCD.crt", stranger.read_bytes()),))

    def found(
        *specs: PackageSpec, certificates: Path | None = None, required: bool = False
    ) -> dict[str, str]:
        rpms = rpmbuild.build(specs)
        report = check(rpms, [shop.target], certificates=certificates, require_signed=required)
        return {name: level for name, level in _found(report).items() if not name.startswith("rpm-")}

    assert found(spec, ueficert) == {}
    missing = {"ueficert-missing": "warning"}
    assert found(spec) == {**missing, "module-signature-unchecked": "note"}
    assert found(spec, certificates=certificate) == missing
    assert found(spec, certificates=stranger) == {**missing, "module-signer-unknown": "warning"}
    assert found(spec, certificates=stranger, required=True)["module-signer-unknown"] == "error"
    other = {"ueficert-other-key": "warning", "module-signer-unknown": "warning"}
    assert found(spec, foreign) == other
    assert found(spec, foreign, certificates=tmp_path / "ours") == {"ueficert-other-key": "warning"}
    signed = made.read_bytes()
    strange = signed.replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040217"))
    assert strange != signed
    made.write_bytes(strange)
    unknown = _more(shop.spec("kmpsolve_base", modules=modules), requires=("acme-kmpsolve-ueficert",))
    assert found(unknown, ueficert) == {"module-signature-unchecked": "note"}
    assert found(unknown, ueficert, required=True) == {"module-signature-unchecked": "error"}
    content = bytearray(signed)
    place = content.index(b"description=")
    content[place + 15] ^= 1
    made.write_bytes(content)
    broken = _more(shop.spec("kmpsolve_base", modules=modules), requires=("acme-kmpsolve-ueficert",))
    assert found(broken, ueficert) == {"module-corrupted": "error"}
    report = check(rpmbuild.build([broken, ueficert]), [shop.target])
    assert report.subjects[0].verdict == "blocked"


def test_a_driver_disk(shop: Shop, kernels: tuple[DebianKernel, ...], built: Built, tmp_path: Path) -> None:
    """A folder with packages for two kernels, a single module, a kernel, something else, and rubbish."""
    near = Shop(kernel=kernels[1], folder=built(kernels[1]))
    specs = [
        shop.spec("kmpsolve_base"),
        replace(near.spec("kmpsolve_base"), release="2"),
        PackageSpec(name="acme-tools", version="1", release="1"),
        PackageSpec(name="kernel-amd64", version="1", release="1", provides=("kernel-uname-r = 1-1-amd64",)),
    ]
    for rpm in rpmbuild.build(specs):
        shutil.copy(rpm, tmp_path)
    (tmp_path / "modules").mkdir()
    shutil.copy(shop.folder / "kmpsolve_user.ko", tmp_path / "modules")
    (tmp_path / "readme.txt").write_text("hello")
    report = check([tmp_path], [shop.target, near.target])
    verdicts = {
        (
            Path(subject.path).name.partition("-k")[0],
            subject.kernel,
            "_k" + near.release.replace("-", "_") in subject.path,
        ): subject.verdict
        for subject in report.subjects
    }
    assert len(report.subjects) == 6
    kernel, other = shop.target.label, near.target.label
    assert verdicts == {
        ("acme", kernel, False): "safe",
        ("acme", other, False): "blocked",
        ("acme", kernel, True): "blocked",
        ("acme", other, True): "safe",
        ("kmpsolve_user.ko", kernel, False): "safe",
        # The base that loads there exports one symbol in another version.
        ("kmpsolve_user.ko", other, False): "blocked",
    }
    (tmp_path / "rubbish.rpm").write_bytes(b"rubbish")
    (tmp_path / "modules" / "rubbish.ko").write_bytes(b"rubbish")
    report = check([tmp_path], [shop.target, near.target])
    rubbish = {finding.reference for finding in report.findings if "rubbish" in finding.subject}
    assert rubbish == {"unreadable-rpm", "unreadable-module"}
    assert report.exit_code == 4
    with pytest.raises(MetadataError, match=r"rubbish\.rpm"):
        check([tmp_path / "rubbish.rpm"], [shop.target])


def test_a_named_package_that_is_no_kmp_is_told(shop: Shop) -> None:
    """In a folder other packages are no matter."""
    kmp, tools = rpmbuild.build(
        [shop.spec("kmpsolve_base"), PackageSpec(name="acme-tools", version="1", release="1")]
    )
    report = check([kmp, tools], [shop.target])
    assert [f.subject for f in report.findings if f.reference == "no-kmp"] == [str(tools)]
    assert (report.exit_code, [subject.path for subject in report.subjects]) == (0, [str(kmp)])
    assert not [f for f in check([kmp, tools.parent], [shop.target]).findings if f.reference == "no-kmp"]
    with pytest.raises(RequestError, match="holds no KMP"):
        check([tools], [shop.target])


def _bare(name: str, *provides: str, files: tuple[str, ...] = ()) -> PackageSpec:
    return PackageSpec(name=name, version="1", release="1", provides=provides, files=files)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (_bare("acme-driver", "kmod(acme.ko)"), True),
        (_bare("acme-driver", "ksym(default:acme) = 1"), True),
        (_bare("acme-driver", files=("/lib/modules/6.4.0-1-default/extra/acme.ko.zst",)), True),
        (_bare("acme-driver", files=("/usr/lib/modules/6.4.0-1-default/updates/acme.ko",)), True),
        (_bare("acme-driver", files=("/opt/acme/acme.ko",)), False),
        (_bare("acme-tools", "acme = 1"), False),
        (_bare("kernel-default", "kernel-uname-r = 6.4.0-1-default", "kmod(ext4.ko)"), False),
        (_bare("linux-acme", "kernel-uname-r = 6.4.0-1-default", "kmod(ext4.ko)"), False),
        (_bare("kernel-default-extra", "kmod(ufs.ko)", "ksym(default:ufs) = 1"), False),
        (_bare("kernel-livepatch-6_4_0-1-default", "kmod(livepatch_1.ko)"), False),
        (_bare("dlm-kmp-default", "kmp_in_kernel", "kmod(dlm.ko)"), False),
        (_bare("kernel-acme-kmp-default", "kmod(acme.ko)"), True),
    ],
    ids=lambda value: value.name if isinstance(value, PackageSpec) else "",
)
def test_what_a_kmp_is(spec: PackageSpec, expected: bool) -> None:
    (rpm,) = rpmbuild.build([spec])
    assert is_kmp(read_rpm(rpm)) == expected


def test_nothing_to_check(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no KMP and no kernel module"):
        check([tmp_path], [shop.target])


def test_against_what_the_user_has(shop: Shop, kernels: tuple[DebianKernel, ...], tmp_path: Path) -> None:
    """The same answer from a list, from an RPM's capabilities and from a tree."""
    spec = shop.spec("kmpsolve_base")
    (rpm,) = rpmbuild.build([spec])
    for kernel, verdict in ((kernels[0], "safe"), (kernels[1], "blocked")):
        symvers = tmp_path / f"symvers-{kernel.uname_r}"
        shutil.copy(kernel.symvers_file, symvers)
        some = [need.split(":")[1].partition(")")[0] for need in spec.requires]
        provides = tuple(f"ksym({_FLAVOR}:{symbol}) = {kernel.symvers.crcs[symbol]}" for symbol in some)
        package = PackageSpec(
            name=f"kernel-{_FLAVOR}",
            version="6.1.0",
            release=kernel.uname_r.split("-")[1],
            provides=(f"kernel-uname-r = {kernel.uname_r}", *provides),
        )
        tree = tmp_path / kernel.uname_r / "lib" / "modules" / kernel.uname_r
        (tree / "kernel").mkdir(parents=True)
        shutil.copy(kernel.symvers_file, tree / "Module.symvers")
        answers = [
            check([rpm], read_kernels(source)) for source in (symvers, *rpmbuild.build([package]), tree)
        ]
        link = tmp_path / f"link to {kernel.uname_r}"
        link.symlink_to(tree)
        for other in (tree / "kernel" / "..", link):
            answers.append(check([rpm], read_kernels(other)))
        assert {answer.verdict for answer in answers} == {verdict}
        assert len({answer.subjects[0].mismatches for answer in answers}) == 1
