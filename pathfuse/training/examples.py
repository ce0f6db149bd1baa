"""What a report needs of the data, in the run folder: how the cohort came about, and pictures of some cases."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from pathfuse.core.subsets import as_trained
from pathfuse.data.images.decode import Pixels
from pathfuse.runs.folder import RunFolder
from pathfuse.system.files import atomic_text, replacing, write_text
from pathfuse.training.plan import Plan

COHORT, EXAMPLES = "cohort.json", "examples"
EACH = 4  # cases of a kind
EDGE_PX = 256
QUALITY = 85

Row = Mapping[str, str]


def write_cohort(plan: Plan, run: RunFolder) -> None:
    """Writes `cohort.json`: where the cases come from, how many were left at every step, and what to know of them."""
    data = plan.data_of(plan.last)
    content = {
        "origin": data.cohort.origin.name,
        "data": type(data).__name__,
        "flow": [asdict(step) for step in data.flow()],
        "notes": list(dict.fromkeys([*plan.recipe.notes, *data.notes()])),
    }
    write_text(run.path / COHORT, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_examples(plan: Plan, run: RunFolder) -> None:
    """Writes `examples/*.jpg` and `examples.csv`: test cases that are right, wrong and left to a person.

    Args:
        plan: gives the data; only cases that are shown are read.
        run: a run with predictions.
    """
    data = plan.data_of(plan.last)
    with (run.path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [
        (kind, row, pictures)
        for kind, row in chosen_cases(rows, run.versions()["given"])
        if (pictures := data.picture(row["case_id"]))
    ]
    stains = list(dict.fromkeys(stain for _, _, pictures in found for stain in pictures))
    shown = ["case_id", "patient_id", "subset", "target", "predicted", "confidence"]
    with atomic_text(run.path / f"{EXAMPLES}.csv") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["kind", *shown, *(f"file_{stain}" for stain in stains)])
        for number, (kind, row, pictures) in enumerate(found):
            names = {stain: f"{number:02d}_{position}.jpg" for position, stain in enumerate(stains)}
            for stain, pixels in pictures.items():
                _save(pixels, run.path / EXAMPLES / names[stain])
            files = [names[stain] if stain in pictures else "" for stain in stains]
            table.writerow([kind, *(_confidence(row) if key == "confidence" else row[key] for key in shown), *files])


def chosen_cases(rows: list[dict[str, str]], given: Sequence[str] | None = None) -> Iterator[tuple[str, Row]]:
    """The cases to show and why, of different patients where there are enough.

    Args:
        rows: of `predictions.csv`.
        given: the stains that the model was given in training; None where it was given all.
    """
    tested = [row for row in rows if row["target"] and row["split"] in ("test", "")]
    if not tested:
        return
    subset = as_trained((row["subset"] for row in tested), given)
    # The surest first; the order of equal ones is that of their names, on every machine.
    cases = sorted(
        (row for row in tested if row["subset"] == subset), key=lambda row: (-float(_confidence(row)), row["case_id"])
    )
    kept = [row for row in cases if row.get("abstain", "0") != "1"]
    yield from (("right", row) for row in _some(row for row in kept if row["target"] == row["predicted"]))
    yield from (("wrong", row) for row in _some(row for row in kept if row["target"] != row["predicted"]))
    if "abstain" in cases[0]:
        yield from (("abstained", row) for row in _some(row for row in cases if row["abstain"] == "1"))
    else:
        yield from (("unsure", row) for row in _some(reversed(cases)))


def _some(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """The first of every patient, then further ones, as many as are shown."""
    first: list[dict[str, str]] = []
    further: list[dict[str, str]] = []
    seen: set[str] = set()
    for row in rows:
        (further if row["patient_id"] in seen else first).append(row)
        seen.add(row["patient_id"])
    return [*first, *further][:EACH]


def _confidence(row: Row) -> str:
    # Compared as numbers: as text 9e-06 comes after 0.99.
    return row["confidence"] or max((value for key, value in row.items() if key.startswith("p_")), key=float)


def _save(pixels: Pixels, path: Path) -> None:
    image = Image.fromarray(pixels)
    image.thumbnail((EDGE_PX, EDGE_PX))
    with replacing(path) as temporary:
        image.convert("RGB").save(temporary, format="JPEG", quality=QUALITY)
