"""Retrieval of the partner on real pairs after Corr-A-Net's first stage, cross-validated, beside chance and raw images.

    python -m benchmarks.trials.real_pairs --sets bci birl

BCI: 24 thumbnails of H&E and HER2 IHC, six folds; whether two are of one slide nobody says. birl: tiles of one lung
lesion (proSPC) and one rat kidney (pan-cytokeratin), serial sections that an affine map of the landmarks lays over each
other, so partners differ by some cells; folds are strips, so that no tile touches one it is tested against. The data
is read from $PATHFUSE_DATA. Every reading of equation 4 is trained with each seed; nothing is chosen on a test fold. In
each test fold the partner of an H&E image is looked for among the IHC images of that fold, by the cosine of all values
less their mean over the fold. Intervals draw images with replacement: tiles of one section are no independent cases.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from pathfuse.inference.plan import load_weights
from pathfuse.recipes import compose
from pathfuse.runs.folder import RunFolder
from pathfuse.training.fit import open_run, train_stage
from pathfuse.training.plan import TrainingPlan
from pathfuse.training.speaking import prepare_lightning
from pathfuse_corranet.figures import grey
from pathfuse_corranet.pairing import retrieval

DATA = Path(os.environ.get("PATHFUSE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
READINGS = ("channel", "batch", "batch_channel")
TILE_PX = 96
Pair = tuple[str, Image.Image, Image.Image, int]
"""Name, H&E, IHC and the fold in which it is tested."""


def bci() -> list[Pair]:
    """The thumbnails, dealt out to six folds by number."""
    root = DATA / "bci_thumbs"
    names = sorted(path.name for path in (root / "HE").glob("*.png"))
    read = [[Image.open(root / stain / name).convert("RGB") for stain in ("HE", "IHC")] for name in names]
    return [(name, he, ihc, index % 6) for index, (name, (he, ihc)) in enumerate(zip(names, read, strict=True))]


def birl() -> list[Pair]:
    """Tiles with tissue of both pairs of sections; four horizontal strips of each are the folds."""
    pairs: list[Pair] = []
    for folder, he, other in (
        ("lesions_", "Izd2-29-041-w35_HE", "Izd2-29-041-w35_proSPC"),
        ("rat-kidney_", "Rat-Kidney_HE", "Rat-Kidney_PanCytokeratin"),
    ):
        root = DATA / "birl" / folder / "scale-5pc"
        first, second = (Image.open(root / f"{name}.jpg").convert("RGB") for name in (he, other))
        laid = second.transform(first.size, Image.Transform.AFFINE, _affine(root, he, other), Image.Resampling.BILINEAR)
        rows = range(0, first.height - TILE_PX + 1, TILE_PX)
        for row, top in enumerate(rows):
            for left in range(0, first.width - TILE_PX + 1, TILE_PX):
                box = (left, top, left + TILE_PX, top + TILE_PX)
                tiles = first.crop(box), laid.crop(box)
                if all(_tissue(tile) for tile in tiles):
                    pairs.append((f"{he}_{left}_{top}", *tiles, 4 * row // len(rows)))
    return pairs


def _affine(root: Path, he: str, other: str) -> tuple[float, ...]:
    """From pixels of H&E to those of the other section, by least squares over the landmarks that both have."""
    here, there = (_landmarks(root / f"{name}.csv") for name in (he, other))
    count = min(len(here), len(there))
    design = np.column_stack([here[:count], np.ones(count)])
    found = np.linalg.lstsq(design, there[:count], rcond=None)[0]  # (3, 2)
    return tuple(found.T.ravel().tolist())


def _landmarks(path: Path) -> np.ndarray:
    with path.open(encoding="utf-8") as file:
        return np.array([[float(row["X"]), float(row["Y"])] for row in csv.DictReader(file)])


def _tissue(tile: Image.Image) -> bool:
    pixels = np.asarray(tile, dtype=float)
    return float((pixels.max(2) - pixels.min(2) > 15).mean()) > 0.3 and float(pixels.std()) > 8


def write_table(pairs: list[Pair], fold: int, folder: Path) -> Path:
    """The case table of one fold: its pairs are tested, the next fold's select the epoch."""
    folds = max(pair[3] for pair in pairs) + 1
    rows = []
    for name, he, ihc, own in pairs:
        part = "test" if own == fold else "val" if own == (fold + 1) % folds else "train"
        for stain, image in (("he", he), ("ihc", ihc)):
            path = folder / f"{Path(name).stem}_{stain}.png"
            image.save(path)
            rows.append([name, name, stain, path.name, "0", part])
    table = folder / "cases.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["case_id", "patient_id", "modality", "path", "label", "split"], *rows])
    return table


