"""Serial sections of the demo cohort: the map that is said to be known is the one that is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from pathfuse.demo import DemoCohort, SerialPictures, write_serial
from pathfuse.demo.serial.known_map import draw_map
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.errors import RecipeError

WHO = DemoCohort(patients=2, seed=4)
DRAW = {"rotation_deg": 180.0, "mirrored": 0.5, "scale": 0.03, "warp_um": 30.0, "lost": 0.5, "torn": 0.5}


@given(st.integers(0, 10_000))
def test_back_undoes_forth_wherever_the_section_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = draw_map(rng, 1500.0, **DRAW)
    points = rng.uniform(200, 1300, (50, 2))
    back, there = known.backward(known.forward(points))
    np.testing.assert_allclose(back[there], points[there], atol=1e-6)
    assert there.all() or known.lost is not None


def test_points_of_the_truth_show_the_same_tissue() -> None:
    pair = SerialPair(WHO, SerialPictures(slide_px=512, restained=True, lost=0.0), 0)
    red = [gaussian_filter(pair.image(stain)[..., 0].astype(float), 1.5) for stain in ("he", "ihc")]
    rows = np.array(pair.truth(), float)
    assert len(rows) > 60
    around = np.stack(np.meshgrid(np.arange(-6, 7), np.arange(-6, 7)), axis=-1).reshape(-1, 2) * 1.0
    places = (rows[:, None, :2] + around).reshape(-1, 2)
    there = pair.known.forward(places)

    def at(plane: np.ndarray, points: np.ndarray) -> np.ndarray:
        return map_coordinates(plane, (points - 0.5).T[::-1], order=1)

    same = np.corrcoef(at(red[0], places), at(red[1], there))[0, 1]
    off = np.corrcoef(at(red[0], places), at(red[1], there + 15))[0, 1]
    assert same > 0.5 > off + 0.2


def test_the_next_section_has_the_same_nests_and_other_cells() -> None:
    still = SerialPictures(slide_px=512, rotation_deg=0, mirrored=0, scale=0, warp_um=0, lost=0, torn=0)
    from dataclasses import replace

    again = SerialPair(WHO, replace(still, restained=True), 0).image("ihc")[..., 0].astype(float)
    following = SerialPair(WHO, still, 0).image("ihc")[..., 0].astype(float)
    assert np.corrcoef(again.ravel(), following.ravel())[0, 1] < 0.9
    wide = [gaussian_filter(plane, 15).ravel() for plane in (again, following)]
    assert np.corrcoef(*wide)[0, 1] > 0.9


def test_the_cohort_is_written_once_with_its_truth(tmp_path: Path) -> None:
    pictures = SerialPictures(slide_px=256)
    table = write_serial(tmp_path / "serial", WHO, pictures)
    assert len(table.read_text().splitlines()) == 5
    with Image.open(table.parent / "slides" / "ihc" / "P0001-01.png") as image:
        assert image.size == (256, 256)
    truth = np.loadtxt(table.parent / "truth" / "points" / "P0001-01.csv", delimiter=",", skiprows=1)
    assert truth.shape[1] == 4 and len(truth) > 10
    before = table.stat().st_mtime_ns
    assert write_serial(tmp_path / "serial", WHO, pictures).stat().st_mtime_ns == before


def test_what_cannot_be_drawn_is_one_line() -> None:
    with pytest.raises(RecipeError, match="slide_px"):
        SerialPictures(slide_px=100)
    with pytest.raises(RecipeError, match="share"):
        SerialPictures(torn=2.0)
