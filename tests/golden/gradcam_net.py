"""The network of the Grad-CAM vectors, put together from the slots of a recipe."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pathfuse.core import Backbone, Batch, CamLayer, DataSpec, Fused, Head, ModalitySpec, Model, Prediction
from pathfuse_images.encoder import ImageEncoder
from pathfuse_images.fusion import MeanFusion
from pathfuse_images.inputs import Single


class GoldenBackbone(Backbone):
    layout = "map"

    def __init__(self, in_chans: int, *, weights: dict[str, Tensor]) -> None:
        super().__init__()
        first, second = weights["conv1.weight"], weights["conv2.weight"]
        self.in_chans, self.out_dim = in_chans, second.shape[0]
        self.conv1 = nn.Conv2d(first.shape[1], first.shape[0], 3, padding=1)
        self.conv2 = nn.Conv2d(second.shape[1], second.shape[0], 3, padding=1)
        self.relu = nn.ReLU()
        load(self, weights)

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.conv2(functional.relu(self.conv1(images))))

    def cam_layer(self) -> CamLayer:
        return CamLayer(self.relu, ())


class GoldenHead(Head):
    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        hidden, features = weights["fc1.weight"].shape
        self.fc1 = nn.Linear(features, hidden)
        self.fc2 = nn.Linear(hidden, weights["fc2.weight"].shape[0])
        load(self, weights)

    def forward(self, fused: Fused) -> Prediction:
        flat = functional.avg_pool2d(fused.embedding, 2).flatten(1)
        return Prediction(fused.present, self.fc2(functional.relu(self.fc1(flat))))


def load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    module.to(next(iter(weights.values())).dtype)
    module.load_state_dict({name: weights[name] for name in module.state_dict()})


def golden_model(arrays: Mapping[str, np.ndarray], dtype: torch.dtype) -> Model:
    weights = {
        name.removeprefix("param/"): torch.as_tensor(value, dtype=dtype)
        for name, value in arrays.items()
        if name.startswith("param/")
    }
    channels, size_px = arrays["x"].shape[1:3]
    classes = tuple(str(number) for number in range(len(weights["fc2.bias"])))
    spec = DataSpec((ModalitySpec("he", "image", channels, size_px),), classes, (1,) * len(classes))
    encoder = ImageEncoder(spec, backbone=lambda in_chans: GoldenBackbone(in_chans, weights=weights), input=Single)
    fusion = MeanFusion(encoder.out, spec, keep_map=True)
    return Model(encoder, fusion, GoldenHead(weights)).eval()


def golden_batch(arrays: Mapping[str, np.ndarray], dtype: torch.dtype) -> Batch:
    images = torch.as_tensor(arrays["x"], dtype=dtype)
    ids = tuple(str(row) for row in range(len(images)))
    target = torch.as_tensor(arrays["y"]) if "y" in arrays else torch.full((len(images),), -1)
    return Batch({"he": images}, {"he": torch.ones(len(images), dtype=torch.bool)}, target, ids, ids)
