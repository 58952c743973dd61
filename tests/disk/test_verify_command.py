"""``kmpsolve verify`` as a user meets it: real rpmdb, real /proc and /sys of a machine, exit codes, JSON."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.cli import main
from kmpsolve.modules.module import module_name
from tests.disk.building import Building, depmod, module_of, names_that, stock
from tests.modules import kbuild
from tests.modules.debian import DebianKernel
from tests.support import rpmbuild
from tests.support.packages import PackageSpec
from tests.unit.machine.fakes import build

Near = tuple[DebianKernel, DebianKernel]


@dataclass(frozen=True)
class Answer:
    exit: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    def found(self) -> list[tuple[str, str]]:
        return [(f["reference"], f["severity"]) for f in self.json["findings"]]


def _record(building: Building, kernels: Near) -> None:
    """An rpmdb that says what `building` says, from real RPMs."""
    specs = []
    uname = {kernel.uname_r: kernel for kernel in kernels}
    for nevra, paths in building.owned.items():
        name, version, release = nevra.removesuffix(".x86_64").rsplit("-", 2)
        contents = tuple(
            (path, (building.root / "usr" / path[1:]).read_bytes()) for path in sorted(set(paths))
        )
        homes = {path.split("/")[3] for path in paths}
        provides: tuple[str, ...] = tuple(f"kmod({Path(path).name})" for path in paths)
        if name.startswith("kernel-"):
            (home,) = homes
            crcs = sorted(uname[home].symvers.crcs.items())
            provides += (f"kernel-uname-r = {home}", *(f"ksym(amd64:{s}) = {crc}" for s, crc in crcs))
        specs.append(
            PackageSpec(name=name, version=version, release=release, provides=provides, contents=contents)
        )
    rpmdb = building.root / "var/lib/rpm"
    rpmdb.mkdir(parents=True)
    flags = ["--justdb", "--nodeps", "--noscripts", "--nosignature", "--ignoreos", "--ignorearch", "--force"]
    subprocess.run(
        ["rpm", "--dbpath", rpmdb, "-i", *flags, *rpmbuild.build(specs)], check=True, capture_output=True
    )


@pytest.fixture
def system(healthy: Building, near: Near) -> Building:
    _record(healthy, near)
    return healthy


@pytest.fixture
def verify(system: Building, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str, root: Path | None = None) -> Answer:
        code = main(["verify", "--root", str(root or system.root), *arguments])
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return run


def test_a_healthy_system(verify: Any, near: Near) -> None:
    answer = verify("--format", "json")
    assert answer.exit == 0
    document = answer.json
    assert set(document) >= {"schema_version", "verdict", "subjects", "findings"}
    assert document["schema_version"] == 1
    assert document["verdict"] == "safe"
    assert document["findings"] == document["unmanaged"] == []
    assert {frozenset(subject) for subject in document["subjects"]} == {
        frozenset({"path", "nevra", "kernel", "verdict", "mismatches"})
    }
    assert len(document["subjects"]) == 6
    text = verify()
    assert text.exit == 0
    assert "safe" in text.out.splitlines()[0]
    assert text.err == ""


def test_a_blocked_module_and_its_mismatches(verify: Any, system: Building, near: Near) -> None:
    old, new = near
    shutil.copy(system.tree(old) / "extra/beta.ko", system.tree(new) / "extra/beta.ko")
    answer = verify("--format", "json")
    assert answer.exit == 4
    assert answer.found() == [("would-not-load", "error")]
    (subject,) = [s for s in answer.json["subjects"] if s["verdict"] == "blocked"]
    crcs = new.symvers.crcs
    beta = module_of(stock(old)[names_that(old, new, fit=False)[0]])
    assert {(m["symbol"], m["kind"], m["wanted"], m["found"]) for m in subject["mismatches"]} == {
        (symbol, "disagrees", crc, crcs[symbol])
        for symbol, crc in beta.versions.items()
        if crcs[symbol] != crc
    }
    text = verify("--color", "never")
    assert text.exit == 4
    assert "WRONG: 1 error" in text.out
    assert "disagrees about version of" in text.out


def test_kernels_without_a_list_on_disk_are_judged_by_their_packages(
    verify: Any, system: Building, near: Near
) -> None:
    for path in (system.root / "boot").glob("symvers-*"):
        path.unlink()
    assert verify().exit == 0
    shutil.copy(system.tree(near[0]) / "extra/beta.ko", system.tree(near[1]) / "extra/beta.ko")
    assert verify("--format", "json").found() == [("would-not-load", "error")]


def test_without_symbols_anywhere_nothing_is_verified(verify: Any, system: Building) -> None:
    for path in (system.root / "boot").glob("symvers-*"):
        path.unlink()
    shutil.rmtree(system.root / "var")
    answer = verify("--format", "json")
    assert answer.exit == 110
    assert answer.json["verdict"] == "unverified"
    assert verify("--strict").exit == 4


def test_unmanaged_modules(verify: Any, system: Building, near: Near) -> None:
    place = system.tree(near[0]) / "updates" / "vendor.ko"
    shutil.copy(stock(near[0])[names_that(*near, fit=False)[9]], place)
    depmod(system.root, near[0].uname_r)
    answer = verify("--format", "json")
    assert answer.exit == 0, "what no package owns never blocks"
    (one,) = answer.json["unmanaged"]
    assert (one["module"], one["state"]) == ("vendor", "blocked")
    assert one["path"] == f"/lib/modules/{near[0].uname_r}/updates/vendor.ko"


def test_required_signatures(verify: Any, system: Building, tmp_path: Path) -> None:
    config = tmp_path / "signed.toml"
    config.write_text("require_signed = true\n")
    answer = verify("--format", "json", "--config", str(config))
    # Debian signs its own modules, with a key that this system does not have.
    assert answer.exit == 4
    assert {reference for reference, _ in answer.found()} == {"would-not-load"}
    assert "none of the certificates signed it" in answer.json["findings"][0]["message"]


def test_required_signatures_with_a_key_that_the_firmware_has(
    verify: Any, system: Building, tmp_path: Path
) -> None:
    """What the machine's owner enrolled lies in no folder."""
    config = tmp_path / "signed.toml"
    config.write_text("require_signed = true\n")
    key, certificate = kbuild.signing_key(tmp_path / "ours")
    pem = tmp_path / "ours.pem"
    subprocess.run(["openssl", "x509", "-inform", "DER", "-in", certificate, "-out", pem], check=True)
    refused = verify("--format", "json", "--config", str(config)).json["findings"]
    assert refused
    for path in {(system.root / finding["subject"].lstrip("/")).resolve() for finding in refused}:
        command: list[str | Path] = [
            "openssl",
            "cms",
            "-sign",
            "-binary",
            "-noattr",
            "-nocerts",
            "-md",
            "sha256",
        ]
        command += ["-outform", "DER", "-signer", pem, "-inkey", key, "-in", path]
        message = subprocess.run(command, check=True, capture_output=True).stdout
        trailer = struct.pack(">5B3xI", 0, 0, 2, 0, 0, len(message)) + b"~Module signature appended~\n"
        path.write_bytes(path.read_bytes() + message + trailer)
    assert verify("--format", "json", "--config", str(config)).exit == 4
    efivars = system.root / "sys/firmware/efi/efivars"
    efivars.mkdir(parents=True)
    der = certificate.read_bytes()
    kind = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
    entry = struct.pack("<16sIII", kind, 44 + len(der), 0, 16 + len(der)) + bytes(16) + der
    (efivars / "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23").write_bytes(b"\x06\0\0\0" + entry)
    assert verify("--format", "json", "--config", str(config)).exit == 0


