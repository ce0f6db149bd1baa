"""The strict reader of CSV files: whatever is wrong is an error that names the file, the line and the next step."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.errors import PathfuseError, RunError, cannot_be_read, did_you_mean
from pathfuse.system.csv_writing import as_read
from pathfuse.system.reading import read_whole

Line = tuple[int, list[str]]
"""Where a row begins, from 1, and its cells."""
ENCODING = "utf-8-sig"  # with or without the byte order mark that a spreadsheet writes


@dataclass(frozen=True)
class CsvTable:
    """A table whose rows all have the cells of its header.

    Attributes:
        path: the file.
        header: the columns, each once.
        lines: the rows below the header without blank ones, and where each begins.
    """

    path: Path
    header: tuple[str, ...]
    lines: tuple[Line, ...]

    def __iter__(self) -> Iterator[dict[str, str]]:
        """The rows, by column."""
        return (row for _, row in self.numbered())

    def __len__(self) -> int:
        return len(self.lines)

    def numbered(self) -> Iterator[tuple[int, dict[str, str]]]:
        """The rows, by column, and where each begins."""
        return ((number, dict(zip(self.header, cells, strict=True))) for number, cells in self.lines)


def read_csv(
    path: Path,
    required: Sequence[str] = (),
    *,
    known: Collection[str] | None = None,
    strip: bool = False,
    content: bytes | None = None,
    error: type[PathfuseError] = RunError,
    advice: str = "Restore the file.",
) -> CsvTable:
    """Reads a table with a header.

    Args:
        path: the file; UTF-8 with or without a byte order mark, separated by commas.
        required: columns that it has to have, in any order.
        known: columns that it may have besides; None allows all.
        strip: whether blanks around a cell are dropped, as in a file that people write.
        content: its bytes, where they have been read; None reads them.
        error: the class of errors.
        advice: the next step that errors end in, one sentence.

    Raises:
        PathfuseError: of that class, for a file that is no such table.
    """
    lines = read_csv_lines(path, strip=strip, content=content, error=error, advice=advice)
    if not lines:
        columns = f" It needs the columns {', '.join(required)}." if required else ""
        raise error(f"{path} is empty.{columns} {advice}")
    header, rows = lines[0][1], lines[1:]
    wrong = wrong_header(header, required, known)
    if wrong:
        raise error(f"{path} line {lines[0][0]}: {wrong} {advice}")
    for number, cells in rows:
        if len(cells) != len(header):
            raise error(f"{path} line {number}: {wrong_length(cells, header)}. Quote cells that hold a comma. {advice}")
    return CsvTable(path, tuple(header), tuple(rows))


def read_csv_lines(
    path: Path,
    *,
    strip: bool = False,
    content: bytes | None = None,
    separator: str = ",",
    most: int | None = None,
    error: type[PathfuseError] = RunError,
    advice: str = "Restore the file.",
) -> list[Line]:
    """The rows of a file as they are, the header among them, without those that are blank; for tables of other tools.

    The apostrophe by which spreadsheets, and our own writer, mark text that begins like a formula is no part of a cell.

    Args:
        path: the file; UTF-8 with or without a byte order mark.
        strip: whether blanks around a cell are dropped.
        content: its bytes, where they have been read; None reads them.
        separator: what stands between cells.
        most: rows to read; None reads all.
        error: the class of errors.
        advice: the next step that errors end in.

    Raises:
        PathfuseError: of that class, if the file is no CSV in UTF-8.
    """
    text = _text(path, content, error, advice)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[Line] = []
    begins, marked = 1, "'" in text
    try:
        for cells in reader:
            if (row := "".join(cells)) and not row.isspace():
                # Per cell nothing is called that the whole file needs not: large tables are read in a second.
                bare = list(map(str.strip, cells)) if strip else cells
                lines.append((begins, list(map(as_read, bare)) if marked else bare))
                if len(lines) == most:
                    break
            begins = reader.line_num + 1
    except csv.Error as cause:
        raise error(f"{path} line {begins}: {cause}. Check the quotes of that row. {advice}") from cause
    return lines


def wrong_header(header: Sequence[str], required: Sequence[str] = (), known: Collection[str] | None = None) -> str:
    """A sentence on what is wrong with the columns of a table; empty where nothing is.

    Args:
        header: the columns.
        required: those that have to be there.
        known: those that may be there besides; None allows all.
    """
    if len(header) == 1 and required and (separator := next((c for c in ";\t" if c in header[0]), "")):
        return f"columns are separated by {separator!r}. Save it with commas."
    counts = Counter(header)
    missing = [name for name in required if name not in counts]
    if missing:
        others = [name for name in header if name not in required]
        return f"column {missing[0]} is missing.{did_you_mean(missing[0], others)}".replace("Did you mean", "Is it")
    twice = [name for name in header if counts[name] > 1]
    if twice:
        return f"column {twice[0]!r} occurs twice. Rename or remove one."
    allowed = {*required, *(known or ())}
    strange = [name for name in header if known is not None and name not in allowed]
    if strange:
        return f"column {strange[0]!r} is unknown.{did_you_mean(strange[0], [*required, *(known or ())])}"
    return ""


def wrong_length(cells: Sequence[str], header: Sequence[str]) -> str:
    """What is wrong with a row that has more or fewer cells than the header."""
    return f"{len(cells)} cells, but the header has {len(header)}"


def _text(path: Path, content: bytes | None, error: type[PathfuseError], advice: str) -> str:
    try:
        text = (read_whole(path) if content is None else content).decode(ENCODING)
    except UnicodeDecodeError as cause:
        number = cause.object[: cause.start].count(b"\n") + 1
        raise error(f"{path} line {number} is not UTF-8. Save it as 'CSV UTF-8'. {advice}") from cause
    except (OSError, ValueError) as cause:
        raise cannot_be_read(error, path, cause, advice) from cause
    # Since Python 3.11 the csv module passes NUL bytes on, and they end file names early.
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise error(f"{path} line {number} holds a NUL byte, so this is no text. {advice}")
    return text
