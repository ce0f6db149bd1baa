"""Do the tests and intervals of `pathfuse compare` keep their promises? `python -m benchmarks.bench_statistics`.

Simulated cohorts of 200 patients, two models with a true AUC of 0.8 whose scores correlate. Under the null hypothesis
both have that AUC: a test at 5 % should reject in 5 % of the cohorts. Intervals of 95 % should hold the true AUC and
the true difference (0 under the null, 0.05 beside it) in 95 % of them. The same with two cases per patient that depend
on each other. Accuracy is shown beside it; its test is discrete, and counts ties one half for that reason (mid-p).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import norm

from benchmarks.measure.aims import Outcome, note
from pathfuse.evaluate.metrics.delong import delong_areas, delong_test
from pathfuse.evaluate.metrics.resampling import bootstrap, percentile_interval, permutation_p, statistic
from pathfuse.evaluate.metrics.standard import metric_named
from pathfuse.runs.rows import Rows

AUC, OTHER_AUC = 0.8, 0.85
LEVEL, SIZE_WITHIN, COVERAGE_WITHIN = 0.95, 0.01, 0.02
CORRELATION = 0.6  # of the scores of both models, as of models trained on the same data
PER_PATIENT = 0.5  # share of the variance that the cases of a patient have in common
CLASSES = ("neg", "pos")


def separation(auc: float) -> float:
    """How far the means of two normal distributions of variance 1 are apart for this AUC."""
    return float(np.sqrt(2) * norm.ppf(auc))


def cohort(rng: np.random.Generator, patients: int, per_patient: int, aucs: tuple[float, float]):
    """Rows of both models, and the patient of every case; half of the cases is positive."""
    cases = patients * per_patient
    owner = np.repeat(np.arange(patients), per_patient)
    target = np.arange(cases) % 2 if per_patient == 1 else rng.permutation(cases) % 2

    def noise() -> np.ndarray:
        if per_patient == 1:
            return rng.normal(size=cases)
        shared = rng.normal(size=patients)[owner]
        return np.sqrt(PER_PATIENT) * shared + np.sqrt(1 - PER_PATIENT) * rng.normal(size=cases)

    common = noise()
    models = []
    for auc in aucs:
        apart = separation(auc)
        score = np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * noise() + apart * (target - 0.5)
        prob = 1 / (1 + np.exp(-apart * score))
        both = np.stack([1 - prob, prob], axis=1)
        models.append(Rows(both, both.argmax(1), target, both.max(1)))
    return models, owner


def outcomes(rng: np.random.Generator, draws: int, per_patient: int, aucs: tuple[float, float]) -> Iterator:
    """(name, whether it happened) for one cohort: rejections under the null and truths inside intervals."""
    (one, other), owner = cohort(rng, 200, per_patient, aucs)
    equal, seed = aucs[0] == aucs[1], int(rng.integers(2**31))
    right = [float(norm.cdf(separation(auc) / 2)) for auc in aucs]  # the border lies midway between the two means
    truth = {"auroc": (aucs[0], aucs[1] - aucs[0]), "accuracy": (right[0], right[1] - right[0])}
    metrics = [metric_named(name, CLASSES) for name in truth]
    scorers = {(m.name, k): statistic(m, [rows]) for m in metrics for k, rows in enumerate((one, other))}
    drawn = bootstrap(scorers, owner, draws=draws, seed=seed)
    for metric in metrics:
        name, (value, difference) = metric.name, truth[metric.name]
        low, high = percentile_interval(drawn[name, 0], LEVEL)
        yield f"coverage: bootstrap, {name}", low <= value <= high
        low, high = percentile_interval(drawn[name, 1] - drawn[name, 0], LEVEL)
        yield f"coverage: bootstrap, difference of {name}", low <= difference <= high
        if equal:
            p = permutation_p(metric, [one], [other], owner, draws=draws - 1, seed=seed)
            yield f"size: permutation test, {name}", p <= 1 - LEVEL
    areas = delong_areas([[one.prob[:, 1]], [other.prob[:, 1]]], one.target == 1, owner)
    low, high = areas.interval(0, LEVEL)
    yield "coverage: DeLong, auroc", low <= aucs[0] <= high
    test = delong_test(areas, 1, 0)
    half = norm.ppf((1 + LEVEL) / 2) * test.error
    yield "coverage: DeLong, difference of auroc", abs(test.difference - (aucs[1] - aucs[0])) <= half
    if equal:
        yield "size: DeLong, auroc", test.p <= 1 - LEVEL


def simulate(cohorts: int, draws: int, per_patient: int, aucs: tuple[float, float]) -> dict[str, float]:
    happened = defaultdict(list)
    console = Console(stderr=True)
    for number in track(range(cohorts), console=console, transient=True, disable=not console.is_terminal):
        for name, yes in outcomes(np.random.default_rng([number, per_patient]), draws, per_patient, aucs):
            happened[name].append(yes)
    return {name: float(np.mean(values)) for name, values in happened.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Size and coverage of the statistics, by simulation.")
    parser.add_argument("--cohorts", type=int, default=2000, help="simulated cohorts")
    parser.add_argument(
        "--draws", type=int, default=1000, help="cohorts of the bootstrap, exchanges of the permutation"
    )
    parser.add_argument("--markdown", type=Path, default=None, help="append the tables to this Markdown file")
    options = parser.parse_args()
    failed = False
    settings = [("equal models", 1, (AUC, AUC)), ("unequal models", 1, (AUC, OTHER_AUC))]
    settings += [("equal models, two cases per patient", 2, (AUC, AUC))]
    for title, per_patient, aucs in settings:
        start = time.perf_counter()
        found = simulate(options.cohorts, options.draws, per_patient, aucs)
        rows = []
        for name, share in sorted(found.items()):
            wanted, within = (1 - LEVEL, SIZE_WITHIN) if name.startswith("size") else (LEVEL, COVERAGE_WITHIN)
            good, said = abs(share - wanted) <= within + 1e-9, f"{wanted:.0%} +- {within:.0%}"
            failed |= not good
            note(Outcome(f"{name}, {title}", said, f"{share:.2%}", good))
            rows.append([name, f"{share:.2%}", said, "kept" if good else "BROKEN"])
        said = f"{options.cohorts} cohorts of 200 patients, AUC {aucs[0]} and {aucs[1]}, {options.draws} draws each"
        show(f"{title}: {said}, {time.perf_counter() - start:.0f} s", rows, options.markdown)
    sys.exit(1 if failed else 0)


def show(title: str, rows: list[list[str]], markdown: Path | None) -> None:
    heads = ["promise", "found", "wanted", "result"]
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
    if markdown is not None:
        lines = [f"\n### {title}\n", *("| " + " | ".join(row) + " |" for row in [heads, ["---"] * 4, *rows])]
        with markdown.open("a", encoding="utf-8") as file:
            file.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
