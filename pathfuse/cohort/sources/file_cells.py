"""Columns of a table whose cells look like files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_FILE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


def file_columns(names: Sequence[str], table: Sequence[tuple[int, Mapping[str, str]]]) -> list[str]:
    """The columns in which a cell looks like a file.

    Args:
        names: of the columns to look at.
        table: rows with their line.
    """
    return [
        name for name in names if any("." in row[name] and any(map(_is_file, row[name].split(";"))) for _, row in table)
    ]


def _is_file(part: str) -> bool:
    return _FILE.search(part.strip()) is not None
