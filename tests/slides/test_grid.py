from pathlib import Path

import numpy as np
import pytest

from pathfuse.errors import ImageError
from pathfuse.slides.grid import PatchGrid, tissue_share
from pathfuse.slides.opening import open_slide
from pathfuse.slides.slide import Level, Slide
from pathfuse.slides.spacing import Spacing


class Bare(Slide):
    def __init__(self, mpp: float | None, width: int = 5000, height: int = 4000) -> None:
        self.path, self.levels, self.spacing = Path("bare"), (Level(width, height, 1.0),), Spacing(mpp, "nobody says")

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        raise NotImplementedError

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "mpp", [0.1104, 0.2265, 0.2431, 0.25, 0.2502, 0.2525, 0.3, 0.456, 0.4965, 0.499, 0.5, 0.5034, 0.54]
)
@pytest.mark.parametrize(("size_px", "target"), [(256, 0.5), (224, 0.5), (512, 1.0), (96, 0.97)])
def test_patches_have_the_right_physical_size_to_one_percent(mpp: float, size_px: int, target: float) -> None:
    grid, slide = PatchGrid(size_px, target), Bare(mpp)
    assert grid.size_level0(slide) * mpp == pytest.approx(size_px * target, rel=0.01)


def test_pixels_that_fit_are_not_resampled() -> None:
    assert [PatchGrid().size_level0(Bare(mpp)) for mpp in (0.5, 0.499, 0.2502, 0.25)] == [256, 256, 512, 512]


def test_a_slide_too_coarse_or_without_spacing_is_refused() -> None:
    with pytest.raises(ImageError, match=r"coarser than 0\.5"):
        PatchGrid().size_level0(Bare(1.0))
    with pytest.raises(ImageError, match="no usable mpp"):
        PatchGrid().size_level0(Bare(None))


def test_shares_are_those_of_a_fine_count() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((20, 25)) > 0.5
    fine = np.kron(mask, np.ones((40, 40)))  # 1000 x 800 level-0 pixels
    xs, ys = np.arange(0, 1000 - 137, 91), np.arange(0, 800 - 137, 83)
    share = tissue_share(mask, (1000, 800), xs, ys, 137)
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            assert share[row, column] == pytest.approx(fine[y : y + 137, x : x + 137].mean(), abs=1e-9)


@pytest.mark.parametrize("least", [0.0, 0.3, 0.5, 1.0])
def test_a_patch_is_kept_by_its_share_of_tissue(least: float) -> None:
    mask = np.zeros((40, 50), bool)
    mask[5:30, 7:33] = True
    fine = np.kron(mask, np.ones((100, 100)))
    coords = PatchGrid(min_tissue=least).coords(Bare(0.5), mask)
    kept = {tuple(corner) for corner in coords.tolist()}
    for y in range(0, 4000 - 255, 256):
        for x in range(0, 5000 - 255, 256):
            share = fine[y : y + 256, x : x + 256].mean()
            assert ((x, y) in kept) == (share >= least and share > 0)
    assert coords.dtype == np.int64 and len(kept) == len(coords)


def test_overlap_shortens_the_step() -> None:
    grid = PatchGrid(overlap_px=64)
    coords = grid.coords(Bare(0.25), np.ones((40, 50), bool))
    assert set(np.diff(np.unique(coords[:, 0]))) == {384}
    assert (coords.max(0) + 512 <= [5000, 4000]).all()


def test_neighbours_come_together_and_nothing_is_lost() -> None:
    coords = PatchGrid().coords(Bare(0.5), np.ones((40, 50), bool)) // 256
    assert len(np.unique(coords, axis=0)) == len(coords) == 19 * 15
    assert np.ptp(coords[:16], axis=0).tolist() == [3, 3]


def test_a_slide_smaller_than_a_patch_has_none(tmp_path: Path) -> None:
    from tests.slides.drawing import section, write_pyramid

    with open_slide(write_pyramid(tmp_path / "a.tiff", section(200), levels=1)) as slide:
        assert PatchGrid().coords(slide, np.ones((10, 10), bool)).shape == (0, 2)
