"""Serial sections of the demo cohort: the map that is said to be known is the one that is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from pathfuse.demo import DemoCohort, SerialPictures, write_serial
from pathfuse.demo.serial.known_map import Fold, KnownMap, draw_map
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.errors import RecipeError

WHO = DemoCohort(patients=2, seed=4)
DRAW = {"rotation_deg": 180.0, "mirrored": 0.5, "scale": 0.03, "warp_um": 30.0, "lost": 0.5, "torn": 0.5, "folded": 0.5}


@given(st.integers(0, 10_000))
def test_back_undoes_forth_wherever_the_section_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = draw_map(rng, 1500.0, **DRAW)
    points = rng.uniform(200, 1300, (50, 2))
    back, there = known.backward(known.forward(points))
    np.testing.assert_allclose(back[there], points[there], atol=1e-6)
    assert there.all() or known.lost is not None or known.fold is not None


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


def test_a_fold_lays_three_layers_on_each_other_and_moves_what_is_beyond() -> None:
    fold = Fold(angle=0.0, offset_um=0.0, width_um=10.0)
    known = KnownMap(middle_um=100.0, fold=fold)
    line = np.array([[x, 50.0] for x in (80.0, 104.0, 130.0)])
    placed = known.forward(line)
    np.testing.assert_allclose(placed[:, 0], [80.0, 96.0, 110.0])
    layers = list(known.layers(np.array([[96.0, 50.0], [80.0, 50.0], [110.0, 50.0]])))
    assert [there.tolist() for _, there in layers] == [[True, True, False], [True, False, False], [True, False, True]]
    np.testing.assert_allclose([source[0, 0] for source, _ in layers], [96.0, 104.0, 116.0])
    _, once = known.backward(placed)
    assert once.tolist() == [True, False, True]


def test_a_fold_is_darker_than_the_section_without_it() -> None:
    still = SerialPictures(slide_px=512, rotation_deg=0, mirrored=0, scale=0, warp_um=0, lost=0, torn=0)
    flat, folded = (SerialPair(WHO, replace(still, folded=share), 0) for share in (0.0, 1.0))
    fold = folded.known.fold
    assert fold is not None and flat.known == replace(folded.known, fold=None)
    rows, columns = np.mgrid[:512, :512] + 0.5
    at = fold.along(np.stack([columns.ravel(), rows.ravel()], axis=1), np.full(2, 256.0)).reshape(512, 512)
    one, other = (pair.image("ihc").astype(float).mean(axis=-1) for pair in (flat, folded))
    tissue = flat.piece > 0.9
    strip = (at > -fold.width_um + 2) & (at < -2) & tissue
    before = (at < -fold.width_um - 2) & tissue
    assert other[strip].mean() < one[strip].mean() - 20
    assert np.abs(other[before] - one[before]).max() <= 1


def test_the_next_section_has_the_same_nests_and_other_cells() -> None:
    still = SerialPictures(slide_px=512, rotation_deg=0, mirrored=0, scale=0, warp_um=0, lost=0, torn=0)
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
