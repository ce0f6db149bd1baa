"""Images to tokens: one backbone over a chosen input, or one per stain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from pathfuse.core import AttentionStep, Backbone, Batch, CamLayer, DataSpec, ImageInput, Tokens, TokenSpec
from pathfuse.core.promises import check_features, check_images, check_set
from pathfuse.errors import RecipeError
from pathfuse.nn import PartlyFrozen, modality_of_kind
from pathfuse_images.inputs import present_image


class ImageEncoder(PartlyFrozen):
    """One backbone over one input: a stain, stacked stains, or a learned representation.

    Args:
        spec: sizes of the data.
        backbone: the network, built for the channels of the input.
        input: what it looks at.
        freeze: keep the backbone as it was loaded, batch statistics included; only what follows is trained.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: Callable[[int], Backbone],
        input: Callable[[DataSpec], ImageInput],
        freeze: bool = False,
    ) -> None:
        super().__init__()
        self.input = input(spec)
        check_set(self.input)
        self.backbone = channels_last(backbone(self.input.channels))
        self.freeze = freeze
        if freeze:
            self.keep_frozen(self.backbone)
        self.reads = self.input.reads
        self.explained_by = self.input.explained_by
        self.out = {self.input.name: TokenSpec(self.backbone.out_dim, self.backbone.layout)}

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """One token, present where the input is."""
        chosen = self.input(batch)
        check_images(self.input, chosen, len(batch))
        images, present = chosen  # (B, C, H, W), (B,)
        return {self.input.name: Tokens(encode(self.backbone, images), present)}

    def cam_layers(self) -> dict[str, CamLayer]:
        """The backbone's layer, laid over every stain that the input reads."""
        layer = self.backbone.cam_layer()
        return {} if layer is None else {self.input.name: replace(layer, reads=self.reads)}

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """The attention of the backbone, for every stain that the input reads."""
        with self.backbone.watched() as steps:
            yield dict.fromkeys(self.reads, steps)


class PerStainImageEncoder(PartlyFrozen):
    """One token per stain, each from its own backbone or all from a shared one.

    Args:
        spec: sizes of the data.
        backbone: the network, built once per stain, or once if shared.
        modalities: the stains; null takes all of them.
        share: use one set of weights for all stains; they are then encoded as one large batch.
        freeze: keep the backbones as they were loaded, batch statistics included.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: Callable[[int], Backbone],
        modalities: list[str] | None = None,
        share: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        self.modalities = modalities
        self.share = share
        self.freeze = freeze
        self.reads = tuple(modalities or spec.names)
        stains = [modality_of_kind(spec, modality, "image", "PerStainImageEncoder") for modality in self.reads]
        if share and len({(stain.width, stain.size_px) for stain in stains}) > 1:
            sizes = ", ".join(f"{stain.name} {stain.width} x {stain.size_px} px" for stain in stains)
            raise RecipeError(f"PerStainImageEncoder: share needs stains of one size, got {sizes}. Set share: false.")
        built = stains[:1] if share else stains
        self.backbones = nn.ModuleList([channels_last(backbone(stain.width)) for stain in built])
        if freeze:
            self.keep_frozen(self.backbones)
        self.out = {
            modality: TokenSpec(network.out_dim, network.layout)
            for modality, network in zip(self.reads, self._networks(), strict=True)
        }

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A token per stain, present where the stain is."""
        images = [present_image(batch, modality) for modality in self.reads]  # (B, C, H, W) each
        if self.share:
            # One call: twice the batch costs less than two calls, and one activation serves the maps of all stains.
            values = encode(self._networks()[0], torch.cat(images)).chunk(len(images))
        else:
            values = tuple(encode(net, image) for net, image in zip(self._networks(), images, strict=True))
        return {m: Tokens(value, batch.present[m]) for m, value in zip(self.reads, values, strict=True)}

    def cam_layers(self) -> dict[str, CamLayer]:
        """Per stain, the layer of the backbone that encodes it."""
        layers = {}
        for position, (modality, network) in enumerate(zip(self.reads, self._networks(), strict=True)):
            layer = network.cam_layer()
            if layer is not None:
                to_map = self._rows_of(position, layer.to_map) if self.share else layer.to_map
                layers[modality] = replace(layer, reads=(modality,), to_map=to_map)
        return layers

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """Per stain, the attention of the backbone that encodes it."""
        with ExitStack() as stack:
            seen = [
                stack.enter_context(network.watched()) for network in self.backbones if isinstance(network, Backbone)
            ]
            if not self.share:
                yield dict(zip(self.reads, seen, strict=True))
                return
            yield {name: _Rows(seen[0], position, len(self.reads)) for position, name in enumerate(self.reads)}

    def _networks(self) -> list[Backbone]:
        built = [network for network in self.backbones if isinstance(network, Backbone)]
        return built * len(self.reads) if self.share else built

    def _rows_of(self, position: int, to_map: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda activation: to_map(activation).chunk(len(self.reads))[position]


class _Rows(list[AttentionStep]):
    """The steps of one stain among those of a backbone that encodes all of them as one batch."""

    def __init__(self, steps: list[AttentionStep], position: int, stains: int) -> None:
        super().__init__()
        self.steps, self.position, self.stains = steps, position, stains

    def __iter__(self) -> Iterator[AttentionStep]:
        for step in self.steps:
            own = tuple(factor.chunk(self.stains)[self.position] for factor in step.factors)
            yield replace(step, factors=own)

    def __len__(self) -> int:
        return len(self.steps)


def channels_last(backbone: Backbone) -> Backbone:
    """The backbone in the memory layout that convolutions run fastest in."""
    check_set(backbone)
    return backbone.to(memory_format=torch.channels_last)


def encode(backbone: Backbone, images: Tensor) -> Tensor:
    """Images (N, C, H, W) through a backbone, channels last in memory."""
    features: Tensor = backbone(images.contiguous(memory_format=torch.channels_last))
    check_features(backbone, features, len(images))
    return features
