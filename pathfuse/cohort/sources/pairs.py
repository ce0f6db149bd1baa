"""Reads a folder of pairs as BCI lays it out: a folder per stain, pairs have the same file name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pathfuse.cohort.labels import class_order, unknown_label
from pathfuse.cohort.table import PARTS, Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError, listed
from pathfuse.system.csv_table import read_csv
from pathfuse.system.left_out import left_out

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
_NAME = re.compile(r"(?P<case>.+_(?:train|val|test))_(?P<label>[^_]+)")
_LISTED = 8  # orphans named in a message; more would bury the next step


def read_folder(
    root: Path,
    *,
    modalities: Sequence[str] = ("he", "ihc"),
    groups: Path | None = None,
    classes: Sequence[str] | None = None,
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
        missing: whether a case without one of the stains is an error.
        mpp: micrometres per pixel of all images.

    Raises:
        CaseTableError: if there is no stain to read, a partner is missing, a score is unknown, or the groups do not
            cover the cases.
    """
    table, problems = scan_folder(root, modalities=modalities, groups=groups, classes=classes, missing=missing, mpp=mpp)
    if problems:
        more = f" ({len(problems) - 1} more; `pathfuse data check` lists all.)" if len(problems) > 1 else ""
        raise CaseTableError(problems[0] + more)
    return table


def scan_folder(
    root: Path,
    *,
    modalities: Sequence[str] = ("he", "ihc"),
    groups: Path | None = None,
    classes: Sequence[str] | None = None,
    missing: Literal["error", "allow"] = "error",
    mpp: float | None = None,
) -> tuple[CaseTable, list[str]]:
    """As `read_folder`, but returns what could be read and one line for everything that is wrong.

    Raises:
        CaseTableError: if there is no stain to read, or the groups cannot be read.
    """
    problems: list[str] = []
    found = {modality: _stain_files(root, modality, problems) for modality in modalities}
    names = sorted(set().union(*found.values()))
    if not names:
        stains = ", ".join(modality.upper() for modality in modalities)
        raise CaseTableError(f"{root} has no image in a folder {stains}. Point to the folder that holds these.")
    if missing == "error":
        problems += _orphans(root, found, names)
    split = {name: split_name(name[1]) for name in names}
    known = tuple(classes) if classes else class_order(label for _, label in split.values())
    cases = []
    for name in names:
        case_id, label = split[name]
        if label and label not in known:
            problems.append(f"{_show(root, found, name)}: {unknown_label(label, known)}")
        files = {m: (CaseFile(paths[name], mpp),) for m, paths in found.items() if name in paths}
        cases.append(Case(case_id, case_id, label, name[0], files=files))
    problems += _twins(root, cases)
    notes = [*_notes(cases, groups), *_not_read(root, modalities)]
    if groups is not None:
        cases = _grouped(cases, read_groups(groups), groups, problems)
    return CaseTable(root, tuple(cases), tuple(m for m in modalities if found[m]), known, tuple(notes)), problems


def stain_folders(root: Path) -> tuple[str, ...]:
    """Names of the stains that a folder of pairs holds, H&E first."""
    stains = {f.name.lower() for f in _subfolders(root) if any(_images(f)) or any(_images(f / p) for p in PARTS)}
    return tuple(sorted(stains, key=lambda name: (name != "he", name)))


def read_groups(path: Path) -> dict[str, str]:
    """Reads `file,group`: the slide or patient behind each file; a score or suffix in the file name does not matter.

    Raises:
        CaseTableError: if a column or cell is missing, or one file has two groups.
    """
    advice = "Give a CSV in UTF-8 with columns file, group."
    table = read_csv(path, ("file", "group"), strip=True, error=CaseTableError, advice=advice)
    groups: dict[str, str] = {}
    for line, row in table.numbered():
        name, group = row["file"], row["group"]
        if not name or not group:
            raise CaseTableError(f"{path.name} line {line} has no file or no group. It needs columns file, group.")
        stem = Path(name).name
        stem = stem[: -len(Path(stem).suffix)] if Path(stem).suffix.lower() in SUFFIXES else stem
        case_id = split_name(stem)[0]
        if groups.setdefault(case_id, group) != group:
            raise CaseTableError(
                f"{path.name} line {line}: {case_id} is in group {group}, before in {groups[case_id]}. Keep one."
            )
    return groups


