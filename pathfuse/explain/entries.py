"""The entry of a case in `explain.json`, and the names of its files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from pathfuse.core import Batch


def case_entries(
    batch: Batch, logits: Tensor, chosen: Tensor, stains: Iterable[str], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Per case its target, what is predicted and explained, its logits, and which of the stains it has.

    Args:
        batch: B cases.
        logits: (B, C).
        chosen: (B,) the class that is explained.
        stains: those that the model reads.
        classes: label names in the order of the class indices.
    """
    probability, shown = logits.softmax(1).cpu(), list(stains)
    entries: list[dict[str, Any]] = []
    for row, case_id in enumerate(batch.case_ids):
        target, predicted, explained = int(batch.target[row]), int(probability[row].argmax()), int(chosen[row])
        entries.append(
            {
                "case_id": case_id,
                "patient_id": batch.patient_ids[row],
                "target": classes[target] if target >= 0 else None,
                "predicted": classes[predicted],
                "explained": classes[explained],
                "probability": float(probability[row, explained]),
                "logits": [float(value) for value in logits[row]],
                "stains": [stain for stain in shown if batch.present[stain][row]],
                "pictures": {},
            }
        )
    return entries


def said_of(entry: dict[str, Any]) -> str:
    """What a map is about: the class that is explained, its probability, and the truth."""
    truth = "truth unknown" if entry["target"] is None else f"true {entry['target']}"
    said = "predicted" if entry["explained"] == entry["predicted"] else f"predicted {entry['predicted']}, explained"
    return f"{said} {entry['explained']} ({entry['probability']:.2f}), {truth}"


def file_name(name: str, modality: str, taken: set[str], ending: str = "png", folder: str = "") -> str:
    """A file name that nothing else has, in a folder if one is named; it is added to `taken`."""
    # A case id may be any text; two that differ in forbidden signs only must not share a file.
    stem, number = re.sub(r"[^\w.+-]", "_", f"{name}_{modality}"), 1
    before = f"{folder}/" if folder else ""
    file = f"{before}{stem}.{ending}"
    while file in taken:
        number += 1
        file = f"{before}{stem}-{number}.{ending}"
    taken.add(file)
    return file


def finite(figures: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN; a figure that cannot be computed is null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in figures.items()
    }
