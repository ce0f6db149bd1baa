"""Run folders with everything that a report reads, made on the spot."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pathfuse.evaluate.calibrate.diagrams import Measured, write_reliability, write_risk_coverage
from pathfuse.evaluate.calibrate.file import Calibrators
from pathfuse.evaluate.calibrate.metrics import promise_metrics, trust_metrics
from pathfuse.evaluate.metrics.standard import classification_metrics
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import read_predictions
from tests.evaluate.runs import CLASSES, write_run

CONFIG = """# small, resolved
data:
  class_path: pathfuse.data.paired_patches.PairedPatches
loading: {batch_size: 16}
trainer: {max_epochs: 3}
seed: 7
stages:
  train:
    optimizer: {class_path: torch.optim.Adam, init_args: {lr: 0.0005}}
    model:
      encoder:
        class_path: pathfuse_images.encoder.ImageEncoder
        init_args:
          backbone:
            class_path: pathfuse_timm.backbone.TimmBackbone
            init_args: {name: test_resnet, weights: random}
      fusion: {class_path: pathfuse_mil.attention.AttentionFusion, init_args: {}}
      head: {class_path: pathfuse_heads.confidence.ConfidenceHead, init_args: {}}
      loss_weights: {classification: 1.0}
"""
VERSIONS = {"pathfuse": "0.1.0", "plugins": {"pathfuse": "0.1.0"}, "torch": "2.6.0", "recipe_sha256": "ab" * 32}


def write_whole_run(
    folder: Path,
    *,
    subsets: tuple[str, ...] = ("he", "ihc", "he+ihc"),
    classes: tuple[str, ...] = CLASSES,
    patients: int = 40,
    per_patient: int = 2,
    examples: bool = True,
    seed: int = 0,
) -> Path:
    """A run with predictions, metrics, curves, calibration, cohort, weights, versions and pictures."""
    write_run(
        folder, subsets=subsets, classes=classes, patients=patients, per_patient=per_patient, skill=2.0, seed=seed
    )
    write_metrics(folder)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "versions.json").write_text(json.dumps(VERSIONS))
    weights = [{"stage": "train", "component": "TimmBackbone", "network": "test_resnet", "weights": "random numbers",
                "licence": "needs none"}]  # fmt: skip
    (folder / "weights.json").write_text(json.dumps({"weights": weights}))
    flow = [("table", "in the table", 90, 45), ("left out", "left out: no he or ihc image", 8, 3),
            ("in use", "in use", 82, 42), ("part", "test", 80, 40)]  # fmt: skip
    steps = [dict(zip(("kind", "step", "cases", "patients"), step, strict=True)) for step in flow]
    cohort = {"origin": "cases.csv", "flow": steps, "notes": ["test: 80 cases (0: 20).", "Read this note first."]}
    (folder / "cohort.json").write_text(json.dumps(cohort))
    (folder / "curves").mkdir()
    lines = [[epoch, 1.5 - 0.3 * epoch, 1.6 - 0.2 * epoch, 0.3 + 0.1 * epoch, 0.5] for epoch in range(3)]
    _csv(folder / "curves" / "train.csv",
         ["epoch", "train/loss", "val/loss", "val/balanced_accuracy", "val/auroc"], lines)  # fmt: skip
    if examples:
        write_pictures(folder)
    return folder


def write_metrics(folder: Path, *, calibrated: bool = True) -> None:
    """`metrics.json`, `calibration.json` and the points of the diagrams, of the predictions in a folder."""
    file = read_predictions(folder / "predictions.csv")
    metrics, measured, fitted = {}, {}, None
    if calibrated:
        # Not how a run does it, which has a validation part; the numbers need to be there, not to be good.
        held = {name: replace(own, parts=("val",) * len(own.parts)) for name, own in file.subsets.items()}
        fitted = Calibrators.fit(held, file.classes, "train/best.ckpt", target_risk=0.1, miss=0.1, confidence="softmax")
        fitted.write(RunFolder(folder))
    for subset, own in file.subsets.items():
        rows = own.rows
        learned = rows.confidence if own.learned else None
        made = fitted and fitted.of(subset)(rows.prob, learned)
        measured[subset] = Measured(rows.prob, rows.target, learned, made)
        prob, target = torch.from_numpy(rows.prob), torch.from_numpy(rows.target)
        found = classification_metrics(
            prob, target, None if learned is None else torch.from_numpy(learned), file.classes
        )
        found |= trust_metrics(measured[subset])
        if fitted:
            found |= promise_metrics(measured[subset], fitted.of(subset), own.patient_ids, file.classes)
        metrics[subset] = {f"test/{name}": None if np.isnan(value) else value for name, value in found.items()} | {
            "n_cases": len(rows), "n_patients": len(set(own.patient_ids)),
        }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))
    write_reliability(RunFolder(folder), measured, file.classes)
    write_risk_coverage(RunFolder(folder), measured)


def write_pictures(folder: Path) -> None:
    """One example of every kind, with two stains."""
    (folder / "examples").mkdir()
    lines = []
    for number, kind in enumerate(("right", "wrong", "abstained")):
        names = [f"{number}_{stain}.jpg" for stain in ("he", "ihc")]
        for position, name in enumerate(names):
            Image.new("RGB", (64, 64), (200, 60 * position, 80 * number)).save(folder / "examples" / name)
        lines.append([kind, f"c{number:04d}", f"p{number:04d}", "he+ihc", "0", "1+", "0.5", *names])
    head = ["kind", "case_id", "patient_id", "subset", "target", "predicted", "confidence", "file_he", "file_ihc"]
    _csv(folder / "examples.csv", head, lines)


def write_study(folder: Path) -> Path:
    """A study of two variants with one failed run, a table and a figure."""
    folder.mkdir(parents=True)
    lines = [["a", 1, 0, 0, "done", 2.5, ""], ["a", 1, 0, 1, "done", 2.0, ""], ["b", 1, 0, 0, "done", 1.0, ""],
             ["b", 1, 0, 1, "failed", "", "out of <memory>"]]  # fmt: skip
    _csv(folder / "runs.csv", ["variant", "seed", "repeat", "fold", "status", "seconds", "reason"], lines)
    values = [[v, 1, 0, f, "he", m, 0.5 + 0.1 * f] for v in "ab" for f in (0, 1) for m in ("test/auroc", "test/mcc")]
    _csv(folder / "folds.csv", ["variant", "seed", "repeat", "fold", "subset", "metric", "value"], values)
    (folder / "tables").mkdir()
    _csv(folder / "tables" / "table_1.csv", ["variant", "mean", "published"], [["a", 0.5, ""], ["b", 0.625, 0.9]])
    (folder / "figures").mkdir()
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><script>alert(1)</script></svg>'
    (folder / "figures" / "fig_2.svg").write_text(svg)
    return folder


def _csv(path: Path, header: list[str], lines: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])
