"""Scores of no model: a class drawn evenly, and the most frequent class for every case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pathfuse.evaluate.metrics.standard import classification_metrics
from pathfuse.report.page import Raw


def reference_rows(
    counts: Sequence[int], classes: Sequence[str], names: Sequence[str], *, key: str = "given"
) -> Iterator[dict[str, Raw]]:
    """The lines `chance` and `majority` below a table of metrics.

    Args:
        counts: labelled cases per class that the table is about.
        classes: class names.
        names: of the metrics.
        key: the column that names a row.
    """
    yield {key: "chance (even draw)", **_chance(np.asarray(counts), names)}
    most = int(np.argmax(counts))
    target = torch.from_numpy(np.repeat(np.arange(len(classes)), counts))
    prob = torch.eye(len(classes), dtype=torch.float64)[most].expand(len(target), -1)
    found = classification_metrics(prob, target, None, classes)
    yield {key: f"majority (always {classes[most]})", **{name: found.get(name) for name in names}}


def _chance(counts: NDArray[np.int64], names: Sequence[str]) -> dict[str, Raw]:
    """Expected values for many cases; none where there is no simple one."""
    share = counts / max(int(counts.sum()), 1)
    even = 1 / len(counts)
    known: dict[str, Raw] = {
        "accuracy": even,
        "balanced_accuracy": even,
        "auroc": 0.5 if (share > 0).all() else None,
        "auprc": float(share.mean()) if (share > 0).all() else None,
        "macro_f1": float((2 * share * even / (share + even)).mean()),
        "mcc": 0.0,
        "kappa_quadratic": 0.0,
    }
    return {name: known["auroc"] if name.startswith("auroc") else known.get(name) for name in names}