@pytest.mark.parametrize(
    ("place", "content", "reason"),
    [
        (
            "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
            b"\x06\0\0\0\x01",
            "Secure Boot is on",
        ),
        ("kernel/security/lockdown", b"none [integrity] confidentiality\n", "the kernel is locked down"),
        ("module/module/parameters/sig_enforce", b"Y\n", "module.sig_enforce is on"),
        ("kernel/security/lockdown", b"[none] integrity confidentiality\n", ""),
        ("module/module/parameters/sig_enforce", b"N\n", ""),
    ],
)
def test_what_this_kernel_refuses(
    place: str, content: bytes, reason: str, verify: Any, system: Building, near: Near
) -> None:
    (system.root / "sys" / place).parent.mkdir(parents=True, exist_ok=True)
    (system.root / "sys" / place).write_bytes(content)
    assert verify("--format", "json").exit == 0, (
        "Debian signs its modules; who is trusted is another question"
    )
    module = system.tree(near[0]) / "extra" / "beta.ko"
    module.write_bytes(module.read_bytes() + b"\n")
    answer = verify("--format", "json")
    assert answer.exit == (4 if reason else 0)
    assert {reference for reference, _ in answer.found()} == ({"would-not-load"} if reason else set())
    for finding in answer.json["findings"]:
        assert f"it is not signed, and {reason}" in finding["message"]


