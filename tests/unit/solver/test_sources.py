"""Loading what others wrote: what cannot be read leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import solv

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.source import open_source
from kmpsolve.solver import sources
from kmpsolve.solver.sources import load_into
from tests.support import rpmmd
from tests.support.packages import PackageSpec

ACME = PackageSpec(name="acme", version="1", release="1")


def written(folder: Path, specs: Sequence[PackageSpec] = (ACME,)) -> Path:
    """A .solv file of ours."""
    pool = solv.Pool()
    repo = load_into(pool, replace(open_source(str(rpmmd.write(folder, specs)), alias="r"), trusted=True))
    place = folder / "r.solv"
    stream = solv.xfopen(str(place), "w")
    repo.write(stream)
    stream.close()
    return place


def names(content: Content) -> list[str]:
    pool = solv.Pool()
    return [solvable.name for solvable in load_into(pool, content).solvables_iter()]


@pytest.mark.parametrize(("trusted", "reference"), [(True, "malformed-metadata"), (False, "damaged-solv")])
def test_a_solv_file_that_is_not_there(tmp_path: Path, trusted: bool, reference: str) -> None:
    content = Content(alias="r", source="where", solv=tmp_path / "missing.solv", trusted=trusted)
    with pytest.raises(MetadataError) as caught:
        names(content)
    assert caught.value.reference == reference


def test_a_strangers_solv_file_is_tried_first(tmp_path: Path) -> None:
    place = written(tmp_path)
    content = Content(alias="r", source="where", solv=place)
    assert names(content) == ["acme"]
    place.write_bytes(place.read_bytes()[:-1])
    with pytest.raises(MetadataError) as caught:
        names(content)
    assert caught.value.reference == "damaged-solv"


def test_packages_that_libsolv_passes_over(tmp_path: Path) -> None:
    """It ends at zeros without a complaint, or makes packages without names of them: none may be missing."""
    specs = [ACME, *(replace(ACME, name=f"acme-{part}", provides=(f"part({part})",)) for part in "abcdefgh")]
    place = written(tmp_path, specs)
    data = place.read_bytes()
    sound = damaged = 0
    for start in range(24, len(data) - 20, 19):  # behind the number of packages
        place.write_bytes(data[:start] + bytes(20) + data[start + 20 :])
        try:
            found = names(Content(alias="r", source="where", solv=place))
        except MetadataError:
            damaged += 1
        else:
            assert len(found) == len(specs)
            assert "<NULL>" not in found
            sound += 1
    assert damaged > sound


def test_packages_that_libsolv_passes_over_in_a_trusted_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends at zeros without a complaint, as above, or crashes, which no test can use."""
    content = Content(alias="r", source="where", solv=written(tmp_path), trusted=True)
    assert names(content) == ["acme"]
    monkeypatch.setattr(sources, "package_count", lambda path: 7 if path == content.solv else None)
    with pytest.raises(MetadataError, match="of its 7 packages 1 can be read") as caught:
        names(content)
    assert caught.value.reference == "malformed-metadata"


def test_larger_metadata_has_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_SMALL", 0)
    monkeypatch.setattr(sources, "_BYTES_A_SECOND", 10)
    content = open_source(str(rpmmd.write(tmp_path, [ACME])), alias="r")
    assert names(content) == ["acme"]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("lost", "instead"),
    [
        ("<name>one</name>", ""),
        ("<name>one</name>", "<name/>"),
        ("<arch>noarch</arch>", "<arch/>"),
        ('<version epoch="0" ver="1" rel="1"/>', ""),
        (' ver="1"', ""),
        (' ver="1"', ' ver=""'),
        (' rel="1"', ""),
        (' epoch="0"', ' epoch="x"'),
    ],
)
def test_a_package_that_nothing_names(
    lost: str, instead: str, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libsolv takes it, and then it is no update of anything."""
    one, two = (PackageSpec(name=name, version="1", release="1", arch="noarch") for name in ("one", "two"))
    store = rpmmd._store

    def damaged(repodata: Path, kind: str, content: bytes, compress: bool) -> str:
        assert kind != "primary" or lost.encode() in content
        return store(repodata, kind, content.replace(lost.encode(), instead.encode(), 1), compress)

    monkeypatch.setattr(rpmmd, "_store", damaged)
    folder = rpmmd.write(tmp_path / "r", [one, two])
    if large:
        monkeypatch.setattr(sources, "_SMALL", 0)
    with pytest.raises(MetadataError, match=r"package 1.* has no") as caught:
        load_into(solv.Pool(), open_source(str(folder), alias="r"))
    assert caught.value.reference == "malformed-metadata"
