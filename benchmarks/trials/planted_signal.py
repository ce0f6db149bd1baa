"""The planted signal of the demo cohort: the explainers that find it, per stain, recipe and seed.

    python -m benchmarks.trials.planted_signal --seeds 5

The patients and their parts stay the same; a seed changes weights, order and augmentation. The interval over seeds is
Student's at 95 %. Figures are areas under the ROC curve against the places that carry the signal; 0.5 is chance.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from pathfuse.cli import main as main_of_pathfuse
from pathfuse.runs.folder import RunFolder

OF_IMAGES = ("GradCAM", "GuidedGradCAM", "InputXGradient", "IntegratedGradients", "Occlusion")
OF_BAGS = ("Attention", "LeaveOut", "InputXGradient", "IntegratedGradients")
RECIPES: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "corranet": ((), OF_IMAGES),
    "attention_mil": (("--layer", "both_stains"), (*OF_BAGS, "AttentionGradient")),
    "wsmcl": ((), OF_BAGS),
    "wsmcl_attended": ((), OF_BAGS),
    "transmil": ((), (*OF_BAGS, "AttentionGradient", "AttentionRollout")),
}
Found = dict[tuple[str, str, str], list[float]]
"""Recipe, explainer and stain to a figure per seed."""


def run(words: Sequence[str]) -> None:
    """Runs a line of pathfuse in this process, since a new one imports torch for several seconds."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = main_of_pathfuse(list(words))
    if status:
        raise SystemExit(f"pathfuse {' '.join(words)} failed; it said: {said.getvalue().strip()[-300:]}")


def explained(recipe: str, seed: int, folder: Path, further: Sequence[str]) -> dict[str, Any]:
    """Trains a recipe with one seed and explains its test part by every explainer."""
    layers, explainers = RECIPES[recipe]
    out = folder / f"{recipe}-{seed}"
    run(["fit", "--recipe", recipe, *layers, f"--seed={seed}", f"--loading.seed={seed}", f"--out={out}", *further])
    names = [word for name in explainers for word in ("--explainer", name)]
    # Figures are over all test cases; pictures, which take most of the time, are of one.
    first = RunFolder(out).predictions.lines[0]["case_id"]
    run(["explain", str(out), *names, "--case_ids", first, "--out", str(out / "maps")])
    summary: dict[str, Any] = json.loads((out / "maps" / "explain.json").read_text(encoding="utf-8"))
    return summary


def add(found: Found, recipe: str, summary: Mapping[str, Any]) -> None:
    """Keeps the figures of one run."""
    for explainer, own in summary["explainers"].items():
        for stain, score in own.get("truth", {}).items():
            found.setdefault((recipe, explainer, stain), []).append(score["auc"])
            found.setdefault((recipe, "a random map", stain), []).append(score["random_auc"])
    for stain, share in summary.get("shares", {}).get("mean", {}).items():
        found.setdefault((recipe, "share of the stain", stain), []).append(share)


def main() -> None:
    """Prints a table of means and intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("further", nargs="*", help="options of every fit, behind --")
    arguments = parser.parse_args()
    found: Found = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, arguments.seeds + 1):
            for recipe in arguments.recipes:
                add(found, recipe, explained(recipe, seed, Path(folder), arguments.further))
                own = {key[1:]: round(values[-1], 3) for key, values in found.items() if key[0] == recipe}
                print(f"{recipe} seed {seed}: {own}", file=sys.stderr, flush=True)
    table = Table("recipe", "explainer", "stain", "mean", "95 % interval over seeds")
    for (recipe, explainer, stain), numbers in found.items():
        values = np.array(numbers)
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        half = stats.t.ppf(0.975, len(values) - 1) * spread if len(values) > 1 else np.nan
        interval = f"{values.mean() - half:.3f} to {values.mean() + half:.3f}"
        table.add_row(recipe, explainer, stain, f"{values.mean():.3f}", interval)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
