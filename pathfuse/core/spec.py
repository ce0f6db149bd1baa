"""The promise of a data module: the sizes from which every component is built."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pathfuse.errors import PluginError, did_you_mean

Kind = Literal["image", "patches", "features", "vector"]
CASE_WISE: tuple[Kind, ...] = ("image", "vector")
"""Kinds of which a case has one; of the others it has a bag."""


@dataclass(frozen=True)
class Column:
    """One column of a table that a vector was made from, as it was encoded for training.

    Attributes:
        name: of the column in the table.
        kind: `number` is two entries, `(value - mean) / deviation` and 1, both 0 where it is unknown; `category` is one
            entry per category, 1 where it is the cell's and 0 elsewhere.
        mean: of the numbers of the training part.
        deviation: standard deviation of the numbers of the training part, above 0.
        categories: the texts of the training part, in the order of their entries.
    """

    name: str
    kind: Literal["number", "category"]
    mean: float = 0.0
    deviation: float = 1.0
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Entries that the column takes in the vector."""
        return 2 if self.kind == "number" else len(self.categories)


@dataclass(frozen=True)
class ModalitySpec:
    """One modality as the data module delivers it: a stain, or a table of the patients.

    Attributes:
        name: field word of the modality, for example `he`, `ihc` or `clinical`.
        kind: `image` is one image per case, `patches` a bag of images, `features` a bag of feature vectors, `vector`
            one vector per case.
        width: channels of an image or patch; length of a vector.
        size_px: edge of the square images in pixels; None for features, vectors or mixed sizes.
        mpp: micrometres per pixel of the delivered images; None if unknown.
        columns: of a vector that was made from a table, its columns in order; empty where it was not.
        encoder: of features, the network that made them, as their files name it; None if they do not.
        patch_um: of features, the edge of a patch in micrometres; None if unknown, or not one.

    Raises:
        PluginError: if no kind is called so.
    """

    name: str
    kind: Kind
    width: int
    size_px: int | None = None
    mpp: float | None = None
    columns: tuple[Column, ...] = ()
    encoder: str | None = None
    patch_um: float | None = None

    def __post_init__(self) -> None:
        kinds = get_args(Kind)
        if self.kind not in kinds:
            guess = did_you_mean(str(self.kind), kinds)
            raise PluginError(f"modality {self.name}: no kind is called {self.kind!r}.{guess} Take {', '.join(kinds)}.")

    @property
    def in_bags(self) -> bool:
        """Whether a case has a bag of it."""
        return self.kind not in CASE_WISE


@dataclass(frozen=True)
class DataSpec:
    """Everything a component may know about the data before it sees any.

    Attributes:
        modalities: the modalities, in a fixed order.
        classes: label names; the position is the class index.
        class_counts: labelled training cases per class, in the order of `classes`.
    """

    modalities: tuple[ModalitySpec, ...]
    classes: tuple[str, ...]
    class_counts: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(modality.name for modality in self.modalities)

    def __getitem__(self, name: str) -> ModalitySpec:
        for modality in self.modalities:
            if modality.name == name:
                return modality
        raise KeyError(f"the data has no modality {name!r}; it has {', '.join(self.names)}")

    def to_json(self) -> str:
        """The text of `spec.json`."""
        written = asdict(self)
        for modality in written["modalities"]:
            for optional in ("encoder", "patch_um", "columns"):
                if modality[optional] in (None, ()):
                    del modality[optional]
        return json.dumps(written, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DataSpec:
        """The inverse of `to_json`.

        Raises:
            TypeError, KeyError: if the text describes something else.
        """
        raw = json.loads(text)
        unknown = any(modality["kind"] not in get_args(Kind) for modality in raw["modalities"])
        if unknown or len(raw["classes"]) != len(raw["class_counts"]):
            raise TypeError("a class has no count, or a modality is of no known kind")
        modalities = tuple(_modality(**modality) for modality in raw["modalities"])
        return cls(modalities, tuple(raw["classes"]), tuple(raw["class_counts"]))


def _modality(columns: list[dict[str, Any]] | None = None, **rest: Any) -> ModalitySpec:  # noqa: ANN401
    made = tuple(Column(**{**column, "categories": tuple(column["categories"])}) for column in columns or ())
    return ModalitySpec(**rest, columns=made)
