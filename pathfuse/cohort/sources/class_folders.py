"""Reads a folder per class, with or without a folder per part around it: every image is a labelled patch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pathfuse.cohort.labels import class_order, unknown_label
from pathfuse.cohort.sources.pairs import SUFFIXES
from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError
from pathfuse.system.csv_table import read_csv
from pathfuse.system.left_out import left_out

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
NO_GROUPS = (
    "No patient or slide is known: patches of one patient may lie in two parts, and every number may be too good."
)


def read_class_folders(
    root: Path,
    *,
    modality: str,
    classes: Sequence[str] | None = None,
    groups: Path | None = None,
    mpp: float | None = None,
) -> CaseTable:
    """Reads `CLASS/*.png`, or `{train,val,test}/CLASS/*.png`.

    Args:
        root: the folder.
        modality: stain of the patches.
        classes: class names in the order of the class index; None takes the names of the folders.
        groups: CSV `file,group` that names the patient or slide behind each file; None takes each for its own.
        mpp: micrometres per pixel of all patches.

    Raises:
        CaseTableError: if the folders are not laid out like this, a class is unknown, or the groups do not fit.
    """
    files = list(_found(root))
    known = tuple(classes) if classes else class_order(label for _, label, _ in files)
    for _, label, path in files:
        if label not in known:
            raise CaseTableError(f"{path.parent}: {unknown_label(label, known)}")
    names = [path.relative_to(root).as_posix() for _, _, path in files]
    owners = _owners(names, groups) if groups else {}
    cases = [
        Case(name, owners.get(name, name), label, part, files={modality: (CaseFile(path, mpp),)})
        for name, (part, label, path) in zip(names, files, strict=True)
    ]
    notes = [] if groups else [f"{NO_GROUPS} Name them with `groups` if you know them."]
    others = left_out(root, SUFFIXES)
    return CaseTable(root, tuple(cases), (modality,), known, (*notes, *([others] if others else [])))


def _found(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Part, class and path of every patch; the part is empty where there are no folders of parts."""
    folders = _folders(root)
    if not folders:
        raise CaseTableError(
            f"{root} holds neither a folder per class nor PatchCamelyon's files. Give a folder that holds "
            "CLASS/*.png, {train,val,test}/CLASS/*.png, or ..._train_x.h5 with ..._train_y.h5."
        )
    parts = {folder: PART_NAMES[folder.name.lower()] for folder in folders if folder.name.lower() in PART_NAMES}
    if not parts:
        yield from _classes(root, "", folders)
        return
    odd = [folder.name for folder in folders if folder not in parts]
    twice = [part for part, count in Counter(parts.values()).items() if count > 1]
    if odd or twice:
        what = f"{odd[0]} beside folders of parts" if odd else f"two folders for the part {twice[0]}"
        raise CaseTableError(f"{root} has {what}. Keep one folder for each of train, val and test, or classes alone.")
    for folder, part in parts.items():
        yield from _classes(folder, part, _folders(folder))


def _classes(folder: Path, part: str, classes: Sequence[Path]) -> Iterator[tuple[str, str, Path]]:
    loose = _images(folder)
    if loose or not classes:
        what = f"holds images without a class, first {loose[0].name}" if loose else "holds no folder of a class"
        raise CaseTableError(f"{folder} {what}. Put the images of each class into a folder named after it.")
    for label in classes:
        images = _images(label)
        if not images:
            raise CaseTableError(f"{label} is the folder of a class and holds no image. Add some, or remove it.")
        yield from ((part, label.name, path) for path in images)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise CaseTableError(f"{folder} cannot be read ({error.strerror}). Give an existing folder.") from error


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))


def _owners(names: Sequence[str], path: Path) -> Mapping[str, str]:
    """The group of every patch; a file is named by its path below the root, or by its name where that is enough."""
    advice = "Give a CSV in UTF-8 with columns file, group."
    table = read_csv(path, ("file", "group"), strip=True, error=CaseTableError, advice=advice)
    given: dict[str, str] = {}
    for line, row in table.numbered():
        name, group = row["file"], row["group"]
        if not name or not group:
            raise CaseTableError(f"{path.name} line {line} has no file or no group. It needs columns file, group.")
        if given.setdefault(name, group) != group:
            raise CaseTableError(f"{path.name} line {line}: {name} has another group before. Keep one.")
    common = Counter(name.rpartition("/")[2] for name in names)
    owners = {}
    for name in names:
        last = name.rpartition("/")[2]
        owner = given.get(name) or (given.get(last) if common[last] == 1 else None)
        if owner is None:
            raise CaseTableError(f"{path.name} has no row for {name}. Add it, by its path below the root.")
        owners[name] = owner
    return owners
