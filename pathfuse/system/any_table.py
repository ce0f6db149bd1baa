"""Tables as people save them: any usual separator and encoding, or a sheet of Excel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathfuse.errors import PathfuseError, RunError, cannot_be_read
from pathfuse.system.csv_table import Line, read_csv_lines
from pathfuse.system.reading import read_whole

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SHEETS = (".xlsx", ".xlsm")
OTHER_SHEETS = (".xls", ".ods", ".numbers", ".xlsb")
NO_TABLES = (
    ".npz", ".npy", ".h5", ".hdf5", ".pt", ".pth", ".pkl", ".pickle", ".parquet", ".feather", ".zip", ".json", ".rds",
    ".sav", ".dta", ".docx", ".pdf", ".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".png", ".jpg", ".jpeg",
)  # fmt: skip
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT = 200  # rows that decide on the separator


@dataclass(frozen=True)
class AnyTable:
    """The rows of a table, the header among them, without blank ones.

    Attributes:
        path: the file.
        lines: where a row begins, from 1, and its cells without blanks around them.
        notes: what is unusual about how it was read.
    """

    path: Path
    lines: tuple[Line, ...]
    notes: list[str] = field(default_factory=list)


def read_any_table(path: Path, *, error: type[PathfuseError] = RunError, advice: str = "Restore the file.") -> AnyTable:
    """Reads a text table separated by commas, semicolons, tabs or bars, in UTF-8 or UTF-16, or the sheet of a workbook.

    Args:
        path: the file; `.xlsx` needs the extra `excel`.
        error: the class of errors.
        advice: the next step that errors end in, one sentence.

    Raises:
        PathfuseError: of that class, if it is no such table.
    """
    suffix = path.suffix.lower()
    if suffix in OTHER_SHEETS:
        raise error(f"{path.name} is a workbook of the kind {suffix}. Save it as .xlsx, or as 'CSV UTF-8'.")
    if suffix in NO_TABLES:
        raise error(
            f"{path.name} is a {suffix} file and no table. Give a table as .csv, .tsv, .txt or .xlsx; features go into "
            "folders, named with --stores."
        )
    if suffix in SHEETS:
        return _sheet(path, error, advice)
    try:
        content = read_whole(path)
    except (OSError, ValueError) as cause:
        raise cannot_be_read(error, path, cause, advice) from cause
    notes: list[str] = []
    content = _utf8(path, content, error, notes)
    separator, content = _said_separator(content)
    if not separator:
        separator = _separator(path, content)
    lines = read_csv_lines(path, strip=True, content=content, separator=separator, error=error, advice=advice)
    if separator != ",":
        notes.append(f"{path.name} is separated by {SEPARATORS.get(separator, repr(separator))}.")
    return AnyTable(path, tuple(lines), notes)


def _utf8(path: Path, content: bytes, error: type[PathfuseError], notes: list[str]) -> bytes:
    """The bytes as UTF-8; a spreadsheet's "Unicode text" is UTF-16."""
    marked = content[:2] in _UTF16
    if not marked and not _looks_utf16(content):
        return content
    kind = "utf-16" if marked else ("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    try:
        text = content.decode(kind)
    except UnicodeDecodeError as cause:
        raise error(f"{path.name} begins as UTF-16 and is none further on. Save it as 'CSV UTF-8'.") from cause
    notes.append(f"{path.name} is UTF-16.")
    return text.encode()


def _looks_utf16(content: bytes) -> bool:
    """Whether every second byte of the beginning is zero, as in UTF-16 without a mark."""
    start = content[:64]
    half = len(start) // 2
    return half > 1 and any(
        start[place : 2 * half : 2] == bytes(half) and 0 not in start[1 - place : 2 * half : 2] for place in (0, 1)
    )


def _said_separator(content: bytes) -> tuple[str, bytes]:
    """The separator of the line `sep=;` that Excel writes, and the bytes with that line blank."""
    first, end, rest = content.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    word = first.strip(b'\r "')
    if word[:4].lower() == b"sep=" and len(word) == 5:
        return word[4:].decode("latin-1"), end + rest
    return "", content


def _separator(path: Path, content: bytes) -> str:
    """The separator by which most rows have equally many cells, and more than one."""
    best, chosen = (0.0, 0), ","
    for separator in SEPARATORS:
        lines = _trial(path, content, separator)
        counts = Counter(len(cells) for _, cells in lines)
        width, rows = counts.most_common(1)[0] if counts else (1, 0)
        # A header speaks for the whole column: cells of a wide table may hold several paths.
        if width > 1 and any(len(cells) == width for _, cells in lines[:3]):
            best, chosen = max((best, chosen), ((rows / sum(counts.values()), width), separator), key=lambda x: x[0])
    return chosen


def _trial(path: Path, content: bytes, separator: str) -> list[Line]:
    try:
        return read_csv_lines(path, content=content, separator=separator, most=_LOOKED_AT)
    except RunError:
        return []


def _sheet(path: Path, error: type[PathfuseError], advice: str) -> AnyTable:
    open_book = _opener(path, error)
    try:
        # Opened here: a missing file and a damaged one are told apart, and read-only sheets state no size.
        with path.open("rb") as file:
            book = open_book(file, read_only=True, data_only=True)
            sheets = {sheet.title: _rows(sheet) for sheet in book.worksheets}
    except OSError as cause:
        raise cannot_be_read(error, path, cause, advice) from cause
    except Exception as cause:  # openpyxl passes on whatever zip, XML and number parsers raise
        raise error(f"{path.name} is no workbook that can be read ({type(cause).__name__}). Save it again.") from cause
    filled = [name for name, rows in sheets.items() if rows]
    if len(filled) > 1:
        raise error(
            f"{path.name} has {len(filled)} sheets with rows ({', '.join(filled[:4])}). Save the one meant by itself."
        )
    return AnyTable(path, tuple(sheets[filled[0]]) if filled else ())


def _opener(path: Path, error: type[PathfuseError]) -> Callable[..., Any]:
    try:
        from openpyxl import load_workbook  # type: ignore[import-untyped,unused-ignore]
    except ImportError as cause:
        raise error(f"{path.name} is a workbook: pip install 'pathfuse[excel]', or save it as 'CSV UTF-8'.") from cause
    opener: Callable[..., Any] = load_workbook
    return opener


def _rows(sheet: Any) -> list[Line]:  # noqa: ANN401 - openpyxl has no types
    lines = [(number, [_text(cell) for cell in row]) for number, row in enumerate(sheet.iter_rows(values_only=True), 1)]
    width = max((place + 1 for _, cells in lines for place, cell in enumerate(cells) if cell), default=0)
    # Formatted but empty columns at the right are no columns, and rows end where their last cell does.
    return [(n, [*cells, *[""] * width][:width]) for n, cells in lines if any(cells)]


def _text(value: object) -> str:
    """A cell as it would stand in a CSV: whole numbers without a point, dates by the calendar."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    moment = getattr(value, "isoformat", None)
    return moment() if moment is not None else str(value).strip()
