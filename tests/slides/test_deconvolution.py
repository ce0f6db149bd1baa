import numpy as np
import pytest
from PIL import Image
from skimage.color import hdx_from_rgb, separate_stains

from pathfuse.errors import ImageError, RecipeError
from pathfuse.slides.deconvolution import OD_PER_UNIT, estimated, separate
from pathfuse.slides.stain_amounts import NAMES, amounts, check_limits, pooled
from tests.conftest import DATA, needs_data


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 48, 3)).astype(np.uint8)


def stained(haematoxylin: float, dab: float) -> np.ndarray:
    """A picture of known optical densities."""
    density = haematoxylin * np.array([0.650, 0.704, 0.286]) + dab * np.array([0.268, 0.570, 0.776])
    return np.broadcast_to(np.round(255 * 10.0**-density), (16, 16, 3)).astype(np.uint8)


def test_values_are_those_of_scikit_image() -> None:
    expected = separate_stains(noise(), hdx_from_rgb)
    for channel, found in enumerate(separate(noise())):
        np.testing.assert_allclose(found, expected[..., channel], atol=1e-6)


@needs_data
def test_values_are_those_of_scikit_image_on_a_real_core() -> None:
    image = np.asarray(Image.open(DATA / "misc" / "skimage_ihc.png").convert("RGB"))
    expected = separate_stains(image, hdx_from_rgb)
    found = amounts(image)
    np.testing.assert_allclose(separate(image)[1], expected[..., 1], atol=1e-6)
    assert found.dab == pytest.approx(expected[..., 1].mean(), abs=1e-6)
    assert found.dab_od == pytest.approx(OD_PER_UNIT * expected[..., 1].mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("dab", "name", "total"),
    [(0.1, None, 0), (0.3, "weak_area", 100), (0.5, "moderate_area", 200), (0.9, "strong_area", 300)],
)
def test_a_known_density_falls_into_its_class(dab: float, name: str | None, total: float) -> None:
    found = amounts(stained(0.2, dab))
    assert found.dab_od == pytest.approx(dab, abs=0.01)
    assert found.haematoxylin_od == pytest.approx(0.2, abs=0.01)
    assert found.pixel_h_sum == pytest.approx(total)
    for area in ("weak_area", "moderate_area", "strong_area"):
        assert getattr(found, area) == (1.0 if area == name else 0.0)


def test_patches_together_are_measured_as_one_picture() -> None:
    parts = [stained(0.2, 0.5), np.full((16, 16, 3), 255, np.uint8), stained(0.3, 0.1)]
    whole = amounts(np.vstack(parts)).row()
    together = pooled([amounts(part) for part in parts])
    assert together is not None
    for name in NAMES:
        assert getattr(together, name) == pytest.approx(whole[name], abs=1e-6), name
    assert pooled([]) is None


def test_own_colours_are_found_whatever_they_are() -> None:
    rng = np.random.default_rng(0)
    colours = np.array([[0.72, 0.62, 0.32], [0.30, 0.56, 0.77]])
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    amount = rng.gamma(1.0, 0.5, (20000, 2)) * (rng.uniform(size=(20000, 2)) < 0.5) + 0.05
    rgb = np.clip(np.round(240 * np.exp(-amount @ colours)), 0, 255).astype(np.uint8).reshape(100, 200, 3)
    found = estimated(rgb)
    assert found is not None
    for row, colour in zip(found.rows, colours, strict=True):
        assert np.degrees(np.arccos(np.clip(row @ colour, -1, 1))) < 6
    assert estimated(np.full((32, 32, 3), 255, np.uint8)) is None


def test_what_is_no_image_or_limit_is_one_line() -> None:
    with pytest.raises(ImageError, match="uint8 RGB"):
        separate(np.zeros((4, 4), np.uint8))
    with pytest.raises(RecipeError, match="rising"):
        check_limits((0.4, 0.2, 0.6))
