import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from pathfuse.register.blocks import Blocks, match, smoothed, stepped, weights
from pathfuse.register.compare import CLOSE_PX, EDGE_PX, REACH_PX, STEP_PX
from pathfuse.register.improve import FEW_CLOSE


def pattern(seed: int = 0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(260, 300)), 1.5)
    return (noise / noise.std()).astype(np.float32)


@pytest.mark.parametrize("moved", [(0.0, 0.0), (3.0, -2.0), (-5.4, 6.3)])
def test_a_known_shift_is_found_to_a_fraction_of_a_pixel(moved: tuple[float, float]) -> None:
    other = shift(pattern(), moved[::-1], order=3, mode="wrap").astype(np.float32)
    blocks = match(pattern(), other, np.ones((260, 300), bool), edge=EDGE_PX, step=STEP_PX, reach=REACH_PX)
    assert len(blocks.peaks) > 50
    np.testing.assert_allclose(np.median(blocks.shifts, axis=0), moved, atol=0.15)
    field = smoothed(blocks, weights(blocks), (260, 300), step=STEP_PX, sigma=1.2)
    np.testing.assert_allclose(field[130, 150], moved, atol=0.4)


def test_correlation_is_that_of_a_naive_loop() -> None:
    ours, theirs = pattern(1), pattern(2)
    blocks = match(ours, theirs, np.ones((260, 300), bool), edge=32, step=60, reach=2)
    for (x, y), peak, still in zip(blocks.centres, blocks.peaks, blocks.still, strict=True):
        left, top = int(x - 15.5), int(y - 15.5)
        mine = ours[top : top + 32, left : left + 32]
        found = {}
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                if top + dy >= 0 and left + dx >= 0 and top + dy + 32 <= 260 and left + dx + 32 <= 300:
                    other = theirs[top + dy : top + dy + 32, left + dx : left + dx + 32]
                    found[dx, dy] = np.corrcoef(mine.ravel(), other.ravel())[0, 1]
        assert still == pytest.approx(found[0, 0], abs=1e-4)
        if len(found) == 25:
            assert peak == pytest.approx(max(found.values()), abs=1e-4)


def test_strangers_are_hardly_believed() -> None:
    blocks = match(pattern(1), pattern(2), np.ones((260, 300), bool), edge=EDGE_PX, step=STEP_PX, reach=REACH_PX)
    same = match(pattern(1), pattern(1), np.ones((260, 300), bool), edge=EDGE_PX, step=STEP_PX, reach=REACH_PX)
    close = match(pattern(1), pattern(2), np.ones((260, 300), bool), edge=CLOSE_PX, step=8, reach=REACH_PX)
    assert weights(blocks).mean() < 0.02
    assert weights(close).mean() < FEW_CLOSE, "a close look at strangers has to stop"
    assert weights(same).mean() > 0.9


def test_a_stepped_field_jumps_where_patches_do_and_leaves_out_one_that_errs() -> None:
    columns, rows = np.meshgrid(np.arange(20), np.arange(16))
    centres = np.stack([columns, rows], axis=-1).reshape(-1, 2) * 8.0 + 15.5
    right = centres[:, 0] > 90
    shifts = np.where(right[:, None], (5.0, -2.0), (0.0, 1.0))
    shifts[37] = (-8.0, 8.0)
    ones = np.ones(len(centres))
    blocks = Blocks(centres, shifts, ones, 0 * ones, ones)
    field = stepped(blocks, ones, (160, 190), step=8, reach=2)
    assert field.shape == (160, 190, 2)
    np.testing.assert_allclose(field[30:120, 25:80], np.broadcast_to((0.0, 1.0), (90, 55, 2)), atol=0.1)
    np.testing.assert_allclose(field[30:120, 100:150], np.broadcast_to((5.0, -2.0), (90, 50, 2)), atol=0.1)
    assert smoothed(blocks, ones, (160, 190), step=8, sigma=1.2)[60, 84, 0] > 0.5, "a mean would smear the jump"


def test_no_tissue_gives_no_patches() -> None:
    blocks = match(pattern(), pattern(), np.zeros((260, 300), bool), edge=64, step=24, reach=8)
    assert len(blocks.peaks) == 0
