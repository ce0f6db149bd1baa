"""Edge of a patch in pixels, under the one name that `extract`, `pairs` and `quantify` have for it."""

from __future__ import annotations

from pathfuse.cli.values import whole
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

LEAST_PX = 8


def patch_px(line: Words, usual: int) -> int:
    """What `--patch-px` says, taken from the line; `usual` without it.

    Raises:
        RecipeError: if it is no number of pixels, or said by its name before.
    """
    if line.has("size-px"):
        raise RecipeError("--size-px is now --patch-px, as in pathfuse extract.")
    return whole("patch-px", line.take("patch-px") or str(usual), LEAST_PX)