RECIPE = """
cohort: {cases: CASES}
data: {class_path: PairedPatches, init_args: {size_px: 64, normalise: []}}
loading: {batch_size: 12, num_workers: 0}
steady: {average: 0.98, statistics: 20}
stages:
  correlate:
    model:
      encoder: {class_path: StainEncoder, init_args: {stem: none}}
      fusion: {class_path: SEAttention, init_args: {reduction: 4}}
      head: {class_path: ReconstructionHead}
      objective: {class_path: CorrelationObjective, init_args: {correlation: READING}}
      loss_weights: {joint: 1.0, from_he: 1.0, from_ihc: 1.0, correlation: 1.5}
    optimizer: {class_path: Adam, init_args: {lr: 3.0e-3}}
    trainer: {max_epochs: EPOCHS}
"""


def ranks(pairs: list[Pair], fold: int, reading: str, seed: int, epochs: int) -> dict[str, np.ndarray]:
    """Of the pairs of a fold: rank-1, 1 / rank and chance, after stage 1 and of grey images."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = write_table(pairs, fold, folder)
        text = RECIPE.replace("CASES", str(table)).replace("READING", reading).replace("EPOCHS", str(epochs))
        recipe = folder / "pairs.yaml"
        recipe.write_text(text, encoding="utf-8")
        plan = TrainingPlan.parse(compose([recipe], [], [("seed", str(seed)), ("loading.seed", str(seed))]))
        # Not `fit`, which would test a classifier; there is none.
        run = open_run(plan, folder / "run", None)
        train_stage(plan, "correlate", run, Console(quiet=True))
        return tested(plan, run)


@torch.no_grad()
def tested(plan: TrainingPlan, run: RunFolder) -> dict[str, np.ndarray]:
    """The same, of the test part of a trained run, as one batch."""
    data, task = plan.data_of("correlate"), plan.task_of("correlate")
    load_weights(task, run.selected("correlate"))
    data.prepare_data()
    maps: dict[str, list[torch.Tensor]] = {"he": [], "ihc": []}
    images: dict[str, list[torch.Tensor]] = {"he": [], "ihc": []}
    names: list[str] = []
    for batch in data.test_dataloader():
        fused = task.model.eval().fuse(batch)
        names += batch.patient_ids
        for stain in maps:
            maps[stain].append(fused.by_modality[stain])
            images[stain].append(grey(batch.image(stain)))
    learned = retrieval(torch.cat(maps["he"]), torch.cat(maps["ihc"]), names)
    means = {stain: torch.cat(own).mean((2, 3)) for stain, own in maps.items()}
    pooled = retrieval(means["he"], means["ihc"], names)
    raw = retrieval(torch.cat(images["he"]), torch.cat(images["ihc"]), names)
    found = {
        "stage 1": learned,
        "stage 1 pooled": pooled,
        "grey image": raw,
        "chance": {"retrieval_rank1": raw["retrieval_chance"]},
    }
    return {f"{who}, {key}": values.numpy() for who, own in found.items() for key, values in own.items()}


def cell(values: np.ndarray) -> str:
    """The mean over images, and the interval when images are drawn with replacement."""
    drawn = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Prints one table per set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets: dict[str, Callable[[], list[Pair]]] = {"bci": bci, "birl": birl}
    parser.add_argument("--sets", nargs="+", default=list(sets), choices=list(sets))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--readings", nargs="+", default=list(READINGS), choices=list(READINGS))
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no development data in {DATA}; set PATHFUSE_DATA")
    prepare_lightning()
    for name in arguments.sets:
        pairs = sets[name]()
        table = Table(
            f"{name}, {len(pairs)} pairs", "rank-1", "mean of 1 / rank", "rank-1 less grey image", box=MARKDOWN
        )
        rows: dict[str, tuple[str, ...]] = {}
        for reading in arguments.readings:
            # Per image the mean over seeds: more seeds are no more images.
            runs = [_folds(pairs, reading, seed, arguments.epochs) for seed in range(1, arguments.seeds + 1)]
            mean = {key: np.mean([run[key] for run in runs], axis=0) for key in runs[0]}
            gain = mean["stage 1, retrieval_rank1"] - mean["grey image, retrieval_rank1"]
            own = (cell(mean["stage 1, retrieval_rank1"]), cell(mean["stage 1, retrieval_mrr"]), cell(gain))
            rows[f"stage 1, {reading}"] = own
            pooled = (cell(mean[f"stage 1 pooled, retrieval_{key}"]) for key in ("rank1", "mrr"))
            rows[f"stage 1, {reading}, channel means"] = (*pooled, "")
            rows["grey image"] = (
                cell(mean["grey image, retrieval_rank1"]), cell(mean["grey image, retrieval_mrr"]), "",
            )  # fmt: skip
            rows["chance"] = (f"{mean['chance, retrieval_rank1'].mean():.2f}", "", "")
        for label, cells in rows.items():
            table.add_row(label, *cells)
        Console(width=120).print(table)


def _folds(pairs: list[Pair], reading: str, seed: int, epochs: int) -> dict[str, np.ndarray]:
    found = [ranks(pairs, fold, reading, seed, epochs) for fold in range(max(pair[3] for pair in pairs) + 1)]
    return {key: np.concatenate([one[key] for one in found]) for key in found[0]}


if __name__ == "__main__":
    main()
