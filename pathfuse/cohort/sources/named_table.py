"""A person's table with its columns known: what was taken for what is said in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.cohort.sources.columns import ROLES, USUAL_COLUMNS, Columns, header_of, plain, roles_of
from pathfuse.cohort.sources.file_cells import file_columns
from pathfuse.cohort.sources.part_words import NAMES, part_columns, part_note, part_of
from pathfuse.errors import CaseTableError
from pathfuse.system.any_table import read_any_table
from pathfuse.system.collection import without_collection
from pathfuse.system.csv_table import Line, wrong_length

_HE = frozenset({"he", "hne", "hande", "hematoxylineosin", "haematoxylineosin"})
FIRST = "first column"  # the name of one without a name that is no index


@dataclass(frozen=True)
class NamedTable:
    """Rows by column; columns with a role have its name (`case_id`, `label`, ...), the others their own.

    Attributes:
        path: the file.
        header: the columns.
        rows: where each begins, and its cells by column. All have the cells of the header.
        roles: per role, what its column is called in the file.
        ragged: one line for each row of another length; such rows are left out.
        notes: what to know about how it was read.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]
    roles: Mapping[str, str]
    ragged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@without_collection()
def read_named_table(path: Path, columns: Columns = USUAL_COLUMNS, *, stains: Sequence[str] = ()) -> NamedTable:
    """Reads any table and finds out what its columns are.

    Args:
        path: the table; see `read_any_table`.
        columns: what the user says of them.
        stains: stains that may have a column of their own, which then holds no label.

    Raises:
        CaseTableError: if it cannot be read, is empty, or the columns are not clear.
    """
    table = read_any_table(path, error=CaseTableError, advice="Name an existing table.")
    lines, notes = _without_notice(path, table.lines, table.notes)
    if not lines:
        raise CaseTableError(f"{path.name} is empty. It needs a header such as case_id, slide_id, label, and rows.")
    if columns.header == "none":
        header, rows = header_of(path.name, len(lines[0][1]), columns), lines
    else:
        header, rows = [" ".join(name.split()) for name in lines[0][1]], lines[1:]
    whole = [(line, cells) for line, cells in rows if len(cells) == len(header)]
    ragged = tuple(
        f"{path.name} line {line}: {wrong_length(cells, header)}. Quote cells that hold a comma."
        for line, cells in rows
        if len(cells) != len(header)
    )
    header, whole = _without_index(path, header, whole, notes)
    _refuse_twice(path, header, lines[0][0])
    by_name = [(line, dict(zip(header, cells, strict=True))) for line, cells in whole]
    roles = _roles(path, header, by_name, columns, stains)
    if columns.lenient and "label" in columns.named and "label" not in roles:
        notes.append(
            f"{path.name} has no column {columns.named['label']!r}, the label of the training, so no label is read. "
            "Name another one: --label COLUMN."
        )
    notes += _parts(path, header, by_name, roles)
    inside = _names_inside(header, roles)
    if any(name != called for name, called in inside.items()):
        by_name = [(line, {inside[name]: cell for name, cell in row.items()}) for line, row in by_name]
    notes += _taken_for(path, header, roles, stains)
    return NamedTable(path, tuple(inside[name] for name in header), tuple(by_name), roles, ragged, tuple(notes))


def _roles(
    path: Path,
    header: Sequence[str],
    rows: Sequence[tuple[int, Mapping[str, str]]],
    columns: Columns,
    stains: Sequence[str],
) -> dict[str, str]:
    files = file_columns(header, rows)
    own = [name for name in header if stain_of(name, stains)]
    cells = {name: [row[name] for _, row in rows] for name in header}
    distinct = [name for name in header if rows and all(cells[name]) and len(set(cells[name])) == len(rows)]
    # Where a table says which stains exist, its other columns of stains look like labels and are none.
    shut = header if own and not _holds_names(own, cells) else [*files, *own]
    roles = roles_of(path.name, header, columns, not_labels=shut, ids=distinct)
    slide = roles.get("slide", "")
    if "modality" in roles and "path" not in roles and slide and _exists(path.parent, cells[slide]):
        roles["path"] = roles.pop("slide")
    return roles


