"""Where the reference vectors are, and how far a result may be from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

PROJECT_ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PATHFUSE_GOLDEN", PROJECT_ROOT.parent / "shared" / "golden" / "public"))

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


def golden(name: str) -> Mapping[str, np.ndarray]:
    """The arrays of `<name>.npz`; skips the test, saying why, when the vectors are absent."""
    if not FOLDER.is_dir():
        pytest.skip(f"golden vectors not found in {FOLDER}; set PATHFUSE_GOLDEN")
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def assert_near(
    got: Tensor | np.ndarray | float, expected: np.ndarray, dtype: torch.dtype, float32: float = 1e-5
) -> None:
    """Fails when max |got - expected| / max |expected| exceeds 1e-9 (float64) or `float32`; NaN equals NaN."""
    actual = got.detach().double().numpy() if isinstance(got, Tensor) else np.asarray(got, dtype=np.float64)
    wanted = np.asarray(expected, dtype=np.float64)
    assert actual.shape == wanted.shape, f"shape {actual.shape}, expected {wanted.shape}"
    assert np.array_equal(np.isnan(actual), np.isnan(wanted)), "NaN in other places"
    scale = np.nanmax(np.abs(wanted), initial=0.0) or 1.0
    error = np.nanmax(np.abs(actual - wanted), initial=0.0) / scale
    allowed = 1e-9 if dtype == torch.float64 else float32
    assert error <= allowed, f"relative error {error:.2e} is above {allowed:.0e}"
