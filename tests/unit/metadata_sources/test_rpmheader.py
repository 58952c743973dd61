"""The header of an RPM; what it declares is held against createrepo_c in `test_rpmfolder`."""

from __future__ import annotations

from kmpsolve.metadata.rpmheader import Header


def test_text_is_read_from_rpm_4_14_too() -> None:
    # SLE 15's rpm gives bytes where later ones give text.
    given = [b"ksym(default:kfree)", b"M\xfcller", "ü".encode()]
    assert Header._cleaned(given) == ["ksym(default:kfree)", "Müller", "ü"]