def test_a_signature_that_not_every_kernel_knows(
    verify: Any, system: Building, near: Near, tmp_path: Path
) -> None:
    module = system.tree(near[0]) / "extra" / "beta.ko"
    trailer = struct.pack(">5B3xI", 0, 0, 0, 0, 0, 3) + b"~Module signature appended~\n"
    module.write_bytes(module.read_bytes() + b"PGP" + trailer)
    assert verify("--format", "json").exit == 0
    policy = system.root / "sys/module/module/parameters/sig_enforce"
    policy.parent.mkdir(parents=True)
    policy.write_text("Y\n")
    answer = verify("--format", "json")
    assert (answer.exit, answer.json["verdict"]) == (110, "unverified")
    assert answer.found() == [("unverified-module", "warning")]
    assert "signed in a way that is not known here" in answer.json["findings"][0]["message"]


@pytest.mark.parametrize(
    ("prepare", "code", "said"),
    [
        ("no root", 3, "root-missing"),
        ("no modules", 3, "there is no kernel"),
        ("damaged rpmdb", 3, "rpmdb"),
    ],
)
def test_bad_input(prepare: str, code: int, said: str, verify: Any, system: Building, tmp_path: Path) -> None:
    root = system.root
    if prepare == "no root":
        root = tmp_path / "nowhere"
    elif prepare == "no modules":
        shutil.rmtree(root / "usr/lib/modules")
    else:
        for path in (root / "var/lib/rpm").iterdir():
            path.write_bytes(b"garbage" * 999)
    answer = verify(root=root)
    assert answer.exit == code
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert said.split("-", maxsplit=1)[0] in answer.err


def test_pipes_are_not_waited_for(verify: Any, system: Building, near: Near) -> None:
    """Below another root anything may stand in the place of a file."""
    tree = system.tree(near[0])
    (tree / "modules.dep").unlink()
    (tree / "modules.dep.bin").unlink()
    variables = system.root / "sys/firmware/efi/efivars"
    certificates = system.root / "etc/uefi/certs"
    policy = system.root / "sys/module/module/parameters"
    for folder in (variables, certificates, policy):
        folder.mkdir(parents=True)
    names = (
        "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23",
    )
    for path in (
        *(variables / name for name in names),
        tree / "modules.dep",
        tree / "modules.dep.bin",
        certificates / "a.crt",
        policy / "sig_enforce",
    ):
        os.mkfifo(path)
    answer = verify("--format", "json")
    assert answer.exit == 4
    assert answer.found() == [("modules-dep-missing", "error")]


def test_what_only_root_may_write_down(verify: Any, system: Building, near: Near, tmp_path: Path) -> None:
    """Where the folder is there already too."""
    _machine(system, running=near[0], tmp_path=tmp_path)
    assert verify("--remember").exit == 0
    folder = system.root / "var/lib/kmpsolve"

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kmpsolve.report.files.begin_beside", refused)
        answer = verify("--remember")
    assert answer.exit == 5
    assert "only root may write there" in answer.err


