"""Corr-A-Net on pairs cut beside their place: how retrieval of the partner and the score from H&E fall with the error.

    python -m benchmarks.trials.planted_errors --seeds 3

Serial sections of the demo cohort whose map is known are cut at that map, moved by a planted error: 0, 5, 10, 20 or 50
micrometres, in a direction drawn per slide. Recipe `corranet` with its layer `demo` is trained on each. A seed makes
new patients, sections, directions and weights; differences are taken within a seed. Intervals are Student's at 95 %
over seeds.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.trials.clinical_columns import interval
from pathfuse.cli import main as pathfuse
from pathfuse.demo import DemoCohort, SerialPictures
from pathfuse.demo.block import make_block
from pathfuse.demo.serial.known_map import KnownMap
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.pairs.cut import cut_moved
from pathfuse.runs.folder import RunFolder
from pathfuse.slides import MemorySlide, Spacing

ERRORS_UM = (0.0, 5.0, 10.0, 20.0, 50.0)
PATCH_PX = 128  # at one micrometre
PER_PATIENT = 6
METRICS = ("retrieval_mrr", "over_stranger", "balanced_accuracy", "auroc")
PICTURES = SerialPictures(slide_px=640, lost=0.0, torn=0.0)


@dataclass(frozen=True)
class Moved:
    """A known map after a planted error, as what cuts patches asks for it."""

    known: KnownMap
    error_um: tuple[float, float]

    @property
    def scale(self) -> float:
        """How much larger the tissue is on the moving slide."""
        return self.known.scale

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the fixed slide to the moving one."""
        return self.known.forward(points + self.error_um)


def write_pairs(folder: Path, who: DemoCohort, errors: tuple[float, ...]) -> None:
    """One folder of pairs per error, with equal H&E patches, cases and parts."""
    rows: dict[float, list[dict[str, str]]] = {error: [] for error in errors}
    for index in range(who.patients):
        pair = SerialPair(who, PICTURES, index)
        block = make_block(who, 1, index, "serial")
        rng = np.random.default_rng([who.seed, index])
        angle = rng.uniform(0, 2 * np.pi)
        he, ihc = pair.image("he"), MemorySlide(Path("ihc"), pair.image("ihc"), Spacing(PICTURES.mpp))
        for number, (x, y) in enumerate(corners(pair, rng)):
            for error in errors:
                moved = Moved(pair.known, (error * np.cos(angle), error * np.sin(angle)))
                patches = {"HE": he[y : y + PATCH_PX, x : x + PATCH_PX]}
                patches["IHC"] = cut_moved(ihc, moved, (float(x), float(y)), PATCH_PX, 1.0)  # type: ignore[arg-type]
                row = {
                    "case_id": f"{block.case_id}-{number}",
                    "patient_id": block.patient.patient_id,
                    "label": block.patient.score,
                    "split": block.patient.split,
                }
                for stain, pixels in patches.items():
                    path = folder / f"{error:g}" / stain / f"{block.case_id}-{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path, compress_level=1)
                    row[stain.lower()] = f"{stain}/{path.name}"
                rows[error].append(row)
    for error, own in rows.items():
        with (folder / f"{error:g}" / "cases.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(own[0]))
            table.writeheader()
            table.writerows(own)


def corners(pair: SerialPair, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Places of H&E patches with tissue on both slides, also after the largest error."""
    grid = np.arange(0, PICTURES.slide_px - PATCH_PX + 1, PATCH_PX // 2)
    places = []
    for x, y in rng.permutation(np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)).tolist():
        if pair.piece[y : y + PATCH_PX, x : x + PATCH_PX].mean() < 0.9:
            continue
        there = pair.known.forward(np.array([(x + dx, y + dy) for dx in (0, PATCH_PX) for dy in (0, PATCH_PX)], float))
        if (there >= 0).all() and (there < PICTURES.slide_px).all():
            places.append((x, y))
        if len(places) == PER_PATIENT:
            break
    return places


def one(cases: Path, seed: int, more: list[str]) -> dict[str, float]:
    """Trains both stages on a folder of pairs: marks of the pair in validation, and the score from H&E in the test."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        words = ["--recipe=corranet", "--layer=demo", f"--cohort.cases={cases}", f"--cohort.cache={work / 'cache'}"]
        words += [f"--seed={seed}", f"--loading.seed={seed}", *more, f"--out={work / 'run'}"]
        with (work / "log.txt").open("w") as log, redirect_stdout(log):
            code = pathfuse(["fit", *words])
        if code:
            sys.exit((work / "log.txt").read_text())
        run = RunFolder.open(work / "run")
        last = [row for row in run.curve("correlate") if row.get("val/retrieval_mrr_from_he")][-1]
        tested = json.loads((work / "run" / "metrics.json").read_text(encoding="utf-8"))[run.fullest]
        own, stranger = (float(last[f"val/mean_correlation_from_he{end}"]) for end in ("", "_shuffled"))
        return {
            "retrieval_mrr": float(last["val/retrieval_mrr_from_he"]),
            "over_stranger": own - stranger,
            **{name: float(tested[f"test/{name}"]) for name in ("balanced_accuracy", "auroc")},
        }


def main() -> None:
    """Prints each error's figures, and what is lost against no error, over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--errors", type=float, nargs="+", default=ERRORS_UM, help="in micrometres, 0 among them")
    parser.add_argument("--out", type=Path, default=Path("planted_errors.csv"), help="gets a row per run")
    parser.add_argument("more", nargs="*", help="options of the fit, after --")
    given = parser.parse_args()
    found: dict[float, list[dict[str, float]]] = {error: [] for error in given.errors}
    with given.out.open("w", newline="") as file:
        table = csv.DictWriter(file, ("seed", "error_um", *METRICS))
        table.writeheader()
        for seed in range(given.first, given.first + given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                write_pairs(Path(folder), DemoCohort(patients=given.patients, seed=seed), tuple(given.errors))
                for error in given.errors:
                    found[error].append(one(Path(folder) / f"{error:g}", seed, given.more))
                    table.writerow({"seed": seed, "error_um": error, **found[error][-1]})
                    file.flush()
    show(found)


def show(found: dict[float, list[dict[str, float]]]) -> None:
    """A row per error: mean and interval, and the difference to no error within a seed."""
    table = Table("error, um", *METRICS, *(f"{name}, less exact" for name in METRICS), box=MARKDOWN)
    none = found.get(0.0, [])
    exact = {name: np.array([run[name] for run in none]) for name in METRICS}
    for error, runs in found.items():
        own = {name: np.array([run[name] for run in runs]) for name in METRICS}
        less = [interval(own[name] - exact[name]) if error and none else "" for name in METRICS]
        table.add_row(f"{error:g}", *(interval(own[name]) for name in METRICS), *less)
    Console(width=220).print(table)


if __name__ == "__main__":
    main()
