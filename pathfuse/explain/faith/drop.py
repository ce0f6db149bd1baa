"""Drop in Accuracy: how well a model predicts from what the map shows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pathfuse.core import Batch
from pathfuse.evaluate.metrics.resampling import Interval, bootstrap, percentile_interval


@dataclass(frozen=True)
class Masking:
    """How a map becomes a mask of the image.

    Attributes:
        kind: `soft` multiplies by the map itself, `hard` keeps places at or above `threshold`, `top` keeps the
            share `share` of places with the highest values.
        threshold: border of `hard`.
        share: share of `top`.
    """

    kind: Literal["soft", "hard", "top"] = "soft"
    threshold: float = 0.5
    share: float = 0.25

    @property
    def name(self) -> str:
        """The mask in a table, for example `hard@0.5`."""
        option = {"soft": "", "hard": f"@{self.threshold:g}", "top": f"@{self.share:g}"}
        return self.kind + option[self.kind]

    def __call__(self, maps: Tensor) -> Tensor:
        """The masks (B, H, W) in [0, 1] of maps (B, H, W) in [0, 1]."""
        if self.kind == "soft":
            return maps
        if self.kind == "hard":
            return (maps >= self.threshold).to(maps.dtype)
        # One image at a time: torch.quantile refuses more than 16 million values at once.
        border = torch.stack([torch.quantile(cam.flatten(), 1 - self.share) for cam in maps])  # (B,)
        return (maps >= border.view(-1, 1, 1)).to(maps.dtype)


@dataclass(frozen=True)
class Drop:
    """What masking cost.

    Attributes:
        accuracy: accuracy A on whole images, in [0, 1]; NaN without labelled cases.
        accuracy_masked: accuracy A' on masked images.
        points: 100 (A - A'), in percentage points.
        relative: 100 (A - A') / A, in percent; NaN if A is 0.
        average_drop: 100 mean(max(0, p - p') / p) of the probability of the class predicted on the whole image.
        cases: labelled cases behind the accuracies.

    Source: Corr-A-Net (medRxiv 2025.04.22.25326227), Drop in Accuracy; Chattopadhay et al. 2018, arXiv:1710.11063,
    Average Drop.
    """

    accuracy: float
    accuracy_masked: float
    points: float
    relative: float
    average_drop: float
    cases: int


def relative_interval(
    full: Tensor, masked: Tensor, target: Tensor, patients: Sequence[str], *, seed: int = 0, draws: int = 1000
) -> Interval:
    """The 95 % interval of the relative drop over cohorts of patients drawn again; NaN of fewer than two patients.

    Args:
        full: (B, C) logits on whole images.
        masked: (B, C) logits on masked images.
        target: (B,) class index; cases with -1 are left out.
        patients: of the cases.
        seed: of the drawing.
        draws: how many cohorts.
    """
    known = (target >= 0).cpu()
    names, owner = np.unique(
        [p for p, there in zip(patients, known.tolist(), strict=True) if there], return_inverse=True
    )
    if len(names) < 2:
        return Interval(float("nan"), float("nan"))
    right, still = ((own.argmax(1) == target)[known].double().cpu().numpy() for own in (full, masked))

    def scorer(weight: NDArray[np.float64]) -> NDArray[np.float64]:  # (K, N) to (K,)
        before = weight @ right
        lost: NDArray[np.float64] = 100 * (before - weight @ still) / np.where(before > 0, before, np.nan)
        return lost

    return percentile_interval(bootstrap({"drop": scorer}, owner.astype(np.int64), draws=draws, seed=seed)["drop"])


def masked(batch: Batch, maps: Mapping[str, Tensor], masking: Masking) -> Batch:
    """The batch with every mapped stain times its mask; one mask for all channels.

    Args:
        batch: B cases with images.
        maps: per stain, (B, H, W) in [0, 1] at the size of its images.
        masking: how a map becomes a mask.
    """
    images = {m: batch.image(m) * masking(cam).to(batch.image(m).dtype)[:, None] for m, cam in maps.items()}
    return replace(batch, x={**batch.x, **images})


def drop_in_accuracy(full: Tensor, masked: Tensor, target: Tensor) -> Drop:
    """The drop from whole to masked images.

    Args:
        full: (B, C) logits on whole images.
        masked: (B, C) logits on masked images.
        target: (B,) class index; cases with -1 count for the average drop only.
    """
    predicted = full.argmax(1)  # (B,)
    before = full.softmax(1).gather(1, predicted[:, None])
    after = masked.softmax(1).gather(1, predicted[:, None])
    average = 100 * ((before - after).clamp(min=0) / before).mean()
    known = target >= 0
    accuracy = float((predicted == target)[known].double().mean())
    accuracy_masked = float((masked.argmax(1) == target)[known].double().mean())
    points = 100 * (accuracy - accuracy_masked)
    relative = points / accuracy if accuracy else float("nan")
    return Drop(accuracy, accuracy_masked, points, relative, float(average), int(known.sum()))
