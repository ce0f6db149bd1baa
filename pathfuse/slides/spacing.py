"""Micrometres per pixel: stated by the file or by the user, never guessed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from pathfuse.errors import ImageError
from pathfuse.system.spacing import MAX_MPP, MIN_MPP

MAX_ASPECT = 1.01  # of a pixel; more is no square, and one number would be wrong for one side


class Spacing(NamedTuple):
    """Micrometres per level-0 pixel, or None and the reason why there is none."""

    mpp: float | None
    why: str = ""


def stated_spacing(mpp_x: float | None, mpp_y: float | None) -> Spacing:
    """What a header says, if it can be believed."""
    known = [mpp for mpp in (mpp_x, mpp_y) if mpp is not None]
    if not known:
        return Spacing(None, "its header states none")
    for mpp in known:
        if not math.isfinite(mpp) or not MIN_MPP <= mpp <= MAX_MPP:
            return Spacing(None, f"its header says {mpp:.4g} um per pixel, which no scanner has")
    if max(known) > min(known) * MAX_ASPECT:
        return Spacing(None, f"its header says {known[0]:.4g} um across, but {known[-1]:.4g} down")
    return Spacing(math.sqrt(known[0] * known[-1]))


def given_spacing(path: Path, mpp: float) -> Spacing:
    """What the user says.

    Raises:
        ImageError: if it is no spacing at all.
    """
    if not (math.isfinite(mpp) and MIN_MPP <= mpp <= MAX_MPP):
        raise ImageError(
            f"{path.name}: mpp {mpp:g} is no spacing in micrometres per pixel. Give {MIN_MPP:g} to {MAX_MPP:g}."
        )
    return Spacing(mpp)
