"""The one writer of CSV files: text that a spreadsheet would run as a formula gets an apostrophe, its mark of text.

`csv_table` takes the apostrophe away again, so that ids and names are what they were.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_ENDS = "\r\n"
_SIGNS = re.compile(r"[+-]*")


def as_text(cell: object) -> object:
    """A cell as it is written: numbers, and scores such as `+`, stay; other text that begins like a formula is marked.

    Source: OWASP, CSV Injection.
    """
    text = cell if isinstance(cell, str) else "" if cell is None else str(cell)
    if isinstance(cell, int | float) or not _FORMULA.match(text) or _SIGNS.fullmatch(text) or _is_number(text):
        return cell
    return f"'{text}"


def as_read(text: str) -> str:
    """A cell without the mark that `as_text` puts on it."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class _Rows:
    """Ends the rows of the csv module in another way."""

    def __init__(self, file: TextIO, end: str) -> None:
        self.file = file
        self.end = end

    def write(self, row: str) -> object:
        """Takes one row, which ends in CR LF."""
        return self.file.write(row.removesuffix(_ENDS) + self.end)


class CsvWriter:
    """Writes rows as `csv.writer` does.

    Args:
        file: opened with `newline=""`.
        lineterminator: what ends a row.
    """

    def __init__(self, file: TextIO, *, lineterminator: str = "\r\n") -> None:
        # Until Python 3.13 a carriage return within a cell was quoted only if it ended rows, too.
        self._writer = csv.writer(_Rows(file, lineterminator), lineterminator=_ENDS)

    def writerow(self, row: Iterable[object]) -> None:
        """Writes a row."""
        self._writer.writerow([as_text(cell) for cell in row])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Writes rows."""
        for row in rows:
            self.writerow(row)


class CsvRecordWriter:
    """Writes mappings as `csv.DictWriter` does; what a row does not have is empty, and what is no column is left out.

    Args:
        file: opened with `newline=""`.
        columns: the header, which is written at once.
        lineterminator: what ends a row.
    """

    def __init__(self, file: TextIO, columns: Collection[str], *, lineterminator: str = "\r\n") -> None:
        self.columns: Sequence[str] = list(columns)
        self._writer = CsvWriter(file, lineterminator=lineterminator)
        self._writer.writerow(self.columns)

    def writerow(self, row: Mapping[str, Any]) -> None:
        """Writes a row."""
        self._writer.writerow(row.get(name, "") for name in self.columns)

    def writerows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes rows."""
        for row in rows:
            self.writerow(row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()  # `float` takes a tab before a number, and a spreadsheet need not
