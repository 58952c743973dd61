"""Repository definitions, variables included, are those that ``zypper lr`` lists."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from kmpsolve.metadata.root import read_root
from kmpsolve.metadata.variables import expand, expand_url, read_variables
from tests.sandbox import Sandbox
from tests.support import rpmbuild
from tests.support.packages import PackageSpec

PRODUCT = """\
<?xml version="1.0" encoding="UTF-8"?>
<product schemeversion="0">
  <vendor>SUSE</vendor><name>SLES</name><version>15.6</version><release>0</release><arch>x86_64</arch>
  <summary>SLES</summary><register><target>sle-15-x86_64</target></register>
</product>
"""
REPOS = """\
[plain]
name=Plain
enabled=1
baseurl=http://repo.example/$releasever/$basearch

; a comment
# another
[major]
name=Major $releasever_major and ${releasever_minor}
enabled=yes
autorefresh=on
priority=50
baseurl=https://repo.example/${releasever_major}-${releasever_minor}/$arch/x
keeppackages=1

[defaults]
enabled=0
priority=0
baseurl=http://repo.example/${nothing:-none}/${releasever:-none}/${releasever:+some}/${nothing:+some}

[nested]
baseurl=http://repo.example/${nothing:-a${mine}b}/x

[unknown]
baseurl=http://repo.example/$nothing/$mine/${mine}suffix/$ma

[several]
name=Several
baseurl=http://one.example/$mine
        http://two.example/$mine
gpgcheck=0
priority=nonsense

[bracket $mine]
baseurl=dir:/tmp

[long]
baseurl=dir:/tmp
autorefresh={ones}

[colon]
name = spaced = out
baseurl = dir:///srv/x
path = /sub/folder
""".replace("{ones}", "1" * 5000)
REPOS += "".join(
    f"\n[number {place}]\nbaseurl=dir:/tmp\npriority={number}\n"
    for place, number in enumerate(
        (
            *("0" * 30 + "50", "4294967295", "4294967296", "4294967301", "9" * 5000, "-9" + "9" * 30),
            *("020", "0x20", "0X1fg", "08", "-1", "+7", "-0", "0x", "- 1", "7 8", "18446744073709551615"),
        )
    )
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        one.install_rpms(rpmbuild.build([PackageSpec(name="thing", version="1", release="1")]))
        one.write("/etc/products.d/SLES.prod", PRODUCT)
        one.path("/etc/products.d/baseproduct").symlink_to("/etc/products.d/SLES.prod")
        one.write("/etc/zypp/vars.d/mine", "valueofmine\nsecond line\n")
        one.write("/etc/zypp/vars.d/empty", "\n")
        one.write("/etc/zypp/repos.d/all.repo", REPOS)
        yield one


def listed(sandbox: Sandbox, *options: str) -> dict[str, dict[str, str]]:
    ended = sandbox.run(["zypper", *options, "-x", "lr", "-u"])
    assert ended.code == 0, ended
    return {
        repo.get("alias", ""): {
            "name": repo.get("name", ""),
            "enabled": repo.get("enabled", ""),
            "priority": repo.get("priority", ""),
            "autorefresh": repo.get("autorefresh", ""),
            "url": (repo.findtext("url") or "").replace("%20", " "),
        }
        for repo in ElementTree.fromstring(ended.stdout).iter("repo")  # noqa: S314 (zypper's own)
    }


def defined(sandbox: Sandbox, releasever: str | None = None) -> dict[str, dict[str, str]]:
    system = read_root(sandbox.root, releasever=releasever)
    return {
        one.alias: {
            "name": one.name,
            "enabled": str(int(one.enabled)),
            "priority": str(one.priority),
            "autorefresh": str(int(one.autorefresh)),
            "url": one.urls[0].replace(":///", ":/"),
        }
        for one in system.definitions.repositories
    }


def test_definitions(sandbox: Sandbox) -> None:
    assert defined(sandbox) == listed(sandbox)


def test_releasever_option(sandbox: Sandbox) -> None:
    assert defined(sandbox, "99.7") == listed(sandbox, "--releasever", "99.7")


def test_variable_file_beats_the_product(sandbox: Sandbox) -> None:
    file = sandbox.write("/etc/zypp/vars.d/releasever", "tumble.weed\n")
    major = sandbox.write("/etc/zypp/vars.d/releasever_major", "mine\n")
    try:
        assert defined(sandbox) == listed(sandbox)
        assert defined(sandbox, "1.2") == listed(sandbox, "--releasever", "1.2")
    finally:
        file.unlink()
        major.unlink()


def test_without_product() -> None:
    with Sandbox() as sandbox:
        sandbox.write("/etc/zypp/repos.d/all.repo", REPOS)
        sandbox.install_rpms(rpmbuild.build([PackageSpec(name="thing", version="1", release="1")]))
        assert defined(sandbox) == listed(sandbox)


def test_further_addresses_and_path(sandbox: Sandbox) -> None:
    one = {one.alias: one for one in read_root(sandbox.root).definitions.repositories}
    assert one["several"].urls == ("http://one.example/valueofmine", "http://two.example/valueofmine")
    assert one["several"].gpgcheck is False
    assert one["plain"].gpgcheck is None
    assert one["colon"].path == "/sub/folder"
    assert one["major"].keep_packages


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$", "$"),
        ("$$a", "$1"),
        ("${a", "${a"),
        ("${}", "${}"),
        ("${a:}", "${a:}"),
        ("${a:?x}", "${a:?x}"),
        ("$a-b", "1-b"),
        ("$ab", "$ab"),
        ("${a}b", "1b"),
        ("${e:-x}", "x"),
        ("${e:+x}", ""),
        ("${a:+$b}", "2"),
        (r"${n:-\$a\}\\}", "$a}\\"),
        (r"\$a", "\\1"),
        ("${n:-${n:-${b}}}", "2"),
        ("${n:-${n:-$}}", "${n:-${n:-$}}"),
    ],
)
def test_expand(text: str, expanded: str) -> None:
    assert expand(text, {"a": "1", "b": "2", "e": ""}) == expanded


def test_user_and_password_are_not_expanded() -> None:
    assert expand_url("http://$a:$b@$a/$b", {"a": "1", "b": "2"}) == "http://$a:$b@1/2"


def test_variables_of_a_bare_root(sandbox: Sandbox) -> None:
    variables = read_variables(read_root(sandbox.root).root, "/etc/zypp/vars.d", arch="i686")
    assert variables["basearch"] == "i386"
    assert variables["releasever_minor"] == "6"
    assert variables["empty"] == ""
