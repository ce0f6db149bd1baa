"""The contract of a tissue rule: it says which pixels of an overview are tissue.

Third parties subclass `Tissue` and name the class in an entry point of the group `pathfuse.tissue`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import PluginError, RecipeError
from pathfuse.registry import TISSUES, build, settings_of
from pathfuse.slides.resample import Pixels

Mask = NDArray[np.bool_]

OVERVIEW_MPP = 8.0
"""Micrometres per pixel of the overviews that rules are given, or the slide's own where that is coarser."""


class Tissue(ABC):
    """How tissue is told from glass. Options are keyword-only and kept as public attributes of the same name.

    A rule is sent to reading processes, so it can be pickled.

    Attributes:
        version: raise it whenever the same overview and options would give another mask; what was made before is
            then made again.
    """

    version: ClassVar[int] = 1

    @abstractmethod
    def __call__(self, overview: Pixels, mpp: float) -> Mask:
        """Which pixels of an overview are tissue.

        Args:
            overview: RGB, uint8, (H, W, 3); it is not changed.
            mpp: micrometres per pixel of the overview, about 8.

        Returns:
            (H, W) bool.
        """

    def settings(self) -> dict[str, Any]:
        """All that the mask depends on besides the overview, as JSON can hold it."""
        return {**settings_of(self), "version": self.version}


def tissue_rule(name: str, options: Mapping[str, object] | None = None, *, key: str = "--tissue") -> Tissue:
    """A registered rule by name: `he` is `HETissue`, `ihc` is `IHCTissue`.

    Args:
        name: the class, or its name without case and without `Tissue` behind it.
        options: of its constructor.
        key: where it was named, for messages.

    Raises:
        PluginError: if nobody registered the name.
        RecipeError: if it does not take an option.
    """
    return cast(Tissue, build(TISSUES, name, options or {}, Tissue, key))


def tissue_mask(overview: Pixels, mpp: float, rule: Tissue) -> Mask:
    """What a rule says about an overview, checked.

    Args:
        overview: RGB, uint8, (H, W, 3).
        mpp: micrometres per pixel of the overview.
        rule: how tissue is told from glass.

    Raises:
        PluginError: if the rule returns no mask of that size.
    """
    mask = rule(overview, mpp)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != overview.shape[:2]:
        found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise PluginError(
            f"{type(rule).__name__} returns {found} where a bool mask {overview.shape[:2]} is asked for. Repair it, or "
            "name another rule."
        )
    return mask


def tissue_rules(modalities: Sequence[str], named: Mapping[str, str], *, key: str) -> dict[str, Tissue]:
    """The rule of every stain: the named one, or else `he` for H&E and `ihc` for others.

    Args:
        modalities: the stains.
        named: per stain, a registered rule.
        key: where they were named, for messages.

    Raises:
        RecipeError: if a rule is named for a stain that is not there.
        PluginError: if nobody registered a name.
    """
    for name in named:
        if name not in modalities:
            raise RecipeError(f"{key} names {name!r}, but the stains are {', '.join(modalities)}. Correct it.")
    return {m: tissue_rule(named.get(m, "he" if m == "he" else "ihc"), key=f"{key}.{m}") for m in modalities}
