"""Tables of points: landmarks of a pair, and points to carry from one slide to another."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import RegistrationError
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import atomic_text
from pathfuse.system.reading import read_whole

Points = NDArray[np.float64]  # (N, 2)
BOTH = ("fixed_x", "fixed_y", "moving_x", "moving_y")


def read_points(path: Path, columns: Sequence[str] = ("x", "y")) -> Points:
    """Columns of a CSV as numbers, (N, K); names in any case of letters, further columns are not looked at.

    Raises:
        RegistrationError: if a column is missing or a cell is no number.
    """
    head, rows = _table(path)
    names = [name.strip().lower() for name in head]
    missing = [name for name in columns if name not in names]
    if missing:
        raise RegistrationError(f"{path.name} line 1: column {missing[0]} is missing. It needs {', '.join(columns)}.")
    places = [names.index(name) for name in columns]
    points = [_numbers(path, line, row, places) for line, row in rows]
    return np.array(points, dtype=np.float64).reshape(-1, len(columns))


def read_landmarks(text: str) -> tuple[Points, Points]:
    """Landmarks of the fixed and the moving slide, (N, 2) each, in level-0 pixels.

    Args:
        text: one CSV with the columns fixed_x, fixed_y, moving_x, moving_y; or two with x and y in equal order,
            separated by a comma; where one is longer, its further rows have no partner.

    Raises:
        RegistrationError: if they cannot be read or there is no pair of points.
    """
    files = [Path(part.strip()) for part in text.split(",")]
    if len(files) == 1:
        both = read_points(files[0], BOTH)
        fixed, moving = both[:, :2], both[:, 2:]
    elif len(files) == 2:
        fixed, moving = (read_points(path) for path in files)
        count = min(len(fixed), len(moving))
        fixed, moving = fixed[:count], moving[:count]
    else:
        raise RegistrationError(f"{text}: landmarks are one CSV of both slides, or two separated by a comma.")
    if not len(fixed):
        raise RegistrationError(f"{text} holds no landmarks.")
    return fixed, moving


def beyond(points: Points, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) which points lie beyond a slide of `size` (width, height) level-0 pixels."""
    return np.asarray(((points < 0) | (points > size)).any(axis=1), np.bool_)


def write_mapped(path: Path, source: Path, points: Points) -> None:
    """Writes a table of points again with other x and y; its further columns stay.

    Raises:
        RegistrationError: if the source cannot be read.
        RunError: if the file cannot be written.
    """
    head, rows = _table(source)
    names = [name.strip().lower() for name in head]
    x, y = names.index("x"), names.index("y")
    with atomic_text(path) as file:
        writer = CsvWriter(file)
        writer.writerow(head)
        for (_, row), (new_x, new_y) in zip(rows, points.tolist(), strict=True):
            cells = list(row)
            cells[x], cells[y] = f"{new_x:.3f}", f"{new_y:.3f}"
            writer.writerow(cells)


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        text = read_whole(path).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise RegistrationError(f"{path} cannot be read ({error.strerror}). Name a CSV of points.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RegistrationError(f"{path} is no CSV in UTF-8 ({error}). Save it as 'CSV UTF-8'.") from error
    if not rows:
        raise RegistrationError(f"{path} is empty. It needs a header with x and y.")
    return rows[0][1], rows[1:]


def _numbers(path: Path, line: int, row: list[str], places: Sequence[int]) -> list[float]:
    try:
        found = [float(row[place]) for place in places]
    except (ValueError, IndexError):
        found = [math.nan]
    if not all(math.isfinite(value) for value in found):
        raise RegistrationError(f"{path.name} line {line}: a coordinate is no number. Correct or remove that row.")
    return found
