"""A slide of which a part was scanned: its outlines and maps for QuPath count from that part, its features do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pathfuse.core import SlideInfo
from pathfuse.explain.places import SlideScores
from pathfuse.explain.qupath import write_tiles
from pathfuse.explain.tables import write_table
from pathfuse.store import open_slide
from tests.extract.small import run
from tests.slides.drawing import section, write_pyramid

openslide = pytest.importorskip("openslide", reason="needs pathfuse[wsi]")
LEFT, TOP = 96, 40


class Bounded(openslide.OpenSlide):  # type: ignore[misc, name-defined]
    """OpenSlide on a plain TIFF, with the bounds that it finds in slides of MIRAX and Leica."""

    @property
    def properties(self) -> dict[str, Any]:
        bounds = {"x": LEFT, "y": TOP, "width": 400, "height": 440}
        return {**super().properties, **{f"openslide.bounds-{key}": str(value) for key, value in bounds.items()}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The slide as it is extracted without bounds (`plain`) and with them (`bounded`)."""
    slide = write_pyramid(tmp_path / "s.svs", section(520), mpp=2.0)
    run([slide], tmp_path / "plain", reader="OpenSlideReader", slide_mpp=2.0)
    monkeypatch.setattr(openslide, "OpenSlide", Bounded)
    run([slide], tmp_path / "bounded", reader="OpenSlideReader", slide_mpp=2.0)
    return tmp_path


def corners(path: Path) -> np.ndarray:
    features = json.loads(path.read_text())["features"]
    return np.array([point for one in features for ring in one["geometry"]["coordinates"] for point in ring])


def test_outlines_and_maps_for_qupath_count_from_the_part_that_was_scanned(folder: Path) -> None:
    outlines = [next((folder / name).rglob("*.geojson")) for name in ("plain", "bounded")]
    np.testing.assert_allclose(corners(outlines[0]) - [LEFT, TOP], corners(outlines[1]), atol=0.011)
    files = [next((folder / name).rglob("features_*/*.h5")) for name in ("plain", "bounded")]
    plain, bounded = (open_slide(file) for file in files)
    assert (plain.origin, bounded.origin) == ((0, 0), (LEFT, TOP))
    places = bounded.level0_coords()
    of_plain = plain.level0_coords()
    assert places is not None and of_plain is not None
    assert of_plain.tolist() == places.tolist(), "features count from the corner of the whole slide"
    weight, corner = np.full(len(places), 1 / len(places)), places.numpy()
    info = SlideInfo("s", bounded.mpp, bounded.level0_patch_size, bounded.origin)
    one = SlideScores("s", "he", info, weight, weight * 100, corner)
    (tiles,) = write_tiles(folder, "map", {"Attention": one})
    write_table(folder / "map.csv", [one])
    assert corners(tiles).min(0).tolist() == (corner.min(0) - [LEFT, TOP]).tolist()
    assert (folder / "map.csv").read_text().splitlines()[1].split(",")[2:4] == [str(value) for value in corner[0]]
