import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.slides.resample import area_resample


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def naive(image: np.ndarray, box: tuple[float, float, float, float], width: int, height: int) -> np.ndarray:
    left, top, wide, high = box
    result = np.zeros((height, width, 3))
    for row in range(height):
        for column in range(width):
            x0, x1 = left + column * wide / width, left + (column + 1) * wide / width
            y0, y1 = top + row * high / height, top + (row + 1) * high / height
            weight = 0.0
            for y in range(int(y0), min(int(np.ceil(y1)), image.shape[0])):
                for x in range(int(x0), min(int(np.ceil(x1)), image.shape[1])):
                    share = (min(x + 1, x1) - max(x, x0)) * (min(y + 1, y1) - max(y, y0))
                    result[row, column] += share * image[y, x]
                    weight += share
            result[row, column] /= weight
    return result


@settings(max_examples=30)
@given(
    left=st.floats(0, 3),
    top=st.floats(0, 3),
    scale=st.floats(1.0, 3.5),
    width=st.integers(1, 5),
    height=st.integers(1, 5),
)
def test_every_pixel_is_the_mean_of_the_area_it_covers(
    left: float, top: float, scale: float, width: int, height: int
) -> None:
    image = picture(22, 22)
    box = (left, top, scale * width, scale * height)
    assert np.abs(area_resample(image, box, width, height) - naive(image, box, width, height)).max() <= 0.51


def test_a_whole_factor_is_a_block_mean() -> None:
    image = picture(40, 40)
    small = area_resample(image, (4, 8, 32, 16), 16, 8)
    assert np.abs(small - image[8:24, 4:36].reshape(8, 2, 16, 2, 3).mean((1, 3))).max() <= 0.51


def test_equal_sizes_are_not_touched() -> None:
    image = picture(20, 20)
    assert np.array_equal(area_resample(image, (3, 2, 8, 8), 8, 8), image[2:10, 3:11])


@pytest.mark.parametrize("scale", [1.3, 1.5, 2.02, 4.016])
def test_a_fine_checkerboard_becomes_grey_where_nearest_would_leave_black_and_white(scale: float) -> None:
    board = ((np.indices((90, 90)).sum(0) % 2) * 255).astype(np.uint8)[..., None].repeat(3, 2)
    small = area_resample(board, (0, 0, 20 * scale, 20 * scale), 20, 20)
    assert abs(small.mean() - 127.5) < 3
    assert small.std() < 0.75 * board.std()


def test_enlarging_interpolates() -> None:
    ramp = np.linspace(0, 250, 26).astype(np.uint8)[None, :, None].repeat(26, 0).repeat(3, 2)
    large = area_resample(ramp, (0, 0, 26, 26), 52, 52)
    assert (np.diff(large[10, 4:-4, 0].astype(int)) <= 6).all()
