"""Reads the rows of a case table and says, line by line, what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from pathfuse.cohort.label_map import ISH
from pathfuse.cohort.labels import class_order, unknown_label
from pathfuse.cohort.sources.columns import USUAL_COLUMNS, Columns
from pathfuse.cohort.sources.file_cells import file_columns
from pathfuse.cohort.sources.label_values import clean_labels
from pathfuse.cohort.sources.modality_words import modality_names, modality_note
from pathfuse.cohort.sources.named_table import NamedTable, read_named_table
from pathfuse.errors import CaseTableError
from pathfuse.system.spacing import no_spacing, spacing_of

KEYS = ("case_id", "patient_id")
FACTS = ("patient_id", "label", "split", "site")
LONG = ("modality", "path")
RESERVED = {*KEYS, *FACTS, *LONG, "mpp"}
SPLITS = ("train", "val", "test")
JOINT = "; "  # between what the rows of a case say in a column about its files


@dataclass
class Entry:
    """A case while its rows are being read.

    Attributes:
        case_id: its name.
        line: where it begins.
        said: for each fact, what the table says.
        labels: further columns.
        files: per modality.
        places: the modality and cell of every file, to find one that is named twice.
        more: per further column, everything that its rows say, in order.
    """

    case_id: str
    line: int
    said: dict[str, str]
    labels: dict[str, str]
    files: dict[str, list[tuple[Path, float | None]]] = field(default_factory=dict)
    places: set[tuple[str, str]] = field(default_factory=set)
    more: dict[str, dict[str, None]] = field(default_factory=dict)


def scan(
    path: Path,
    modalities: Sequence[str] | None,
    classes: Sequence[str] | None,
    check_files: bool,
    columns: Columns = USUAL_COLUMNS,
    keep: Collection[str] = (),
) -> tuple[list[Entry], list[str], list[str]]:
    """The cases of a table, one line per problem, and what to know about how it was read.

    Raises:
        CaseTableError: if the file cannot be read as a table at all.
    """
    table = read_named_table(path, columns, stains=tuple(modalities or ()))
    header = table.header
    _check_header(path, header)
    problems, notes = list(table.ragged), list(table.notes)
    rows = _cleaned(table, modalities, (*(classes or ()), *keep), notes)
    reader = _Reader(path, problems, notes, check_files)
    if set(LONG) <= set(header):
        reader.read_long(header, rows)
    else:
        reader.read_wide(header, rows, modalities)
    if not rows and not table.ragged:
        problems.append(f"{path.name} has a header but no rows. Write one row per file or case.")
    reader.check_labels(classes)
    reader.check_patients()
    reader.join_labels()
    return list(reader.entries.values()), problems, notes


def _cleaned(
    table: NamedTable, modalities: Sequence[str] | None, keep: Collection[str], notes: list[str]
) -> list[tuple[int, dict[str, str]]]:
    """The rows with labels and modalities by their names."""
    rows = [(line, dict(row)) for line, row in table.rows]
    if "label" in table.header:
        labels, said = clean_labels(
            [row["label"] for _, row in rows], column=table.roles.get("label", "label"), keep=keep
        )
        notes += said
        for (_, row), label in zip(rows, labels, strict=True):
            row["label"] = label
    if "modality" in table.header:
        names = modality_names(dict.fromkeys(row["modality"] for _, row in rows if row["modality"]), modalities or ())
        notes += modality_note(names)
        for _, row in rows:
            row["modality"] = names.get(row["modality"], "")
    return rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    for name in KEYS:
        if name not in header:
            near = get_close_matches(name, header, n=1)
            guess = f" Is it {near[0]!r}?" if near else ""
            hint = " Repeat case_id where every case is its own patient." if name == "patient_id" else ""
            raise CaseTableError(f"{path.name} line 1: column {name} is missing.{guess} Add it.{hint}")
    half = [name for name in LONG if name in header]
    if len(half) == 1:
        other = LONG[1 - LONG.index(half[0])]
        raise CaseTableError(f"{path.name} line 1: column {other} is missing beside {half[0]}. Add it.")


class _Reader:
    """Collects entries and problems; one method per form of table."""

    def __init__(self, path: Path, problems: list[str], notes: list[str], check_files: bool) -> None:
        self.path = path
        self.folder = path.parent
        self.problems = problems
        self.notes = notes
        self.per_file: set[str] = set()
        self.check_files = check_files
        self.entries: dict[str, Entry] = {}

    def read_long(self, header: Sequence[str], table: list[tuple[int, dict[str, str]]]) -> None:
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
        self, header: Sequence[str], table: list[tuple[int, dict[str, str]]], modalities: Sequence[str] | None
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

    def join_labels(self) -> None:
        """What the rows of a case say in a column about its files becomes one text."""
        for entry in self.entries.values():
            for name, values in entry.more.items():
                entry.labels[name] = JOINT.join(values)

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
        entry = self.entries.get(row["case_id"])
        if entry is None:
            entry = self.entries[row["case_id"]] = Entry(row["case_id"], line, said, labels)
            return entry
        for name, value in said.items():
            if value != entry.said[name]:
                self._differs(line, entry, name, value, entry.said[name])
        self._further(line, entry, labels)
        return entry

    def _further(self, line: int, entry: Entry, labels: Mapping[str, str]) -> None:
        """What a later row of a case says in the further columns."""
        for name, value in labels.items():
            before = entry.labels[name]
            if value == before:
                continue
            if name.lower() == ISH:  # this one decides the label
                self._differs(line, entry, name, value, before)
                continue
            known = entry.more.setdefault(name, dict.fromkeys(before.split(JOINT)))
            if value not in known:
                known[value] = None
                self.per_file.add(name)

    def _differs(self, line: int, entry: Entry, name: str, value: str, before: str) -> None:
        self._say(
            line,
            f"case {entry.case_id} has {name} {value!r}, but {before!r} in line {entry.line}. "
            "Give all rows of a case the same.",
        )

    def _add_file(self, entry: Entry, line: int, modality: str, cell: str, mpp: str) -> None:
        file = self.folder / cell
        files = entry.files.setdefault(modality, [])
        name = str(file)
        place = (modality, name)
        if place in entry.places:
            self._say(line, f"{cell} is already a file of case {entry.case_id}. Remove one of the rows.")
            return
        entry.places.add(place)
        if self.check_files and not os.path.exists(name):  # a name that is too long is an error for Path.exists
            self._say(line, f"{cell} does not exist. Correct the path, or remove it if the image is absent.")
        files.append((file, self._mpp(line, mpp)))

    def _mpp(self, line: int, text: str) -> float | None:
        if not text:
            return None
        value = spacing_of(text)
        if value is None:
            self._say(line, no_spacing(text))
        return value

    def _say(self, line: int, text: str) -> None:
        self.problems.append(f"{self.path.name} line {line}: {' '.join(text.splitlines())}")
