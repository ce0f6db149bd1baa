"""Run folders with the files that a comparison reads, made on the spot."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CLASSES = ("0", "1+", "2+", "3+")


def write_run(
    folder: Path,
    *,
    seed: int = 0,
    patients: int = 40,
    per_patient: int = 1,
    first: int = 0,
    skill: float = 1.0,
    subsets: Sequence[str] = ("he",),
    classes: Sequence[str] = CLASSES,
    learned: bool = True,
    split: str = "test",
    splits: bool = True,
) -> Path:
    """A run on patients whose labels do not depend on the seed; `skill` says how much the model knows."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    n, rows, parts = patients * per_patient, [], []
    for subset in subsets:
        for row in range(n):
            number, target = first + row, (first + row) % len(classes)
            logits = skill * np.eye(len(classes))[target] + generator.normal(size=len(classes))
            prob = np.exp(logits) / np.exp(logits).sum()
            patient = f"p{first + row // per_patient:04d}"
            present = [int("he" in subset.split("+")), int("ihc" in subset.split("+"))]
            sure = f"{generator.random():.6f}" if learned else ""
            rows.append(
                [f"c{number:04d}", patient, split, subset, *present, classes[target], classes[int(prob.argmax())]]
                + [f"{value:.6f}" for value in prob]
                + [sure]
            )
            parts.append((f"c{number:04d}", patient, "test", classes[target]))
    header = ["case_id", "patient_id", "split", "subset", "present_he", "present_ihc", "target", "predicted"]
    write_csv(folder / "predictions.csv", [*header, *(f"p_{name}" for name in classes), "confidence"], rows)
    if splits:
        parts += [("t1", "q1", "train", "0"), ("t2", "q2", "val", "0")]
        write_csv(folder / "splits.csv", ["case_id", "patient_id", "split", "label"], dict.fromkeys(parts))
    return folder


def write_folds(folder: Path, *, folds: int = 5, patients: int = 24, **options: object) -> Path:
    """A cross-validated run: every fold tests its own patients."""
    seed = int(options.pop("seed", 0))  # type: ignore[call-overload]
    for fold in range(folds):
        write_run(folder / f"fold_{fold}", seed=100 * seed + fold, first=fold * patients, patients=patients, **options)  # type: ignore[arg-type]
    return folder


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_versions(folder: Path, **content: object) -> None:
    (folder / "versions.json").write_text(json.dumps(content))


def edit(folder: Path, before: str, after: str, file: str = "predictions.csv") -> None:
    """Replaces the first occurrence of a text in a file."""
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after, 1))
