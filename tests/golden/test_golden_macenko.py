from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from pathfuse.slides.macenko import REFERENCE, Macenko, StainFit, concentrations, fit
from tests.golden.vectors import assert_near, golden

SOURCES = pytest.mark.parametrize("source", ["plain", "background"])


@pytest.fixture(scope="module")
def arrays() -> Mapping[str, np.ndarray]:
    return golden("macenko")


@pytest.fixture(scope="module")
def options(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(arrays[name]) for name in ("Io", "beta", "alpha")}


def found(arrays, source, options) -> StainFit:
    stains = fit(arrays[f"{source}/img"], **options)
    assert stains is not None
    return stains


def assert_within_a_grey_level(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == np.uint8
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= 1


def usual_reference(arrays) -> StainFit:
    return StainFit(arrays["HE_ref"], arrays["maxC_ref"])


def test_the_default_reference_is_the_usual_one(arrays):
    assert_near(REFERENCE.HE, arrays["HE_ref"], torch.float64)
    assert_near(REFERENCE.maxC, arrays["maxC_ref"], torch.float64)


@pytest.mark.parametrize("source", ["target", "plain", "background"])
def test_the_stains_of_an_image_are_the_golden_ones(arrays, options, source):
    stains = found(arrays, source, options)
    assert_near(stains.HE, arrays[f"{source}/HE"], torch.float64)
    assert_near(stains.maxC, arrays[f"{source}/maxC"], torch.float64)


@SOURCES
def test_concentrations_are_the_golden_ones(arrays, options, source):
    stains = found(arrays, source, options)
    amounts = concentrations(arrays[f"{source}/img"], stains, Io=options["Io"])
    assert_near(amounts, arrays[f"{source}/C"], torch.float64)


@SOURCES
def test_the_normalised_image_before_clipping_is_the_golden_one(arrays, options, source):
    macenko = Macenko(**options, target=usual_reference(arrays))
    assert_near(macenko.intensities(arrays[f"{source}/img"]), arrays[f"{source}/norm_float"], torch.float64)


@SOURCES
def test_the_normalised_image_in_8_bits_is_within_a_grey_level(arrays, options, source):
    macenko = Macenko(**options, target=usual_reference(arrays))
    assert_within_a_grey_level(macenko(arrays[f"{source}/img"]), arrays[f"{source}/norm_u8"])


@SOURCES
def test_the_image_painted_like_a_target_is_within_a_grey_level(arrays, options, source):
    macenko = Macenko(**options, target=found(arrays, "target", options))
    assert_within_a_grey_level(macenko(arrays[f"{source}/img"]), arrays[f"{source}/to_target_u8"])


@SOURCES
@pytest.mark.parametrize("signs", [(1, 1, -1), (1, -1, 1), (-1, -1, -1)], ids=str)
def test_signs_of_the_eigen_solver_change_nothing(arrays, options, source, signs, monkeypatch):
    solve = np.linalg.eigh

    def flipped(matrix):
        values, vectors = solve(matrix)
        return values, vectors * np.array(signs)

    monkeypatch.setattr(np.linalg, "eigh", flipped)
    stains = found(arrays, source, options)
    assert_near(stains.HE, arrays[f"{source}/HE"], torch.float64)
    assert_near(stains.maxC, arrays[f"{source}/maxC"], torch.float64)
    macenko = Macenko(**options, target=usual_reference(arrays))
    assert_near(macenko.intensities(arrays[f"{source}/img"]), arrays[f"{source}/norm_float"], torch.float64)
