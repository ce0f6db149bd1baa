"""The cohort as files: images, a case table, and the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from pathfuse.demo.block import Row
from pathfuse.demo.case import DemoCase, make_case
from pathfuse.demo.clinical import CLINICAL, write_clinical
from pathfuse.demo.options import GENERATOR_VERSION, DemoCohort
from pathfuse.demo.pictures import BagPictures, PatchPictures, SerialPictures, SlidePictures
from pathfuse.demo.publish import published, taken
from pathfuse.errors import RecipeError
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.progress import in_threads
from pathfuse.system.reading import read_whole_text

COLUMNS = ("case_id", "patient_id", "modality", "path", "label", "split", "site", "mpp")
TABLE, OPTIONS = "cases.csv", "options.json"
Progress = Callable[[int, int], None]
_R = TypeVar("_R")

Pictures = PatchPictures | SlidePictures | BagPictures
"""What a recipe may ask for; serial sections are drawn for registration alone."""

Drawn = Pictures | SerialPictures
KINDS: dict[type, str] = {
    PatchPictures: "patches",
    SlidePictures: "slides",
    BagPictures: "bags",
    SerialPictures: "serial",
}
VERSIONS = {"slides": 1, "bags": 2, "serial": 1}
"""Raise one whenever a file of an existing cohort of that kind would change: cached cohorts are named by it."""


def to_json(who: DemoCohort, pictures: Drawn) -> str:
    """The options and the versions of the generators, as written into the folder of a cohort."""
    versions = {
        "generator": GENERATOR_VERSION,
        **({kind: VERSIONS[kind]} if (kind := KINDS[type(pictures)]) in VERSIONS else {}),
    }
    return (
        json.dumps(
            {**versions, "kind": KINDS[type(pictures)], "who": asdict(who), "pictures": asdict(pictures)},
            indent=2,
            sort_keys=True,
        )
        + "\n"
    )


def demo_folder(who: DemoCohort, pictures: Pictures, cache: Path) -> Path:
    """Where a demo cohort lives: a name from its options and the generators' versions. Makes nothing.

    Args:
        who: the patients.
        pictures: what is drawn of them.
        cache: folder of all cohorts.
    """
    digest = hashlib.sha256(to_json(who, pictures).encode()).hexdigest()[:12]
    return cache / f"demo-{KINDS[type(pictures)]}-{digest}"


def write_patches(
    folder: Path | str, who: DemoCohort, pictures: PatchPictures, progress: Progress | None = None
) -> Path:
    """Writes a cohort and returns its `cases.csv`; a finished cohort of the same options is used as it is.

    The folder appears when everything in it is written. Beside the table it holds `images/<stain>/<case>.png`,
    `truth/<mask>/<case>.png` (see `DemoCase.truth`) and `options.json`.

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        who: the patients.
        pictures: what is drawn of them.
        progress: is told the finished and the total number of cases.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
    """
    return write_once(folder, who, pictures, lambda building: _write(building, who, pictures, progress))


def write_once(folder: Path | str, who: DemoCohort, pictures: Drawn, write: Callable[[Path], None]) -> Path:
    """The `cases.csv` of a generated cohort; `write` makes it in an empty folder unless it is there already.

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        who: the patients.
        pictures: what is drawn of them; both are written beside the table.
        write: writes everything but the options, the table among it.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
    """
    folder = Path(folder).absolute()
    table, text = folder / TABLE, to_json(who, pictures)

    def complete() -> bool:
        marker = folder / OPTIONS
        return table.is_file() and marker.is_file() and read_whole_text(marker) == text

    if complete():
        return table
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise taken(folder)
    with published(folder, complete) as building:
        write(building)
        write_clinical(building / CLINICAL, who)
        (building / OPTIONS).write_text(text, encoding="utf-8")
    return table


def _write(folder: Path, who: DemoCohort, pictures: PatchPictures, progress: Progress | None) -> None:
    def make(index: int) -> list[Row]:
        return _write_case(folder, pictures.mpp, make_case(who, pictures, index))

    write_cases(folder, make, who.patients * pictures.cases_per_patient, progress)


def _write_case(folder: Path, mpp: float, case: DemoCase) -> list[Row]:
    owner = case.patient
    rows: list[Row] = []
    for name, image in case.images.items():
        path = Path("images", name, f"{case.case_id}.png")
        save_png(folder / path, Image.fromarray(image))
        rows.append((case.case_id, owner.patient_id, name, path.as_posix(), case.label, owner.split, owner.site, mpp))
    for name, mask in case.truth.items():
        save_png(folder / "truth" / name / f"{case.case_id}.png", Image.fromarray(mask.astype(np.uint8) * 255))
    return rows


def refuse_extra_stains(who: DemoCohort, what: str) -> None:
    """Refuses patients with further stains, where only H&E and HER2 IHC are drawn."""
    if who.extra_stains:
        raise RecipeError(f"demo cohort: {what} are drawn of he and ihc, not of {who.extra_stains[0]}; remove it.")


def write_table(path: Path, columns: Iterable[str], rows: Iterable[tuple[object, ...]]) -> None:
    """Writes a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = CsvWriter(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def save_png(path: Path, image: Image.Image) -> None:
    """Writes an image fast rather than small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)


def write_cases(folder: Path, make: Callable[[int], list[Row]], cases: int, progress: Progress | None) -> None:
    """Writes the case table of what `make` draws and writes, case by case.

    Args:
        folder: of the cohort.
        make: draws and writes the case at a position, and returns its rows.
        cases: number of cases.
        progress: is told the finished and the total number of cases.
    """
    write_table(folder / TABLE, COLUMNS, [row for rows in each_case(make, cases, progress) for row in rows])


def each_case(make: Callable[[int], _R], cases: int, progress: Progress | None) -> Iterator[_R]:
    """What `make` gives for every case, in order.

    Args:
        make: draws and writes the case at a position.
        cases: number of cases.
        progress: is told the finished and the total number of cases.
    """
    for done, made in enumerate(in_threads(make, range(cases)), start=1):
        yield made
        if progress is not None:
            progress(done, cases)
