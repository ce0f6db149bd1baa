"""A study of two variants and two folds on sixteen patients; a run takes half a second."""

from __future__ import annotations

import csv
from pathlib import Path

RECIPE = """
cohort: {cases: CASES}
data:
  class_path: PairedPatches
  init_args: {size_px: 64, normalise: []}
loading: {batch_size: 4, num_workers: 0}
model:
  encoder:
    class_path: ImageEncoder
    init_args:
      backbone: {class_path: TimmBackbone, init_args: {name: test_resnet, weights: random}}
      input: {class_path: Single, init_args: {modality: he}}
  fusion: {class_path: MeanFusion}
  head: {class_path: ConfidenceHead}
  loss_weights: {classification: 1.0, confidence: 1.0}
trainer: {max_epochs: EPOCHS}
layers:
  long: {trainer: {max_epochs: 3}}
"""

STUDY = """
splits: {folds: 2}
seeds: [1]
variants:
  he: RECIPE
  ihc: {recipe: RECIPE, overrides: {model.encoder.input.modality: ihc}}
explain: {explainers: [GradCAM, InputXGradient], variants: [he]}
report:
  baseline: he
  draws: 50
  permutations: 50
  tables:
    areas: {title: Areas, published: {he: {auroc: 0.9}}}
  figures:
    roc: {kind: roc}
    together: {kind: roc, lines: models}
    mec: {kind: bars, value: mec}
    maps: {kind: panels, value: "explain:InputXGradient", variants: [he]}
    drop: {kind: bars, value: "explain:drop_in_accuracy.soft.relative", variants: [he]}
"""

NUMBERS = STUDY.partition("explain:")[0] + "report: {baseline: he, draws: 50, permutations: 50}\n"
"""The same runs, compared without pictures: a third of its time goes into these."""


def write_study(folder: Path, cases: Path, text: str = STUDY, *, epochs: int = 1) -> Path:
    """The study and its recipe, on a case table."""
    recipe = folder / "small_he.yaml"
    recipe.write_text(RECIPE.replace("CASES", str(cases)).replace("EPOCHS", str(epochs)))
    study = folder / "small_study.yaml"
    study.write_text(text.replace("RECIPE", str(recipe)))
    return study


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def results(folder: Path) -> dict[str, bytes]:
    """The bytes of everything that counts, by its place."""
    files = [*folder.rglob("predictions.csv"), *(folder / name for name in ("comparison.csv", "folds.csv"))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
