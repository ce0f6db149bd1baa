"""Sections of the tissue: which stain settles where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pathfuse.demo.histology.fields import Floats, Window, normal, smooth
from pathfuse.demo.histology.tissue import Tissue
from pathfuse.demo.patient import DemoPatient

VISIBLE = 0.08
"""DAB concentration from which a membrane counts as stained."""

_UNEVEN, _COMPLETE, _EXPRESSION, _DUST = 21, 22, 23, 24
_POSITIVE = 40  # which property of a tumour cell further stains draw first


def he_section(patient: DemoPatient, window: Window, seen: Tissue) -> list[Floats]:
    """Concentrations of haematoxylin and eosin, each (H, W)."""
    uneven = 1 + np.float32(0.06) * smooth(patient.key, _UNEVEN, window, 90.0)
    nuclei = seen.chromatin + seen.stroma_nucleus
    clear = 1 - np.float32(0.75) * np.minimum(seen.nucleus + seen.stroma_nucleus, 1)
    haematoxylin = nuclei + np.float32(patient.morphology.basophilia) * seen.cytoplasm + 0.06 * seen.stroma
    eosin = (
        0.36 * seen.cytoplasm + 0.16 * seen.membrane + np.float32(patient.morphology.collagen) * seen.stroma
    ) * clear
    return [haematoxylin * uneven, eosin * uneven]


def her2_section(patient: DemoPatient, window: Window, seen: Tissue) -> tuple[list[Floats], NDArray[np.bool_]]:
    """Concentrations of haematoxylin and DAB, each (H, W), and (H, W) where DAB marks a membrane."""
    her2 = patient.membrane
    lattice, owner = seen.cells.lattice, seen.cells.owner
    # Cells differ: the fraction of a cell's membrane that is stained, and how strongly.
    odds = np.log(her2.complete / (1 - her2.complete)) + 0.9 * normal(lattice.draw(20))
    complete = normal(1 / (1 + np.exp(-odds)))[owner]
    region = np.exp(0.16 * smooth(patient.key, _EXPRESSION, window, 60.0))
    here = _soft(complete - smooth(patient.key, _COMPLETE, window, 2.6))
    strength = np.float32(her2.strength) * region * np.exp(0.25 * (lattice.draw(21) - 0.5)).astype(np.float32)[owner]
    membrane = strength * here * seen.membrane
    blush = np.float32(0.10 * her2.complete) * strength * seen.cytoplasm
    dust = 0.022 * (1 - seen.glass) * (1 + 0.4 * smooth(patient.key, _DUST, window, 7.0))
    dab = membrane + blush + dust
    return [_counterstain(seen), dab], (membrane > VISIBLE) & (seen.membrane > 0.35)


def marker_section(patient: DemoPatient, name: str, window: Window, seen: Tissue) -> list[Floats]:
    """Concentrations of haematoxylin and DAB of a nuclear marker, each (H, W)."""
    lattice, owner = seen.cells.lattice, seen.cells.owner
    order = _POSITIVE + 2 * list(patient.markers).index(name)
    positive = lattice.draw(order) < patient.markers[name]
    strength = np.where(positive, 0.5 + 0.9 * lattice.draw(order + 1), 0).astype(np.float32)[owner]
    dab = strength * seen.nucleus + 0.022 * (1 - seen.glass)
    return [_counterstain(seen), dab]


def expose(patient: DemoPatient, modality: str, stains: list[Floats], mpp: float, noise: Floats) -> NDArray[np.uint8]:
    """Light through the section onto the sensor: (H, W, 3)."""
    staining = patient.stainings[modality]
    light = staining.transmit(stains)
    sigma = staining.blur_um / mpp
    if sigma > 0.25:
        from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]  # only where something is drawn

        light = gaussian_filter(light, (sigma, sigma, 0), truncate=3.0)
    image: NDArray[np.uint8] = np.clip(light + noise + np.float32(0.5), 0, 255).astype(np.uint8)
    return image


def _counterstain(seen: Tissue) -> Floats:
    nuclei = 0.75 * seen.chromatin + 0.7 * seen.stroma_nucleus
    counter: Floats = nuclei + 0.07 * seen.cytoplasm + 0.06 * seen.stroma
    return counter


def _soft(x: Floats) -> Floats:
    t = np.clip(x / np.float32(0.5) + np.float32(0.5), 0, 1)
    eased: Floats = (t * t * (3 - 2 * t)).astype(np.float32)
    return eased
