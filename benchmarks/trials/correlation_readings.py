"""Equation 4 of Corr-A-Net in its readings, with and without stem: five cohorts of the demo, in the form of Table 1.

    python -m benchmarks.trials.correlation_readings --out build/readings

Every cohort has other patients and another seed. The classifier is given H&E alone. A run that is there already is
read, so that the table may grow over several sittings: with --table alone nothing is trained. The stem has random
weights, as the demo needs no network. Intervals are Student's at 95 %, over cohorts, of the difference to `he_only`.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from pathfuse.cli import main as pathfuse

READINGS = ("channel", "batch", "batch_channel")
BASELINE = "he_only"
SCORES = {
    "weighted_precision": "WP",
    "weighted_recall": "WR",
    "balanced_accuracy": "BA",
    "mcc": "MCC",
    "auroc": "AUC",
    "auprc": "PR-AUC",
}
PAIR = {
    "mean_correlation_from_he": "h(Z) from H&E",
    "mean_correlation_from_he_shuffled": "shuffled",
    "retrieval_rank1_from_he": "rank-1",
    "retrieval_pooled_rank1_from_he": "rank-1 pooled",
    "retrieval_chance_from_he": "chance",
    "dead_channels": "dead",
}


def arms(stems: list[str]) -> dict[str, list[str]]:
    """The words of every arm."""
    found = {BASELINE: ["--recipe", "he_only"]}
    for stem in stems:
        for reading in READINGS:
            words = ["--recipe", "corranet", f"--correlate.model.objective.correlation={reading}"]
            if stem != "none":
                words += [f"--correlate.model.encoder.stem={stem}", "--correlate.model.encoder.weights=random"]
            found[f"{reading}, {'no stem' if stem == 'none' else 'stem'}"] = words
    return found


def fit(words: list[str], cohort: int, epochs: int, out: Path) -> bool:
    """Trains and tests one arm on one cohort, unless that is done."""
    if (out / "report.html").exists():
        return True
    stage = "predict." if "corranet" in words else ""
    length = [f"--{stage}trainer.max_epochs={epochs}", f"--{stage}lr_scheduler.T_max={epochs}"]
    seeds = [f"--cohort.demo.seed={cohort}", f"--seed={cohort}", f"--loading.seed={cohort}"]
    begun = ["fit", "--resume", str(out)] if out.exists() else ["fit", *words, *length, *seeds, "--out", str(out)]
    return pathfuse(begun) == 0


def pair_metrics(run: Path) -> dict[str, float]:
    """What the first stage that was kept knew of the pair, in validation."""
    path = run / "curves" / "correlate.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: float(rows[-1][f"val/{name}"]) for name in PAIR if rows[-1].get(f"val/{name}")}


def scores(run: Path) -> dict[str, float] | None:
    """The test metrics from H&E alone, and those of the pair; None for a run that is not finished."""
    path = run / "metrics.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))["he"]
    return {name: float(found[f"test/{name}"]) for name in SCORES} | pair_metrics(run)


def difference(values: dict[int, float], baseline: dict[int, float]) -> str:
    """Mean and interval of the differences over the cohorts that both have."""
    both = np.array([values[cohort] - baseline[cohort] for cohort in values if cohort in baseline])
    if len(both) < 2:
        return "-"
    half = stats.t.ppf(0.975, len(both) - 1) * both.std(ddof=1) / np.sqrt(len(both))
    return f"{both.mean():+.3f} ({both.mean() - half:+.3f} to {both.mean() + half:+.3f})"


def rows(out: Path, names: list[str], cohorts: int) -> Iterator[list[str]]:
    """One row per arm, for the cohorts that are done."""
    by_arm = {
        name: {c: found for c in range(1, cohorts + 1) if (found := scores(folder(out, name, c)))} for name in names
    }
    baseline = {c: found["auroc"] for c, found in by_arm[BASELINE].items()}
    for name, found in by_arm.items():
        if not found:
            continue
        means = [f"{np.mean([one[key] for one in found.values()]):.3f}" for key in SCORES]
        pair = [
            f"{np.mean(known):.3f}" if (known := [one[key] for one in found.values() if key in one]) else "-"
            for key in PAIR
        ]
        against = "" if name == BASELINE else difference({c: one["auroc"] for c, one in found.items()}, baseline)
        yield [name, str(len(found)), *means, against, *pair]


def folder(out: Path, name: str, cohort: int) -> Path:
    """Where a run lies."""
    return out / f"{name.replace(', ', '-').replace(' ', '_')}-{cohort}"


def main() -> None:
    """Trains what is missing, cohort by cohort, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--cohorts", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12, help="of the classifier")
    parser.add_argument("--stems", nargs="+", default=["none", "resnet50"], choices=["none", "resnet50"])
    parser.add_argument("--table", action="store_true", help="only print what is there")
    arguments = parser.parse_args()
    words = arms(arguments.stems)
    if not arguments.table:
        for cohort in range(1, arguments.cohorts + 1):
            for name, arm in words.items():
                if not fit(arm, cohort, arguments.epochs, folder(arguments.out, name, cohort)):
                    raise SystemExit(f"{name}, cohort {cohort}: training failed")
    table = Table("arm", "cohorts", *SCORES.values(), "AUC against he_only", *PAIR.values())
    for row in rows(arguments.out, list(words), arguments.cohorts):
        table.add_row(*row)
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
