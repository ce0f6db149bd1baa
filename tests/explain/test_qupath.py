"""Tiles of a slide as QuPath shows them, and as shapely measures them."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pathfuse.core import SlideInfo
from pathfuse.explain import qupath
from pathfuse.explain.places import SlideScores
from tests.qupath import shown_in_qupath

CORNERS = st.lists(st.tuples(*[st.integers(-(10**4), 10**6)] * 2), min_size=1, max_size=12, unique=True)
NAMES = st.lists(st.text(min_size=1, max_size=9).filter(str.isprintable), min_size=1, max_size=3, unique=True)


@settings(max_examples=60, deadline=None)
@given(CORNERS, NAMES, st.sampled_from([0.5, 224.0, 511.7, 1024.0]), st.integers(0, 500), st.integers(1, 12), st.data())
def test_every_patch_is_a_square_at_its_place_with_its_scores(
    corners: list[tuple[int, int]], names: list[str], edge: float, origin: int, most: int, data: st.DataObject
) -> None:
    slide, places = SlideInfo("s", 0.5, edge, (origin, 2 * origin)), np.array(corners)
    numbers = st.floats(-(2.0**99), 2.0**99, width=32)
    measured = {
        name: SlideScores(
            "a", "he", slide, data.draw(arrays(np.float32, len(corners), elements=numbers)),
            np.linspace(0, 100, len(corners)), places,
        )
        for name in names
    }  # fmt: skip
    with TemporaryDirectory() as folder, patch.object(qupath, "MOST_TILES", most):
        paths = qupath.write_tiles(Path(folder), "s", measured)
        texts = [path.read_text(encoding="utf-8") for path in paths]
        assert sorted(Path(folder).iterdir()) == sorted(paths)
    tiles = [tile for text in texts for tile in shown_in_qupath(text)]
    assert len(paths) == -(-len(corners) // most) and len(tiles) == len(corners)
    for number, (tile, (x, y)) in enumerate(zip(tiles, (places - slide.origin).tolist(), strict=True)):
        assert tile.kind == "tile" and tile.geometry.equals(shapely.box(x, y, x + edge, y + edge))
        assert set(tile.measurements) == {*names, *(f"{name} percentile" for name in names)}
        for name, one in measured.items():
            assert np.float32(tile.measurements[name]) == one.score[number]
