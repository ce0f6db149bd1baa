"""Known maps and strangers: how far registration is off, and what tells a good one from one of unrelated slides.

    python -m benchmarks.trials.registration_limits --pairs 40 --out limits.csv
    python -m benchmarks.trials.registration_limits --pairs 8 --restained --out restained.csv

Of the pairs every fourth is unrelated: the H&E of one patient with the IHC of another, every other one of them
mirrored. All others are sections of one block with a known map. The limits of `pathfuse.register.quality` were chosen
on seeds 101 to 103; other seeds test them.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pathfuse.demo import DemoCohort, SerialPictures
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.register.contract import Section
from pathfuse.register.job import mean_of_both_ways
from pathfuse.register.method.stages import SerialSections
from pathfuse.register.quality import measure
from pathfuse.slides.opening import open_slide

COLUMNS = (
    "seed", "slide_px", "pair", "related", "verdict", "likeness", "lead", "similarity", "consistency_um", "overlap",
    "patches", "start_deg", "mirrored", "median_um", "p95_um", "seconds",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="the first pair of the run, for several processes")
    parser.add_argument("--last", type=int, help="the pair after the last one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slide-px", type=int, default=1024)
    parser.add_argument("--restained", action="store_true")
    parser.add_argument("--folded", type=float, default=0.0, help="share of sections with a fold")
    parser.add_argument("--out", type=Path, default=Path("registration_limits.csv"))
    given = parser.parse_args()
    who = DemoCohort(patients=given.pairs + 1, seed=given.seed)
    pictures = SerialPictures(slide_px=given.slide_px, restained=given.restained, folded=given.folded)
    rows = []
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for index in range(given.first, given.last or given.pairs):
            rows.append(trial(who, pictures, index, related=given.restained or index % 4 != 3))
            writer.writerow(rows[-1])
            file.flush()
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    summary(rows)


def trial(who: DemoCohort, pictures: SerialPictures, index: int, *, related: bool) -> dict[str, object]:
    """Registers one pair, and compares it with the truth where there is one."""
    fixed = SerialPair(who, pictures, index)
    stranger = replace(pictures, mirrored=float(index % 8 == 7))
    moving = fixed if related else SerialPair(who, stranger, index + 1)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{stain}.png") for stain in ("he", "ihc")]
        for path, pair, stain in zip(paths, (fixed, moving), ("he", "ihc"), strict=True):
            Image.fromarray(pair.image(stain)).save(path, compress_level=1)
        start = time.perf_counter()
        with open_slide(paths[0], mpp=pictures.mpp) as ours, open_slide(paths[1], mpp=pictures.mpp) as theirs:
            a, b = Section(ours, "he"), Section(theirs, "ihc")
            method = SerialSections()
            there = method.register(a, b)
            back = method.back(a, b)
            found = measure(a, b, there, back)
            if found.verdict != "refused":
                there = mean_of_both_ways(a, there, back)
    off = np.zeros(0)
    if related:
        truth = np.array(fixed.truth(), dtype=float)
        off = np.hypot(*(there.forward(truth[:, :2] * pictures.mpp) - truth[:, 2:] * pictures.mpp).T)
    return {
        "seed": who.seed, "slide_px": pictures.slide_px, "pair": index, "related": int(related),
        "verdict": found.verdict, "likeness": round(found.likeness, 4), "lead": round(found.lead, 4),
        "similarity": round(found.similarity, 4),
        "consistency_um": round(found.consistency_um or 0.0, 2), "overlap": round(found.overlap, 3),
        "patches": found.patches, "start_deg": round(float(np.degrees(moving.known.angle)), 1),
        "mirrored": int(moving.known.mirrored),
        "median_um": round(float(np.median(off)), 2) if len(off) else "",
        "p95_um": round(float(np.percentile(off, 95)), 2) if len(off) else "",
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def summary(rows: list[dict[str, object]]) -> None:
    good, strange = ([row for row in rows if row["related"] == kind] for kind in (1, 0))
    for name, own in (("related", good), ("unrelated", strange)):
        counts = {word: sum(row["verdict"] == word for row in own) for word in ("accepted", "review", "refused")}
        if own:
            print(f"{name}: {len(own)} pairs, {counts}")
        for key in ("lead", "similarity", "consistency_um") if own else ():
            values = sorted(float(str(row[key])) for row in own)
            print(f"  {key}: {values[0]} to {values[-1]}, median {np.median(values):.3g}")
    errors = [(float(str(row["median_um"])), float(str(row["p95_um"]))) for row in good if row["median_um"] != ""]
    if errors:
        medians, highs = np.array(errors).T
        print(f"median error: median over pairs {np.median(medians):.2f} um, worst {medians.max():.2f}")
        print(f"95th percentile: median over pairs {np.median(highs):.2f} um, worst {highs.max():.2f}")


if __name__ == "__main__":
    main()
