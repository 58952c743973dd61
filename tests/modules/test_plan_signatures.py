"""Secure Boot in a plan: what a fetched rebuild's signature means, as far as the RPM is at hand."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.cli import main
from kmpsolve.modules.efikeys import enrolled_certificates, secure_boot
from kmpsolve.modules.module import read_module
from kmpsolve.modules.signature import parse_certificates
from tests.modules import kbuild
from tests.modules.debian import DebianKernel
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

Built = Callable[[DebianKernel], Path]
_MODULE = "kmpsolve_base"
_USER = "kmpsolve_user"
_X509 = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_MOK = "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"


def _kernel(release: str, crcs: dict[str, str]) -> PackageSpec:
    return PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release=f"{release}.1",
        provides=(
            f"kernel-uname-r = 6.4.0-{release}-default",
            "multiversion(kernel)",
            *(f"ksym(default:{symbol}) = {crc}" for symbol, crc in crcs.items()),
        ),
    )


def _efi_list(*certificates: bytes, kind: bytes = _X509) -> bytes:
    content = b"\x06\0\0\0"
    for certificate in certificates:
        entry = 16 + len(certificate)
        content += struct.pack("<16sIII", kind, 28 + entry, 0, entry) + bytes(16) + certificate
    return content


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A signing key, its certificate, and the certificate of somebody else."""
    place = tmp_path_factory.mktemp("keys")
    key, certificate = kbuild.signing_key(place / "ours", name="ACME")
    _, stranger = kbuild.signing_key(place / "other", name="Other")
    return key, certificate, stranger


def _signed_by_openssl(
    module: Path, keys: tuple[Path, Path, Path], options: tuple[str, ...], place: Path
) -> Path:
    pem, made = place / "signer.pem", place / f"{_MODULE}.ko"
    subprocess.run(["openssl", "x509", "-inform", "DER", "-in", keys[1], "-out", pem], check=True)
    command: list[str | Path] = [
        "openssl",
        "cms",
        "-sign",
        "-binary",
        "-nocerts",
        "-outform",
        "DER",
        "-in",
        module,
    ]
    command += ["-signer", pem, "-inkey", keys[0], *options]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    trailer = struct.pack(">5B3xI", 0, 0, 2, 0, 0, len(content)) + b"~Module signature appended~\n"
    made.write_bytes(module.read_bytes() + content + trailer)
    return made


