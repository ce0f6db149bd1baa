"""A trial on a paired cohort with known truth: training with IHC, a test from H&E alone, and the share of each part.

    python -m benchmarks.trials.missing_stain --seeds 5 --at_once 2      # half an hour of one processor

Generated bags: only tumour carries the score, H&E carries less of it than IHC, and a third of the cases lack a stain. A
seed makes new patients and new weights. Every variant trains for a fixed number of epochs without a validation part, so
nothing is chosen by H&E or by IHC. The attention is compared with the truth patch by patch: its AUC within each test
case, the mean of the cases of each class, and the mean of the classes.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.metrics import roc_auc_score

from pathfuse import load
from pathfuse.cli import main as pathfuse
from pathfuse.cohort import Cohort
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.demo import BagPictures, DemoCohort, write_bags
from pathfuse.demo.bags import TRUTH

PATIENTS = 240
OPTIONS = {"missing": {"he": 0.15, "ihc": 0.15}, "val_fraction": 0.0, "test_fraction": 0.4}
COMMON = "--layer=demo --loading.num_workers=0 --cohort.val_fraction=0 --cohort.missing=allow".split()
# Beside the published losses, H&E learns from the label too, and IHC is hidden from some training cases.
WSMCL = [
    "--recipe=wsmcl",
    "--model.head.own_loss=[he, ihc]",
    "--model.loss_weights.classification_he=1",
    "--model.modality_dropout={ihc: 0.3}",
]
MIL = ["--recipe=attention_mil", "--layer=gated", "--trainer.callbacks=null", "--optimizer.lr=3e-3"]
EPOCHS = {"wsmcl": 20, "mil": 60}
# The first of each family is what the others are compared with.
VARIANTS = {
    "wsmcl": WSMCL,
    "wsmcl, H&E only": [*WSMCL, "--model.given=[he]", "--model.modality_dropout=null"],
    "wsmcl, no MACL": [*WSMCL, "--model.loss_weights.contrast=0"],
    "wsmcl, no KL": [*WSMCL, "--model.loss_weights.kl=0"],
    "wsmcl, no modality dropout": [*WSMCL, "--model.modality_dropout=null"],
    "wsmcl, as published": ["--recipe=wsmcl"],
    "mil": MIL,
    "mil, H&E only": [*MIL, "--model.given=[he]", "--model.modality_dropout=null"],
    "mil, no modality dropout": [*MIL, "--model.modality_dropout=null"],
}
Numbers = dict[str, float | None]


def one(variant: str, seed: int, cohort: str, epochs: int | None) -> Numbers:
    """Trains and tests a variant on a cohort: metrics per subset, AUC of the attention per stain."""
    length = epochs or EPOCHS[variant.split(",")[0]]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        words = [*VARIANTS[variant], *COMMON, f"--cohort.cases={cohort}", f"--trainer.max_epochs={length}"]
        with (work / "log.txt").open("w") as log, redirect_stdout(log):
            code = pathfuse(["fit", *words, f"--seed={seed}", f"--loading.seed={seed}", f"--out={work / 'run'}"])
        if code:
            sys.exit((work / "log.txt").read_text())
        metrics = json.loads((work / "run" / "metrics.json").read_text(encoding="utf-8"))
        numbers: Numbers = {
            f"{subset} {name}": own[f"test/{name}"]
            for subset, own in metrics.items()
            for name in ("balanced_accuracy", "auroc")
        }
        seen = ("he",) if "H&E only" in variant else ("he", "ihc")
        return {**numbers, **attention_auc(work / "run", Path(cohort), seen)}


def attention_auc(run: Path, cohort: Path, stains: tuple[str, ...]) -> Numbers:
    """Per stain, the AUC of the attention against the planted patches, of each class and the mean of the classes."""
    truth: dict[tuple[str, str], list[int]] = {}
    with (cohort / TRUTH).open(newline="") as file:
        for row in csv.DictReader(file):
            truth.setdefault((row["case_id"], row["modality"]), []).append(int(row["signal"]))
    model = load(run)
    data = PairedBags(Cohort(cases=str(cohort), val_fraction=0, missing="allow"))
    data.loading = Loading(num_workers=0)
    found: dict[tuple[str, int], list[float]] = {}
    for batch in data.test_dataloader():
        with torch.no_grad():
            attention = model.fuse(batch).attention
        for stain in stains:
            bags = batch.x[stain]
            for case, own, label in zip(
                batch.case_ids, attention[stain].split(bags.lengths.tolist()), batch.target.tolist(), strict=True
            ):
                planted = truth.get((case, stain), [])
                if 0 < sum(planted) < len(planted):
                    found.setdefault((stain, label), []).append(roc_auc_score(planted, own.numpy()))
    classes = data.spec().classes
    result: Numbers = {f"attention {stain} {classes[label]}": np.mean(v) for (stain, label), v in sorted(found.items())}
    for stain in stains:
        result[f"attention {stain}"] = float(np.mean([np.mean(v) for (s, _), v in found.items() if s == stain]))
    return result


def interval(values: np.ndarray) -> str:
    """Mean and Student's 95 % interval over seeds."""
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return "" if not len(values) else f"{values[0]:.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ({values.mean() - half:.3f} to {values.mean() + half:.3f})"


