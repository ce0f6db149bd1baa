"""Reads the rows of a case table and says, line by line, what is wrong with them."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from pathfuse.cohort.labels import class_order, unknown_label
from pathfuse.errors import CaseTableError

KEYS = ("case_id", "patient_id")
FACTS = ("patient_id", "label", "split", "site")
LONG = ("modality", "path")
RESERVED = {*KEYS, *FACTS, *LONG, "mpp"}
SPLITS = ("train", "val", "test")
MAX_MPP = 100.0  # 72 dpi, the default of many image writers, reads as 352.8 µm per pixel: no microscope has it
_FILE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


@dataclass
class Entry:
    """A case while its rows are being read; `said` holds for each fact what the table says."""

    case_id: str
    line: int
    said: dict[str, str]
    labels: dict[str, str]
    files: dict[str, list[tuple[Path, float | None]]] = field(default_factory=dict)


def scan(
    path: Path, modalities: Sequence[str] | None, classes: Sequence[str] | None, check_files: bool
) -> tuple[list[Entry], list[str]]:
    """The cases of a table, and one line per problem.

    Raises:
        CaseTableError: if the file cannot be read as a table at all.
    """
    header, rows = _rows(path)
    problems: list[str] = []
    good = [(line, cells) for line, cells in rows if _fits(path, header, line, cells, problems)]
    table = [(line, dict(zip(header, (cell.strip() for cell in cells), strict=True))) for line, cells in good]
    reader = _Reader(path, problems, check_files)
    if set(LONG) <= set(header):
        reader.read_long(header, table)
    else:
        reader.read_wide(header, table, modalities)
    if not rows:
        problems.append(f"{path.name} has a header but no rows. Write one row per file or case.")
    reader.check_labels(classes)
    reader.check_patients()
    return list(reader.entries.values()), problems


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CaseTableError(f"{path.name} line {line} is not UTF-8. Save the table as 'CSV UTF-8'.") from error
    except OSError as error:
        raise CaseTableError(f"{path} cannot be read ({error.strerror}). Name an existing case table.") from error
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise CaseTableError(f"{path.name} line {reader.line_num}: {error}. Check the quotes of that row.") from error
    if not rows:
        raise CaseTableError(f"{path.name} is empty. It needs a header with case_id, patient_id, modality, path.")
    header = [cell.strip() for cell in rows[0][1]]
    _check_header(path, header)
    return header, rows[1:]


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        raise CaseTableError(f"{path.name} line 1: columns are separated by {header[0][7:8]!r}. Save it with commas.")
    for name in KEYS:
        if name not in header:
            near = get_close_matches(name, header, n=1)
            guess = f" Is it {near[0]!r}?" if near else ""
            hint = " Repeat case_id where every case is its own patient." if name == "patient_id" else ""
            raise CaseTableError(f"{path.name} line 1: column {name} is missing.{guess} Add it.{hint}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise CaseTableError(f"{path.name} line 1: column {twice[0]!r} occurs twice. Rename one.")
    half = [name for name in LONG if name in header]
    if len(half) == 1:
        other = LONG[1 - LONG.index(half[0])]
        raise CaseTableError(f"{path.name} line 1: column {other} is missing beside {half[0]}. Add it.")


def _fits(path: Path, header: list[str], line: int, cells: list[str], problems: list[str]) -> bool:
    if len(cells) == len(header):
        return True
    problems.append(
        f"{path.name} line {line}: {len(cells)} cells, but the header has {len(header)}. Quote cells with a comma."
    )
    return False


class _Reader:
    """Collects entries and problems; one method per form of table."""

    def __init__(self, path: Path, problems: list[str], check_files: bool) -> None:
        self.path = path
        self.problems = problems
        self.check_files = check_files
        self.entries: dict[str, Entry] = {}

    def read_long(self, header: list[str], table: list[tuple[int, dict[str, str]]]) -> None:
        extra = [name for name in header if name not in RESERVED]
        for line, row in table:
            entry = self._entry(line, row, extra)
            if entry is None:
                continue
            if not row["modality"] or not row["path"]:
                gap = "path" if row["modality"] else "modality"
                self._say(line, f"{gap} is empty. Remove the row if the image is absent.")
                continue
            self._add_file(entry, line, row["modality"], row["path"], row.get("mpp", ""))

    def read_wide(
        self, header: list[str], table: list[tuple[int, dict[str, str]]], modalities: Sequence[str] | None
    ) -> None:
        free = [name for name in header if name not in RESERVED]
        stains = [n for n in free if n in (modalities or ())] or file_columns(free, table)
        if not stains:
            raise CaseTableError(
                f"{self.path.name} line 1: no column is modality and path, and none holds files. Add modality and "
                "path (a row per file) or one column per stain (a row per case)."
            )
        extra = [name for name in free if name not in stains and name.removesuffix("_mpp") not in stains]
        for line, row in table:
            first = self.entries.get(row["case_id"])
            if first is not None:
                self._say(line, f"case {row['case_id']} is already in line {first.line}. Keep one row per case.")
                continue
            entry = self._entry(line, row, extra)
            for stain in stains if entry is not None else ():
                mpp = row.get(f"{stain}_mpp", "") or row.get("mpp", "")
                for cell in filter(None, (part.strip() for part in row[stain].split(";"))):
                    self._add_file(entry, line, stain, cell, mpp)  # type: ignore[arg-type]

    def check_labels(self, classes: Sequence[str] | None) -> None:
        known = tuple(classes) if classes else class_order(e.said.get("label", "") for e in self.entries.values())
        for entry in self.entries.values():
            label = entry.said.get("label", "")
            if label and label not in known:
                self._say(entry.line, unknown_label(label, known))

    def check_patients(self) -> None:
        first: dict[str, Entry] = {}
        partly = {bool(entry.said.get("split")) for entry in self.entries.values()} == {True, False}
        for entry in self.entries.values():
            split, patient = entry.said.get("split", ""), entry.said["patient_id"]
            if partly and not split:
                self._say(entry.line, f"case {entry.case_id} has no split, but others have. Fill in all or none.")
            other = first.setdefault(patient, entry)
            if split and other.said["split"] and other.said["split"] != split:
                self._say(
                    entry.line,
                    f"patient {patient} is in {split}, but in {other.said['split']} in line {other.line}. Move all "
                    "cases of a patient to one part, or have parts drawn with `split: drawn`.",
                )

    def _entry(self, line: int, row: Mapping[str, str], extra: list[str]) -> Entry | None:
        for name in KEYS:
            if not row[name]:
                self._say(line, f"{name} is empty. Fill it in.")
                return None
        said = {name: row.get(name, "") for name in FACTS}
        said["split"] = said["split"].lower()
        if said["split"] and said["split"] not in SPLITS:
            self._say(line, f"split {row['split']!r} is none of {', '.join(SPLITS)}. Correct it.")
            said["split"] = ""
        labels = {name: row[name] for name in extra}
        entry = self.entries.setdefault(row["case_id"], Entry(row["case_id"], line, said, labels))
        for name, value in {**said, **labels}.items():
            before = {**entry.said, **entry.labels}[name]
            if value != before:
                self._say(
                    line,
                    f"case {entry.case_id} has {name} {value!r}, but {before!r} in line {entry.line}. "
                    "Give all rows of a case the same.",
                )
        return entry

    def _add_file(self, entry: Entry, line: int, modality: str, cell: str, mpp: str) -> None:
        file = self.path.parent / cell
        files = entry.files.setdefault(modality, [])
        if any(file == known for known, _ in files):
            self._say(line, f"{cell} is already a file of case {entry.case_id}. Remove one of the rows.")
            return
        if self.check_files and not os.path.exists(file):  # a name that is too long is an error for Path.exists
            self._say(line, f"{cell} does not exist. Correct the path, or remove it if the image is absent.")
        files.append((file, self._mpp(line, mpp)))

    def _mpp(self, line: int, text: str) -> float | None:
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if 0 < value < MAX_MPP:
            return value
        self._say(line, f"mpp {text!r} is no number between 0 and {MAX_MPP:g} µm per pixel. Correct or clear it.")
        return None

    def _say(self, line: int, text: str) -> None:
        self.problems.append(f"{self.path.name} line {line}: {' '.join(text.splitlines())}")


def file_columns(names: Sequence[str], table: Sequence[tuple[int, Mapping[str, str]]]) -> list[str]:
    """The columns in which a cell looks like a file.

    Args:
        names: of the columns to look at.
        table: rows with their line.
    """
    return [
        name for name in names if any(_FILE.search(part.strip()) for _, row in table for part in row[name].split(";"))
    ]
