"""Beer-Lambert: stains absorb light, their optical densities add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.demo.histology.fields import Floats

HAEMATOXYLIN = (0.62, 0.71, 0.34)
EOSIN = (0.16, 0.85, 0.50)
COUNTERSTAIN = (0.72, 0.62, 0.32)
DAB = (0.30, 0.56, 0.77)


@dataclass(frozen=True, eq=False)
class Staining:
    """How one section was stained and scanned.

    Attributes:
        vectors: (S, 3) unit optical density of each stain in red, green and blue.
        strengths: (S,) optical density where the concentration is 1.
        white: (3,) intensity of clear glass, 0 to 255.
        blur_um: standard deviation of the scanner's point spread in micrometres.
    """

    vectors: NDArray[np.float64]
    strengths: NDArray[np.float64]
    white: NDArray[np.float64]
    blur_um: float

    def transmit(self, concentrations: list[Floats]) -> Floats:
        """Concentrations, S times (H, W), to the light that arrives, (H, W, 3) from 0 to 255."""
        density = self.vectors * self.strengths[:, None]  # (S, 3)
        light = np.empty((*concentrations[0].shape, 3), np.float32)
        for channel in range(3):
            total = sum(c * np.float32(density[s, channel]) for s, c in enumerate(concentrations))
            light[..., channel] = np.float32(self.white[channel]) * np.exp(-total)
        return light


def vary_vector(vector: tuple[float, float, float], amount: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A unit vector near `vector`; `amount` is the standard deviation of each component."""
    moved = np.maximum(np.asarray(vector) + rng.normal(0, amount, 3), 0.02)
    unit: NDArray[np.float64] = moved / np.linalg.norm(moved)
    return unit
