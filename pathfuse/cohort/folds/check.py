"""Checks of folds: what would make an evaluation worthless is refused, what would make it weak is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pathfuse.cohort.folds.file import FoldRow, place_name
from pathfuse.cohort.table import PARTS, Case
from pathfuse.errors import CaseTableError

WARNING = "WARNING: "


def check_folds(rows: Sequence[FoldRow], cases: Sequence[Case], *, stratify: str = "label") -> list[str]:
    """Checks splits against the cohort they are for; returns what should be known, warnings first.

    Args:
        rows: all splits.
        cases: the cohort.
        stratify: column whose classes every part should have, as it should those of `label`.

    Raises:
        CaseTableError: if a patient or case is on two sides of a split, a case is not in the cohort, a part is
            empty, or a class cannot be learnt because it is not in the training part.
    """
    known = {case.case_id: case for case in cases}
    columns = dict.fromkeys(("label", stratify))
    labels = [{case.case_id: label_of(case, column) for case in cases} for column in columns]
    nested = any(row.inner for row in rows)
    notes: list[str] = []
    for place, own in by_place(rows).items():
        name = place_name(place, nested)
        for row in own:
            case = known.get(row.case_id)
            if case is None:
                raise CaseTableError(f"{name}: case {row.case_id} is not in the case table. Draw the splits again.")
            if case.patient_id != row.patient_id:
                raise CaseTableError(
                    f"{name}: case {row.case_id} belongs to patient {row.patient_id} here, but to {case.patient_id} in "
                    "the case table. Draw the splits again."
                )
        refuse_overlap(own, name)
        for column in labels:
            notes += _classes(own, column, name)
        absent = len(known) - len(own)
        if absent:
            notes.append(f"{name}: {absent} of {len(known)} cases are in no part.")
    return sorted(notes, key=lambda note: not note.startswith(WARNING))


def refuse_overlap(rows: Sequence[FoldRow], name: str) -> None:
    """Refuses one split in which a case or patient is on two sides.

    Raises:
        CaseTableError: naming the case or patient and both parts.
    """
    part: dict[str, str] = {}
    for row in rows:
        before = part.setdefault(row.case_id, row.part)
        if {before, row.part} == {"val", "test"}:
            raise CaseTableError(
                f"{name}: case {row.case_id} is in val and in test. The cases that choose the checkpoint may not be "
                "those that are reported; remove it from one of them."
            )
        if before != row.part:
            raise CaseTableError(f"{name}: case {row.case_id} is in {before} and in {row.part}. Keep one of them.")
    twice = [case for case, count in Counter(row.case_id for row in rows).items() if count > 1]
    if twice:
        raise CaseTableError(f"{name}: case {twice[0]} occurs twice. Keep one row.")
    first: dict[str, FoldRow] = {}
    for row in rows:
        other = first.setdefault(row.patient_id, row)
        if other.part != row.part:
            raise CaseTableError(
                f"{name}: patient {row.patient_id} is in {other.part} (case {other.case_id}) and in {row.part} (case "
                f"{row.case_id}). Keep all cases of a patient on one side."
            )


def by_place(rows: Sequence[FoldRow]) -> dict[tuple[int, int, int], list[FoldRow]]:
    """The rows of every split, in order."""
    found: dict[tuple[int, int, int], list[FoldRow]] = {}
    for row in rows:
        found.setdefault(row.place, []).append(row)
    return dict(sorted(found.items()))


def label_of(case: Case, column: str) -> str:
    """The content of a column of the case table; empty for the column `none`.

    Raises:
        CaseTableError: if the table has no such column.
    """
    if column == "none":
        return ""
    own = {"label": case.label, "site": case.site, "case_id": case.case_id, "patient_id": case.patient_id}
    if column in own:
        return own[column]
    if column not in case.labels:
        raise CaseTableError(
            f"the case table has no column {column!r}; it has {', '.join([*own, *case.labels])}. Correct the option."
        )
    return case.labels[column]


def _classes(rows: Sequence[FoldRow], labels: Mapping[str, str], name: str) -> Iterator[str]:
    wanted = sorted({label for label in labels.values() if label})
    for part in PARTS:
        here = {labels[row.case_id] for row in rows if row.part == part}
        if not any(row.part == part for row in rows):
            raise CaseTableError(f"{name}: there is no {part} part. Use fewer folds, or more patients.")
        absent = [label for label in wanted if label not in here]
        if not absent:
            continue
        if part == "train":
            raise CaseTableError(
                f"{name}: the training part has no case of {', '.join(absent)}, which then cannot be learnt. Use more "
                "patients of that class, or merge it with another one or leave it out with cohort.label_map."
            )
        yield f"{WARNING}{name}: the {part} part has no case of {', '.join(absent)}; metrics of it are undefined there."
