"""Two views compared, patch by patch, where a transform puts them."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

from pathfuse.register.blocks import Blocks, match
from pathfuse.register.contract import Section
from pathfuse.register.transform import Transform
from pathfuse.register.views import Plane, View, texture
from pathfuse.register.warp import warped
from pathfuse.slides.tissue import Mask

COARSE_PX = 192  # longer edge of the view that everything begins with
COMMON_UM = 8.0  # structures that serial sections share, such as nests and glands, show from this spacing on
AROUND_PX = 6.0  # local contrast is measured within
EDGE_PX, STEP_PX, REACH_PX = 64, 24, 8
CLOSE_PX = 32  # patches of a close look: half as large, so that fewer lie across a tear
MOST_CLOSE = 6000  # patches of a close look; on large tissue they lie further apart
ENOUGH = 2000  # patches to speak for the whole of a large slide


def coarse_um(fixed: Section, moving: Section) -> float:
    """The spacing that a registration begins at, in micrometres."""
    return max(*fixed.size_um, *moving.size_um) / COARSE_PX


def judged_um(fixed: Section, moving: Section) -> float:
    """The spacing at which a registration is judged, in micrometres: cells of the next section are others."""
    coarse = coarse_um(fixed, moving)
    return max(coarse / 2, min(2 * coarse, COMMON_UM))


def textures(fixed: View, moving: View, transform: Transform) -> tuple[Plane, Plane, Mask]:
    """Textures of both views on the fixed one's pixels, and where both have tissue, each (H, W)."""
    density, tissue = warped(fixed, moving, transform)
    ours = _own_texture(fixed)
    theirs = gaussian_filter(texture(density, tissue, AROUND_PX), 1) * tissue
    return ours, theirs, fixed.tissue & tissue


@lru_cache(maxsize=2)  # a view is compared with several placements one after another
def _own_texture(view: View) -> Plane:
    plane: Plane = gaussian_filter(texture(view.density, view.tissue, AROUND_PX), 1) * view.tissue
    return plane


def close_step(fixed: View, step: int) -> int | None:
    """How far patches of a close look lie apart, in pixels; None where they would leave gaps between them."""
    apart = max(step, math.isqrt(int(np.count_nonzero(fixed.tissue)) // MOST_CLOSE))
    return apart if apart <= CLOSE_PX else None


def compared(
    fixed: View,
    moving: View,
    transform: Transform,
    *,
    edge: int = EDGE_PX,
    step: int = STEP_PX,
    most: int | None = None,
) -> Blocks:
    """What the patches of two views say about a transform; shifts in pixels of the fixed view."""
    ours, theirs, both = textures(fixed, moving, transform)
    return match(ours, theirs, both, edge=edge, step=step, reach=REACH_PX, most=most)


def agreement(fixed: View, moving: View, transform: Transform) -> float:
    """Mean correlation of patches where the transform puts them; -1 where there are none."""
    blocks = compared(fixed, moving, transform, most=ENOUGH)
    return float(blocks.still.mean()) if len(blocks.still) else -1.0
