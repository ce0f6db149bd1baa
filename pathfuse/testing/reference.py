"""The smallest component of every slot: what the kit puts around the one that is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import (
    AttentionStep,
    Backbone,
    Bags,
    Batch,
    CamLayer,
    DataSpec,
    Encoder,
    Fused,
    FusedSpec,
    Fusion,
    Head,
    ImageInput,
    Model,
    Prediction,
    Tokens,
    TokenSpec,
)
from pathfuse.core.spec import Kind
from pathfuse.core.tokens import Layout
from pathfuse.errors import RecipeError
from pathfuse.nn import cleared
from pathfuse.testing.reference_attention import ReferenceTransformer


class ReferenceBackbone(Backbone):
    """One convolution, averaged.

    Args:
        in_chans: channels of the images.
        keep_map: return the map instead of its mean.
    """

    def __init__(self, in_chans: int, *, keep_map: bool = False) -> None:
        super().__init__()
        self.in_chans, self.out_dim = in_chans, 8
        self.layout = "map" if keep_map else "vector"
        self.conv = nn.Conv2d(in_chans, 8, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, D), or maps (N, D, H, W)."""
        maps: Tensor = self.conv(images - 0.5).relu()  # (N, D, H, W)
        return maps if self.layout == "map" else maps.mean((2, 3))

    def cam_layer(self) -> CamLayer:
        """The convolution."""
        return CamLayer(self.conv, ())


class ReferenceInput(ImageInput):
    """The first stain.

    Args:
        spec: the data.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.name = spec.names[0]
        if spec[self.name].kind != "image":
            raise RecipeError("ReferenceInput: reads one image per case. Choose a data module that gives images.")
        self.reads = (self.name,)
        self.channels = spec[self.name].width

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The images of the first stain, and where they are real."""
        present = batch.present[self.name]
        images = batch.image(self.name)
        return cleared(images, present), present


class ReferenceEncoder(Encoder):
    """One small network per modality: a convolution of images, or a layer on vectors and bags of features.

    Args:
        spec: the data.
        keep_map: return maps instead of vectors.
        backbone: of the images; null is one convolution.
    """

    def __init__(
        self, spec: DataSpec, *, keep_map: bool = False, backbone: Callable[[int], Backbone] | None = None
    ) -> None:
        super().__init__()
        make = backbone or partial(ReferenceBackbone, keep_map=keep_map)
        if any(modality.kind == "patches" for modality in spec.modalities):
            raise RecipeError("ReferenceEncoder: reads no bags of patches. Choose PatchEncoder.")
        self.reads = spec.names
        self.nets = nn.ModuleDict(
            {m.name: make(m.width) if m.kind == "image" else nn.Linear(m.width, 8) for m in spec.modalities}
        )
        layouts: dict[Kind, Layout] = {"image": "map" if keep_map else "vector", "features": "packed"}
        self.out = {m.name: TokenSpec(8, layouts.get(m.kind, "vector")) for m in spec.modalities}

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """One token per modality."""
        return {name: self._token(batch, name) for name in self.nets}

    def _token(self, batch: Batch, name: str) -> Tokens:
        value, present, net = batch.x[name], batch.present[name], self.nets[name]
        if isinstance(value, Bags):
            there = cleared(value.values, present[value.owner])
            return Tokens(net(there), present & (value.lengths > 0), value.lengths)
        return Tokens(net(cleared(value, present)), present)

    def cam_layers(self) -> dict[str, CamLayer]:
        """The convolution of each stain."""
        found = {name: net.cam_layer() for name, net in self.nets.items() if isinstance(net, Backbone)}
        return {name: replace(layer, reads=(name,)) for name, layer in found.items() if layer is not None}

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """What the networks of images attend to."""
        with ExitStack() as stack:
            yield {
                name: stack.enter_context(net.watched())
                for name, net in self.nets.items()
                if isinstance(net, ReferenceTransformer)
            }


class ReferenceFusion(Fusion):
    """The mean of the stains that are there, through one layer.

    Args:
        tokens: sizes of the tokens.
        spec: the data.
    """

    def __init__(self, tokens: dict[str, TokenSpec], spec: DataSpec) -> None:
        super().__init__()
        first = next(iter(tokens.values()))
        if any(token.layout == "packed" for token in tokens.values()):
            raise RecipeError("ReferenceFusion: takes no bags. Choose a fusion block that pools.")
        self.mix = nn.Linear(first.dim, first.dim)
        self.out = FusedSpec(first.dim, first.layout, dict(tokens))

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The mean over the present tokens."""
        own = {}
        for name, token in tokens.items():
            own[name] = cleared(token.values, token.present)
        present = torch.stack([token.present for token in tokens.values()])  # (stains, B)
        mean = torch.stack(list(own.values())).sum(0)  # (B, D, ...)
        mean = mean / present.sum(0).clamp(min=1).view(-1, *[1] * (mean.dim() - 1))
        return Fused(self.mix(mean.movedim(1, -1)).movedim(-1, 1), present.any(0), own, tokens)


class ReferenceHead(Head):
    """One linear layer and cross-entropy.

    Args:
        fused: size of the embedding.
        spec: the data.
    """

    def __init__(self, fused: FusedSpec, spec: DataSpec) -> None:
        super().__init__()
        self.classify = nn.Linear(fused.dim, len(spec.classes))

    def forward(self, fused: Fused) -> Prediction:
        """Class scores."""
        features = cleared(fused.embedding, fused.present)
        features = features.flatten(2 if features.dim() > 2 else 1)
        return Prediction(fused.present, self.classify(features.mean(2) if features.dim() == 3 else features))

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the labelled cases."""
        assert prediction.logits is not None
        target = torch.where(prediction.present, batch.target, -1)
        total = F.cross_entropy(prediction.logits, target, ignore_index=-1, reduction="sum")
        return {"classification": total / (target >= 0).sum().clamp(min=1)}


def tiny_model(spec: DataSpec, *, keep_map: bool = False, attends: bool = False) -> Model:
    """A model of the smallest components.

    Args:
        spec: the data; one image per case and stain.
        keep_map: keep maps up to the head.
        attends: encode images by attention between their patches.
    """
    encoder = ReferenceEncoder(spec, keep_map=keep_map, backbone=ReferenceTransformer if attends else None)
    fusion = ReferenceFusion(encoder.out, spec)
    return Model(encoder, fusion, ReferenceHead(fusion.out, spec))
