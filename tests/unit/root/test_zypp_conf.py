"""zypp.conf in its layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmpsolve.errors import ConfigError, MetadataError
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.zyppconf import ZyppConf, read_zypp_conf


def write(root: Path, files: dict[str, str]) -> Root:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Root.at(root)


def test_no_file_means_what_distributions_ship(tmp_path: Path) -> None:
    assert read_zypp_conf(Root.at(tmp_path)) == ZyppConf()


def test_a_file_that_says_nothing_means_libzypps_own_defaults(tmp_path: Path) -> None:
    conf = read_zypp_conf(write(tmp_path, {"etc/zypp/zypp.conf": "[main]\n"}))
    assert (conf.multiversion, conf.keep) == ((), "")


def test_strongest_base_and_dropins_of_all_layers(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "usr/etc/zypp/zypp.conf": "[main]\nmultiversion.kernels = usr\nsolver.allowVendorChange = yes\n",
            "usr/etc/zypp/zypp.conf.d/20-a.conf": "[main]\nmultiversion.kernels = usr-a\ncachedir = /usr-a\n",
            "usr/etc/zypp/zypp.conf.d/10-b.conf": "[main]\ncachedir = /usr-b\nlocksfile.path = /locks\n",
            "run/zypp/zypp.conf": "[main]\nmultiversion.kernels = run\n",
            "run/zypp/zypp.conf.d/20-a.conf": "[main]\ncachedir = /run-a\n",
            "etc/zypp/zypp.conf.d/30-c.conf": "[main]\nmultiversion = provides:x, y\n",
            "etc/zypp/zypp.conf.d/40-no": "[main]\ncachedir = /no\n",
            "etc/zypp/zypp.conf.d/.hidden.conf": "[main]\ncachedir = /no\n",
        },
    )
    conf = read_zypp_conf(root)
    assert conf.files == (
        "/run/zypp/zypp.conf",
        "/usr/etc/zypp/zypp.conf.d/10-b.conf",
        "/run/zypp/zypp.conf.d/20-a.conf",
        "/etc/zypp/zypp.conf.d/30-c.conf",
    )
    assert conf.keep == "run"
    assert conf.solv_folder == "/run-a/solv"
    assert conf.locks_file == "/locks"
    assert conf.multiversion == ("provides:x", "y")
    assert not conf.allow_vendor_change


def test_masked_by_dev_null(tmp_path: Path) -> None:
    root = write(tmp_path, {"usr/etc/zypp/zypp.conf": "[main]\nmultiversion = x\n"})
    (tmp_path / "etc/zypp").mkdir(parents=True)
    (tmp_path / "etc/zypp/zypp.conf").symlink_to("empty")
    (tmp_path / "etc/zypp/empty").write_text("")
    assert read_zypp_conf(root).multiversion == ()


def test_folders_and_switches(tmp_path: Path) -> None:
    text = (
        "[main]\nconfigdir=/c\ncachedir=/k\nmetadatadir=/m\nvendordir=/v\nlocksfile.apply = no\narch = i686\n"
        "solver.dupAllowVendorChange=1\nhistory.logfile = /h\nmultiversiondir = /mv\n[other]\narch=x\n"
    )
    files = {"etc/zypp/zypp.conf": text, "mv/one": "# comment\n\n provides:a \nb\n", "mv/two": "b\nc\n"}
    assert read_zypp_conf(write(tmp_path, files)) == ZyppConf(
        multiversion=("provides:a", "b", "c"), keep="", dup_allow_vendor_change=True, arch="i686",
        solv_folder="/k/solv", raw_folder="/m", packages_folder="/k/packages",
        repos_folder="/c/repos.d", services_folder="/c/services.d",
        vars_folder="/c/vars.d", vendors_folder="/v", locks_file="/c/locks", locks_apply=False,
        history_file="/h", files=("/etc/zypp/zypp.conf",),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["rubbish\n", "[main\n", "[main]\na/b = c\n"])
def test_malformed(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_zypp_conf(write(tmp_path, {"etc/zypp/zypp.conf": text}))
    assert error.value.reference == "malformed-zypp-conf"
    assert str(error.value).startswith(f"{tmp_path}/etc/zypp/zypp.conf: line ")


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "outside").write_text("[main]\nmultiversion = outside\n")
    below = write(root, {"srv/real": "[main]\nmultiversion = inside\n"})
    (root / "etc/zypp").mkdir(parents=True)
    link = root / "etc/zypp/zypp.conf"
    for target in ("/srv/real", "../../srv/real", "../../../../../../srv/real", "/../srv/./real"):
        link.symlink_to(target)
        assert read_zypp_conf(below).multiversion == ("inside",)
        link.unlink()
    link.symlink_to(tmp_path / "outside")
    assert read_zypp_conf(below) == ZyppConf()
    link.unlink()
    link.symlink_to("zypp.conf")
    with pytest.raises(MetadataError) as error:
        read_zypp_conf(below)
    assert error.value.reference == "link-loop"


def test_no_root(tmp_path: Path) -> None:
    with pytest.raises(MetadataError) as error:
        Root.at(tmp_path / "nothing")
    assert error.value.reference == "no-root"
