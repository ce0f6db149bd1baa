"""An input: the brightness of one stain."""

from __future__ import annotations

from torch import Tensor

from pathfuse.core import Batch, DataSpec, ImageInput
from pathfuse.nn import cleared, modality_of_kind


class TinyInput(ImageInput):
    """The mean over the colours of one stain, as an image of one channel.

    Args:
        spec: the data.
        modality: the stain.
    """

    def __init__(self, spec: DataSpec, *, modality: str = "he") -> None:
        super().__init__()
        modality_of_kind(spec, modality, "image", type(self).__name__)  # refuses what is no image, in one line
        self.modality = modality
        self.reads = (modality,)
        self.channels = 1
        self.name = modality

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The images (B, 1, H, W), zeros where the stain is absent, and its presence (B,)."""
        present = batch.present[self.modality]
        images = cleared(batch.image(self.modality), present)  # (B, 3, H, W); absent rows hold anything
        return images.mean(1, keepdim=True), present
