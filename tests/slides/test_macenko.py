from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pathfuse.errors import ImageError, RecipeError
from pathfuse.slides.macenko import REFERENCE, Macenko, StainFit, fit

IO, BETA, ALPHA = 240, 0.15, 1


def tissue(height: int, width: int, seed: int = 0, glass: float = 0.2) -> np.ndarray:
    """H&E-like pixels mixed by Beer-Lambert from two stains; a share of them is glass."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(2.0, [[0.5], [0.4]], (2, height * width))
    amounts[:, rng.random(height * width) < glass] = 0
    density = np.array([[0.65, 0.1], [0.7, 0.95], [0.29, 0.28]]) @ amounts + rng.normal(0, 0.01, (3, height * width))
    return (IO * np.exp(-density) - 1).clip(0, 255).T.reshape(height, width, 3).round().astype(np.uint8)


def naive(image: np.ndarray) -> tuple[StainFit, np.ndarray]:
    """Macenko's method written down as it is defined, with everything in memory."""
    density = -np.log((image.reshape(-1, 3) + 1.0) / IO)
    dense = density[(density >= BETA).all(axis=1)]
    plane = np.linalg.eigh(np.cov(dense.T))[1][:, [2, 1]]
    plane = plane * np.sign(plane.sum(axis=0))
    angle = np.arctan2(dense @ plane[:, 1], dense @ plane[:, 0])
    ends = [plane @ [np.cos(a), np.sin(a)] for a in np.percentile(angle, [ALPHA, 100 - ALPHA])]
    stains = np.stack(sorted(ends, key=lambda stain: -stain[0]), axis=1)
    amounts = np.linalg.lstsq(stains, density.T, rcond=None)[0]
    strongest = np.percentile(amounts, 99, axis=1)
    painted = IO * np.exp(-REFERENCE.HE @ (amounts * (REFERENCE.maxC / strongest)[:, None]))
    return StainFit(stains, strongest), painted.T.reshape(image.shape)


def assert_within_a_grey_level(got: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(got.astype(int) - expected.clip(0, 255).astype(np.uint8)).max() <= 1


@pytest.mark.parametrize("glass", [0.0, 0.2, 0.95])
def test_an_image_of_many_bands_equals_the_naive_computation(glass):
    image = tissue(331, 257, glass=glass)
    stains, painted = naive(image)
    found = fit(image)
    assert found is not None
    np.testing.assert_allclose(found.HE, stains.HE, rtol=1e-9)
    np.testing.assert_allclose(found.maxC, stains.maxC, rtol=1e-9)
    np.testing.assert_allclose(Macenko().intensities(image), painted, rtol=1e-9)
    assert_within_a_grey_level(Macenko()(image), painted)


def test_colours_in_every_direction_equal_the_naive_computation():
    image = np.random.default_rng(1).integers(0, 180, (120, 90, 3), dtype=np.uint8)
    image[..., 0] = 180 - image[..., 2]  # red against blue: the leading direction has components of both signs
    stains, painted = naive(image)
    found = fit(image)
    assert found is not None
    np.testing.assert_allclose(found.HE, stains.HE, rtol=1e-9)
    assert_within_a_grey_level(Macenko()(image), painted)


def test_permuting_the_pixels_permutes_the_result():
    image = tissue(60, 70)
    order = np.random.default_rng(5).permutation(60 * 70)
    shuffled = image.reshape(-1, 3)[order].reshape(70, 60, 3)
    expected = Macenko().intensities(image).reshape(-1, 3)[order].reshape(70, 60, 3)
    np.testing.assert_allclose(Macenko().intensities(shuffled), expected, rtol=1e-9)
    assert_within_a_grey_level(Macenko()(shuffled), expected)


def test_a_batch_equals_its_images_one_by_one():
    images = np.stack([tissue(40, 50, seed) for seed in range(3)] + [np.full((40, 50, 3), 255, np.uint8)])
    together = Macenko()(images)
    assert np.array_equal(together, np.stack([Macenko()(image) for image in images]))
    assert Macenko()(images[:0]).shape == (0, 40, 50, 3)


def test_memory_layout_does_not_matter():
    image = tissue(40, 50)
    assert np.array_equal(Macenko()(np.asfortranarray(image)), Macenko()(image))
    assert np.array_equal(Macenko()(image[::2, ::-1]), Macenko()(image[::2, ::-1].copy()))


def test_an_image_of_two_stains_painted_with_its_own_stains_stays_the_same():
    image = tissue(64, 64)
    repainted = Macenko(target=fit(image))(image)
    assert np.abs(repainted.astype(int) - image).mean() < 2


def test_normalised_images_of_two_laboratories_look_alike():
    image = tissue(64, 64)
    faded = (IO * np.exp(0.6 * np.log((image + 1.0) / IO)) - 1).clip(0, 255).round().astype(np.uint8)
    before = np.abs(image.astype(int) - faded).mean()
    after = np.abs(Macenko(beta=0.05)(image).astype(int) - Macenko(beta=0.05)(faded)).mean()
    assert after < before / 4


def few_pixels_of_tissue() -> np.ndarray:
    image = np.full((40, 40, 3), 245, np.uint8)
    image[0, :5] = tissue(1, 5, glass=0)[0]
    return image


WITHOUT_TWO_STAINS = {
    "white": np.full((16, 16, 3), 255, np.uint8),
    "black": np.zeros((16, 16, 3), np.uint8),
    "one colour": np.full((16, 16, 3), [120, 40, 130], np.uint8),
    "two colours": np.where(np.arange(256).reshape(16, 16, 1) % 3, [120, 40, 130], [90, 60, 100]).astype(np.uint8),
    "grey ramp": np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2),
    "colours alike in all directions": np.indices((4, 4, 4), np.uint8).reshape(3, 8, 8).transpose(1, 2, 0) * 40 + 20,
    "five pixels of tissue": few_pixels_of_tissue(),
    "one pixel": np.full((1, 1, 3), 100, np.uint8),
    "nothing": np.empty((0, 4, 3), np.uint8),
}


