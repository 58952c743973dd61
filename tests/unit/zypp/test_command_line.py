"""What zypper's command line tells: the root, and what a person named for removal."""

from __future__ import annotations

import pytest

from kmpsolve.errors import PluginProtocolError
from kmpsolve.model.nevra import Nevra
from kmpsolve.zypp.commandline import global_options, root_of
from kmpsolve.zypp.transition import named_for_removal, read_steps

DRIVER = Nevra.parse("acme-kmp-default-2.1_k6.4.0_1-1.x86_64")


@pytest.mark.parametrize(
    ("words", "root"),
    [
        ("zypper up", "/"),
        ("zypper -n --root /snap dup", "/snap"),
        ("zypper --root=/snap dup", "/snap"),
        ("zypper -R /snap up", "/snap"),
        ("zypper -R/snap up", "/snap"),
        ("zypper --installroot /snap in x", "/snap"),
        ("zypper -D /repos -R /snap up", "/snap"),
        ("zypper --plus-repo -R up", "/"),
        ("zypper patch -R", "/"),
        ("zypper in --root", "/"),
        ("zypper", "/"),
        ("", "/"),
    ],
)
def test_root(words: str, root: str) -> None:
    assert str(root_of(words.split())) == root


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("zypper -n --plus-repo dir:/a up", [("-n", None), ("--plus-repo", "dir:/a")]),
        ("zypper --plus-repo=dir:/a -pdir:/b in x", [("--plus-repo", "dir:/a"), ("-p", "dir:/b")]),
        ("zypper -c -p --no-gpg-checks in -p x", [("-c", "-p"), ("--no-gpg-checks", None)]),
        ("zypper -p", [("-p", None)]),
        ("", []),
    ],
)
def test_options_before_the_verb(words: str, options: list[tuple[str, str | None]]) -> None:
    assert list(global_options(words.split())) == options


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("rm acme-kmp-default", True),
        ("remove -y acme-kmp-default", True),
        ("rm acme-kmp-*", True),
        ("rm acme-kmp-default=2.1_k6.4.0_1-1", True),
        ("rm acme-kmp-default-2.1_k6.4.0_1-1", True),
        ("rm acme-kmp-default-2.1_k6.4.0_1-1.x86_64", True),
        ("in -- kernel-default=2 -acme-kmp-default=2.1_k6.4.0_1-1", True),
        ("in kernel-default !acme-kmp-default", True),
        ("rm acme-firmware", False),
        ("in acme-kmp-default", False),
        ("dup", False),
        ("rm --clean-deps tool", False),
        ("-n up", False),
    ],
)
def test_named_for_removal(words: str, named: bool) -> None:
    assert named_for_removal(["zypper", *words.split()], DRIVER) == named


def test_steps() -> None:
    (step,) = read_steps(
        [{"type": "M", "n": "kernel-default", "e": 1, "v": "6.4.0", "r": "1", "a": "x86_64"}]
    )
    assert str(step.nevra) == "kernel-default-1:6.4.0-1.x86_64"
    for wrong in (
        {"type": "?"},
        {"type": "M", "n": "x"},
        {"type": "M", "n": "x", "v": "1", "r": "1", "a": "x", "e": "z"},
    ):
        with pytest.raises(PluginProtocolError):
            read_steps([wrong])
