"""Settings that decide the features of a slide; two files are the same work if these are equal."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from pathfuse.errors import RecipeError
from pathfuse.extract.options import Autocast, Dtype
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.normalise import Normaliser
from pathfuse.slides.tissue import Tissue
from pathfuse.slides.tissue_rules import HETissue
from pathfuse.system.reading import parse_json


@dataclass(frozen=True)
class Settings:
    """What to extract.

    Attributes:
        encoder: name as the user gave it.
        digest: hash of the encoder's weights and transforms.
        modality: stain of the slides, for example `he` or `ihc`.
        grid: size and spacing of patches.
        tissue: how tissue is told from glass.
        normaliser: repaints every patch before the encoder sees it; None leaves colours alone.
        reader: name of the slide reader that the user gave; None lets the files decide.
        dtype: type of the stored features.
        autocast: type in which the encoder computes; `none` is float32.
    """

    encoder: str
    digest: str
    modality: str = "he"
    grid: PatchGrid = field(default_factory=PatchGrid)
    tissue: Tissue = field(default_factory=HETissue)
    normaliser: Normaliser | None = None
    reader: str | None = None
    dtype: Dtype = "float16"
    autocast: Autocast = "none"

    def __post_init__(self) -> None:
        grid = self.grid
        if grid.size_px < 1 or not math.isfinite(grid.mpp) or grid.mpp <= 0:
            raise RecipeError(f"--patch-px {grid.size_px} --mpp {grid.mpp:g}: both have to be above 0.")
        if not 0 <= grid.overlap_px < grid.size_px:
            raise RecipeError(f"--overlap-px {grid.overlap_px}: has to be from 0 to below --patch-px {grid.size_px}.")
        if not 0 <= grid.min_tissue <= 1:
            raise RecipeError(f"--min-tissue {grid.min_tissue:g}: a share from 0 to 1.")

    def to_json(self, slide_mpp: float | None) -> str:
        """As stored in each feature file, with the spacing that the user gave for that slide."""
        facts = {
            "digest": self.digest,  # and not the encoder's name: one network may be called by several
            "modality": self.modality,
            "grid": asdict(self.grid),
            "tissue": self.tissue.settings(),
            "normaliser": None if self.normaliser is None else self.normaliser.settings(),
            "reader": self.reader,
            "dtype": self.dtype,
            "autocast": self.autocast,
        }
        return json.dumps({**facts, "slide_mpp": slide_mpp}, sort_keys=True)


def differences(stored: str, wanted: str) -> list[str]:
    """What two settings do not agree on, as `key: stored, wanted`."""
    try:
        before, after = _flat(parse_json(stored)), _flat(parse_json(wanted))
    except (ValueError, AttributeError):
        return ["its settings cannot be read"]
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return [f"{key} was {before.get(key)}, now {after.get(key)}" for key in keys]


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= {f"{key}.{inner}": item for inner, item in value.items()} if isinstance(value, dict) else {key: value}
    return flat