@pytest.mark.parametrize("image", WITHOUT_TWO_STAINS.values(), ids=WITHOUT_TWO_STAINS.keys())
def test_an_image_without_two_stains_has_no_fit_and_comes_back_unchanged(image):
    assert fit(image) is None
    normalised = Macenko()(image)
    assert np.array_equal(normalised, image)
    assert normalised is not image
    assert np.array_equal(Macenko().intensities(image), image)


small_images = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
palette_images = st.builds(
    lambda colours, picks: colours[picks % len(colours)],
    arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(3))),
    arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 99)),
)


@settings(max_examples=300, derandomize=True)
@given(image=small_images | palette_images)
def test_any_image_gives_an_image(image):
    normalised = Macenko()(image)
    assert normalised.dtype == np.uint8
    assert normalised.shape == image.shape
    exact = Macenko().intensities(image)
    assert not np.isnan(exact).any()
    assert_within_a_grey_level(normalised, exact)


def test_a_leading_direction_whose_components_cancel_has_one_orientation(monkeypatch):
    image = np.array(
        [
            [[101, 100, 102], [102, 100, 100], [100, 102, 100], [102, 101, 101], [102, 101, 102], [101, 102, 101]],
            [[102, 102, 100], [102, 100, 100], [101, 101, 101], [101, 101, 100], [102, 100, 101], [100, 100, 102]],
        ],
        dtype=np.uint8,
    )
    expected = Macenko().intensities(image)
    solve = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (solve(matrix)[0], -solve(matrix)[1]))
    np.testing.assert_allclose(Macenko().intensities(image), expected, rtol=1e-6)
    assert_within_a_grey_level(Macenko()(image), expected)


@pytest.mark.parametrize(
    "options", [{"Io": 1}, {"beta": -0.1}, {"alpha": 50}, {"alpha": -1}, {"Io": float("nan")}], ids=str
)
def test_options_without_meaning_are_refused(options):
    with pytest.raises(RecipeError, match="use Io above 1"):
        Macenko(**options)


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_what_is_not_8_bit_rgb_is_refused(image):
    with pytest.raises(ImageError, match="uint8 RGB"):
        Macenko()(image)
    with pytest.raises(ImageError, match="uint8 RGB"):
        fit(image)
