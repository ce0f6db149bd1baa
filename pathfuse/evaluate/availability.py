"""Gain by every stain: predictions as stains are available, and every combination on the same patients, paired.

`modalities.json` beside `metrics.json` holds two blocks, of a model that reads several modalities:

| key | content |
|---|---|
| `as_available` | metrics over every labelled test case, each predicted from all it has; `given` counts from what |
| `same_patients` | `subsets`: metrics of every combination over the cases that have all; `differences` between them |

Only combinations that the model was trained to be given count, so that a demo of H&E alone compares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import isnan
from typing import Any

import numpy as np
import torch

from pathfuse.evaluate.metrics.resampling import balanced_accuracy_interval, bootstrap, observed, percentile_interval
from pathfuse.evaluate.metrics.standard import classification_metrics, metric_named
from pathfuse.runs.files import MODALITIES
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions

DRAWS = 1000
PAIRED = ("balanced_accuracy", "auroc", "accuracy")

Cases = Mapping[str, SubsetPredictions]
"""Labelled test cases by combination of modalities."""


def write_availability(run: RunFolder, cases: Cases, classes: tuple[str, ...]) -> dict[str, Any]:
    """Writes `modalities.json` and returns its content; nothing for a model that is asked from one modality alone.

    Args:
        run: knows what the model was given in training.
        cases: of the test, by combination.
        classes: class names.
    """
    known = {name: own for name, own in cases.items() if run.shown.knows(name) and np.isfinite(own.rows.prob).all()}
    if len({name for one in known for name in one.split("+")}) < 2:
        return {}
    joined, given = as_available(known)
    content: dict[str, Any] = {"as_available": {"given": given, **_measured(joined, classes)}}
    same = on_same_cases(known)
    if len(same) > 1:
        content["same_patients"] = _same(same, classes)
    run.write_json(MODALITIES, content)
    return content


def as_available(cases: Cases) -> tuple[SubsetPredictions, dict[str, int]]:
    """Every case once, predicted from the most modalities it has; and how many were given which."""
    chosen: dict[str, tuple[str, int]] = {}
    for subset in sorted(cases, key=lambda name: name.count("+")):
        chosen |= {case: (subset, row) for row, case in enumerate(cases[subset].case_ids)}
    picked = {
        subset: cases[subset].take([row for own, row in chosen.values() if own == subset])
        for subset in cases
        if any(own == subset for own, _ in chosen.values())
    }
    first, *others = picked.values()
    for other in others:
        first = first.joined(other)
    return first, {subset: len(own.case_ids) for subset, own in picked.items()}


def on_same_cases(cases: Cases) -> dict[str, SubsetPredictions]:
    """Every combination over the cases that all of them have, in one order; none where they share too few patients."""
    shared = set.intersection(*(set(own.case_ids) for own in cases.values()))
    found = {}
    for subset, own in cases.items():
        place = {case: row for row, case in enumerate(own.case_ids)}
        found[subset] = own.take([place[case] for case in sorted(shared)])
    return found if len({p for own in found.values() for p in own.patient_ids}) > 1 else {}


def pairs_of(subsets: Sequence[str]) -> list[tuple[str, str]]:
    """Which combinations are compared: less before more, and the single ones with each other."""
    sets = {name: set(name.split("+")) for name in subsets}
    return [
        (one, other)
        for one, other in combinations(subsets, 2)
        if sets[one] < sets[other] or len(sets[one]) == len(sets[other]) == 1
    ]


def _same(same: Cases, classes: tuple[str, ...]) -> dict[str, Any]:
    any_ = next(iter(same.values()))
    return {
        "n_cases": len(any_.case_ids),
        "n_patients": len(set(any_.patient_ids)),
        "subsets": {subset: _measured(own, classes) for subset, own in same.items()},
        "differences": _differences(same, classes),
    }


def _differences(same: Cases, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Paired differences with their interval: the same cohorts of patients are drawn for every combination."""
    patients = next(iter(same.values())).patient_ids
    owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1].astype(np.int64)
    scorers = {
        (subset, name): metric_named(name, classes).scorer(own.rows) for subset, own in same.items() for name in PAIRED
    }
    drawn = bootstrap(scorers, owner, draws=DRAWS, seed=0)
    found = []
    for less, more in pairs_of(list(same)):
        for name in PAIRED:
            low, high = percentile_interval(drawn[more, name] - drawn[less, name])
            value = observed(scorers[more, name], len(owner)) - observed(scorers[less, name], len(owner))
            limits = {"difference": _plain(value), "low": _plain(low), "high": _plain(high)}
            found.append({"subset": more, "baseline": less, "metric": name, **limits})
    return found


def _measured(own: SubsetPredictions, classes: tuple[str, ...]) -> dict[str, Any]:
    prob, target = torch.from_numpy(own.rows.prob), torch.from_numpy(own.rows.target)
    confidence = torch.from_numpy(own.rows.confidence) if own.learned else None
    metrics = classification_metrics(prob, target, confidence, classes)
    interval = balanced_accuracy_interval(prob, target, own.patient_ids)
    metrics |= {"balanced_accuracy_low": interval.low, "balanced_accuracy_high": interval.high}
    counts = {"n_cases": len(own.case_ids), "n_patients": len(set(own.patient_ids))}
    return {**{f"test/{name}": _plain(value) for name, value in metrics.items()}, **counts}


def _plain(value: float) -> float | None:
    return None if isnan(value) else value
