"""Landmarks of a pair of slides, and target errors: how far they are from where a transform puts them."""

from __future__ import annotations

import numpy as np

from pathfuse.errors import RegistrationError
from pathfuse.register.files.points import Points, beyond, read_landmarks
from pathfuse.register.transform import Transform
from pathfuse.slides.slide import Slide


def landmarks_of(text: str, fixed: Slide, moving: Slide) -> tuple[Points, Points]:
    """Landmarks of both slides, (N, 2) each, in level-0 pixels.

    Args:
        text: as `read_landmarks` takes it.
        fixed: open.
        moving: open.

    Raises:
        RegistrationError: if they cannot be read, or one lies beyond its slide: they are those of another.
    """
    found = read_landmarks(text)
    for slide, points in zip((fixed, moving), found, strict=True):
        outside = np.flatnonzero(beyond(points, slide.size))
        if len(outside):
            (x, y), (width, height) = points[outside[0]], slide.size
            raise RegistrationError(
                f"{text}: landmark {outside[0] + 1} ({x:g}, {y:g}) lies beyond {slide.path.name}, which is {width} x "
                f"{height} px. Name the landmarks of this slide, in level-0 pixels."
            )
    return found


def target_errors(
    transform: Transform, fixed: Points, moving: Points, mpp: tuple[float, float], size_px: tuple[int, int]
) -> dict[str, float]:
    """Errors of landmarks on the moving slide.

    Args:
        transform: from the fixed to the moving slide.
        fixed: (N, 2) level-0 pixels.
        moving: (N, 2) level-0 pixels.
        mpp: micrometres per level-0 pixel of both slides.
        size_px: of the moving slide.

    Returns:
        `landmarks` (how many), `median_px`, `p90_px`, `median_um`, `p90_um`, `median_relative` (of the diagonal), and
        `affine_median_px`, what the best affine fitted to these landmarks themselves leaves; it needs four of them.

    Source: relative target registration error: Borovec et al. 2020, doi:10.1109/TMI.2020.2986331.
    """
    placed = transform.forward(fixed * mpp[0]) / mpp[1]
    off = np.hypot(*(placed - moving).T)
    median, high = (float(np.percentile(off, share)) for share in (50, 90))
    found = {
        "landmarks": float(len(fixed)),
        "median_px": median,
        "p90_px": high,
        "median_um": median * mpp[1],
        "p90_um": high * mpp[1],
        "median_relative": median / float(np.hypot(*size_px)),
    }
    if len(fixed) >= 4:
        columns = np.hstack([fixed, np.ones((len(fixed), 1))])
        best, *_ = np.linalg.lstsq(columns, moving, rcond=None)
        found["affine_median_px"] = float(np.median(np.hypot(*(columns @ best - moving).T)))
    return found
