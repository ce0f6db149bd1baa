"""`explain.html`: a table of cases, how far the maps can be believed, and a panel per case."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from torch import Tensor

from pathfuse.charts.sortable import sortable_script
from pathfuse.core import Batch, DataSpec, Model
from pathfuse.evaluate.names import stain_name
from pathfuse.explain.entries import said_of
from pathfuse.explain.faith.words import MEASURES
from pathfuse.explain.heat_map import BAR_MM, LONGEST_PX, Tissue, raster
from pathfuse.explain.panel.layers import map_layer, scale_css, sheet_layer, tissue_layer
from pathfuse.explain.places import SlideScores

SHEET, PATCH_PX = 8, 96
BAR_SHARE = 0.25
"""A scale bar is as long as it can be below this share of the picture."""


@dataclass(frozen=True)
class Layered:
    """One stain of a case, or one slide of it, as it is laid into a panel.

    Attributes:
        explainer: whose map it is.
        modality: the stain.
        what: which slide; empty for an image.
        tissue: the picture, as data; empty where there is none.
        map: the map over it, as data.
        shape: width over height.
        bar: share of the width that the scale bar takes, and its length in words; None where the spacing is unknown.
        top: the patches with the highest scores, as data; empty without a slide.
        bottom: those with the lowest.
    """

    explainer: str
    modality: str
    what: str
    tissue: str
    map: str
    shape: float
    bar: tuple[float, str] | None
    top: str = ""
    bottom: str = ""


@dataclass
class Panels:
    """Gathers what the page shows.

    Attributes:
        spec: the data, for spacings and columns; None leaves scale bars out.
    """

    spec: DataSpec | None = None
    shown: dict[str, list[Layered]] = field(default_factory=dict)

    def add_images(
        self, entry: dict[str, Any], batch: Batch, row: int, maps: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        """The images of a case, with the maps (B, H, W) of every explainer."""
        for name, own in maps.items():
            for modality in (m for m in entry["stains"] if m in own):
                image = batch.image(modality)[row].detach().float().cpu().clamp(0, 1)
                pixels = (image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)).movedim(0, 2).numpy()
                values = own[modality][row].detach().float().cpu().numpy()
                mpp = None if self.spec is None else self.spec[modality].mpp
                high, wide = values.shape
                self.shown.setdefault(entry["case_id"], []).append(
                    Layered(
                        explainer=name,
                        modality=modality,
                        what="",
                        tissue=tissue_layer((pixels * 255).round().astype(np.uint8)),
                        map=map_layer(values, faint=True),
                        shape=wide / high,
                        bar=scale_bar(wide * mpp / 1000) if mpp else None,
                    )
                )

    def add_bag(
        self, entry: dict[str, Any], scored: Mapping[str, tuple[SlideScores, ...]], tissue: Tissue | None
    ) -> None:
        """The slides of one stain of a case, whose places are known, with the scores of every explainer."""
        for name, slides in scored.items():
            for one in (own for own in slides if own.places is not None):
                self.shown.setdefault(entry["case_id"], []).append(_of_slide(name, one, tissue))

    def columns_of(self, model: Model, modality: str, width: int) -> list[str]:
        """A name for every entry of a vector: its column, and of a category its text."""
        spec = model.spec or self.spec
        columns = () if spec is None or modality not in spec.names else spec[modality].columns
        names: list[str] = []
        for column in columns:
            if column.kind == "number":
                names += [column.name, f"{column.name} is known"]
            else:
                names += [f"{column.name} = {text}" for text in column.categories]
        return names if len(names) == width else [f"{modality} {number}" for number in range(width)]

    def page(self, summary: dict[str, Any]) -> str:
        """The page as one self-contained document."""
        script = f"{sortable_script()}\n{_packaged('panel.js')}"
        return _environment().get_template("panel.html.j2").render(
            summary=summary,
            shown=self.shown,
            said=said_of,
            stain=stain_name,
            measures=MEASURES,
            scale=Markup(scale_css()),
            style=Markup(_packaged("panel.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )  # fmt: skip


def scale_bar(wide_mm: float) -> tuple[float, str]:
    """The share of the width that the longest round length takes that is short enough, and that length in words."""
    length = max((mm for mm in BAR_MM if mm <= wide_mm * BAR_SHARE), default=BAR_MM[0])
    return min(1.0, length / wide_mm), f"{length:g} mm" if length >= 1 else f"{length * 1000:g} µm"


def _of_slide(name: str, one: SlideScores, tissue: Tissue | None) -> Layered:
    values, (left, top, right, below) = raster(one)
    wide, tall = right - left, below - top
    under = None if tissue is None else tissue(one.stain, one.slide.slide_id, (left, top, wide, tall), LONGEST_PX)
    best, worst = ("", "") if tissue is None or under is None else _sheets(one, tissue)
    return Layered(
        explainer=name,
        modality=one.stain,
        what=one.slide.slide_id,
        tissue="" if under is None else tissue_layer(under),
        map=map_layer(values / 100, faint=False),
        shape=wide / tall,
        bar=scale_bar(wide * one.slide.mpp / 1000) if one.slide.mpp else None,
        top=best,
        bottom=worst,
    )


def _sheets(one: SlideScores, tissue: Tissue) -> tuple[str, str]:
    """The patches with the highest and with the lowest scores."""
    assert one.places is not None
    order = np.argsort(-one.score, kind="stable")
    found = []
    for rows in (order[:SHEET], order[::-1][:SHEET]):
        corners = [(float(x), float(y)) for x, y in one.places[rows]]
        cut = [tissue(one.stain, one.slide.slide_id, (x, y, one.edge, one.edge), PATCH_PX) for x, y in corners]
        found.append([patch for patch in cut if patch is not None])
    return (sheet_layer(found[0]), sheet_layer(found[1])) if all(found) else ("", "")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_packaged), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


@cache
def _packaged(name: str) -> str:
    return (files("pathfuse.explain.panel") / name).read_text(encoding="utf-8")
