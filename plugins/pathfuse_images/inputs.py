"""Inputs of image encoders: one stain, or several on top of each other."""

from __future__ import annotations

import torch
from torch import Tensor

from pathfuse.core import Batch, DataSpec, ImageInput
from pathfuse.errors import RecipeError
from pathfuse.nn import cleared, modality_of_kind


class Single(ImageInput):
    """One stain.

    Args:
        spec: sizes of the data.
        modality: the stain.
    """

    def __init__(self, spec: DataSpec, *, modality: str = "he") -> None:
        super().__init__()
        self.modality = modality
        self.channels = modality_of_kind(spec, modality, "image", "Single").width
        self.reads = (modality,)
        self.name = modality

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The stain's images (B, C, H, W), zeros where it is absent, and its presence."""
        return present_image(batch, self.modality), batch.present[self.modality]


class Stack(ImageInput):
    """Several co-registered stains as channels of one image; an absent stain is zeros.

    Args:
        spec: sizes of the data.
        modalities: the stains in the order of their channels; null takes all of them.
    """

    def __init__(self, spec: DataSpec, *, modalities: list[str] | None = None) -> None:
        super().__init__()
        self.modalities = modalities
        self.reads = tuple(modalities or spec.names)
        stains = [modality_of_kind(spec, modality, "image", "Stack") for modality in self.reads]
        if len({stain.size_px for stain in stains}) > 1:
            sizes = ", ".join(f"{stain.name} {stain.size_px} px" for stain in stains)
            raise RecipeError(f"Stack: the stains differ in size ({sizes}). Give them one size_px in the data.")
        self.channels = sum(stain.width for stain in stains)
        self.name = "+".join(self.reads)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The images (B, C, H, W) with the channels of all stains, and where at least one stain is there."""
        images = torch.cat([present_image(batch, modality) for modality in self.reads], dim=1)  # (B, C, H, W)
        return images, torch.stack([batch.present[modality] for modality in self.reads]).any(0)


def present_image(batch: Batch, modality: str) -> Tensor:
    """The images (B, C, H, W) of a stain with zeros in the rows where it is absent."""
    return cleared(batch.image(modality), batch.present[modality])
