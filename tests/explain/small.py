"""A small cohort and a small convolutional pipeline for tests of explanations."""

from functools import partial

import torch
from torch import Tensor, nn

from pathfuse.core import (
    Backbone,
    Batch,
    CamLayer,
    DataSpec,
    Fused,
    FusedSpec,
    Head,
    ModalitySpec,
    Model,
    Prediction,
)
from pathfuse_images.encoder import ImageEncoder, PerStainImageEncoder
from pathfuse_images.fusion import MeanFusion
from pathfuse_images.inputs import Single, Stack

STAINS = ("he", "ihc", "ki67")
CLASSES = ("0", "1+", "2+", "3+")


def make_spec(stains=STAINS, size_px=32):
    stains = tuple(ModalitySpec(name, "image", 3, size_px) for name in stains)
    return DataSpec(stains, CLASSES, (4, 4, 4, 4))


def make_batch(present=None, stains=STAINS, size_px=32, cases=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = {name: torch.rand(cases, 3, size_px, size_px, generator=draw) for name in stains}
    present = present or {}
    here = {name: torch.tensor(present.get(name, [True] * cases)) for name in stains}
    ids = tuple(f"case{row}" for row in range(cases))
    return Batch(x, here, torch.arange(cases) % 4, ids, ids)


class ConvBackbone(Backbone):
    """Two strided convolutions; its map is a quarter of the image."""

    def __init__(self, in_chans: int, *, dim: int = 8) -> None:
        super().__init__()
        self.in_chans, self.out_dim = in_chans, dim
        self.body = nn.Sequential(
            nn.Conv2d(in_chans, dim, 3, 2, 1), nn.ReLU(), nn.BatchNorm2d(dim), nn.Conv2d(dim, dim, 3, 2, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).relu().mean((2, 3))

    def cam_layer(self) -> CamLayer:
        return CamLayer(self.body, ())


class MapBackbone(ConvBackbone):
    layout = "map"

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).relu()


class LinearHead(Head):
    def __init__(self, fused: FusedSpec, spec: DataSpec) -> None:
        super().__init__()
        self.layer = nn.Linear(fused.dim, len(spec.classes))

    def forward(self, fused: Fused) -> Prediction:
        return Prediction(fused.present, self.layer(fused.embedding))


def make_model(encoder="single", spec=None, backbone=ConvBackbone, seed=0, **options):
    spec = spec or make_spec()
    torch.manual_seed(seed)
    makers = {
        "single": partial(ImageEncoder, input=Single),
        "stack": partial(ImageEncoder, input=Stack),
        "each": PerStainImageEncoder,
        "shared": partial(PerStainImageEncoder, share=True),
    }
    encoder = makers[encoder](spec, backbone=backbone, **options)
    fusion = MeanFusion(encoder.out, spec)
    return Model(encoder, fusion, LinearHead(fusion.out, spec)).eval()
