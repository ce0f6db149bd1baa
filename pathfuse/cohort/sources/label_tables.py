"""Reads the label tables that go with folders of features, as labs and several tools write them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathfuse.cohort.label_map import ISH
from pathfuse.cohort.sources.columns import USUAL_COLUMNS, Columns
from pathfuse.cohort.sources.label_values import clean_labels
from pathfuse.cohort.sources.modality_words import modality_names, modality_note
from pathfuse.cohort.sources.named_table import NamedTable, read_named_table, stain_of
from pathfuse.errors import CaseTableError
from pathfuse.system.spacing import no_spacing, spacing_of

SPLITS = ("train", "val", "test")
_FLAGS = {"": False, "0": False, "0.0": False, "1": True, "1.0": True}
_JOINT = "; "


@dataclass
class Labelled:
    """One case of a label table.

    Attributes:
        line: where it was first named.
        case_id: its name.
        patient_id: its patient; the case where the table does not say.
        label: class name, empty where unknown.
        split: part, empty where unknown.
        site: where it was stained or scanned, empty where unknown.
        slides: names of its slides; empty where the table does not say.
        own_slides: per stain, names of slides that the table gives to that stain alone.
        stains: per stain column of MADELEINE, whether it exists.
        spacings: micrometres per level-0 pixel that the table gives to a slide, by the slide's name.
        more: further columns, for example the fold.
    """

    line: int
    case_id: str
    patient_id: str
    label: str = ""
    split: str = ""
    site: str = ""
    slides: list[str] = field(default_factory=list)
    own_slides: dict[str, list[str]] = field(default_factory=dict)
    stains: dict[str, bool] = field(default_factory=dict)
    spacings: dict[str, float] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)


def read_labels(
    path: Path, *, columns: Columns = USUAL_COLUMNS, stains: Sequence[str] = (), keep: Collection[str] = ()
) -> tuple[list[Labelled], list[str]]:
    """The cases of a label table, and what to know about how it was read.

    A row is a case or a slide. Columns are found by usual names (`roles_of`): those of CLAM (`case_id, slide_id,
    label`), STAMP (`PATIENT, FILENAME`, a label) and of hospitals. A column called like a stain holds the names of its
    slides, or 0 and 1 as in MADELEINE's tables. A slide that is named twice in a case counts once.

    Args:
        path: the table; see `read_any_table`.
        columns: what the columns are, where they have no usual names.
        stains: stains that may have a column of their own, in any case of letters.
        keep: labels that stay as they are written.

    Raises:
        CaseTableError: naming file, line and next step.
    """
    table = read_named_table(path, columns, stains=stains)
    if table.ragged:
        raise CaseTableError(table.ragged[0])
    if not table.rows:
        raise CaseTableError(f"{path.name} has a header but no rows. It needs one row per case.")
    notes = list(table.notes)
    reader = _Reader(table, stains)
    column = table.roles.get("label", "label")
    labels, said = clean_labels([row.get("label", "") for _, row in table.rows], column=column, keep=keep)
    if "label" in table.header:
        notes += said
    for (line, row), label in zip(table.rows, labels, strict=True):
        reader.read(line, row, label)
    if "patient_id" not in table.header:
        notes.append(f"{path.name} names no patient: every case counts as its own patient.")
    return list(reader.found.values()), [*notes, *reader.notes()]


class _Reader:
    """Collects the cases of a table, row by row."""

    def __init__(self, table: NamedTable, stains: Sequence[str]) -> None:
        self.path, self.header = table.path, table.header
        self.case = next(name for name in ("case_id", "patient_id", "slide_id") if name in table.header)
        reserved = {"case_id", "patient_id", "slide_id", "label", "split", "site", "modality", "path", "mpp"}
        self.columns = {n: stain for n in table.header if n not in reserved and (stain := stain_of(n, stains))}
        self.flags = {n for n in self.columns if all(row[n] in _FLAGS for _, row in table.rows)}
        self._refuse_numbers(table)
        self.modalities = modality_names(
            dict.fromkeys(row.get("modality", "") for _, row in table.rows if row.get("modality")), stains
        )
        self.others = [name for name in table.header if name not in {*reserved - {"path"}, *self.columns}]
        self.found: dict[str, Labelled] = {}
        self.twice: list[str] = []
        self.per_file: dict[str, None] = {}

    def read(self, line: int, row: Mapping[str, str], label: str) -> None:
        case_id = row[self.case]
        if not case_id:
            raise CaseTableError(f"{self.path.name} line {line}: {self.case} is empty. Fill it in.")
        said = Labelled(
            line, case_id, row.get("patient_id", "") or case_id, label, self._split(line, row), row.get("site", ""),
            stains={self.columns[name]: _FLAGS[row[name]] for name in self.flags},
            more={name: row[name] for name in self.others},
        )  # fmt: skip
        entry = self.found.setdefault(case_id, said)
        self._refuse_two(entry, said)
        if row.get("mpp"):
            entry.spacings[row.get("slide_id", "") or case_id] = self._spacing(line, row["mpp"])
        names = [row["slide_id"]] if self.case != "slide_id" and row.get("slide_id") else []
        if row.get("modality"):
            self._add(
                entry, entry.own_slides.setdefault(self.modalities[row["modality"]], []), names or [case_id], line
            )
        else:
            self._add(entry, entry.slides, names, line)
        for name, stain in self.columns.items():
            if name not in self.flags:
                cells = [part.strip() for part in row[name].split(";") if part.strip()]
                self._add(entry, entry.own_slides.setdefault(stain, []), cells, line)

    def notes(self) -> list[str]:
        notes = modality_note(self.modalities)
        if self.twice:
            more = f" and {len(self.twice) - 1} more" if len(self.twice) > 1 else ""
            notes.append(f"{self.path.name} names a slide twice and it counts once: {self.twice[0]}{more}.")
        if self.per_file:
            notes.append(f"{self.path.name}: {', '.join(self.per_file)} differ within a case, which keeps all values.")
        return notes

    def _add(self, entry: Labelled, slides: list[str], names: Sequence[str], line: int) -> None:
        for name in names:
            if name in slides:
                self.twice.append(f"{name} of case {entry.case_id}, line {line}")
            else:
                slides.append(name)

    def _refuse_numbers(self, table: NamedTable) -> None:
        """Refuses a digit other than 0 and 1 among those that say whether a stain exists: it is no slide."""
        for name in self.columns.keys() - self.flags:
            digits = [(line, row[name]) for line, row in table.rows if row[name]]
            wrong = next((cell for cell in digits if cell[1] not in _FLAGS), None)
            if wrong and all(cell.isdecimal() and len(cell) == 1 for _, cell in digits):
                raise CaseTableError(
                    f"{self.path.name} line {wrong[0]}: {name} is {wrong[1]!r}, neither 0 nor 1. Correct it."
                )

    def _spacing(self, line: int, cell: str) -> float:
        found = spacing_of(cell)
        if found is None:
            raise CaseTableError(f"{self.path.name} line {line}: {no_spacing(cell)}")
        return found

    def _split(self, line: int, row: Mapping[str, str]) -> str:
        split = row.get("split", "").lower()
        if split and split not in SPLITS:
            raise CaseTableError(
                f"{self.path.name} line {line}: split {row['split']!r} is none of {', '.join(SPLITS)}."
            )
        return split

    def _refuse_two(self, first: Labelled, second: Labelled) -> None:
        said = [
            (name, getattr(first, name), getattr(second, name)) for name in ("patient_id", "label", "split", "site")
        ]
        # Other columns may be about the slide; this one decides the label, so a second row may not be overlooked.
        said += [(name, before, second.more[name]) for name, before in first.more.items() if name.lower() == ISH]
        for name, before, now in said:
            if before != now:
                raise CaseTableError(
                    f"{self.path.name} line {second.line}: case {first.case_id} has {name} {now!r}, but {before!r} in "
                    f"line {first.line}. Give all rows of a case the same."
                )
        for name, value in second.more.items():
            if value not in first.more[name].split(_JOINT):
                first.more[name] += _JOINT + value
                self.per_file[name] = None