def _stain_files(root: Path, modality: str, problems: list[str]) -> dict[tuple[str, str], Path]:
    """Files of a stain by (part, stem); the part is empty in a flat folder."""
    files: dict[tuple[str, str], Path] = {}
    for folder in _subfolders(root):
        if folder.name.lower() != modality.lower():
            continue
        parts = [part for part in PARTS if (folder / part).is_dir()]
        for part, place in [(part, folder / part) for part in parts] or [("", folder)]:
            for file in _images(place):
                twin = files.setdefault((part, file.stem), file)
                if twin != file:
                    problems.append(f"{file} and {twin.name} have the same name. Remove one of them.")
    return files


def _subfolders(root: Path) -> list[Path]:
    try:
        return [entry for entry in sorted(root.iterdir()) if entry.is_dir()]
    except OSError as error:
        raise CaseTableError(f"{root} cannot be read ({error.strerror}). Give an existing folder.") from error


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [f for f in sorted(folder.iterdir()) if f.suffix.lower() in SUFFIXES and not f.name.startswith(".")]


def split_name(stem: str) -> tuple[str, str]:
    """Case and label of a file name; nothing but this function reads the label."""
    match = _NAME.fullmatch(stem)
    return (match["case"], match["label"]) if match else (stem, "")


def _show(root: Path, found: Mapping[str, Mapping[tuple[str, str], Path]], name: tuple[str, str]) -> str:
    return next(str(paths[name].relative_to(root)) for paths in found.values() if name in paths)


def _orphans(
    root: Path, found: Mapping[str, Mapping[tuple[str, str], Path]], names: Sequence[tuple[str, str]]
) -> Iterator[str]:
    orphans = [
        f"{_show(root, found, name)} (no {modality.upper()})"
        for name in names
        for modality, paths in found.items()
        if name not in paths
    ]
    if orphans:
        yield (
            f"{root}: {len(orphans)} partners are missing: {listed(orphans, _LISTED)}. Add them, remove the others, or "
            "accept cases that lack a stain with `missing: allow`."
        )


def _twins(root: Path, cases: Sequence[Case]) -> Iterator[str]:
    for case_id, count in Counter(case.case_id for case in cases).items():
        if count > 1:
            yield f"{root}: {case_id} occurs with two scores or in two parts. Remove one of them."


def _notes(cases: Sequence[Case], groups: Path | None) -> list[str]:
    notes = []
    if not any(case.split for case in cases) and any(case.case_id.endswith(PARTS) for case in cases):
        notes.append("The folder has no parts; the split word in the file names is ignored.")
    if groups is None:
        notes.append(
            "No patient or slide is known: patches of one slide may lie in two parts, and every number may be too "
            "good. Name the slides with `groups` if you know them."
        )
    return notes


def _not_read(root: Path, modalities: Sequence[str]) -> list[str]:
    """A line on files beside the images, and one on stains that nobody asked for."""
    folders = [folder for folder in _subfolders(root) if folder.name.lower() in {m.lower() for m in modalities}]
    files = [path for folder in folders for path in folder.rglob("*")]
    others = left_out(root, SUFFIXES, files)
    return [others] if others else []


def _grouped(cases: Sequence[Case], groups: Mapping[str, str], path: Path, problems: list[str]) -> list[Case]:
    without = [case.case_id for case in cases if case.case_id not in groups]
    if without:
        problems.append(f"{path.name} has no row for {listed(without, _LISTED)}. Add them.")
    return [replace(case, patient_id=groups.get(case.case_id, case.case_id)) for case in cases]
