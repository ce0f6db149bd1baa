"""Clinical columns beside H&E: one that tells the score and one that is noise, over cohorts.

    python -m benchmarks.trials.clinical_columns --seeds 5

Recipe `he_ihc_clinical` with its layer `demo` and its usual settings, given bags of H&E and no table, the planted
column `her2_copies`, or the column `age`, which has nothing to do with the score. A seed makes new patients, parts and
weights; differences are taken within a seed. Intervals are Student's at 95 % over seeds.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from scipy import stats

from pathfuse.cli import main as pathfuse
from pathfuse.demo import BagPictures, DemoCohort, write_bags

VARIANTS = {"H&E": None, "H&E + her2_copies": "her2_copies", "H&E + age (noise)": "age"}
METRICS = ("balanced_accuracy", "auroc")
HE = "he: {class_path: BagEncoder, init_args: {dim: 64}}"
CLINICAL = "clinical: {class_path: VectorEncoder, init_args: {dim: 64, hidden: 32}}"
Values = npt.NDArray[np.float64]


def one(column: str | None, seed: int, cohort: Path, epochs: int | None) -> dict[str, float]:
    """Trains and tests one variant: metrics of the cases with all that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        encoders = HE if column is None else f"{HE}, {CLINICAL}"
        dropout = "{}" if column is None else "{he: 0.2, clinical: 0.3}"
        vectors = "null" if column is None else f"{{clinical: {with_one_column(cohort, column, work)}}}"
        words = [
            "--recipe=he_ihc_clinical", "--layer=demo", f"--cohort.cases={cohort}", "--data.modalities=[he]",
            f"--cohort.vectors={vectors}", f"--model.encoder.encoders={{{encoders}}}",
            f"--model.modality_dropout={dropout}", f"--seed={seed}", f"--loading.seed={seed}",
            *([] if epochs is None else [f"--trainer.max_epochs={epochs}"]), f"--out={work / 'run'}",
        ]  # fmt: skip
        with (work / "log.txt").open("w") as log, redirect_stdout(log):
            code = pathfuse(["fit", *words])
        if code:
            sys.exit((work / "log.txt").read_text())
        found = json.loads((work / "run" / "metrics.json").read_text(encoding="utf-8"))
        own = found["he" if column is None else "he+clinical"]
        return {name: float(own[f"test/{name}"]) for name in METRICS}


def with_one_column(cohort: Path, column: str, folder: Path) -> Path:
    """The clinical table of a cohort with one of its columns."""
    path = folder / f"{column}.csv"
    with (cohort / "clinical.csv").open(newline="") as file, path.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(("patient_id", column))
        table.writerows((row["patient_id"], row[column]) for row in csv.DictReader(file))
    return path


def interval(values: Values) -> str:
    """Mean and Student's 95 % interval over seeds."""
    if len(values) < 2:
        return f"{values.mean():.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ({values.mean() - half:.3f} to {values.mean() + half:.3f})"


def main() -> None:
    """Prints what each variant reaches and what the columns add."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--patients", type=int, default=64)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            who = DemoCohort(patients=arguments.patients, seed=seed)
            cohort = write_bags(Path(folder) / "cohort", who, BagPictures(slides=1, grid=3)).parent
            for variant, column in VARIANTS.items():
                found[variant].append(one(column, seed, cohort, arguments.epochs))
                print(f"{variant}, seed {seed}: {found[variant][-1]}", file=sys.stderr, flush=True)
    table = Table("given", *METRICS, *(f"{name}, less H&E" for name in METRICS), box=MARKDOWN)
    reached = {v: {name: np.array([run[name] for run in runs]) for name in METRICS} for v, runs in found.items()}
    for variant, own in reached.items():
        less = [interval(own[name] - reached["H&E"][name]) if variant != "H&E" else "" for name in METRICS]
        table.add_row(variant, *(interval(own[name]) for name in METRICS), *less)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
