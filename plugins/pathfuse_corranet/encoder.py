"""One convolutional encoder per stain, at full resolution."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pathfuse.core import Batch, DataSpec, Encoder, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import TORCHVISION, WeightsNote, cleared, modality_of_kind, weights_note
from pathfuse_corranet.norm import NormAct, Runs, slope_of
from pathfuse_corranet.stem import ResNetStem

Missing = Literal["zero_input", "drop_branch"]


class ConvStack(nn.Module):
    """3x3 convolution, batch norm and activation, once per width.

    Args:
        channels: channels of the input, then of every layer.
        slope: factor on negative values, 0 for ReLU.
    """

    def __init__(self, channels: tuple[int, ...], *, slope: float) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(NormAct(b, slope=slope) for _, b in pairs)

    def forward(self, x: Tensor, runs: Runs | None = None) -> Tensor:
        """Maps (B, C, H, W) to maps (B, D, H, W); `runs` says how often each row counts in the statistics."""
        # Convolution with few channels is several times faster on a CPU when they lie innermost.
        x = x.contiguous(memory_format=torch.channels_last)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x), runs)
        return x


class StainEncoder(Encoder):
    """Turns every stain into a map of its own size by three convolution layers with weights of its own.

    Args:
        dim: features d of the map; the layers have d/4, d/2 and d.
        stem: `resnet50` lets the encoders see the first block of a frozen ResNet-50 instead of the image; `none` the
            image.
        weights: of the stem: `hub` downloads ImageNet weights, a path reads a ResNet-50 state dict, `random` draws
            them. Without a stem it is not looked at.
        activation: after batch norm, `relu` or `leaky`.
        leaky_slope: slope of `leaky`.
        missing: what stands for an absent stain. `zero_input` sends a black image through its encoder, which is
            what training on zeroed partners prepares for; `drop_branch` leaves it out of the fusion.

    Source: Dutta et al. 2025, Methods and figure 7.
    Departs: any number of stains; the released code has no stem and uses leaky ReLU.
    """

    example_options: ClassVar[dict[str, object]] = {"stem": "none", "dim": 8}

    def __init__(
        self,
        spec: DataSpec,
        *,
        dim: int = 16,
        stem: Literal["none", "resnet50"] = "resnet50",
        weights: str = "hub",
        activation: Literal["relu", "leaky"] = "relu",
        leaky_slope: float = 0.01,
        missing: Missing = "zero_input",
    ) -> None:
        super().__init__()
        _check(spec, dim, stem)
        self.reads = spec.names
        self.missing = missing
        self.stem = ResNetStem(weights) if stem == "resnet50" else None
        widths = {m.name: m.width if self.stem is None else self.stem.out_dim for m in spec.modalities}
        slope = slope_of(activation, leaky_slope)
        self.branches = nn.ModuleDict(
            {name: ConvStack((width, dim // 4, dim // 2, dim), slope=slope) for name, width in widths.items()}
        )
        self.out = {name: TokenSpec(dim, "map", source_dim=width) for name, width in widths.items()}

    @property
    def data_range(self) -> float | None:
        """Span of the values in `sources`: 1 for images; None for stem features, which have no bound."""
        return 1.0 if self.stem is None else None

    @classmethod
    def weights_note(cls, options: Mapping[str, object]) -> WeightsNote | None:
        """Which weights the stem begins with; None without one."""
        if options.get("stem", "resnet50") == "none":
            return None
        return weights_note("resnet50, first block", str(options.get("weights", "hub")), TORCHVISION)

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A map (B, d, H, W) per stain."""
        sources = self.sources(batch)
        present = self.counted(batch)
        return {m: Tokens(self._encode(m, sources[m], present[m]), present[m]) for m in self.reads}

    def sources(self, batch: Batch) -> dict[str, Tensor]:
        """What the encoders look at and the decoders shall return: per stain, the image or its stem features.

        Absent rows are those of a black image, whatever the batch holds there.
        """
        return {m: self.source(batch, m) for m in self.reads}

    def source(self, batch: Batch, stain: str) -> Tensor:
        """The source (B, C, H, W) of one stain."""
        return self._features(cleared(batch.image(stain).to(self._dtype()), batch.present[stain]))

    def blank(self, like: Tensor) -> Tensor:
        """The source (1, C, H, W) of a black image, for images of the size of `like`."""
        width = 3 if self.stem is not None else like.shape[1]
        return self._features(like.new_zeros(1, width, *like.shape[-2:], dtype=self._dtype()))

    def counted(self, batch: Batch) -> dict[str, Tensor]:
        """Per stain, (B,) bool: the rows whose map the fusion may use."""
        present = {m: batch.present[m] for m in self.reads}
        if self.missing == "drop_branch":
            return present
        anything = torch.stack(list(present.values())).any(0)
        return {m: anything for m in present}

    def _features(self, image: Tensor) -> Tensor:
        return image if self.stem is None else self.stem(image)

    def _encode(self, stain: str, source: Tensor, counted: Tensor) -> Tensor:
        if self.missing == "zero_input" or bool(counted.all()):
            maps: Tensor = self.branches[stain](source)
            return maps
        # A dropped branch must not colour the batch statistics either.
        out = source.new_zeros(source.shape[0], self.out[stain].dim, *source.shape[-2:])
        if not bool(counted.any()):
            return out
        some: Tensor = self.branches[stain](source[counted])
        return out.to(some.dtype).index_put((counted.nonzero().squeeze(1),), some)

    def _dtype(self) -> torch.dtype:
        return next(self.branches.parameters()).dtype


def _check(spec: DataSpec, dim: int, stem: str) -> None:
    if dim < 4 or dim % 4:
        raise RecipeError(f"model.encoder.dim: {dim} is not a positive multiple of 4; the paper uses 8, 16 and 32")
    for modality in spec.modalities:
        modality_of_kind(spec, modality.name, "image", "StainEncoder")
        if stem != "none" and modality.width != 3:
            raise RecipeError(
                f"model.encoder.stem: {stem} needs images of 3 channels, {modality.name} has {modality.width}; use none"
            )
