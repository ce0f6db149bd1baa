"""Your own backbone
=================

A network of your own, in any recipe, in one class.

Runs in about 20 seconds.
"""

# %%
# A backbone takes images (N, C, H, W) in [0, 1] and gives features. It says its width, ``out_dim``. The decorator
# registers it for this session; ``pathfuse plugins new`` writes a package that keeps it.

import csv

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import pathfuse


@pathfuse.BACKBONES.register
class Strided(pathfuse.Backbone):
    """Three convolutions with a stride, then the mean over the image.

    Args:
        dim: width of the features.
    """

    def __init__(self, in_chans: int, *, dim: int = 32) -> None:
        super().__init__()
        self.in_chans, self.out_dim = in_chans, dim
        self.layers = nn.Sequential(
            nn.Conv2d(in_chans, dim, 5, stride=3), nn.ReLU(), nn.Conv2d(dim, dim, 3, stride=2), nn.ReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean(dim=(2, 3))  # (N, D)


# %%
# Does it keep the contract? The kit says so, before anything trains.

results = pathfuse.run_checks(Strided)
print(len(results), "checks,", sum(not result.passed for result in results), "failed")

# %%
# It is now a word of every recipe that has a backbone.

model = pathfuse.fit(
    "ihc_only",
    layers=["demo"],
    out="runs/own",
    cohort__demo__patients=32,
    data__pictures__cases_per_patient=1,
    data__size_px=48,
    model__encoder__backbone="Strided",
    model__encoder__backbone__dim=24,
    trainer__max_epochs=10,
    quiet=True,
)
print(sum(weight.numel() for weight in model.parameters()), "weights, trained in", model.run)

# %%
# Every logged number of every epoch is in ``curves``.

with open(model.run / "curves" / "train.csv", newline="") as file:
    curve = list(csv.DictReader(file))
fig, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for name in ("train/loss", "val/loss"):
    axes.plot([float(row[name]) for row in curve], label=name)
axes.set(xlabel="epoch", ylabel="loss")
axes.legend()

# %%
# The trained model is a plain torch module.

size = model.spec["ihc"].size_px
batch = pathfuse.Batch.of_images(model.spec, {"ihc": torch.rand(2, 3, size, size)})
model(batch).logits.softmax(-1).shape