def test_before_and_after_are_two_questions(verify: Any) -> None:
    answer = verify("--remember", "--booted")
    assert (answer.exit, answer.out) == (2, "")


# after a reboot


def _machine(system: Building, *loaded: str, running: DebianKernel, tmp_path: Path) -> None:
    """/proc and /sys of a machine with these modules loaded, below the system's root."""
    shutil.rmtree(system.root / "proc", ignore_errors=True)
    shutil.rmtree(system.root / "sys", ignore_errors=True)
    build("virtio", system.root)
    (system.root / "proc/modules").write_text("".join(f"{name} 1 0 - Live 0x0\n" for name in loaded))
    (system.root / "proc/sys/kernel").mkdir(parents=True)
    (system.root / "proc/sys/kernel/osrelease").write_text(f"{running.uname_r}\n")


def _before(system: Building, verify: Any, near: Near, tmp_path: Path, *loaded: str) -> None:
    _machine(system, *loaded, running=near[0], tmp_path=tmp_path)
    answer = verify("--remember")
    assert (answer.exit, answer.out) == (0, "")


def test_a_good_reboot(verify: Any, system: Building, near: Near, tmp_path: Path) -> None:
    _before(system, verify, near, tmp_path, "acme", "beta", "ext4")
    _machine(system, "acme", "beta", running=near[1], tmp_path=tmp_path)
    answer = verify("--booted", "--format", "json")
    assert answer.exit == 0, answer.out
    assert answer.json["findings"] == []
    assert {subject["kernel"] for subject in answer.json["subjects"]} == {near[1].uname_r}


def test_a_driver_that_is_no_longer_loaded(verify: Any, system: Building, near: Near, tmp_path: Path) -> None:
    _before(system, verify, near, tmp_path, "acme", "beta")
    _machine(system, "beta", running=near[1], tmp_path=tmp_path)
    answer = verify("--booted", "--format", "json")
    assert answer.exit == 4
    assert sorted(answer.found()) == [("last-good-kernel", "note"), ("not-loaded", "error")]
    (line,) = [f["message"] for f in answer.json["findings"] if f["reference"] == "last-good-kernel"]
    assert line == (
        f"boot {near[0].uname_r}, on which every KMP works:  kexec -l /boot/vmlinuz-{near[0].uname_r}"
        f" --initrd=/boot/initrd-{near[0].uname_r} --reuse-cmdline && systemctl kexec"
    )


def test_a_module_that_modprobe_finds_elsewhere(
    verify: Any, system: Building, near: Near, tmp_path: Path
) -> None:
    _machine(system, "beta", running=near[1], tmp_path=tmp_path)
    dep = system.tree(near[1]) / "modules.dep"
    dep.write_text(dep.read_text().replace("weak-updates/updates/acme.ko:", "kernel/drivers/acme.ko:"))
    answer = verify("--booted", "--format", "json")
    assert answer.exit == 4
    assert ("resolves-elsewhere", "error") in answer.found()


def test_another_build_is_loaded(verify: Any, system: Building, near: Near, tmp_path: Path) -> None:
    """As after an update without a new initrd."""
    _machine(system, "beta", running=near[1], tmp_path=tmp_path)
    state = system.root / "sys/module/beta"
    state.mkdir(parents=True)
    beta = module_of(stock(near[1])[names_that(*near, fit=False)[0]])
    # Debian's kernels have no source versions of modules: give one to the module on disk.
    path = system.tree(near[1]) / "extra/beta.ko"
    content = path.read_bytes()
    assert beta.said("srcversion") is None
    note = tmp_path / "modinfo"
    from tests.modules import kbuild

    note.write_bytes(kbuild.section(path, ".modinfo") + b"srcversion=AAAA\0")
    kbuild.with_section(path, ".modinfo", note.read_bytes(), tmp_path / "beta.ko")
    shutil.copy(tmp_path / "beta.ko", path)
    assert path.read_bytes() != content
    (state / "srcversion").write_text("AAAA\n")
    assert "other-build-loaded" not in dict(verify("--booted", "--format", "json").found())
    (state / "srcversion").write_text("BBBB\n")
    answer = verify("--booted", "--format", "json")
    assert ("other-build-loaded", "error") in answer.found()


