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
        name for name in names if any(_FILE.search(part.strip()) for _, row in table for part in row[name].split(";"))
    ]
