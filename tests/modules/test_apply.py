"""``kmpsolve apply`` looks into what zypper downloaded: real modules and signatures, the real zypper."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kmpsolve.modules.module import read_module
from tests.e2e.host import Host, served
from tests.modules import kbuild
from tests.modules.debian import DebianKernel
from tests.sandbox import Finished
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

Built = Callable[[DebianKernel], Path]
_MODULE = "kmpsolve_base"
_NEW = "kernel-default-6.4.0-2.1.x86_64"
_DRIVER = "acme-kmp-default-2_k6.4.0_2-1.x86_64"
_CERTIFICATE = PackageSpec(name="acme-ueficert", version="1.0", release="1")
_REQUIRED = "require_signed = true\n"


def _kernel(release: str, crcs: Mapping[str, str]) -> PackageSpec:
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


def _driver(module: bytes, crcs: Mapping[str, str], exports: Mapping[str, str | None]) -> PackageSpec:
    return PackageSpec(
        name="acme-kmp-default",
        version="2_k6.4.0_2",
        release="1",
        provides=(
            f"kmod({_MODULE}.ko)",
            "multiversion(kernel)",
            *(f"ksym(default:{symbol}) = {crc}" for symbol, crc in exports.items()),
        ),
        requires=tuple(f"ksym(default:{symbol}) = {crc}" for symbol, crc in sorted(crcs.items())),
        contents=((f"/lib/modules/6.4.0-2-default/updates/{_MODULE}.ko", module),),
    )


@dataclass(frozen=True, kw_only=True)
class Applied:
    """How ``kmpsolve apply -n`` ended."""

    ended: Finished
    installed: bool
    untouched: bool
    left: list[str]
    """RPMs in zypper's cache."""

    @property
    def said(self) -> str:
        """All of it, with no regard to where lines end."""
        return " ".join(f"{self.ended.stdout} {self.ended.stderr}".split())


@dataclass(frozen=True, kw_only=True)
class Shop:
    """An update whose only fitting build carries a module of the suite's."""

    module: Path
    other: Path
    gpg: Path
    place: Path

    def certified(self, module: Path) -> PackageSpec:
        """`carrying`, with a certificate that comes in a package of its own."""
        return replace(self.carrying(module), requires=(*self.spec.requires, _CERTIFICATE.name))

    def sign(self, place: Path) -> tuple[Path, Path]:
        """The module signed with a new key, and the key's certificate."""
        key, certificate = kbuild.signing_key(place)
        made = place / f"{_MODULE}.ko"
        sign = [self.module.parent / "sign-file", "sha256", key, certificate, self.module, made]
        subprocess.run([str(word) for word in sign], check=True)
        return made, certificate

    @property
    def spec(self) -> PackageSpec:
        """What a correct build of the module says of itself."""
        module = read_module(self.module)
        exports = {symbol: export.crc for symbol, export in module.exports.items()}
        return _driver(self.module.read_bytes(), module.versions, exports)

    def carrying(self, module: Path) -> PackageSpec:
        """The same words around another module."""
        ((path, _),) = self.spec.contents
        return replace(self.spec, contents=((path, module.read_bytes()),))

    def apply(
        self,
        driver: PackageSpec,
        *more: PackageSpec,
        signed: bool = False,
        damaged: bool = False,
        trusted: bool = True,
        configuration: str = "",
    ) -> Applied:
        """Offer `driver`, a kernel and `more` over http, and apply.

        Parameters
        ----------
        signed, damaged
            Whether its RPM is signed, and then changed before the metadata is made.
        trusted
            Whether rpm knows the key.
        """
        crcs = dict(read_module(self.module).versions)
        old = replace(
            driver,
            version="1_k6.4.0_1",
            provides=(f"kmod({_MODULE}.ko)", "multiversion(kernel)"),
            requires=("ksym(default:gone) = 1",),
            contents=(),
        )
        (rpm,) = rpmbuild.build([driver])
        offered = self.place / "offered"
        offered.mkdir()
        if signed:
            rpm = kbuild.signed_rpm(rpm, self.gpg, self.place)
        content = bytearray(rpm.read_bytes())
        if damaged:
            content[-40] ^= 1
        (offered / rpm.name).write_bytes(content)
        for one in rpmbuild.build([_kernel("2", crcs), *more]):
            (offered / one.name).write_bytes(one.read_bytes())
        repository.create_metadata(offered)
        with (
            served(offered) as url,
            Host(
                more=[_kernel("1", {"gone": "1"}), old], shared=[self.place], configuration=configuration
            ) as host,
        ):
            if trusted:
                imported = host.run(["rpm", "--import", str(self._key())])
                assert imported.code == 0, str(imported)
            host.add_repository("updates", url)
            host.zypper("--no-gpg-checks", "ref")
            before = host.rpmdb()
            ended = host.kmpsolve("apply", "-n")
            names = host.installed()
            assert (_NEW in names) == (_DRIVER in names), "both or none"
            return Applied(
                ended=ended,
                installed=_DRIVER in names,
                untouched=host.rpmdb() == before,
                left=host.downloaded(),
            )

    def _key(self) -> Path:
        key = self.place / "key.asc"
        key.write_bytes((self.gpg / "key.asc").read_bytes())
        return key


