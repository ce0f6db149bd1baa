"""Attention-MIL on small real bags, beside a logistic regression on the mean patch of every bag, on the same folds.

    python -m benchmarks.trials.real_bags            # Chula HER2 IHC, MUSK1 and Elephant, about fifteen minutes
    python -m benchmarks.trials.real_bags --sets chula --repeats 1

The bags are read from $PATHFUSE_DATA. Attention-MIL goes the way of any user: case table, feature files, `pathfuse fit`
with the recipe `attention_mil`, predictions.csv. Its settings were fixed before any result was seen; nothing is chosen
on a test fold. Features are scaled inside each training fold, for both.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from pathfuse.cli import main as pathfuse

DATA = Path(os.environ.get("PATHFUSE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
# Small cohorts: a narrow model, more decay and dropout than the recipe's, one length of training for all.
WORDS = (
    "--recipe=attention_mil --data.modalities=[ihc] --loading.num_workers=0 --cohort.val_fraction=0 "
    "--loading.batch_size=4 "
    "--model.encoder.dim=64 --model.encoder.dropout=0.25 --model.fusion.hidden=64 --optimizer.lr=1e-3 "
    "--optimizer.weight_decay=5e-3 --trainer.callbacks=null --trainer.max_epochs=40"
).split()
VARIANTS = {"plain": (), "gated": ("--layer=gated",), "ordinal": ("--model.head=OrdinalHead",)}
CHOICES = {"C": [0.001, 0.01, 0.1, 1.0, 10.0]}
# Ilse et al. 2018, table 1: mean accuracy and standard error of five runs of ten folds.
PUBLISHED = {
    "musk1": {"plain": "0.892 ± 0.040", "gated": "0.900 ± 0.050"},
    "elephant": {"plain": "0.868 ± 0.022", "gated": "0.857 ± 0.027"},
}


@dataclass(frozen=True)
class BagCohort:
    """Bags (N, D) packed one after another, and per bag its class, its group and the folds it is tested in."""

    name: str
    values: np.ndarray
    bag: np.ndarray
    target: np.ndarray
    group: np.ndarray
    folds: int

    def parts(self, repeat: int) -> np.ndarray:
        """(bags,) the fold in which each bag is tested; groups stay whole."""
        grouped = len(set(self.group.tolist())) < len(self.target)
        splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(self.folds, shuffle=True, random_state=repeat)
        groups = self.group if grouped else None
        fold = np.empty(len(self.target), dtype=int)
        for number, (_, test) in enumerate(splitter.split(self.target, self.target, groups)):
            fold[test] = number
        return fold


def cohort(name: str) -> BagCohort:
    """One of the three sets."""
    path = DATA / ("chula/chula_dev.npz" if name == "chula" else f"mil_benchmarks/{name}.npz")
    with np.load(path, allow_pickle=False) as arrays:
        target = arrays["score" if name == "chula" else "y"]
        group = arrays["acquisition_date_group"] if name == "chula" else np.arange(len(target))
        return BagCohort(name, arrays["X"], arrays["bag"], target, group, 5 if name == "chula" else 10)


def by_attention(data: BagCohort, fold: np.ndarray, number: int, variant: str, seed: int) -> np.ndarray:
    """Predicted class of the bags of a fold, by `pathfuse fit`."""
    test = fold == number
    scaled = StandardScaler().fit(data.values[~test[data.bag]]).transform(data.values).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with (work / "cases.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["case_id", "patient_id", "modality", "path", "label", "split"])
            for index, label in enumerate(data.target.tolist()):
                np.save(work / f"{index}.npy", scaled[data.bag == index])
                part = "test" if test[index] else "train"
                table.writerow([index, f"g{data.group[index]}", "ihc", f"{index}.npy", f"class {label}", part])
        words = ["fit", *WORDS, *VARIANTS[variant], f"--cohort.cases={work / 'cases.csv'}", f"--out={work / 'run'}"]
        with (work / "log.txt").open("w") as log, redirect_stdout(log):
            code = pathfuse([*words, f"--seed={seed}", f"--loading.seed={seed}"])
        if code:
            sys.exit((work / "log.txt").read_text())
        with (work / "run" / "predictions.csv").open(newline="") as file:
            found = {int(row["case_id"]): int(row["predicted"].removeprefix("class ")) for row in csv.DictReader(file)}
    return np.array([found[index] for index in np.flatnonzero(test)])


def by_regression(data: BagCohort, fold: np.ndarray, number: int, variant: str, seed: int) -> np.ndarray:
    """The same by an L2 logistic regression on mean patches; its strength is chosen inside the training fold."""
    means = np.stack([data.values[data.bag == index].mean(0) for index in range(len(data.target))])
    rest, test = fold != number, fold == number
    scaler = StandardScaler().fit(means[rest])
    inner = (StratifiedGroupKFold if data.name == "chula" else StratifiedKFold)(4, shuffle=True, random_state=seed)
    model = GridSearchCV(
        LogisticRegression(class_weight="balanced", max_iter=5000), CHOICES, scoring="balanced_accuracy", cv=inner
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a date with all cases of a class: an inner fold then lacks that class
        model.fit(scaler.transform(means[rest]), data.target[rest], groups=data.group[rest])
    predicted: np.ndarray = model.predict(scaler.transform(means[test]))
    return predicted


def one_fold(name: str, method: str, repeat: int, number: int) -> tuple[str, str, int, np.ndarray, np.ndarray]:
    """Which bags of a fold were tested, and what was predicted for them."""
    data = cohort(name)
    fold = data.parts(repeat)
    predict = by_regression if method == "regression" else by_attention
    return name, method, repeat, np.flatnonzero(fold == number), predict(data, fold, number, method, repeat + 1)


def quadratic_kappa(target: np.ndarray, predicted: np.ndarray) -> float:
    """Agreement that counts how far off a score is."""
    return float(cohen_kappa_score(target, predicted, weights="quadratic"))


def measured(
    metric: Callable[[np.ndarray, np.ndarray], float], target: np.ndarray, runs: list[np.ndarray], unit: np.ndarray
) -> str:
    """The mean of a metric over repeats, and its interval when `unit` (cases or dates) is drawn with replacement."""

    def mean(rows: np.ndarray) -> float:
        return float(np.mean([metric(target[rows], run[rows]) for run in runs]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a drawn cohort may lack a class
        low, high = interval(mean, unit)
    return f"{mean(np.arange(len(target))):.2f} ({low:.2f} to {high:.2f})"


def interval(metric: Callable[[np.ndarray], float], unit: np.ndarray, draws: int = 400) -> tuple[float, float]:
    """The 95 % percentile interval when units, not cases, are drawn with replacement."""
    names, owner = np.unique(unit.astype(str), return_inverse=True)
    rows = [np.flatnonzero(owner == index) for index in range(len(names))]
    drawn = np.random.default_rng(0).integers(0, len(rows), size=(draws, len(rows)))
    values = np.array([metric(np.concatenate([rows[index] for index in draw])) for draw in drawn])
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def apart(
    metric: Callable[[np.ndarray, np.ndarray], float],
    target: np.ndarray,
    runs: tuple[list[np.ndarray], list[np.ndarray]],
    unit: np.ndarray,
) -> str:
    """The mean difference of two methods on the same cases, with its paired interval."""

    def mean(rows: np.ndarray) -> float:
        each = zip(*runs, strict=True)
        return float(np.mean([metric(target[rows], a[rows]) - metric(target[rows], b[rows]) for a, b in each]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a drawn cohort may lack a class
        low, high = interval(mean, unit)
    return f"{mean(np.arange(len(target))):+.2f} ({low:+.2f} to {high:+.2f})"


def differences(name: str, answers: dict[str, list[np.ndarray]], console: Console) -> None:
    """Chula: every pair of methods, on the same folds."""
    data = cohort(name)
    units = {"cases": np.arange(len(data.target)), "dates": data.group}
    metrics = {"balanced": balanced_accuracy_score, "kappa": quadratic_kappa}
    table = Table(f"{name}, differences", *(f"{m}, over {u}" for m in metrics for u in units), box=MARKDOWN)
    for one, other in (("ordinal", "plain"), ("plain", "regression"), ("ordinal", "regression")):
        runs = answers[one], answers[other]
        cells = [apart(metric, data.target, runs, unit) for metric in metrics.values() for unit in units.values()]
        table.add_row(f"{one} - {other}", *cells)
    console.print(table)


def report(name: str, answers: dict[str, list[np.ndarray]], console: Console) -> None:
    """One table: Chula with intervals over cases and over dates, the others as Ilse et al. print them."""
    data = cohort(name)
    dates = name == "chula"
    heads = ("kappa, over cases", "kappa, over dates") if dates else ("accuracy ± standard error", "published")
    table = Table(name, *(("balanced, over cases", "balanced, over dates") if dates else ()), *heads, box=MARKDOWN)
    for method, runs in answers.items():
        if dates:
            units = (np.arange(len(data.target)), data.group)
            cells = [
                measured(m, data.target, runs, u) for m in (balanced_accuracy_score, quadratic_kappa) for u in units
            ]
        else:
            each = [
                float((run == data.target)[data.parts(repeat) == number].mean())
                for repeat, run in enumerate(runs)
                for number in range(data.folds)
            ]
            error = np.std(each, ddof=1) / np.sqrt(len(each))
            cells = [f"{np.mean(each):.3f} ± {error:.3f}", PUBLISHED[name].get(method, "")]
        table.add_row(method, *cells)
    console.print(table)


def main() -> None:
    """Prints one table per set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["chula", "musk1", "elephant"])
    parser.add_argument("--repeats", type=int, default=5, help="draws of the folds, each with weights of its own")
    parser.add_argument("--at_once", type=int, default=1, help="fits side by side")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no development data in {DATA}; set PATHFUSE_DATA")
    with ProcessPoolExecutor(arguments.at_once, mp_context=get_context("spawn")) as pool:
        for name in arguments.sets:
            data = cohort(name)
            # Classes of molecules and animals have no order.
            methods = [*(v for v in VARIANTS if v != "ordinal" or name == "chula"), "regression"]
            answers = {m: [np.full(len(data.target), -1) for _ in range(arguments.repeats)] for m in methods}
            jobs = [
                pool.submit(one_fold, name, method, repeat, number)
                for repeat in range(arguments.repeats)
                for number in range(data.folds)
                for method in methods
            ]
            for job in jobs:
                _, method, repeat, rows, predicted = job.result()
                answers[method][repeat][rows] = predicted
            report(name, answers, Console(width=150))
            if name == "chula":
                differences(name, answers, Console(width=150))


if __name__ == "__main__":
    main()
