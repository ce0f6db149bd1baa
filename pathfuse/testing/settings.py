"""Settings: the kinds of data that a component of each slot is checked with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pathfuse.core import DataSpec, Explainer
from pathfuse.core.spec import Kind
from pathfuse.core.tokens import Layout
from pathfuse.testing.example import Example
from pathfuse.testing.specs import stains, with_vector

_KINDS: dict[Kind, str] = {
    "image": "images",
    "patches": "bags of patches",
    "features": "bags of features",
    "vector": "vectors",
}
FILES = {
    "data": "a small cohort",
    "reader": "slide files",
    "tissue": "overviews",
    "normaliser": "images",
    "registration": "sections",
    "store": "feature files",
}
"""Slots whose components are no modules and get cases, pictures or files, and what these are."""


@dataclass(frozen=True)
class Setting:
    """What the component is built for.

    Attributes:
        name: what a message calls it.
        spec: the data.
        layout: layout of the tokens of a fusion block, or of the embedding of a head.
    """

    name: str
    spec: DataSpec
    layout: Layout = "vector"


def settings_of(example: Example, count: int | None = None) -> list[Setting]:
    """Every setting that a component of this slot may be built for.

    Args:
        example: the component.
        count: number of stains; None takes two, or as many as a fusion block declares.
    """
    slot, edge = example.slot, example.edge
    number = count or getattr(example.component, "exactly", None) or 2
    if slot == "backbone":
        return [Setting(f"{width} channels", stains(1, size_px=edge, width=width)) for width in (3, 6)]
    if slot == "metric":
        return [Setting("predictions", stains(1))]
    if slot in FILES:
        return [Setting(FILES[slot], stains(1, size_px=edge))]
    if slot == "objective":
        images = stains(number, size_px=edge)
        return [Setting("images", images), Setting("images and a vector", with_vector(images))]
    if slot == "explainer":
        return _explained(cast(type[Explainer], example.component), number, edge)
    if slot in ("input", "encoder"):
        plain = [Setting(label, stains(number, kind=kind, size_px=edge)) for kind, label in _KINDS.items()]
        return [*plain, *(Setting(f"{one.name} and a vector", with_vector(one.spec)) for one in plain[:-1])]
    layouts: list[Layout] = ["vector", "map"] if slot == "head" else ["vector", "map", "packed"]
    settings = [
        Setting(
            f"{layout} {'embedding' if slot == 'head' else 'tokens'}",
            # A decoder's views are as large as the maps it starts from.
            stains(number, kind="features" if layout == "packed" else "image", size_px=edge // 2),
            layout,
        )
        for layout in layouts
    ]
    if slot == "fusion" and getattr(example.component, "exactly", None) is None:
        settings.append(Setting("packed tokens and a vector", with_vector(settings[-1].spec), "packed"))
    return settings


def _explained(component: type[Explainer], number: int, edge: int) -> list[Setting]:
    """What an explainer says that it takes; a vector may stand beside it either way."""
    kinds: list[Kind] = [kind for kind in ("image", "features") if kind in component.takes]
    plain = [Setting(_KINDS[kind], stains(number, kind=kind, size_px=edge)) for kind in kinds]
    return [*plain, *(Setting(f"{one.name} and a vector", with_vector(one.spec)) for one in plain)]