@pytest.mark.parametrize("loader", ["grub", "systemd-boot"])
def test_the_line_for_the_boot_loader(
    loader: str, verify: Any, system: Building, near: Near, tmp_path: Path
) -> None:
    old = near[0].uname_r
    if loader == "grub":
        (system.root / "boot/grub2").mkdir()
        (system.root / "boot/grub2/grub.cfg").write_text(
            "menuentry 'SLES' --class x $menuentry_id_option 'gnulinux-simple-42' {\n}\n"
            "submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-42' {\n"
            f"menuentry 'SLES, with Linux {old}' --class x"
            f" $menuentry_id_option 'gnulinux-{old}-advanced-42' {{\n}}\n}}\n"
        )
        line = f"grub2-reboot 'gnulinux-advanced-42>gnulinux-{old}-advanced-42' && systemctl reboot"
    else:
        (system.root / "boot/efi/loader/entries").mkdir(parents=True)
        (system.root / f"boot/efi/loader/entries/sles-{old}.conf").write_text(
            f"title SLES\nversion 5@{old}\nlinux /sles/{old}/linux\n"
        )
        line = f"bootctl set-oneshot sles-{old}.conf && systemctl reboot"
    _before(system, verify, near, tmp_path, "acme")
    _machine(system, running=near[1], tmp_path=tmp_path)
    assert line in verify("--booted", "--format", "json").out.replace("\\u0026", "&")


def test_no_kernel_is_good(verify: Any, system: Building, near: Near, tmp_path: Path) -> None:
    _before(system, verify, near, tmp_path, "acme")
    shutil.copy(system.tree(near[1]) / "extra/beta.ko", system.tree(near[0]) / "extra/beta.ko")
    _machine(system, running=near[1], tmp_path=tmp_path)
    answer = verify("--booted", "--format", "json")
    assert "no other installed kernel keeps every KMP" in answer.out
    assert [f for f in answer.json["findings"] if near[0].uname_r in f["subject"]] == [], (
        "only the running kernel"
    )


def test_a_kernel_that_finds_no_module_is_not_good(
    verify: Any, system: Building, near: Near, tmp_path: Path
) -> None:
    """Every KMP has a build for it, and yet none would be loaded there."""
    _before(system, verify, near, tmp_path, "acme")
    (system.tree(near[0]) / "modules.dep.bin").unlink()
    _machine(system, running=near[1], tmp_path=tmp_path)
    assert "no other installed kernel keeps every KMP" in verify("--booted", "--format", "json").out


def test_the_running_kernel_is_not_on_the_disk(
    verify: Any, system: Building, near: Near, tmp_path: Path
) -> None:
    _machine(system, running=near[1], tmp_path=tmp_path)
    answer = verify("--booted", "--running", "1.2.3-default")
    assert answer.exit == 3
    assert "1.2.3-default" in answer.err


def test_a_damaged_memory_is_no_memory(verify: Any, system: Building, near: Near, tmp_path: Path) -> None:
    _before(system, verify, near, tmp_path, "acme")
    (system.root / "var/lib/kmpsolve/before-reboot.json").write_text('{"uname_r": 1}')
    _machine(system, running=near[1], tmp_path=tmp_path)
    answer = verify("--booted", "--format", "json")
    assert answer.found() == [("before-unknown", "note")]
    assert answer.exit == 0


def test_names_are_the_kernels() -> None:
    assert module_name("/lib/modules/x/updates/acme-io.ko.zst") == "acme_io"
