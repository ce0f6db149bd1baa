"""Input of a prediction as options of a cohort: a path, paths by stain, arrays by stain, or a data frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pathfuse.cohort.sources.case_table import write_cases
from pathfuse.cohort.table import Case, CaseFile
from pathfuse.core import DataSpec
from pathfuse.errors import CaseTableError, RecipeError
from pathfuse.inference.asked.arrays import is_array, write_arrays
from pathfuse.inference.asked.frames import is_frame, write_frame
from pathfuse.system.spacing import MAX_MPP, MIN_MPP

Options = list[tuple[str, str]]
FRAME = "the data frame"
"""The file that a data frame is written to: messages name it."""


def source_options(
    what: Any,  # noqa: ANN401 - whatever a notebook holds
    *,
    spec: DataSpec,
    reads: Sequence[str],
    stores: Mapping[str, str | Path] | None,
    mpp: float | None,
    folder: Path,
    notes: list[str],
) -> Options:
    """The options that make a cohort of what was given.

    Args:
        what: a case table, label table or folder; a file, or files of one stain; per stain a file or files, or arrays;
            or a data frame of cases.
        spec: of the model.
        reads: modalities that the model looks at.
        stores: per stain, the folder of feature files of a label table.
        mpp: micrometres per pixel of what is given.
        folder: for files that have to be written.
        notes: what was converted is added here.

    Raises:
        CaseTableError, ImageError, StoreError: for what cannot be used.
    """
    _check_spacing(mpp)
    said: Options = [] if mpp is None else [("cohort.mpp", repr(mpp))]
    if stores:
        said.append(("cohort.stores", json.dumps({name: str(place) for name, place in stores.items()})))
    if is_frame(what):
        return [("cohort.cases", str(write_frame(folder / FRAME, what))), *said]
    if isinstance(what, str | Path) and (Path(what).is_dir() or _is_table(Path(what))):
        return [("cohort.cases", str(what)), *said]
    table = folder / "cases.csv"
    write_cases(table, _cases(_by_stain(what, reads), spec, mpp, folder, notes))
    return [("cohort.cases", str(table)), *said]


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv", ".txt", ".xlsx", ".xlsm")


def _by_stain(what: Any, reads: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401 - whatever a notebook holds
    if not isinstance(what, Mapping):
        if len(reads) > 1:
            raise CaseTableError(
                f"this model reads {', '.join(reads)}. Say what is given, of one stain or more: "
                f"predict({{{reads[0]!r}: ...}})."
            )
        what = {reads[0]: what}
    unread = [name for name in what if name not in reads]
    if unread or not what:
        raise CaseTableError(f"this model reads {', '.join(reads)}, and is given {', '.join(unread) or 'nothing'}.")
    return dict(what)


def _cases(given: Mapping[str, Any], spec: DataSpec, mpp: float | None, folder: Path, notes: list[str]) -> list[Case]:
    arrays = {name: value for name, value in given.items() if is_array(value)}
    in_bags = {name: spec[name].in_bags for name in given}
    for name in arrays:
        if spec[name].kind == "patches":
            raise CaseTableError(f"{name}: this model reads patches of slides. Give the files of slides, or a table.")
    files = write_arrays(folder, arrays, in_bags, notes)
    for name, value in given.items():
        if name not in arrays:
            files[name] = _paths(name, value)
    counts = {name: len(own) for name, own in files.items()}
    if len(set(counts.values())) > 1:
        raise CaseTableError(f"every stain needs as many files or arrays as the others; there are {counts}.")
    for own in files.values():
        for path in own:
            if not path.exists():
                raise CaseTableError(f"{path} does not exist. Correct the path.")
    count = next(iter(counts.values()))
    if not count:
        raise CaseTableError("nothing is given to predict.")
    first = next(iter(files))
    names = [str(k) if first in arrays else files[first][k].stem for k in range(count)]
    unique = names if len(set(names)) == count else [f"{k}-{name}" for k, name in enumerate(names)]
    return [
        Case(name, name, files={stain: (CaseFile(own[k], mpp),) for stain, own in files.items()})
        for k, name in enumerate(unique)
    ]


def _paths(name: str, value: object) -> list[Path]:
    several = [value] if isinstance(value, str | Path) or not isinstance(value, Iterable) else list(value)
    for one in several:
        if not isinstance(one, str | Path):
            raise CaseTableError(
                f"{name}: {type(one).__name__} is no file, image or bag. Give paths, arrays, a table or a data frame."
            )
    return [Path(str(one)).absolute() for one in several]


def _check_spacing(mpp: float | None) -> None:
    if mpp is not None and not MIN_MPP <= mpp <= MAX_MPP:
        raise RecipeError(f"mpp is {mpp}; give {MIN_MPP:g} to {MAX_MPP:g} micrometres per pixel.")