@pytest.fixture
def plan(
    kernels: tuple[DebianKernel, ...], built: Built, keys: tuple[Path, Path, Path], tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Plans an update in which the only build that fits carries a real module, signed or not."""
    folder = built(kernels[0])
    crcs = dict(read_module(folder / f"{_MODULE}.ko").versions)

    def ask(
        *, signed: bool, enrolled: Path | None = None, settings: str = "", message: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        module = folder / f"{_MODULE}.ko"
        if message:
            module = _signed_by_openssl(module, keys, message, tmp_path)
        if signed:
            made = tmp_path / f"{_MODULE}.ko"
            sign: list[str | Path] = [folder / "sign-file", "sha256", keys[0], keys[1], module, made]
            subprocess.run(sign, check=True)
            module = made
        old = PackageSpec(
            name="acme-kmp-default",
            version="1_k6.4.0_1",
            release="1",
            vendor="ACME",
            provides=("kmod(kmpsolve_base.ko)",),
            requires=("ksym(default:gone) = 1",),
        )
        new = PackageSpec(
            name="acme-kmp-default",
            version="2_k6.4.0_2",
            release="1",
            vendor="ACME",
            provides=("kmod(kmpsolve_base.ko)", "multiversion(kernel)"),
            requires=tuple(f"ksym(default:{symbol}) = {crc}" for symbol, crc in sorted(crcs.items())),
            contents=((f"/lib/modules/6.4.0-2-default/updates/{_MODULE}.ko", module.read_bytes()),),
        )
        root = tmp_path / "root"
        efivars = root / "sys/firmware/efi/efivars"
        efivars.mkdir(parents=True, exist_ok=True)
        if enrolled is not None:
            (efivars / _MOK).write_bytes(_efi_list(b"no certificate", enrolled.read_bytes()))
        config = tmp_path / "kmpsolve.toml"
        config.write_text(settings)
        output = tmp_path / "plan.json"
        main(
            [
                "plan",
                *("--root", str(root)),
                *("--installed", str(repository.rpm_folder([_kernel("1", {"gone": "1"}), old]))),
                *("--repo", f"sle={repository.rpm_md([_kernel('2', crcs)])}"),
                *("--repo", f"acme={repository.rpm_md([new])}"),
                *("--config", str(config)),
                *("--format", "json"),
                *("-o", str(output)),
            ]
        )
        document: dict[str, Any] = json.loads(output.read_text())
        return document

    return ask


def _told(document: dict[str, Any]) -> tuple[str, str, list[str], list[str]]:
    (kmp,) = document["flavors"][0]["kmps"]
    causes = [cause["kind"] for cause in kmp["causes"]]
    return document["verdict"], kmp["decision"], causes, [w["message"] for w in kmp["warnings"]]


_REQUIRED = "require_signed = true\n"


def test_unsigned(plan: Callable[..., dict[str, Any]]) -> None:
    verdict, decision, causes, warnings = _told(plan(signed=False))
    assert (verdict, decision, causes) == ("safe", "fetch", [])
    assert "kmpsolve_base (not signed)" in warnings[0]
    document = plan(signed=False, settings=_REQUIRED)
    verdict, decision, causes, _ = _told(document)
    assert (verdict, decision, causes) == ("blocked", "blocked", ["signature"])
    assert document["transaction"] == []
    assert document["flavors"][0]["newest_safe"] == "kernel-default-6.4.0-1.1.x86_64"


def test_where_secure_boot_is_on(
    plan: Callable[..., dict[str, Any]], keys: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """An unsigned module certainly does not load; a key that the firmware does not have may be the kernel's own."""
    efivars = tmp_path / "root/sys/firmware/efi/efivars"
    efivars.mkdir(parents=True)
    for state, verdict in ((b"\0", "safe"), (b"\1", "blocked")):
        (efivars / _SECURE_BOOT).write_bytes(b"\x06\0\0\0" + state)
        assert plan(signed=False)["verdict"] == verdict
    document = plan(signed=False)
    assert _told(document)[1:3] == ("blocked", ["signature"])
    assert document["flavors"][0]["newest_safe"] == "kernel-default-6.4.0-1.1.x86_64"
    verdict, decision, _, warnings = _told(plan(signed=True, enrolled=keys[2]))
    assert (verdict, decision) == ("safe", "fetch")
    assert "signed with a key that is not enrolled" in warnings[0]
    assert _told(plan(signed=True, enrolled=keys[1])) == ("safe", "fetch", [], [])


def test_signed_with_an_enrolled_key(
    plan: Callable[..., dict[str, Any]], keys: tuple[Path, Path, Path]
) -> None:
    assert _told(plan(signed=True, enrolled=keys[1], settings=_REQUIRED)) == ("safe", "fetch", [], [])


def test_signed_where_nobody_knows_the_enrolled_keys(plan: Callable[..., dict[str, Any]]) -> None:
    assert _told(plan(signed=True, settings=_REQUIRED)) == ("safe", "fetch", [], [])


def test_signed_with_a_key_that_is_not_enrolled(
    plan: Callable[..., dict[str, Any]], keys: tuple[Path, Path, Path]
) -> None:
    *_, warnings = _told(plan(signed=True, enrolled=keys[2]))
    assert "signed with a key that is not enrolled" in warnings[0]
    verdict, _, causes, _ = _told(plan(signed=True, enrolled=keys[2], settings=_REQUIRED))
    assert (verdict, causes) == ("blocked", ["signature"])


@pytest.mark.parametrize("settings", ["", _REQUIRED])
def test_a_signature_that_every_kernel_refuses(
    plan: Callable[..., dict[str, Any]], keys: tuple[Path, Path, Path], settings: str
) -> None:
    """Whether Secure Boot is on or not: openssl's signed attributes."""
    document = plan(signed=False, message=("-md", "sha256"), enrolled=keys[1], settings=settings)
    assert _told(document)[:3] == ("blocked", "blocked", ["signature"])
    (cause,) = document["flavors"][0]["kmps"][0]["causes"]
    assert "kmpsolve_base (with a signature that every kernel refuses)" in cause["message"]
    assert "Secure Boot" not in cause["message"]


def test_a_signature_that_not_every_kernel_knows(
    plan: Callable[..., dict[str, Any]], keys: tuple[Path, Path, Path]
) -> None:
    md5 = ("-noattr", "-md", "md5")
    for enrolled in (None, keys[1]):
        assert _told(plan(signed=False, message=md5, enrolled=enrolled))[:2] == ("safe", "fetch")
        verdict, decision, _, warnings = _told(
            plan(signed=False, message=md5, enrolled=enrolled, settings=_REQUIRED)
        )
        assert (verdict, decision) == ("unverified", "fetch")
        assert "signed in a way that is not known here" in warnings[0]


def test_signed_with_a_key_that_was_revoked(
    plan: Callable[..., dict[str, Any]], keys: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    efivars = tmp_path / "root/sys/firmware/efi/efivars"
    efivars.mkdir(parents=True)
    revoked = efivars / "dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f"
    (certificate,) = parse_certificates(keys[1].read_bytes(), "")
    digest = hashlib.sha256(certificate.tbs_certificate_bytes).digest() + bytes(16)
    by_hash = _efi_list(digest, kind=bytes.fromhex("92a4d23bc0967940b420fcf98ef103ed"))
    other = _efi_list(keys[2].read_bytes())
    for content, verdict in (
        (other, "safe"),
        (_efi_list(keys[1].read_bytes()), "blocked"),
        (by_hash, "blocked"),
    ):
        revoked.write_bytes(content)
        document = plan(signed=True, enrolled=keys[1], settings=_REQUIRED)
        assert document["verdict"] == verdict


@pytest.fixture
def metadata_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Repositories have no RPMs."""
    real = repository.rpm_md
    numbers = count()

    def bare(specs: list[PackageSpec]) -> Path:
        place = tmp_path / f"bare-{next(numbers)}"
        shutil.copytree(real(specs) / "repodata", place / "repodata")
        return place

    monkeypatch.setattr(repository, "rpm_md", bare)


@pytest.mark.usefixtures("metadata_only")
def test_an_rpm_that_is_not_at_hand_is_not_checked(plan: Callable[..., dict[str, Any]]) -> None:
    verdict, decision, _, warnings = _told(plan(signed=True))
    assert (verdict, decision) == ("safe", "fetch")
    assert "not checked" in warnings[0]
    verdict, decision, _, warnings = _told(plan(signed=True, settings=_REQUIRED))
    assert (verdict, decision) == ("unverified", "fetch")
    assert "nobody looked at the signature" in warnings[0]


def test_an_rpm_that_is_something_else_is_not_checked(
    plan: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another file under its name; zypper would refuse it by its checksum."""
    (other,) = rpmbuild.build([PackageSpec(name="other", version="1", release="1")])
    real = repository.rpm_md
    numbers = count()

    def exchanged(specs: list[PackageSpec]) -> Path:
        place = tmp_path / f"exchanged-{next(numbers)}"
        shutil.copytree(real(specs), place)
        for rpm in place.rglob("acme-kmp-default-2*.rpm"):
            rpm.unlink()
            shutil.copy(other, rpm)
        return place

    monkeypatch.setattr(repository, "rpm_md", exchanged)
    verdict, decision, _, warnings = _told(plan(signed=True, settings=_REQUIRED))
    assert (verdict, decision) == ("unverified", "fetch")
    assert "nobody looked at the signature" in warnings[0]


def test_firmware_lists(tmp_path: Path, keys: tuple[Path, Path, Path]) -> None:
    assert enrolled_certificates(tmp_path) is None
    assert secure_boot(tmp_path) is None
    (tmp_path / _SECURE_BOOT).write_bytes(b"\x06\0\0\0\1")
    assert secure_boot(tmp_path) is True
    whole = _efi_list(keys[1].read_bytes(), keys[2].read_bytes())
    for cut in (0, 3, 10, 40, len(whole) - 1, len(whole)):
        (tmp_path / _MOK).write_bytes(whole[:cut])
        found = enrolled_certificates(tmp_path)
        assert found is not None
        assert len(found) == (2 if cut == len(whole) else 1 if cut == len(whole) - 1 else 0)


# -- what is refused is not used ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Makes KMPs of real modules, signed or not, and plans an update to a kernel that fits them."""

    folder: Path
    keys: tuple[Path, Path, Path]
    place: Path

    def kmp(self, module: str, version: str, *, signed: bool, name: str = "") -> PackageSpec:
        file = self.folder / f"{module}.ko"
        if signed:
            made = self.place / f"{module}.ko"
            sign: list[str | Path] = [self.folder / "sign-file", "sha256", *self.keys[:2], file, made]
            subprocess.run(sign, check=True)
            file = made
        content = read_module(file)
        exported = [f"ksym(default:{symbol}) = {e.crc}" for symbol, e in content.exports.items()]
        return PackageSpec(
            name=name or f"{module}-kmp-default",
            version=f"{version}_k6.4.0_2",
            release="1",
            vendor="ACME",
            provides=(f"kmod({module}.ko)", "multiversion(kernel)", *exported),
            requires=tuple(f"ksym(default:{s}) = {crc}" for s, crc in sorted(content.versions.items())),
            contents=((f"/lib/modules/6.4.0-2-default/updates/{module}.ko", file.read_bytes()),),
        )

    def old(self, module: str) -> PackageSpec:
        return PackageSpec(
            name=f"{module}-kmp-default",
            version="1_k6.4.0_1",
            release="1",
            vendor="ACME",
            provides=(f"kmod({module}.ko)", "multiversion(kernel)"),
            requires=("ksym(default:gone) = 1",),
        )

    def plan(
        self,
        installed: list[PackageSpec],
        offered: list[PackageSpec],
        settings: str = _REQUIRED,
        *,
        newer_kernel: bool = False,
    ) -> dict[str, Any]:
        base, user = (read_module(self.folder / f"{name}.ko") for name in (_MODULE, _USER))
        crcs = dict(base.versions) | {s: c for s, c in user.versions.items() if s not in base.exports}
        all_crcs = crcs | {symbol: str(export.crc) for symbol, export in base.exports.items()}
        first = _kernel("1", {"gone": "1", **all_crcs})
        newer = [_kernel("3", {"never": "1"})] if newer_kernel else []
        (self.place / "root").mkdir(exist_ok=True)
        config, output = self.place / "kmpsolve.toml", self.place / "plan.json"
        config.write_text(settings)
        main(
            [
                "plan",
                *("--root", str(self.place / "root")),
                *("--installed", str(repository.rpm_folder([first, *installed]))),
                *("--repo", f"sle={repository.rpm_md([_kernel('2', crcs), *newer])}"),
                *("--repo", f"acme={repository.rpm_md(offered)}"),
                *("--repo", f"mirror={repository.rpm_md(offered)}"),
                *("--config", str(config), "--format", "json", "-o", str(output)),
            ]
        )
        document: dict[str, Any] = json.loads(output.read_text())
        return document


@pytest.fixture
def workshop(
    kernels: tuple[DebianKernel, ...], built: Built, keys: tuple[Path, Path, Path], tmp_path: Path
) -> Workshop:
    return Workshop(folder=built(kernels[0]), keys=keys, place=tmp_path)


def _arriving(document: dict[str, Any]) -> list[str]:
    return [step["nevra"].partition("-6.4.0")[0].partition("_k")[0] for step in document["transaction"]]


def _decided(document: dict[str, Any]) -> dict[str, tuple[str, list[str]]]:
    return {
        kmp["name"]: (kmp["decision"], [cause["kind"] for cause in kmp["causes"]])
        for kmp in document["flavors"][0]["kmps"]
    }


@pytest.mark.parametrize(
    "settings",
    [
        '[[waiver]]\nkmp = "*"\nreason = "tape is gone"\nexpires = 2099-01-01\n',
        '[[kmp]]\nmatch = "*"\non_blocked = "ignore"\n',
    ],
    ids=["waived", "ignored"],
)
def test_what_is_refused_is_not_installed(workshop: Workshop, settings: str) -> None:
    document = workshop.plan(
        [workshop.old(_MODULE)], [workshop.kmp(_MODULE, "2", signed=False)], _REQUIRED + settings
    )
    assert document["verdict"] == "safe"
    assert _arriving(document) == ["kernel-default"]
    assert _decided(document) == {"kmpsolve_base-kmp-default": ("blocked", ["signature"])}
    row = document["flavors"][0]["boot_matrix"][0]
    assert row["kmps"]["kmpsolve_base-kmp-default"] == {"build": None, "via": "none"}


def test_a_signed_build_is_taken_instead(workshop: Workshop) -> None:
    offered = [workshop.kmp(_MODULE, "2", signed=True), workshop.kmp(_MODULE, "3", signed=False)]
    document = workshop.plan([workshop.old(_MODULE)], offered)
    assert document["verdict"] == "safe"
    assert _arriving(document) == ["kernel-default", "kmpsolve_base-kmp-default-2"]
    (kmp,) = document["flavors"][0]["kmps"]
    assert [attempt["cause"] for attempt in kmp["tried"]] == ["symbols", *[None] * 2, *["signature"] * 2]


@pytest.mark.parametrize("used", ["fetch", "reuse"])
def test_a_kmp_that_comes_along_is_signed_too(workshop: Workshop, used: str) -> None:
    user = workshop.kmp(_USER, "2", signed=True)
    installed, offered = (user, []) if used == "reuse" else (workshop.old(_USER), [user])
    base = workshop.kmp(_MODULE, "2", signed=True)
    document = workshop.plan([installed], [*offered, base])
    assert (document["verdict"], _decided(document)) == ("safe", {"kmpsolve_user-kmp-default": (used, [])})
    assert "kmpsolve_base-kmp-default-2" in _arriving(document)
    base = workshop.kmp(_MODULE, "2", signed=False)
    document = workshop.plan([installed], [*offered, base], settings="")
    assert document["verdict"] == "safe"
    assert "kmpsolve_base (not signed)" in document["flavors"][0]["warnings"][0]["message"]
    document = workshop.plan([installed], [*offered, base])
    assert document["verdict"] == "blocked"
    assert _decided(document) == {"kmpsolve_user-kmp-default": ("blocked", ["signature"])}
    (kmp,) = document["flavors"][0]["kmps"]
    assert {attempt["cause"] for attempt in kmp["tried"]} <= {"symbols", "signature"}
    assert "kmpsolve_base-kmp-default-2" in kmp["causes"][0]["message"]


def test_a_kmp_that_needs_what_is_refused(workshop: Workshop) -> None:
    waived = '[[waiver]]\nkmp = "kmpsolve_base*"\nreason = "unused"\nexpires = 2099-01-01\n'
    document = workshop.plan(
        [workshop.old(_MODULE), workshop.old(_USER)],
        [workshop.kmp(_MODULE, "2", signed=False), workshop.kmp(_USER, "2", signed=True)],
        _REQUIRED + waived,
    )
    assert document["verdict"] == "blocked"
    assert _decided(document)["kmpsolve_user-kmp-default"] == ("blocked", ["signature"])


def test_what_works_nowhere_and_is_refused(workshop: Workshop) -> None:
    broken = replace(workshop.old(_MODULE), requires=("ksym(default:never) = 1",))
    document = workshop.plan([broken], [workshop.kmp(_MODULE, "2", signed=False)])
    assert document["verdict"] == "safe"
    assert _decided(document) == {"kmpsolve_base-kmp-default": ("blocked", ["already-broken"])}
    assert _arriving(document) == ["kernel-default"]


def test_what_is_refused_on_another_kernel_is_no_cause(workshop: Workshop) -> None:
    """The newest safe kernel is looked for among all of them."""
    offered = [workshop.kmp(_MODULE, "2", signed=False)]
    document = workshop.plan([workshop.old(_MODULE)], offered, newer_kernel=True)
    assert _decided(document) == {"kmpsolve_base-kmp-default": ("blocked", ["symbols"])}
    (kmp,) = document["flavors"][0]["kmps"]
    assert {attempt["cause"] for attempt in kmp["tried"]} == {"symbols"}
    assert document["flavors"][0]["newest_safe"] == "kernel-default-6.4.0-1.1.x86_64"


@pytest.mark.usefixtures("metadata_only")
def test_a_kmp_that_comes_along_and_is_not_at_hand(workshop: Workshop) -> None:
    user, base = (workshop.kmp(name, "2", signed=True) for name in (_USER, _MODULE))
    waiver = '[[waiver]]\nkmp = "kmpsolve_user*"\nreason = "unused"\nexpires = 2099-01-01\n'
    for settings, verdict in (("", "safe"), (_REQUIRED, "unverified"), (_REQUIRED + waiver, "safe")):
        document = workshop.plan([user], [base], settings)
        assert (document["verdict"], _decided(document)["kmpsolve_user-kmp-default"][0]) == (verdict, "reuse")
        assert "kmpsolve_base-kmp-default-2" in _arriving(document)
