"""Columns of a person's table: which is the case, the patient, the label, by usual names or as the user says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pathfuse.errors import CaseTableError, RecipeError, did_you_mean, listed

Header = Literal["first", "none"]
MOST = 30
"""Columns that a message lists."""

ROLES = {
    "case": "case_id",
    "patient": "patient_id",
    "slide": "slide_id",
    "label": "label",
    "modality": "modality",
    "site": "site",
    "path": "path",
    "split": "split",
    "mpp": "mpp",
}
"""What `cohort.columns` may name, and what such a column is called inside."""

# Usual names, best first, without capitals, blanks and signs.
USUAL = {
    "case": ("caseid", "case", "casename", "caseno", "casenumber", "sampleid", "sample", "accessionnumber",
             "accessionno", "accession", "id"),
    "patient": ("patientid", "patient", "patientno", "patientnumber", "patientcode", "subjectid", "subject",
                "participantid", "participant", "donorid", "pid"),
    "slide": ("slideid", "slide", "slidename", "slidefile", "slidefilename", "filename", "wsiid", "wsi", "wsiname",
              "imageid", "image", "imagename"),
    "label": ("label", "labels"),
    "modality": ("modality", "stain", "staining"),
    "site": ("site", "siteid", "hospital", "centre", "center", "institution", "institute", "clinic", "cohort"),
    "path": ("path", "filepath", "fullpath", "file", "slidepath", "imagepath"),
    "split": ("split", "datasplit"),
    "mpp": ("mpp", "umperpx", "micronsperpixel"),
}  # fmt: skip
_LABELS = re.compile(
    r"(her2|erbb2)(neu)?(score|status|ihc|ihcscore|ihcstatus|class|label|group|result)?"
    r"|(er|pr|pgr|hr|ki67|msi|mmr|pdl1|brca)(status|score|class|label|result)?"
    r"|class|classname|classlabel|target|targetlabel|groundtruth|category|diagnosis|status|score|ihcscore|outcome|grade"
    r"|subtype|response|tumou?rtype|histology"
)


@dataclass(frozen=True)
class Columns:
    """How the columns of a table are to be understood.

    Attributes:
        named: column per role of `ROLES`; a number counts from 1.
        header: `first`: the first row names the columns; `none`: the table has no header.
        lenient: whether a column that is not there is looked for by usual names, as in a table of new cases; another
            column is then no label, whatever its name.
    """

    named: Mapping[str, str | int] = field(default_factory=dict)
    header: Header = "first"
    lenient: bool = False

    def __post_init__(self) -> None:
        for role in self.named:
            if role not in ROLES:
                raise RecipeError(
                    f"cohort.columns: {role!r} is no kind of column.{did_you_mean(role, ROLES)} Choose from "
                    f"{', '.join(ROLES)}."
                )


USUAL_COLUMNS = Columns()


def plain(name: str) -> str:
    """A name without capitals, blanks and signs."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", name).casefold() if sign.isalnum())


def header_of(table: str, width: int, columns: Columns) -> list[str]:
    """The names of the columns of a table that has no header: their numbers, or what two or three of them are.

    Raises:
        CaseTableError: if nobody says what four columns or more are.
    """
    names = [str(number) for number in range(1, width + 1)]
    if columns.named:
        return names
    # With two columns the last is the label. Reading it as the fold has trained models on folds named 0 and 1.
    known = {2: ["case_id", "label"], 3: ["case_id", "label", "fold"]}.get(width)
    if known is None:
        raise CaseTableError(
            f"{table} has no header and {width} columns. Say what they are: --cohort.columns '{{case: 1, label: 2}}'."
        )
    return known


def roles_of(
    table: str, header: Sequence[str], columns: Columns, *, not_labels: Sequence[str] = (), ids: Sequence[str] = ()
) -> dict[str, str]:
    """Which column has which role; roles that no column has are left out.

    Args:
        table: its name, for messages.
        header: the columns.
        columns: what the user says.
        not_labels: columns that are no labels whatever their name, such as those of stains and files.
        ids: columns whose cells are all different, one of which may name the cases where none has a usual name.

    Raises:
        CaseTableError: if a column that is named is not there, no column names the cases, or several may be the label.
    """
    named = {
        role: name
        for role, name in columns.named.items()
        if not columns.lenient or plain(str(name)) in {plain(other) for other in header}
    }
    found = {role: _said(table, header, role, name) for role, name in named.items()}
    free = [name for name in header if name not in found.values()]
    for role, usual in USUAL.items():
        if role in found:
            continue
        near = sorted((name for name in free if plain(name) in usual), key=lambda name: usual.index(plain(name)))
        if near:
            _refuse_twins(table, role, near)
            found[role] = near[0]
            free.remove(near[0])
    if "label" not in found and not (columns.lenient and "label" in columns.named):
        _guess_label(table, found, [name for name in free if name not in not_labels])
    if not {"case", "patient", "slide"} & set(found):
        found["case"] = _guess_case(table, header, found, ids)
    return found


def _said(table: str, header: Sequence[str], role: str, name: str | int) -> str:
    if isinstance(name, int):
        if not 1 <= name <= len(header):
            raise CaseTableError(f"cohort.columns: {role} is column {name}, but {table} has {len(header)}. Correct it.")
        return header[name - 1]
    same = [name] if name in header else [other for other in header if plain(other) == plain(str(name))]
    if len(same) != 1:
        raise CaseTableError(
            f"cohort.columns: {role} is {name!r}, but {table} has no such column.{did_you_mean(str(name), header)} It "
            f"has {listed(header, MOST)}."
        )
    return same[0]


def _refuse_twins(table: str, role: str, near: Sequence[str]) -> None:
    if len(near) > 1 and plain(near[0]) == plain(near[1]):
        raise CaseTableError(
            f"{table}: the {role} may be {near[0]!r} or {near[1]!r}. Name one: --cohort.columns "
            f"'{{{role}: {near[0]}}}'."
        )


def _guess_label(table: str, found: dict[str, str], free: Sequence[str]) -> None:
    """A label column is taken only where one alone can be meant."""
    near = [name for name in free if _LABELS.fullmatch(plain(name))]
    if len(near) > 1:
        raise CaseTableError(
            f"{table}: the label may be {', '.join(near[:-1])} or {near[-1]}. Name one: --label {_word(near[0])}."
        )
    if near:
        found["label"] = near[0]


def _guess_case(table: str, header: Sequence[str], found: Mapping[str, str], ids: Sequence[str]) -> str:
    # A row of a table without header is no header: only beside a column that is known is one guessed.
    taken = set(found.values())
    if {"label", "path"} & set(found) and ids and ids[0] not in taken:
        return ids[0]
    near = next((did_you_mean(name, ["case_id", "patient_id", "slide_id"]) for name in header), "")
    raise CaseTableError(
        f"{table} line 1: no column is known to name the case, patient or slide; there are {listed(header, MOST)}."
        f"{near} Say --cohort.columns '{{case: {_word(header[0])}}}', or --cohort.header none if this is a row "
        "and no header."
    )


def _word(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f'"{name}"'
