"""What a data module promises: the sizes from which every component is built."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["image", "patches", "features"]


@dataclass(frozen=True)
class ModalitySpec:
    """One stain as the data module delivers it.

    Attributes:
        name: field word of the stain, for example `he` or `ihc`.
        kind: `image` is one image per case, `patches` a bag of images, `features` a bag of feature vectors.
        width: channels of an image or patch; length of a feature vector.
        size_px: edge of the square images in pixels; None for features or mixed sizes.
        mpp: micrometres per pixel of the delivered images; None if unknown.
    """

    name: str
    kind: Kind
    width: int
    size_px: int | None = None
    mpp: float | None = None


@dataclass(frozen=True)
class DataSpec:
    """Everything a component may know about the data before it sees any.

    Attributes:
        modalities: the stains, in a fixed order.
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
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DataSpec:
        """The inverse of `to_json`."""
        raw = json.loads(text)
        modalities = tuple(ModalitySpec(**modality) for modality in raw["modalities"])
        return cls(modalities, tuple(raw["classes"]), tuple(raw["class_counts"]))