def report(answers: dict[str, dict[int, Numbers]], console: Console) -> None:
    """What each variant reaches, its difference from its family's first over the same seeds, and where it looked."""

    def values(variant: str, key: str, seeds: list[int]) -> np.ndarray:
        return np.array([answers[variant][seed].get(key, np.nan) for seed in seeds], dtype=float)

    reached = Table(
        "variant", "seeds", "balanced accuracy, he", "AUC, he", "balanced accuracy, ihc", "he+ihc", box=MARKDOWN
    )
    paired = Table("the first less this", "balanced accuracy, he", "AUC, he", box=MARKDOWN)
    looked = Table("variant", "attention AUC, he", "each class", "attention AUC, ihc", "each class", box=MARKDOWN)
    for variant, runs in answers.items():
        seeds, first = sorted(runs), variant.split(",")[0]
        keys = ("he balanced_accuracy", "he auroc", "ihc balanced_accuracy", "he+ihc balanced_accuracy")
        alone = "H&E only" in variant  # what it says of IHC, which it never saw, means nothing
        cells = [interval(values(variant, key, seeds)) for key in (keys[:2] if alone else keys)]
        reached.add_row(variant, str(len(seeds)), *cells)
        both = sorted(set(seeds) & set(answers.get(first, {})))
        if variant != first and both:
            paired.add_row(variant, *(interval(values(first, k, both) - values(variant, k, both)) for k in keys[:2]))
        shown = []
        for stain in ("he",) if alone else ("he", "ihc"):
            each = [values(variant, f"attention {stain} {label}", seeds) for label in ("0", "1+", "2+", "3+")]
            shown += [interval(values(variant, f"attention {stain}", seeds)), " ".join(f"{e.mean():.2f}" for e in each)]
        looked.add_row(variant, *shown)
    for table in (reached, paired, looked):
        console.print(table)


def main() -> None:
    """Prints three tables; with --out, every run is kept as it ends, and a second call goes on from there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first_seed", type=int, default=1)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--epochs", type=int, help="instead of each family's own")
    parser.add_argument("--at_once", type=int, default=1, help="runs side by side")
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--cohorts", type=Path, help="folder that keeps the cohorts for a second call")
    parser.add_argument("--out", type=Path, help="file of finished runs, one JSON object per line")
    arguments = parser.parse_args()
    answers: dict[str, dict[int, Numbers]] = {variant: {} for variant in arguments.variants}
    if arguments.out and arguments.out.exists():
        for line in arguments.out.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            answers.setdefault(row["variant"], {})[row["seed"]] = row["numbers"]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(arguments.at_once, mp_context=get_context("spawn")) as pool,
    ):
        jobs = []
        # Seed by seed, so that a run that is stopped has said something about every variant.
        for seed in seeds:
            wanted = [variant for variant in arguments.variants if seed not in answers[variant]]
            cohort = (arguments.cohorts or Path(folder)) / f"cohort-{seed}"
            if wanted:
                who = DemoCohort(patients=arguments.patients, seed=seed, **OPTIONS)
                write_bags(cohort, who, BagPictures())
            jobs += [(v, seed, pool.submit(one, v, seed, str(cohort), arguments.epochs)) for v in wanted]
        for variant, seed, job in jobs:
            answers[variant][seed] = job.result()
            print(f"{variant}, seed {seed}: {answers[variant][seed]['he auroc']:.3f}", file=sys.stderr, flush=True)
            if arguments.out:
                with arguments.out.open("a", encoding="utf-8") as file:
                    row = {"variant": variant, "seed": seed, "numbers": answers[variant][seed]}
                    file.write(json.dumps(row) + "\n")
    report(answers, Console(width=170))


if __name__ == "__main__":
    main()
