"""The whole story, in its acts, as ``make story`` tells it: real kernels, the real zypper, booted in qemu."""

from __future__ import annotations

import pytest

from tests.story.cast import a_choice, an_update
from tests.story.telling import GONE, LOADED, Machine, StoryError, expect_driver, guarded, without_and_with


def test_the_gap_the_hook_and_the_rebuild(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = an_update()
    without_and_with(old, new)
    said = capsys.readouterr().out
    # The kernel itself says why the driver is gone, and boots with it in all other acts.
    gap, hook = said.split("# With kmpsolve")
    assert "disagrees about version of symbol" in gap
    assert (gap.count(LOADED), gap.count(GONE)) == (1, 1)
    assert "stopped this update before anything was changed" in hook
    assert (hook.count(LOADED), hook.count(GONE)) == (3, 0)


def test_the_guard(capsys: pytest.CaptureFixture[str]) -> None:
    old, safe, new = a_choice()
    guarded(old, safe, new)
    said = capsys.readouterr().out
    assert f"kernel-default {new.evr} held back" in said
    assert said.count(LOADED) == 1
    assert safe is old or f"-- {safe.uname_r} boots --" in said


def test_a_story_that_goes_another_way_is_found_out() -> None:
    expect_driver(f"insmod ...\n{GONE}", False, "6.1.0-1-default")
    for says, driver in ((LOADED, False), (GONE, True), ("Kernel panic", True), ("Kernel panic", False)):
        with pytest.raises(StoryError, match="driver should"):
            expect_driver(says, driver, "6.1.0-1-default")
    old, new = an_update()
    with Machine(old, hook=False) as machine:
        with pytest.raises(StoryError, match="exit code 0 was expected"):
            machine.say("rpm -q kernel-rt", 0)
        with pytest.raises(StoryError, match="would boot, and not"):
            machine.boots_next(new)
