"""The demo cohort's classifier from H&E through Corr-A-Net, from plain H&E, from IHC and from both, over seeds.

    python -m benchmarks.trials.demo_seeds --seeds 5

The patients and their parts stay the same; a seed changes weights, order and augmentation. The interval over seeds is
Student's at 95 %: it says how much training varies, not how another cohort would do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

# Recipe, and the stains its classifier is given.
COMPARED = {"corranet": "he", "he_only": "he", "ihc_only": "ihc", "he_ihc": "he+ihc"}


def balanced_accuracy(recipe: str, subset: str, seed: int, folder: Path, epochs: int | None) -> float:
    """Trains and tests one recipe with one seed; `epochs` shortens the classifier's training."""
    out = folder / f"{recipe}-{seed}"
    words = [f"--seed={seed}", f"--loading.seed={seed}", f"--out={out}"]
    if epochs is not None:
        stage = "predict." if recipe == "corranet" else ""
        words += [f"--{stage}trainer.max_epochs={epochs}", f"--{stage}lr_scheduler.T_max={epochs}"]
    subprocess.run(
        [sys.executable, "-m", "pathfuse", "fit", "--recipe", recipe, *words], check=True, capture_output=True
    )
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    value = float(metrics[subset]["test/balanced_accuracy"])
    print(f"{recipe} seed {seed}: {value:.3f}", file=sys.stderr, flush=True)
    return value


def main() -> None:
    """Prints a table of means and intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--at_once", type=int, default=1, help="runs side by side")
    parser.add_argument("--epochs", type=int, help="of the classifier, instead of the recipe's")
    arguments = parser.parse_args()
    table = Table("recipe", "given", "balanced accuracy", "95 % interval over seeds", "each seed")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.at_once) as pool:
        # Seed by seed, so that a run that is stopped has said something about every recipe.
        jobs: dict[str, list[Future[float]]] = {recipe: [] for recipe in COMPARED}
        for seed in range(1, arguments.seeds + 1):
            for recipe, subset in COMPARED.items():
                jobs[recipe].append(
                    pool.submit(balanced_accuracy, recipe, subset, seed, Path(folder), arguments.epochs)
                )
        for recipe, subset in COMPARED.items():
            values = np.array([job.result() for job in jobs[recipe]])
            half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
            interval = f"{values.mean() - half:.3f} to {values.mean() + half:.3f}"
            table.add_row(recipe, subset, f"{values.mean():.3f}", interval, " ".join(f"{v:.3f}" for v in values))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
