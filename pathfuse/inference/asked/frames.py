"""Data frames of any library as tables of cases; none of the libraries is needed."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from pathlib import Path
from typing import Any

from pathfuse.errors import CaseTableError
from pathfuse.system.csv_writing import CsvWriter

_OF_PATHS = "path"  # a column whose cells are files, whether these are there or not


def is_frame(what: object) -> bool:
    """Whether something is a table with named columns, as those of pandas and polars are.

    Raises:
        CaseTableError: for a table of predictions, which has columns too.
    """
    if isinstance(what, Mapping) or not hasattr(what, "columns"):
        return False
    if callable(what.columns):
        raise CaseTableError(f"{type(what).__name__} is no table of cases. Give a data frame with a row per case.")
    return True


def write_frame(path: Path, frame: Any) -> Path:  # noqa: ANN401 - a data frame of any library
    """A data frame as a CSV file; its named index is a column, and files are meant from where one stands.

    Args:
        path: the file.
        frame: has `columns`, and cells by column.

    Raises:
        CaseTableError: if it has no rows, or cells that no table holds.
    """
    columns = {str(name): list(frame[name]) for name in frame.columns}
    index = getattr(frame, "index", None)
    named = getattr(index, "name", None)
    if isinstance(named, str) and named not in columns and index is not None:
        columns = {named: list(index), **columns}
    if not columns or not next(iter(columns.values())):
        raise CaseTableError("the data frame has no rows. It needs one per case.")
    text = {name: [_text(name, cell) for cell in cells] for name, cells in columns.items()}
    with path.open("w", newline="", encoding="utf-8") as file:
        table = CsvWriter(file)
        table.writerow(text)
        table.writerows(zip(*text.values(), strict=True))
    return path


def _text(name: str, cell: object) -> str:
    """A cell as it stands in a file; what is missing is empty."""
    if cell is None or cell != cell:
        return ""
    if not isinstance(cell, str | Path | Number | bool) and not hasattr(cell, "item"):
        raise CaseTableError(
            f"column {name} of the data frame holds {type(cell).__name__}. Give files there, or arrays by stain: "
            "predict({'he': [...]})."
        )
    if isinstance(cell, Path) or (isinstance(cell, str) and _is_file(name, cell)):
        return str(Path(cell).absolute())
    return str(cell)


def _is_file(name: str, cell: str) -> bool:
    place = Path(cell)
    return bool(place.suffix) and (name.lower() == _OF_PATHS or place.is_file())
