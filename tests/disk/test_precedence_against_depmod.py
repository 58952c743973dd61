"""depmod.d decides which of several modules of one name wins: as the real depmod reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kmpsolve.machine.modulesdep import INDEX, listed_modules
from kmpsolve.machine.precedence import read_precedence, resolve
from kmpsolve.machine.tree import read_trees
from kmpsolve.metadata.rootpath import Root
from tests.disk.building import Building, depmod, modules_dep, names_that, stock
from tests.modules.debian import DebianKernel

Near = tuple[DebianKernel, DebianKernel]

CONFIGURATIONS = {
    "suse": "search updates extra weak-updates kgraft built-in\n",
    "other way round": "search built-in weak-updates extra updates\n",
    "two lines": "search extra\nsearch updates built-in weak-updates\n",
    "continued": "search weak-updates \\\n  built-in updates # extra\n",
    "nothing said": "# search extra\n",
    "override": "search updates built-in\noverride acme * kernel/drivers\n",
    "override for another kernel": "search updates built-in\noverride acme ^5\\. kernel/drivers\n",
    "override by expression": "search updates built-in\noverride acme ^6\\. weak-updates/updates\n",
    "without built-in": "search extra updates\n",
}


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_the_winner(name: str, bare: Building, near: Near) -> None:
    kernel = near[0]
    bare.kernel(kernel, [])
    source = stock(kernel)[names_that(*near, fit=True)[0]]
    folders = ["updates", "extra", "weak-updates/updates", "kernel/drivers", "misc"]
    conf = bare.root / "usr/lib/depmod.d/00-system.conf"
    conf.write_text(CONFIGURATIONS[name])
    root = Root.at(bare.root)
    # Every pair of folders; more than two in one tree would hide the order of the weaker ones.
    for place, one in enumerate(folders):
        for other in folders[place + 1 :]:
            shutil.rmtree(bare.tree(kernel), ignore_errors=True)
            for folder in (one, other):
                (bare.tree(kernel) / folder).mkdir(parents=True)
                shutil.copy(source, bare.tree(kernel) / folder / "acme.ko")
            depmod(bare.root, kernel.uname_r)
            trees = read_trees(root)
            (tree,) = trees.trees
            found = resolve(tree.files, read_precedence(root))["acme"]
            if found.clashes:  # depmod itself takes whichever it reads last, and writes down which
                listed = listed_modules(trees, tree, INDEX)
                assert listed is not None
                found = resolve(tree.files, read_precedence(root), listed)["acme"]
            if name == "nothing said" and {one, other} != {"updates"} and "updates" not in (one, other):
                continue  # SUSE's order is assumed where nothing is configured; depmod knows of updates only
            assert found.file.below == modules_dep(bare.root, kernel.uname_r)["acme"], (one, other)


def test_etc_hides_usr(bare: Building) -> None:
    (bare.root / "etc/depmod.d").mkdir(parents=True)
    (bare.root / "etc/depmod.d/00-system.conf").write_text("search extra built-in\n")
    assert read_precedence(Root.at(bare.root)).search == ("extra", "built-in")


def test_folders_behind_links_are_entered_once(bare: Building, near: Near, tmp_path: Path) -> None:
    kernel = near[0]
    bare.kernel(kernel, names_that(*near, fit=True)[:1])
    tree = bare.tree(kernel)
    (tree / "loop").symlink_to(".")
    (tree / "build").symlink_to("kernel")
    (tree / "out").symlink_to(tmp_path)
    (tmp_path / "out.ko").write_text("")
    (found,) = read_trees(Root.at(bare.root)).trees
    assert [file.folder for file in found.files] == ["kernel"]
