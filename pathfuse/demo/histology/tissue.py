"""The tissue of a patient in a window: nests, stroma, glass, cells and their nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.demo.histology.cells import Cells, cells_at
from pathfuse.demo.histology.fields import Floats, Window, normal, smooth, smooth_at
from pathfuse.demo.patient import DemoPatient, Morphology

# Channels of the patient's random fields; cells own a block from their number on.
_NEST, _STRAND, _GLASS, _WARP, _OUTLINE, _CHROMATIN, _FIBRE, _WAVE, _GRAIN = range(1, 10)
_TUMOUR_CELLS, _STROMA_CELLS = 100, 200
_NEXT_SECTION, _WORD = 0x9E3779B97F4A7C15, 0x7FFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Tissue:
    """What is where, per pixel; all arrays are (H, W).

    Attributes:
        tumour: 1 in tumour nests.
        stroma: density of collagen, 0 in nests and on glass.
        glass: 1 where there is no tissue.
        nucleus: coverage by tumour nuclei, 0 to 1.
        chromatin: haematoxylin of the tumour nuclei.
        stroma_nucleus: haematoxylin of fibroblasts and lymphocytes.
        membrane: coverage by membranes of tumour cells, 0 to 1.
        cytoplasm: density of the tumour cells' cytoplasm.
        cells: the tumour cells.
    """

    tumour: Floats
    stroma: Floats
    glass: Floats
    nucleus: Floats
    chromatin: Floats
    stroma_nucleus: Floats
    membrane: Floats
    cytoplasm: Floats
    cells: Cells


def tissue(patient: DemoPatient, window: Window, *, section: int = 0) -> Tissue:
    """The patient's tissue in a window; the same place looks the same in every window that shows it.

    Args:
        patient: whose.
        window: where.
        section: which of the serial sections: all have the same nests and gaps, each has cells of its own.
    """
    looks, key = patient.morphology, (patient.key + section * _NEXT_SECTION) & _WORD
    x, y = window.points()
    # Bend the plane a little: no cell shows the lattice behind it.
    bend_x = x + 2.5 * smooth(key, _WARP, window, 19.0)
    bend_y = y + 2.5 * smooth(key, _WARP + 50, window, 19.0)
    cells = cells_at(key, _TUMOUR_CELLS, bend_x, bend_y, looks.spacing_um, 0.30)
    in_nest = tumour_at(patient, cells.lattice.x, cells.lattice.y) > 0
    glass = _glass(patient.key, window)
    tumour = in_nest[cells.owner].astype(np.float32) * (1 - glass)
    nucleus, chromatin = _tumour_nuclei(looks, key, window, cells)
    outside = tumour < 0.5
    stroma_nucleus, fibres = _stroma(looks, key, window, bend_x, bend_y, outside)
    width = np.hypot(0.55, 0.45 * window.mpp)
    membrane = np.exp(-((cells.edge / np.float32(width)) ** 2)) * np.float32(0.55 / width) ** 0.5
    grain = 1 + 0.10 * smooth(key, _GRAIN, window, 0.9) + 0.12 * smooth(key, _GRAIN + 50, window, 6.0)
    return Tissue(
        tumour=tumour,
        stroma=np.where(outside, fibres, 0) * (1 - glass),
        glass=glass,
        nucleus=nucleus * tumour,
        chromatin=chromatin * nucleus * tumour,
        stroma_nucleus=stroma_nucleus * (1 - glass),
        membrane=membrane * tumour,
        cytoplasm=np.float32(looks.cytoplasm) * np.maximum(grain, 0) * tumour,
        cells=cells,
    )


def tumour_at(patient: DemoPatient, x: Floats, y: Floats) -> Floats:
    """Positive inside tumour nests, for single points in micrometres."""
    looks = patient.morphology
    value = 0.85 * smooth_at(patient.key, _NEST, x, y, looks.nest_um)
    value = value + 0.45 * smooth_at(patient.key, _STRAND, x, y, looks.nest_um * 0.4)
    inside: Floats = (value + normal(looks.tumour)).astype(np.float32)
    return inside


def _glass(key: int, window: Window) -> Floats:
    level = smooth(key, _GLASS, window, 34.0) + 0.25 * smooth(key, _GLASS + 50, window, 9.0)
    return _step((level - np.float32(2.45)) / np.float32(max(0.05, 0.03 * window.mpp)))


def _tumour_nuclei(looks: Morphology, key: int, window: Window, cells: Cells) -> tuple[Floats, Floats]:
    lattice, owner = cells.lattice, cells.owner
    size = np.exp(np.float32(looks.size_cv) * normal(lattice.draw(0)))
    radius = np.minimum(looks.nucleus_um * size, 0.52 * looks.spacing_um).astype(np.float32)
    longer = np.exp(np.float32(0.32) * (lattice.draw(1) - np.float32(0.3)))
    turn = np.float32(np.pi) * lattice.draw(2)
    shift = np.float32(0.10 * looks.spacing_um)
    cos, sin = np.cos(turn)[owner], np.sin(turn)[owner]
    dx = cells.dx - (shift * (lattice.draw(3) - np.float32(0.5)))[owner]
    dy = cells.dy - (shift * (lattice.draw(4) - np.float32(0.5)))[owner]
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    distance = np.hypot(along / (radius * longer)[owner], across / (radius / longer)[owner])  # 1 on the outline
    distance *= 1 + np.float32(looks.irregular) * smooth(key, _OUTLINE, window, 2.6)
    r = radius[owner]
    inside = np.minimum((1 - distance) * r, cells.edge - np.float32(0.35))  # micrometres from the outline
    nucleus = _step(inside / np.float32(max(0.3, 0.45 * window.mpp)) + np.float32(0.5))
    depth = np.float32(1) - np.clip(distance, 0, 1)
    pale = np.float32(looks.vesicular)
    rim = np.exp(-((depth * r / np.float32(0.8)) ** 2))
    clumps = 0.14 * smooth(key, _CHROMATIN, window, 0.8) + 0.16 * smooth(key, _CHROMATIN + 50, window, 1.7)
    texture = 1 + clumps * (0.7 + 0.6 * pale) + pale * (0.75 * rim - 0.29)
    spot = _nucleolus(looks, cells, dx, dy, window.mpp)
    dark = np.exp(np.float32(-(looks.dark_cv**2) / 2) + np.float32(looks.dark_cv) * normal(lattice.draw(5)))[owner]
    chromatin = np.float32(looks.chromatin) * dark * np.maximum(texture, np.float32(0.15)) + 0.6 * spot
    return nucleus, chromatin.astype(np.float32)


def _nucleolus(looks: Morphology, cells: Cells, dx: Floats, dy: Floats, mpp: float) -> Floats:
    lattice, owner = cells.lattice, cells.owner
    there = (lattice.draw(6) < looks.nucleolus).astype(np.float32)
    ox = (1.6 * (lattice.draw(7) - np.float32(0.5)))[owner]
    oy = (1.6 * (lattice.draw(8) - np.float32(0.5)))[owner]
    width = np.hypot(0.75, 0.4 * mpp)
    spot = np.exp(-((dx - ox) ** 2 + (dy - oy) ** 2) / np.float32(width**2)) * there[owner]
    faint: Floats = spot * np.float32(0.75 / width)
    return faint


def _stroma(
    looks: Morphology, key: int, window: Window, x: Floats, y: Floats, where: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Haematoxylin of the stroma's nuclei, and the density of collagen; (H, W) each, 0 outside `where`."""
    cos, sin = np.float32(np.cos(looks.fibre_angle)), np.float32(np.sin(looks.fibre_angle))
    wave = (5 * smooth(key, _WAVE, window, 26.0))[where]
    along = cos * x[where] + sin * y[where]
    across = cos * y[where] - sin * x[where] + wave
    slim = (along / np.float32(1.7)).astype(np.float32)  # in these coordinates cells are as long as wide
    cells = cells_at(key, _STROMA_CELLS, slim, across, 8.2, 0.36)
    lattice, owner = cells.lattice, cells.owner
    kind = lattice.draw(0)
    lymphocyte = kind < looks.lymphocytes * 0.6
    fibroblast = ~lymphocyte & (kind < 0.52)
    size = 0.85 + 0.3 * lattice.draw(1)
    long = np.where(lymphocyte, 2.7, 5.2).astype(np.float32) * size
    short = np.where(lymphocyte, 2.7, 1.35).astype(np.float32) * size
    distance = np.hypot(cells.dx * np.float32(1.7) / long[owner], cells.dy / short[owner])
    step = np.float32(max(0.3, 0.45 * window.mpp))
    nucleus = _step((1 - distance) * short[owner] / step + np.float32(0.5)) * (lymphocyte | fibroblast)[owner]
    dark = np.where(lymphocyte, 1.35, 0.95).astype(np.float32) * (np.float32(0.8) + 0.4 * lattice.draw(2))
    nuclei, fibres = np.zeros(x.shape, np.float32), np.zeros(x.shape, np.float32)
    grain = 1 + np.float32(0.16) * smooth(key, _CHROMATIN, window, 1.0)[where]
    nuclei[where] = nucleus * dark[owner] * grain
    streak = smooth(key, _FIBRE, window, 2.0, stretch=6.0, angle=looks.fibre_angle)[where]
    loose = smooth(key, _FIBRE + 50, window, 14.0, stretch=2.0, angle=looks.fibre_angle)[where]
    ripple = np.sin(across * np.float32(1.5) + 2 * wave * np.float32(0.2)) * np.float32(min(1.0, 1.4 / window.mpp))
    fibres[where] = np.clip(1 + 0.22 * streak + 0.16 * ripple + 0.25 * loose, 0.12, 2.0)
    return nuclei, fibres


def _step(x: NDArray[np.floating]) -> Floats:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(x, 0, 1)
    eased: Floats = (t * t * (3 - 2 * t)).astype(np.float32)
    return eased
