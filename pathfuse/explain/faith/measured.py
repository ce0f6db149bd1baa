"""Everything that `--faithfulness` measures, gathered case by case and put beside a random and a constant map."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfuse.core import Bags, Batch, Explainer, Model
from pathfuse.evaluate.metrics.resampling import bootstrap, percentile_interval
from pathfuse.explain.faith.alone import gini, likeness, overlap, pointing
from pathfuse.explain.faith.curves import insertion_and_deletion
from pathfuse.explain.faith.patch_truth import PatchTruth
from pathfuse.explain.faith.perturbed import infidelity_and_sensitivity
from pathfuse.explain.faith.randomised import mixed_up
from pathfuse.explain.faith.ranked import places_of
from pathfuse.explain.faith.truth import Truth, auc_of, random_map_of, resized
from pathfuse.explain.faith.words import Interval, sentence

DRAWS = 1000
RANDOM, CONSTANT = "random map", "constant map"
GAIN, UNTRAINED, TRUTH_GAIN = "insertion gain", "untrained", "truth gain"
Key = tuple[str, str, str]
"""Explainer, modality and measure."""


@dataclass
class Faithfulness:
    """Measures maps of every case.

    Attributes:
        seed: of random maps, noise and mixed-up weights.
        truth: masks of where the signal is in images.
        patch_truth: which patches carry the signal.
        disturbed: cases of which infidelity and sensitivity are measured; they ask the explainer several times.
    """

    seed: int = 0
    truth: Truth | None = None
    patch_truth: PatchTruth | None = None
    disturbed: int = 8
    values: dict[Key, dict[str, float]] = field(default_factory=dict)
    _mixed: dict[int, Model] = field(default_factory=dict)
    _disturbed: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        model: Model,
        batch: Batch,
        chosen: Tensor,
        explainers: Mapping[str, Explainer],
        scores: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        """Measures the maps of a batch.

        Args:
            model: the model in eval mode.
            batch: B cases.
            chosen: (B,) the class that is explained.
            explainers: by name.
            scores: per explainer and modality.
        """
        mixed = self._mixed.setdefault(id(model), mixed_up(model, self.seed))
        untrained = {name: one.explain(mixed, batch, chosen) for name, one in explainers.items()}
        for row in range(len(batch)):
            case, target = batch.select(torch.tensor([row])), int(chosen[row])
            for modality in (m for m in model.reads if bool(batch.present[m][row])):
                own = {n: places_of(batch, modality, s[modality])[row] for n, s in scores.items() if modality in s}
                other = {n: places_of(batch, modality, untrained[n][modality])[row] for n in own}
                self._curves(model, case, modality, own, target)
                self._alone(case, modality, own, other)
                self._truths(case, modality, own)
                for name in own:
                    self._disturb(model, case, modality, name, explainers[name], target)

    def summary(self, cases: list[dict[str, Any]], shares: Mapping[str, float]) -> dict[str, Any]:
        """The table, with intervals over patients, and the sentences.

        Args:
            cases: entries of `explain.json`, which say the patient of each case.
            shares: mean share of every stain, where it is known.
        """
        patients = {entry["case_id"]: entry["patient_id"] for entry in cases}
        table, known = [], {}
        for (name, modality, measure), own in self.values.items():
            if name in (RANDOM, CONSTANT):
                continue
            interval = over_patients(own, patients, self.seed)
            known[name, modality, measure] = interval
            if measure not in (TRUTH_GAIN,):
                table.append(self._line(name, modality, measure, interval, len(own)))
        named = dict.fromkeys((name, modality) for name, modality, measure in known if measure == GAIN)
        sentences = [
            sentence(n, m, {k[2]: v for k, v in known.items() if k[:2] == (n, m)}, shares.get(m)) for n, m in named
        ]
        return {"table": table, "sentences": sentences, "draws": DRAWS, "seed": self.seed}

    def _line(self, name: str, modality: str, measure: str, interval: Interval, cases: int) -> dict[str, Any]:
        beside = {
            what: float(np.mean(list(own.values()))) if (own := self.values.get((what, modality, measure))) else None
            for what in (RANDOM, CONSTANT)
        }
        return {
            "explainer": name,
            "modality": modality,
            "measure": measure,
            "value": interval.value,
            "low": interval.low,
            "high": interval.high,
            "random": beside[RANDOM],
            "constant": beside[CONSTANT],
            "cases": cases,
            "patients": interval.patients,
        }

    def _put(self, name: str, modality: str, measure: str, case: Batch, value: float | None) -> None:
        if value is not None and np.isfinite(value):
            self.values.setdefault((name, modality, measure), {})[case.case_ids[0]] = value

    def _curves(self, model: Model, case: Batch, modality: str, own: Mapping[str, Tensor], target: int) -> None:
        first = next(iter(own.values()), None)
        if first is None or len(first) < 2:
            return
        by_chance = None
        for name, scores in (*self._beside(case, modality, first), *own.items()):
            insertion, deletion = insertion_and_deletion(model, case, modality, scores, target)
            by_chance = insertion if name == RANDOM else by_chance
            self._put(name, modality, "insertion", case, insertion)
            self._put(name, modality, "deletion", case, deletion)
            if name not in (RANDOM, CONSTANT) and by_chance is not None:
                self._put(name, modality, GAIN, case, insertion - by_chance)

    def _alone(self, case: Batch, modality: str, own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
        first = next(iter(own.values()), None)
        if first is None:
            return
        for name, scores in (*self._beside(case, modality, first), *own.items()):
            self._put(name, modality, "sparsity", case, gini(scores))
        for name, scores in own.items():
            self._put(name, modality, UNTRAINED, case, likeness(scores, other[name]))
        for one, two in combinations(own, 2):
            self._put(one, modality, f"agreement with {two}", case, likeness(own[one], own[two]))

    def _truths(self, case: Batch, modality: str, own: Mapping[str, Tensor]) -> None:
        first = next(iter(own.values()), None)
        mask = None if first is None else self._mask(case, modality)
        if first is None or mask is None or mask.all() or not mask.any():
            return
        for name, scores in (*self._beside(case, modality, first), *own.items()):
            values = scores.detach().double().cpu().numpy()
            held = case.x[modality]
            if not isinstance(held, Bags):
                values = resized(values.reshape(held.shape[-2:]), mask.shape)
            auc = auc_of(values, mask) if values.ndim == 2 else auc_of(values[None], mask[None])
            self._put(name, modality, "AUC against the truth", case, auc)
            self._put(name, modality, "pointing game", case, pointing(values, mask))
            self._put(name, modality, "IoU with the truth", case, overlap(values, mask))
            if auc is not None and name not in (RANDOM, CONSTANT):
                self._put(name, modality, TRUTH_GAIN, case, auc - 0.5)

    def _mask(self, case: Batch, modality: str) -> Any:  # noqa: ANN401 - a mask of either shape
        held = case.x[modality]
        if not isinstance(held, Bags):
            return None if self.truth is None or held.dim() != 4 else self.truth(case.case_ids[0], modality)
        known = {} if self.patch_truth is None else self.patch_truth.get((case.case_ids[0], modality), {})
        if not known or held.coords is None:
            return None
        slides = held.slides[0] if held.slides else ()
        numbers = [0] * len(held.values) if held.slide is None else held.slide.tolist()
        places = [
            (slides[n].slide_id if slides else case.case_ids[0], x, y)
            for n, (x, y) in zip(numbers, held.coords.tolist(), strict=True)
        ]
        return np.array([known[place] for place in places]) if all(place in known for place in places) else None

    def _disturb(self, model: Model, case: Batch, modality: str, name: str, explainer: Explainer, target: int) -> None:
        asked = f"{name}/{modality}"
        if self._disturbed.get(asked, 0) >= self.disturbed:
            return
        self._disturbed[asked] = self._disturbed.get(asked, 0) + 1
        wrong, moved = infidelity_and_sensitivity(model, case, modality, explainer, target, self.seed)
        self._put(name, modality, "infidelity", case, wrong)
        self._put(name, modality, "sensitivity", case, moved)

    def _beside(self, case: Batch, modality: str, like: Tensor) -> Iterator[tuple[str, Tensor]]:
        """A random map of the coarseness of maps, and a constant one, whose places count in the order they lie in."""
        held, case_id = case.x[modality], case.case_ids[0]
        if isinstance(held, Bags) or held.dim() != 4:
            draw = np.random.default_rng([self.seed, zlib.crc32(f"{case_id}/{modality}".encode())])
            chance: Any = draw.random(len(like))
        else:
            chance = random_map_of(case_id, modality, tuple(held.shape[-2:]), self.seed).ravel()
        yield RANDOM, torch.as_tensor(chance, device=like.device)
        yield CONSTANT, torch.zeros_like(like)


def over_patients(values: Mapping[str, float], patients: Mapping[str, str], seed: int) -> Interval:
    """The mean over cases, with a percentile interval over cohorts of patients drawn again.

    Args:
        values: per case.
        patients: of the cases.
        seed: of the drawing.
    """
    numbers = np.array(list(values.values()))
    _, owner = np.unique([patients[case] for case in values], return_inverse=True)

    def scorer(weight: Any) -> Any:  # noqa: ANN401 - (K, N) weights to (K,) means
        total = weight.sum(1)
        return (weight * numbers).sum(1) / np.where(total > 0, total, np.nan)

    drawn = bootstrap({"mean": scorer}, owner.astype(np.int64), draws=DRAWS, seed=seed)["mean"]
    low, high = percentile_interval(drawn)
    return Interval(float(numbers.mean()), float(low), float(high), int(owner.max()) + 1)
