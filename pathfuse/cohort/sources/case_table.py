"""Reads and writes case tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pathfuse.cohort.labels import class_order
from pathfuse.cohort.sources.case_rows import scan
from pathfuse.cohort.sources.columns import USUAL_COLUMNS, Columns
from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError
from pathfuse.system.collection import without_collection
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import atomic_text


def read_cases(
    path: Path | str,
    *,
    modalities: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    check_files: bool = True,
    columns: Columns = USUAL_COLUMNS,
    keep: Collection[str] = (),
) -> CaseTable:
    """Reads a case table, long or wide: any text table or sheet of `read_any_table`.

    Long: a row per file with `case_id, patient_id, modality, path` and optionally `label, split, site, mpp`. Wide: a
    row per case with `case_id, patient_id` and a column per stain whose cells hold 0 to n paths separated by `;`, and
    optionally `<stain>_mpp`. Paths are relative to the table. Further columns are kept as labels.

    Args:
        path: the table.
        modalities: stains that a wide table has as columns; None takes each column in which a cell looks like a file.
        classes: class names; None derives them from the labels.
        check_files: whether a path that does not exist is an error.
        columns: what the columns are, where they have no usual names.
        keep: further labels that stay as they are written.

    Raises:
        CaseTableError: for the first thing that is wrong; says how many more there are.
    """
    table, problems = scan_cases(
        path, modalities=modalities, classes=classes, check_files=check_files, columns=columns, keep=keep
    )
    if problems:
        more = f" ({len(problems) - 1} more; `pathfuse data check` lists all.)" if len(problems) > 1 else ""
        raise CaseTableError(problems[0] + more)
    return table


@without_collection()
def scan_cases(
    path: Path | str,
    *,
    modalities: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    check_files: bool = True,
    columns: Columns = USUAL_COLUMNS,
    keep: Collection[str] = (),
) -> tuple[CaseTable, list[str]]:
    """As `read_cases`, but returns what could be read and one line for everything that is wrong."""
    path = Path(path)
    entries, problems, notes = scan(path, modalities, classes, check_files, columns, keep)
    cases = tuple(
        Case(
            entry.case_id,
            entry.said.get("patient_id", ""),
            entry.said.get("label", ""),
            entry.said.get("split", ""),
            entry.said.get("site", ""),
            {m: tuple(CaseFile(file, mpp) for file, mpp in files) for m, files in entry.files.items()},
            entry.labels,
        )
        for entry in entries
    )
    stains = tuple(dict.fromkeys(modality for case in cases for modality in case.files))
    known = tuple(classes) if classes else class_order(case.label for case in cases)
    return CaseTable(path, cases, stains, known, tuple(notes)), problems


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Writes a long case table that `read_cases` reads back equal; files below the table's folder become relative.

    Raises:
        CaseTableError: if a case has no file, which a long table cannot say.
    """
    extra = list(dict.fromkeys(name for case in cases for name in case.labels))
    with atomic_text(path) as file:
        rows = CsvWriter(file)
        rows.writerow(["case_id", "patient_id", "modality", "path", "label", "split", "site", "mpp", *extra])
        for case in cases:
            if not any(case.files.values()):
                raise CaseTableError(f"case {case.case_id} has no file, so no row can hold it; leave it out.")
            more = [case.labels.get(name, "") for name in extra]
            for modality, files in case.files.items():
                for one in files:
                    mpp = "" if one.mpp is None else repr(one.mpp)
                    where = _relative(one.path, path.parent)
                    head = [case.case_id, case.patient_id, modality, where, case.label, case.split, case.site, mpp]
                    rows.writerow([*head, *more])


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path.absolute())
