"""Reads a folder of pairs as BCI lays it out: a folder per stain, pairs have the same file name."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pathfuse.data.cases import PARTS, Case, CaseFile, CaseTable
from pathfuse.data.labels import class_order, unknown_label
from pathfuse.errors import CaseTableError

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
_NAME = re.compile(r"(?P<case>.+_(?:train|val|test))_(?P<label>[^_]+)")
_LISTED = 8  # orphans named in a message; more would bury the next step


def read_folder(
    root: Path,
    *,
    modalities: Sequence[str] = ("he", "ihc"),
    groups: Path | None = None,
    classes: Sequence[str] | None = None,
    labels: Literal["required", "optional"] = "required",
    missing: Literal["error", "allow"] = "error",
    mpp: float | None = None,
) -> CaseTable:
    """Reads `<STAIN>/{train,val,test}/NNNNN_split_SCORE.png`, or the same without the folders of parts.

    A case is a file name without its score. In a flat folder, the split word of the name is no part. The stain's
    folder is its name in any case of letters.

    Args:
        root: the folder that holds a folder per stain.
        modalities: stains to read.
        groups: CSV that names the slide or patient behind each file; see `read_groups`.
        classes: class names; None derives them from the file names.
        labels: whether a name without a score is an error or a case without a label.
        missing: whether a case without one of the stains is an error.
        mpp: micrometres per pixel of all images.

    Raises:
        CaseTableError: if there is no stain to read, a partner is missing, a name has no or an unknown score, or the
            groups do not cover the cases.
    """
    found = {modality: _stain_files(root, modality) for modality in modalities}
    if not any(found.values()):
        stains = ", ".join(modality.upper() for modality in modalities)
        raise CaseTableError(f"{root} has no image in a folder {stains}. Point to the folder that holds these.")
    names = sorted(set().union(*found.values()))
    if missing == "error":
        _refuse_orphans(root, found, names)
    split = {name: _split_name(stem) for name in names for stem in [name[1]]}
    if labels == "required":
        _refuse_unlabelled(root, found, split)
    known = tuple(classes) if classes else class_order(label for _, label in split.values())
    cases = []
    for name in names:
        case_id, label = split[name]
        if label and label not in known:
            raise CaseTableError(f"{_show(root, found, name)}: {unknown_label(label, known)}")
        files = {m: (CaseFile(paths[name], mpp),) for m, paths in found.items() if name in paths}
        cases.append(Case(case_id, case_id, label, name[0], files=files))
    _refuse_twins(root, cases)
    notes = _notes(cases, known, groups)
    if groups is not None:
        cases = _grouped(cases, read_groups(groups), groups)
    return CaseTable(root, tuple(cases), tuple(m for m in modalities if found[m]), known, tuple(notes))


def read_groups(path: Path) -> dict[str, str]:
    """Reads `file,group`: the slide or patient behind each file; a score or suffix in the file name does not matter.

    Raises:
        CaseTableError: if a column or cell is missing, or one file has two groups.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(reader.line_num, row) for reader in [csv.DictReader(file)] for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaseTableError(f"{path} cannot be read ({error}). Give a UTF-8 CSV with columns file, group.") from error
    groups: dict[str, str] = {}
    for line, row in rows:
        name, group = (row.get("file") or "").strip(), (row.get("group") or "").strip()
        if not name or not group:
            raise CaseTableError(f"{path.name} line {line} has no file or no group. It needs columns file, group.")
        stem = Path(name).name
        stem = stem[: -len(Path(stem).suffix)] if Path(stem).suffix.lower() in SUFFIXES else stem
        case_id = _split_name(stem)[0]
        if groups.setdefault(case_id, group) != group:
            raise CaseTableError(
                f"{path.name} line {line}: {case_id} is in group {group}, before in {groups[case_id]}. Keep one."
            )
    return groups


def _stain_files(root: Path, modality: str) -> dict[tuple[str, str], Path]:
    """Files of a stain by (part, stem); the part is empty in a flat folder."""
    try:
        folders = [f for f in sorted(root.iterdir()) if f.is_dir() and f.name.lower() == modality.lower()]
    except OSError as error:
        raise CaseTableError(f"{root} cannot be read ({error.strerror}). Give an existing folder.") from error
    files: dict[tuple[str, str], Path] = {}
    for folder in folders:
        parts = [part for part in PARTS if (folder / part).is_dir()]
        for part, place in [(part, folder / part) for part in parts] or [("", folder)]:
            for file in sorted(place.iterdir()):
                if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
                    continue
                twin = files.setdefault((part, file.stem), file)
                if twin != file:
                    raise CaseTableError(f"{file} and {twin.name} have the same name. Remove one of them.")
    return files


def _split_name(stem: str) -> tuple[str, str]:
    """Case and label of a file name; nothing but this function reads the label."""
    match = _NAME.fullmatch(stem)
    return (match["case"], match["label"]) if match else (stem, "")


def _show(root: Path, found: Mapping[str, Mapping[tuple[str, str], Path]], name: tuple[str, str]) -> str:
    return next(str(paths[name].relative_to(root)) for paths in found.values() if name in paths)


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _refuse_orphans(
    root: Path, found: Mapping[str, Mapping[tuple[str, str], Path]], names: Sequence[tuple[str, str]]
) -> None:
    for modality, paths in found.items():
        orphans = [_show(root, found, name) for name in names if name not in paths]
        if orphans:
            raise CaseTableError(
                f"{root}: {len(orphans)} of {len(names)} without a partner in {modality.upper()}: {_listed(orphans)}. "
                "Add or remove them, or accept cases that lack a stain with `missing: allow`."
            )


def _refuse_unlabelled(
    root: Path, found: Mapping[str, Mapping[tuple[str, str], Path]], split: Mapping[tuple[str, str], tuple[str, str]]
) -> None:
    bare = [_show(root, found, name) for name, (_, label) in split.items() if not label]
    if bare:
        raise CaseTableError(
            f"{root}: {len(bare)} names hold no score: {_listed(bare)}. Name files NNNNN_split_SCORE.png, "
            "or accept cases without a label with `labels: optional`."
        )


def _refuse_twins(root: Path, cases: Sequence[Case]) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.case_id in seen:
            raise CaseTableError(f"{root}: {case.case_id} occurs with two scores or in two parts. Remove one of them.")
        seen.add(case.case_id)


def _notes(cases: Sequence[Case], classes: Sequence[str], groups: Path | None) -> list[str]:
    counts = {label: sum(case.label == label for case in cases) for label in (*classes, "")}
    shown = ", ".join(f"{label or 'no label'}: {count}" for label, count in counts.items() if label or count)
    notes = [f"{len(cases)} cases. {shown}."]
    if not any(case.split for case in cases) and any(case.case_id.endswith(PARTS) for case in cases):
        notes.append("The folder has no parts; the split word in the file names is ignored.")
    if groups is None:
        notes.append(
            "No patient or slide is known: patches of one slide may lie in two parts, and every number may be too "
            "good. Name the slides with `groups` if you know them."
        )
    return notes


def _grouped(cases: Sequence[Case], groups: Mapping[str, str], path: Path) -> list[Case]:
    without = [case.case_id for case in cases if case.case_id not in groups]
    if without:
        raise CaseTableError(f"{path.name} has no row for {_listed(without)}. Add them.")
    return [
        Case(case.case_id, groups[case.case_id], case.label, case.split, files=case.files, labels=case.labels)
        for case in cases
    ]
