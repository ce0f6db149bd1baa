"""Drawn sections of one block on two slides, with the map between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter  # type: ignore[import-untyped]

from pathfuse.slides.resample import Pixels

EDGE_PX, MPP = 320, 6.0  # of the slides: about two millimetres
TURN_DEG, SHIFT_UM = 14.0, (90.0, -60.0)
_GLASS = (243, 243, 245)
_STAINS = {"he": (0.42, 0.55, 0.30), "ihc": (0.40, 0.30, 0.20)}  # optical density of dark tissue in red, green, blue


def known_map() -> NDArray[np.float64]:
    """Where points of the first slide lie on the second, (3, 3), in micrometres."""
    turn, middle = np.deg2rad(TURN_DEG), EDGE_PX * MPP / 2
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:2, 2] = middle + np.array(SHIFT_UM) - matrix[:2, :2] @ (middle, middle)
    return matrix


def write_sections(folder: Path) -> tuple[Path, Path]:
    """An H&E and an IHC slide of one block, as PNG of `MPP` micrometres per pixel."""
    dark = _tissue()
    back = np.linalg.inv(known_map())
    swapped = back[:2, :2][::-1, ::-1]  # rows first
    offset = (back[:2, 2] / MPP)[::-1] + swapped @ (0.5, 0.5) - 0.5
    planes = {"he": dark, "ihc": affine_transform(dark, swapped, offset, order=1)}
    paths = []
    for stain, plane in planes.items():
        paths.append(folder / f"{stain}.png")
        Image.fromarray(_stained(plane, stain)).save(paths[-1])
    return paths[0], paths[1]


def write_glass(path: Path) -> Path:
    """An empty slide."""
    Image.new("RGB", (EDGE_PX, EDGE_PX), _GLASS).save(path)
    return path


def points() -> NDArray[np.float64]:
    """Points (N, 2) of the first slide that lie on its tissue, in micrometres."""
    rows, columns = np.nonzero(_outline()[::16, ::16])
    return np.asarray((np.stack([columns, rows], axis=1) * 16 + 0.5) * MPP, np.float64)


def _outline() -> NDArray[np.bool_]:
    """A piece like a pear: nothing that looks the same turned by half."""
    rows, columns = (np.mgrid[:EDGE_PX, :EDGE_PX] + 0.5) / EDGE_PX
    belly = (columns - 0.42) ** 2 + (rows - 0.52) ** 2 < 0.24**2
    neck = ((columns - 0.68) / 1.6) ** 2 + (rows - 0.45) ** 2 < 0.11**2
    whole: NDArray[np.bool_] = belly | neck
    return whole


def _tissue() -> NDArray[np.float32]:
    """How dark it is, from 0 to 1: nests in stroma, (H, W)."""
    noise = np.random.default_rng(0).standard_normal((EDGE_PX, EDGE_PX))
    wide, fine = (gaussian_filter(noise, sigma) for sigma in (6, 2))
    nests = wide / wide.std() + 0.5 * fine / fine.std()
    dark: NDArray[np.float32] = (np.where(_outline(), 0.5 + 0.35 * np.tanh(nests), 0)).astype(np.float32)
    return dark


def _stained(dark: NDArray[np.float32], stain: str) -> Pixels:
    light = np.array(_GLASS) * 10 ** (-dark[..., None] * np.array(_STAINS[stain]))
    noise = np.random.default_rng(1).normal(0, 0.6, light.shape)
    picture: Pixels = (light + noise).round().clip(0, 255).astype(np.uint8)
    return picture