def _parts(
    path: Path, header: Sequence[str], rows: Sequence[tuple[int, dict[str, str]]], roles: dict[str, str]
) -> list[str]:
    """Finds the column of parts where it has another name, and writes its words as train, val and test."""
    free = [name for name in header if name not in roles.values()]
    found = part_columns(free, {name: [row[name] for _, row in rows] for name in free}) if rows else []
    notes = []
    named = [name for name in found if plain(name) in NAMES]
    if "split" not in roles and len(named) == 1:
        roles["split"] = named[0]
    elif "split" not in roles and found:
        notes.append(
            f"WARNING: {path.name}: {', '.join(found)} may say which part a case is in and is not read. Name one: "
            f"--cohort.columns '{{split: {found[0]}}}'."
        )
    if "split" not in roles:
        return notes
    column = roles["split"]
    notes += part_note([row[column] for _, row in rows])
    for _, row in rows:
        row[column] = part_of(row[column]) or row[column]
    return notes


def _taken_for(path: Path, header: Sequence[str], roles: Mapping[str, str], stains: Sequence[str]) -> list[str]:
    """The line on what was taken for what; none where every column has its own name."""
    own = {name: stain_of(name, stains) for name in header if name not in roles.values()}
    if all(ROLES[role] == name for role, name in roles.items()) and all(s in ("", n) for n, s in own.items()):
        return []
    said = [f"{role} is {name}" for role, name in roles.items()] + [f"{s} is {n}" for n, s in own.items() if s]
    others = [name for name, stain in own.items() if not stain]
    rest = f" Further columns: {', '.join(others)}." if others else ""
    return [f"{path.name}: {', '.join(said)}.{rest}"]


def stain_of(name: str, stains: Sequence[str]) -> str:
    """The stain that a column such as `HE` or `he_slide` is about; empty if none."""
    own = plain(name)
    for end in (
        "slidefilename",
        "slideid",
        "slidename",
        "slidefile",
        "slide",
        "filename",
        "file",
        "wsi",
        "image",
        "path",
    ):
        own = own.removesuffix(end) if own != end else own
    if own in _HE:
        own = "he"
    return next((stain for stain in stains if own == plain(stain)), "")


def _holds_names(own: Sequence[str], cells: Mapping[str, Sequence[str]]) -> bool:
    return any(cell not in ("", "0", "1", "0.0", "1.0") for name in own for cell in cells[name])


def _exists(folder: Path, cells: Sequence[str]) -> bool:
    try:
        return any(cell and (folder / cell).is_file() for cell in cells)
    except OSError:  # a cell too long for a file name
        return False


def _without_notice(path: Path, lines: Sequence[Line], notes: Sequence[str]) -> tuple[list[Line], list[str]]:
    # Published tables put a notice of one cell above or below the header. A case without a label is no notice.
    notices = [line for line, cells in lines[:2] if " " in cells[0] and len(cells) > 1 and not any(cells[1:])]
    said = [f"{path.name} line {line} holds one cell only and is not read." for line in notices[:1]]
    return [(line, cells) for line, cells in lines if line not in notices], [*notes, *said]


def _without_index(path: Path, header: list[str], rows: list[Line], notes: list[str]) -> tuple[list[str], list[Line]]:
    """Without the running numbers that pandas writes in front, and without empty columns at the end."""
    width = max((i + 1 for i, name in enumerate(header) if name or any(cells[i] for _, cells in rows)), default=0)
    header, rows = header[:width], [(line, cells[:width]) for line, cells in rows]
    if len(header) > 1 and (not header[0] or plain(header[0]) == "unnamed0"):
        numbers = [cells[0] for _, cells in rows]
        if any(numbers == [str(i + start) for i in range(len(rows))] for start in (0, 1)):
            notes.append(f"{path.name}: the first column has no name and counts the rows; it is not read.")
            return header[1:], [(line, cells[1:]) for line, cells in rows]
        notes.append(f"{path.name}: the first column has no name; it is called {FIRST!r} here.")
        return [FIRST, *header[1:]], rows
    return header, rows


def _refuse_twice(path: Path, header: Sequence[str], line: int) -> None:
    seen: set[str] = set()
    for name in header:
        if name in seen:
            what = f"column {name!r} occurs twice" if name else "two columns have no name"
            raise CaseTableError(f"{path.name} line {line}: {what}. Rename or remove one.")
        seen.add(name)


def _names_inside(header: Sequence[str], roles: Mapping[str, str]) -> dict[str, str]:
    taken = {name: ROLES[role] for role, name in roles.items()}
    # A column that was called `label` and is not the one meant keeps its cells under another name.
    return {name: taken.get(name) or (f"{name} (other)" if name in taken.values() else name) for name in header}
