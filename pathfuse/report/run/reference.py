"""Scores of no model: a class drawn evenly, and the most frequent class for every case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from pathfuse.evaluate.metrics.standard import classification_metrics
from pathfuse.report.page import Raw
from pathfuse.runs.rows import Rows


def reference_rows(rows: Rows, classes: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, Raw]]:
    """The lines `chance` and `majority` below a table of metrics.

    Args:
        rows: the labelled cases that the table is about.
        classes: class names.
        names: of the metrics.
    """
    yield {"given": "chance (even draw)", **_chance(rows, len(classes), names)}
    counts = np.bincount(rows.target, minlength=len(classes))
    always = np.full(len(rows), counts.argmax())
    prob = torch.from_numpy(np.eye(len(classes))[always])
    found = classification_metrics(prob, torch.from_numpy(rows.target), None, classes)
    yield {"given": f"majority (always {classes[int(counts.argmax())]})", **{name: found[name] for name in names}}


def _chance(rows: Rows, classes: int, names: Sequence[str]) -> dict[str, Raw]:
    """Expected values for many cases; none where there is no simple one."""
    share = np.bincount(rows.target, minlength=classes) / max(len(rows), 1)
    even = 1 / classes
    known: dict[str, Raw] = {
        "accuracy": even,
        "balanced_accuracy": even,
        "auroc": 0.5 if (share > 0).all() else None,
        "auprc": float(share.mean()) if (share > 0).all() else None,
        "macro_f1": float((2 * share * even / (share + even)).mean()),
        "mcc": 0.0,
        "kappa_quadratic": 0.0,
    }
    return {name: known.get(name) for name in names}
