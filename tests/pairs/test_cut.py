from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from pathfuse.pairs.cut import cut_moved, lies_beyond
from pathfuse.register.field import Field
from pathfuse.register.transform import Transform
from pathfuse.slides.opening import open_slide
from tests.slides.drawing import write_pyramid

EYE = Transform(np.eye(3))


def picture(edge: int = 900) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(edge, edge, 3)), (4, 4, 0))
    return np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


@pytest.fixture
def slide_path(tmp_path: Path) -> Path:
    return write_pyramid(tmp_path / "slide.tif", picture(), mpp=0.5, levels=3)


@pytest.mark.parametrize("mpp", [0.5, 1.0, 2.0])
def test_without_a_move_it_is_the_patch_itself(slide_path: Path, mpp: float) -> None:
    with open_slide(slide_path) as slide:
        cut = cut_moved(slide, EYE, (50.0, 40.0), 128, mpp)
        expected = slide.read(100, 80, 128 * mpp / 0.5, 128)
    assert np.abs(cut.astype(int) - expected).max() <= 1


def test_a_turned_and_bent_patch_is_looked_up_where_it_lies(slide_path: Path) -> None:
    turn = np.deg2rad(25)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 60], [np.sin(turn), np.cos(turn), -20], [0, 0, 1.0]])
    y, x = np.mgrid[:46, :46] * 10.0
    bend = Field(np.stack([4 * np.sin(y / 100), 3 * np.cos(x / 90)], axis=-1).astype(np.float32), (10.0, 10.0))
    transform = Transform(matrix, bend)
    with open_slide(slide_path) as slide:
        cut = cut_moved(slide, transform, (150.0, 100.0), 160, 0.5)
    middles = (np.arange(160) + 0.5) * 0.5
    points = np.stack(np.meshgrid(150 + middles, 100 + middles), axis=-1).reshape(-1, 2)
    from scipy.ndimage import map_coordinates

    place = (transform.forward(points) / 0.5 - 0.5).T[::-1]
    expected = np.stack([map_coordinates(picture()[..., k].astype(float), place, order=1) for k in range(3)], axis=-1)
    assert np.abs(cut.reshape(-1, 3) - expected).mean() < 1.5


def test_beyond_the_slide_is_white_and_far_beyond_is_said(slide_path: Path) -> None:
    moved = np.eye(3)
    moved[0, 2] = -50
    with open_slide(slide_path) as slide:
        cut = cut_moved(slide, Transform(moved), (0.0, 0.0), 128, 1.0)
        assert (cut[:, :48] == 255).all()
        assert (cut[:, 52:] < 255).any()
        assert not lies_beyond(slide, Transform(moved), (0.0, 0.0), 128, 1.0)
        assert lies_beyond(slide, EYE, (9000.0, 0.0), 128, 1.0)
        assert (cut_moved(slide, EYE, (9000.0, 0.0), 128, 1.0) == 255).all()


def test_a_png_without_levels_is_averaged_not_skipped(tmp_path: Path) -> None:
    checks = np.indices((512, 512)).sum(axis=0) % 2 * 255
    Image.fromarray(np.stack([checks] * 3, axis=-1).astype(np.uint8)).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        cut = cut_moved(slide, EYE, (32.0, 32.0), 64, 1.0)
    assert np.abs(cut.astype(int) - 128).max() <= 1
