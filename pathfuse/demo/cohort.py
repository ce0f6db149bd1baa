"""The cohort as files: images, a case table, and the truth."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from pathfuse.demo.case import DemoCase, make_case
from pathfuse.demo.options import DemoOptions
from pathfuse.demo.publish import published, taken
from pathfuse.system.progress import in_threads

COLUMNS = ("case_id", "patient_id", "modality", "path", "label", "split", "site", "mpp")
TABLE, OPTIONS = "cases.csv", "options.json"
Progress = Callable[[int, int], None]
_R = TypeVar("_R")


class Generated(Protocol):
    """Options that name a generated cohort."""

    def to_json(self) -> str:
        """The options and the version of the generator, as written into the cohort folder."""

    def digest(self) -> str:
        """A short name of the cohort."""


def demo_folder(options: Generated, cache_dir: Path | str | None = None) -> Path:
    """Where a demo cohort lives: a name from its options and the generator's version. Makes nothing.

    Args:
        options: the cohort.
        cache_dir: folder of all cohorts; None is `pathfuse` in the user's cache (`$XDG_CACHE_HOME`, else `~/.cache`).
    """
    if cache_dir is None:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache_dir = Path(base) / "pathfuse"
    return Path(cache_dir) / f"demo-{options.digest()}"


def write_cohort(folder: Path | str, options: DemoOptions, progress: Progress | None = None) -> Path:
    """Writes a cohort and returns its `cases.csv`; a finished cohort of the same options is used as it is.

    The folder appears when everything in it is written. Beside the table it holds `images/<stain>/<case>.png`,
    `truth/<mask>/<case>.png` (see `DemoCase.truth`) and `options.json`.

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        options: what.
        progress: is told the finished and the total number of cases.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
    """
    return write_once(folder, options, lambda building: _write(building, options, progress))


def write_once(folder: Path | str, options: Generated, write: Callable[[Path], None]) -> Path:
    """The `cases.csv` of a generated cohort; `write` makes it in an empty folder unless it is there already.

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        options: what; they are written beside the table.
        write: writes everything but the options, the table among it.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
    """
    folder = Path(folder).absolute()
    table = folder / TABLE

    def complete() -> bool:
        marker = folder / OPTIONS
        return table.is_file() and marker.is_file() and marker.read_text(encoding="utf-8") == options.to_json()

    if complete():
        return table
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise taken(folder)
    with published(folder, complete) as building:
        write(building)
        (building / OPTIONS).write_text(options.to_json(), encoding="utf-8")
    return table


def _write(folder: Path, options: DemoOptions, progress: Progress | None) -> None:
    rows: list[tuple[object, ...]] = []

    def make(index: int) -> list[tuple[object, ...]]:
        return _write_case(folder, options, make_case(options, index))

    for new in each_case(make, options.cases, progress):
        rows += new
    write_table(folder / TABLE, COLUMNS, rows)


def _write_case(folder: Path, options: DemoOptions, case: DemoCase) -> list[tuple[object, ...]]:
    owner = case.patient
    rows: list[tuple[object, ...]] = []
    for name, image in case.images.items():
        path = Path("images", name, f"{case.case_id}.png")
        save_png(folder / path, Image.fromarray(image))
        rows.append(
            (case.case_id, owner.patient_id, name, path.as_posix(), case.label, owner.split, owner.site, options.mpp)
        )
    for name, mask in case.truth.items():
        save_png(folder / "truth" / name / f"{case.case_id}.png", Image.fromarray(mask.astype(np.uint8) * 255))
    return rows


def write_table(path: Path, columns: Iterable[str], rows: Iterable[tuple[object, ...]]) -> None:
    """Writes a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def save_png(path: Path, image: Image.Image) -> None:
    """Writes an image fast rather than small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)


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
