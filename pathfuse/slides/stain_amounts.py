"""Amounts of stain in a patch: densities, positive areas, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import RecipeError
from pathfuse.slides.deconvolution import H_DAB, OD_PER_UNIT, StainVectors, separate
from pathfuse.slides.resample import Pixels

LIMITS_OD = (0.2, 0.4, 0.6)
"""Optical density of DAB from which a pixel is weak, moderate and strong: those that QuPath begins with."""
_TISSUE_OD = 0.05  # of both stains together; less is glass


@dataclass(frozen=True)
class Amounts:
    """Stain of an area, without looking for cells.

    Attributes:
        haematoxylin: mean over all pixels, in scikit-image's unit.
        dab: the same of DAB.
        haematoxylin_od: mean optical density (base 10), six times that.
        dab_od: the same of DAB.
        tissue_area: share of the pixels that are stained by anything.
        weak_area: share of that tissue whose DAB is weak.
        moderate_area: share that is moderate.
        strong_area: share that is strong.
        positive_area: the three together.
        pixel_h_sum: 100 times weak + 2 moderate + 3 strong, from 0 to 300; a count of pixels, not of cells, and NOT a
            pathologist's H-score.
    """

    haematoxylin: float
    dab: float
    haematoxylin_od: float
    dab_od: float
    tissue_area: float
    weak_area: float
    moderate_area: float
    strong_area: float
    positive_area: float
    pixel_h_sum: float

    def row(self) -> dict[str, float]:
        """By name."""
        return asdict(self)

    def features(self) -> list[float]:
        """As `FEATURES` names them: of like size, so that none drowns the others in a network that reads them raw."""
        return [self.row()[name] for name in NAMES[:-1]] + [self.pixel_h_sum / MOST_H_SUM]


NAMES = tuple(field.name for field in fields(Amounts))
MOST_H_SUM = 300.0
FEATURES = (*NAMES[:-1], "pixel_h_share")
"""The numbers of a patch in feature files: those of `NAMES`, the last as a share of its largest value."""


def check_limits(limits_od: Sequence[float]) -> None:
    """Makes sure that there are three rising limits.

    Raises:
        RecipeError: if not.
    """
    if len(limits_od) != 3 or not 0 < limits_od[0] < limits_od[1] < limits_od[2]:
        given = ",".join(f"{value:g}" for value in limits_od)
        raise RecipeError(f"--limits {given}: give three rising optical densities, for example 0.2,0.4,0.6.")


def amounts(rgb: Pixels, *, stains: StainVectors = H_DAB, limits_od: Sequence[float] = LIMITS_OD) -> Amounts:
    """Measures a picture (H, W, 3)."""
    haematoxylin, dab = separate(rgb, stains)
    tissue = (haematoxylin + dab) * OD_PER_UNIT >= _TISSUE_OD
    count = int(np.count_nonzero(tissue))
    edges = np.array([*limits_od, np.inf]) / OD_PER_UNIT
    stained: NDArray[np.float32] = dab[tissue]
    above = [np.count_nonzero(stained >= edge) / max(count, 1) for edge in edges]
    weak, moderate, strong = (above[i] - above[i + 1] for i in range(3))
    h, d = float(haematoxylin.mean(dtype=np.float64)), float(dab.mean(dtype=np.float64))
    return Amounts(
        haematoxylin=h,
        dab=d,
        haematoxylin_od=h * OD_PER_UNIT,
        dab_od=d * OD_PER_UNIT,
        tissue_area=count / tissue.size,
        weak_area=weak,
        moderate_area=moderate,
        strong_area=strong,
        positive_area=above[0],
        pixel_h_sum=100 * (weak + 2 * moderate + 3 * strong),
    )


def pooled(parts: Sequence[Amounts]) -> Amounts | None:
    """The amounts of patches of equal size together, as if they were one picture; None without any."""
    if not parts:
        return None
    mean = {name: float(np.mean([getattr(part, name) for part in parts])) for name in NAMES}
    tissue = np.array([part.tissue_area for part in parts])
    # Areas are shares of the tissue, which patches have more or less of.
    for name in ("weak_area", "moderate_area", "strong_area", "positive_area", "pixel_h_sum"):
        share = float((tissue * [getattr(part, name) for part in parts]).sum() / max(tissue.sum(), 1e-12))
        mean[name] = share
    return Amounts(**mean)