@pytest.fixture
def shop(kernels: tuple[DebianKernel, ...], built: Built, gpg: Path, tmp_path: Path) -> Iterator[Shop]:
    ours, other = (built(kernel) / f"{_MODULE}.ko" for kernel in (kernels[0], kernels[-1]))
    yield Shop(module=ours, other=other, gpg=gpg, place=tmp_path)


def test_as_its_metadata_says(shop: Shop) -> None:
    applied = shop.apply(shop.spec, signed=True)
    assert applied.installed, str(applied.ended)
    assert applied.ended.code == 0
    assert applied.left == []
    assert f"kmpsolve: looked into {_DRIVER}: as planned" in applied.said
    assert "warning " not in applied.said


def test_what_metadata_leaves_open_is_settled_by_the_rpm(shop: Shop, tmp_path: Path) -> None:
    """Everything has to be signed and verified, and it is: only the RPM can tell."""
    strict = f'{_REQUIRED}unverified = "abort"\n'
    made, _ = shop.sign(tmp_path / "signing")
    applied = shop.apply(shop.carrying(made), signed=True, configuration=strict)
    assert "nobody looked at the signature" in applied.said
    assert applied.installed, str(applied.ended)
    assert applied.ended.code == 0


def test_the_modules_need_other_symbols(shop: Shop) -> None:
    applied = shop.apply(shop.carrying(shop.other), signed=True)
    assert applied.untouched, str(applied.ended)
    assert applied.ended.code == 4
    assert "symbols do not fit: disagrees about version of" in applied.said
    assert "in another version than its modules need" in applied.said
    assert "stopped before anything was installed" in applied.said


def test_it_provides_what_its_modules_do_not_export(shop: Shop) -> None:
    liar = replace(shop.spec, provides=(*shop.spec.provides, "ksym(default:kmpsolve_more) = 1"))
    applied = shop.apply(liar, signed=True)
    assert applied.untouched, str(applied.ended)
    assert applied.ended.code == 4
    assert "provides 1 symbol that its modules do not export in that version" in applied.said


@pytest.mark.parametrize("changed", [False, True])
def test_a_signed_module_and_its_certificate(changed: bool, shop: Shop, tmp_path: Path) -> None:
    signing = tmp_path / "signing"
    made, certificate = shop.sign(signing)
    if changed:
        content = bytearray(made.read_bytes())
        content[content.index(b"description=") + 15] ^= 1
        made.write_bytes(content)
    ueficert = replace(_CERTIFICATE, contents=(("/etc/uefi/certs/0123ABCD.crt", certificate.read_bytes()),))
    applied = shop.apply(shop.certified(made), ueficert, signed=True)
    assert applied.installed != changed, str(applied.ended)
    assert applied.untouched == changed
    assert "acme-ueficert-1.0-1.x86_64 brings a certificate" in applied.said
    assert ("changed after signing" in applied.said) == changed


def test_a_certificate_that_is_none(shop: Shop) -> None:
    """It enrols nothing, and nothing is believed because of it."""
    ueficert = replace(_CERTIFICATE, contents=(("/etc/uefi/certs/0123ABCD.crt", b"no certificate"),))
    applied = shop.apply(shop.certified(shop.module), ueficert, signed=True)
    assert applied.installed, str(applied.ended)
    assert "0123ABCD.crt is no X.509 certificate in DER or PEM form: it enrols nothing" in applied.said


@pytest.mark.parametrize("required", [False, True])
def test_an_rpm_that_nobody_signed(required: bool, shop: Shop) -> None:
    applied = shop.apply(shop.spec, configuration=_REQUIRED if required else "")
    assert applied.installed != required, str(applied.ended)
    assert applied.untouched == required
    assert applied.ended.code == (4 if required else 0)


def test_an_rpm_signed_by_a_stranger(shop: Shop) -> None:
    applied = shop.apply(shop.spec, signed=True, trusted=False)
    assert applied.installed, str(applied.ended)
    assert "signed with a key that is not known" in applied.said


def test_a_corrupted_rpm(shop: Shop) -> None:
    applied = shop.apply(shop.spec, signed=True, damaged=True)
    assert applied.untouched, str(applied.ended)
    assert applied.ended.code == 4
    assert "a digest or the signature is wrong" in applied.said
