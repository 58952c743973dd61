"""What is packed is found again, by class, by build and by name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmpsolve.cache.symbols import PackedSymbols, Symbols, pack_symbols

TEXTS = st.builds(
    "ksym(default:{}) = {}".format, st.text("abcé", min_size=1, max_size=3), st.text("0f", min_size=1)
)


@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, unique=True, max_size=20))
    count = data.draw(st.integers(1, 4))
    home = {text: data.draw(st.integers(0, count - 1)) for text in texts}
    classes = [{text for text in texts if home[text] == number} for number in range(count)]
    needs = {
        build: set(data.draw(st.lists(st.sampled_from(texts), unique=True))) if texts else set()
        for build in data.draw(st.sets(st.integers(0, 1 << 25), max_size=4))
    }
    ordered = [sorted(members) for members in classes]
    place = {text: number for number, text in enumerate(text for members in ordered for text in members)}
    places = {build: sorted(map(place.__getitem__, wanted)) for build, wanted in needs.items()}
    packed = PackedSymbols(memoryview(pack_symbols(Symbols(classes=ordered, needs=places))))
    for number, members in enumerate(classes):
        assert set(packed.members(number)) == members
        for build, wanted in needs.items():
            assert set(packed.needs(build, number)) == wanted & members
        assert list(packed.needs(1 << 26, number)) == []
    for build, wanted in needs.items():
        assert packed.sizes(build) == {
            number: len(wanted & members) for number, members in enumerate(classes) if wanted & members
        }
    assert packed.sizes(1 << 26) == {}
    for name in {text.partition(" ")[0] for text in texts}:
        own = {(home[text], text.partition(" = ")[2]) for text in texts if text.startswith(f"{name} = ")}
        assert set(packed.versions(name)) == own
    assert list(packed.versions("ksym(default:absent)")) == []
