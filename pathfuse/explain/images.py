"""Maps of images: their pictures, their scores against the truth, and what masking by them costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfuse.core import Batch
from pathfuse.evaluate.names import stain_name
from pathfuse.explain.entries import file_name, finite, said_of
from pathfuse.explain.faith.drop import drop_in_accuracy, relative_interval
from pathfuse.explain.faith.truth import Truth, auc_of, mean_score, random_map, random_map_of
from pathfuse.explain.overlay import overlay, write_png

DROP_BY_CHANCE = "drop_in_accuracy_of_a_random_map"


@dataclass
class ImageFigures:
    """What is gathered of the maps of one explainer.

    Attributes:
        full: logits of whole images, a batch each.
        masked: per masking, logits of masked ones.
        by_chance: the same for masks from random maps.
        target: classes of the cases.
        patients: of the cases.
        truth: per stain, areas under the ROC curve of the map and of a random one.
    """

    full: list[Tensor] = field(default_factory=list)
    masked: dict[str, list[Tensor]] = field(default_factory=dict)
    by_chance: dict[str, list[Tensor]] = field(default_factory=dict)
    target: list[Tensor] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    truth: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Figures over all cases."""
        found: dict[str, Any] = {}
        if self.full:
            full, target = torch.cat(self.full).double(), torch.cat(self.target)
            for key, masked in (("drop_in_accuracy", self.masked), (DROP_BY_CHANCE, self.by_chance)):
                if masked:
                    found[key] = {
                        name: self._drop(full, torch.cat(own).double(), target) for name, own in masked.items()
                    }
        if self.truth:
            scores = {modality: mean_score(scores) for modality, scores in self.truth.items()}
            found["truth"] = {modality: finite(asdict(score)) for modality, score in scores.items()}
        return found

    def _drop(self, full: Tensor, masked: Tensor, target: Tensor) -> dict[str, Any]:
        interval = relative_interval(full, masked, target, self.patients)
        own = asdict(drop_in_accuracy(full, masked, target))
        return finite({**own, "relative_low": interval.low, "relative_high": interval.high})


def clipped(maps: Tensor) -> Tensor:
    """Maps (B, H, W) in [0, 1] whose colours end at the 99th percentile of what is above 0, for the eye alone."""
    shown = []
    for one in maps:
        above = one[one > 0]
        top = torch.quantile(above[: 2**24], 0.99) if len(above) else one.new_ones(())
        shown.append((one / top).clamp(0, 1))
    return torch.stack(shown)


def maps_by_chance(batch: Batch, maps: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A random map (B, H, W) in [0, 1] beside every map, as coarse as that of Grad-CAM; the same for the same case."""
    found = {}
    for modality, own in maps.items():
        drawn = [random_map_of(case, modality, tuple(own.shape[1:]), seed) for case in batch.case_ids]
        found[modality] = torch.as_tensor(np.stack(drawn)).to(own)
    return found


def draw_images(
    entries: Sequence[dict[str, Any]],
    batch: Batch,
    maps: Mapping[str, Tensor],
    name: str,
    out: Path,
    files: set[str],
    shown: Callable[[str], bool],
) -> None:
    """A picture per case and stain: the image, and the map over it.

    Args:
        entries: of the cases, which are told the names of the files.
        batch: the cases.
        maps: per stain, (B, H, W) in [0, 1].
        name: the explainer, whose folder they go to.
        out: the folder above it.
        files: names that are taken.
        shown: whether a case gets pictures.
    """
    for row, entry in enumerate(entries):
        for modality in entry["stains"] if shown(entry["case_id"]) else []:
            if modality not in maps:
                continue
            file = file_name(entry["case_id"], modality, files, folder=name)
            picture = overlay(batch.image(modality)[row], maps[modality][row])
            title = f"case {entry['case_id']}, {stain_name(modality)}, {name}\n{said_of(entry)}"
            (out / name).mkdir(parents=True, exist_ok=True)
            write_png(out / file, picture, title=title)
            entry["pictures"].setdefault(name, {})[modality] = file


def score_images(
    found: ImageFigures,
    entries: Sequence[dict[str, Any]],
    maps: Mapping[str, Tensor],
    truth: Truth,
    name: str,
    seed: int,
) -> None:
    """Holds maps against masks of where the signal is, where these are known."""
    for row, entry in enumerate(entries):
        for modality in entry["stains"]:
            mask = truth(entry["case_id"], modality) if modality in maps else None
            if mask is None:
                continue
            auc = auc_of(maps[modality][row].double().cpu().numpy(), mask)
            random_auc = auc_of(random_map(entry["case_id"], seed), mask)
            if auc is not None and random_auc is not None:
                found.truth.setdefault(modality, []).append((auc, random_auc))
                entry.setdefault("truth_auc", {}).setdefault(name, {})[modality] = auc
