"""The configuration: layers, strictness, one clear line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmpsolve.config import Config, read_config
from kmpsolve.errors import ConfigError
from kmpsolve.request import KmpRule, Waiver


def _root(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "etc" / "kmpsolve"
    (folder / "conf.d").mkdir(parents=True)
    for name, text in files.items():
        place = folder if name == "kmpsolve" else folder / "conf.d"
        (place / f"{name}.toml").write_text(text)
    return tmp_path


def test_defaults(tmp_path: Path) -> None:
    assert read_config(tmp_path) == Config()
    assert Config().metadata_max_age == 7 * 86400


def test_later_files_win_and_their_rules_come_first(tmp_path: Path) -> None:
    extra = tmp_path / "extra.toml"
    extra.write_text(
        "protect_fallback = true\nmetadata_max_age = '12h'\n[[kmp]]\nmatch = 'c*'\nrebuilt_on_host = true\n"
    )
    root = _root(
        tmp_path,
        kmpsolve="on_blocked = 'warn'\n[[kmp]]\nmatch = 'a*'\non_blocked = 'ignore'\n",
        b="on_blocked = 'hold'\n[[kmp]]\nmatch = 'b*'\nscope = 'in-use'\n",
    )
    config = read_config(root, extra)
    assert (config.on_blocked, config.protect_fallback, config.metadata_max_age) == ("hold", True, 43200)
    assert config.kmp_rules == (
        KmpRule(match="c*", rebuilt_on_host=True),
        KmpRule(match="b*", scope="in-use"),
        KmpRule(match="a*", on_blocked="ignore"),
    )


def test_waiver(tmp_path: Path) -> None:
    root = _root(tmp_path, kmpsolve="[[waiver]]\nkmp = 'x'\nreason = 'spare'\nexpires = 2027-01-01\n")
    assert read_config(root).waivers == (Waiver(kmp="x", reason="spare", expires="2027-01-01"),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("on_blockd = 'abort'", "unknown key 'on_blockd'"),
        ("on_blocked = 'explode'", "on_blocked must be one of abort, hold, warn, not 'explode'"),
        ("on_blocked = 1", "not 1"),
        ("protect_fallback = 'yes'", "protect_fallback must be true or false"),
        ("metadata_max_age = 'soon'", "metadata_max_age must be a number with a unit"),
        ("metadata_max_age = 7", "metadata_max_age must be a number with a unit"),
        ("kmp = 3", "kmp must be written as [[kmp]]"),
        ("[[kmp]]\nscope = 'all'", "[[kmp]] needs match as text"),
        ("[[kmp]]\nmatch = 'a'\nscop = 'all'", "unknown key 'scop' in [[kmp]]"),
        ("[[kmp]]\nmatch = 'a'\nscope = 'some'", "scope in [[kmp]] must be one of all, in-use"),
        ("[[kmp]]\nmatch = 'a'\nrebuilt_on_host = 1", "rebuilt_on_host in [[kmp]] must be true or false"),
        ("[[waiver]]\nkmp = 'a'\nreason = 'b'", "[[waiver]] needs expires as a date"),
        ("[[waiver]]\nkmp = 'a'\nreason = 'b'\nexpires = '2027-01-01'", "[[waiver]] needs expires as a date"),
        ("[[waiver]]\nkmp = 'a'\nexpires = 2027-01-01", "[[waiver]] needs reason as text"),
        ("= 1", "is no valid TOML"),
    ],
)
def test_wrong(tmp_path: Path, text: str, told: str) -> None:
    root = _root(tmp_path, kmpsolve=text)
    with pytest.raises(ConfigError) as caught:
        read_config(root)
    assert told in str(caught.value)
    assert str(root / "etc/kmpsolve/kmpsolve.toml") in str(caught.value)
    assert caught.value.exit_code == 3
