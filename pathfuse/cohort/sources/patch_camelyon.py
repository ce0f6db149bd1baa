"""Reads labelled patches as PatchCamelyon publishes them: per part, an HDF5 file of patches and one of labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from pathfuse.cohort.sources.class_folders import NO_GROUPS, PART_NAMES
from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError, StoreError
from pathfuse.store.rows.hdf5 import open_hdf5
from pathfuse.store.rows.stamp import unreadable
from pathfuse.system.csv_table import read_csv

_PATCHES = re.compile(r"(?P<stem>(?:.*_)?(?P<part>train|valid|val|test))_x\.h5")
_PACKED = re.compile(r".*_[xy]\.h5\.gz")
ORDER = ("train", "val", "test")


def holds_hdf5(root: Path) -> bool:
    """Whether a folder holds files of this layout, packed ones included."""
    return root.is_dir() and any(_PATCHES.fullmatch(f.name) or _PACKED.fullmatch(f.name) for f in root.iterdir())


def read_hdf5(
    root: Path, *, modality: str, classes: Sequence[str] | None = None, mpp: float | None = None
) -> CaseTable:
    """Reads `NAME_{train,valid,test}_{x,y}.h5`: `x` (N, H, W, 3) bytes, `y` with N whole numbers.

    Where `NAME_{train,valid,test}_meta.csv` lies beside them, its column `wsi` says which slide a patch is from.

    Args:
        root: the folder.
        modality: stain of the patches.
        classes: what the numbers mean, from 0; None takes the numbers themselves.
        mpp: micrometres per pixel of all patches.

    Raises:
        CaseTableError: if a file is still packed or lacks its partner, or labels do not fit patches or classes.
        StoreError: if a file cannot be read or holds something else.
    """
    pairs = _pairs(root)
    numbers = [_labels(labels, patches) for _, patches, labels in pairs]
    known = tuple(classes) if classes else tuple(str(number) for number in range(_most(numbers) + 1))
    cases: list[Case] = []
    notes = []
    for (part, patches, labels), own in zip(pairs, numbers, strict=True):
        if len(own) and own.max() >= len(known):
            row = int(own.argmax())
            raise CaseTableError(
                f"{labels.name} row {row} has label {own[row]}, but the classes are {', '.join(known)}. Name all of "
                "them with `classes`, from 0."
            )
        slides = _slides(patches, len(own))
        if not slides:
            notes.append(f"{part}: {NO_GROUPS} Put {_meta(patches).name} beside {patches.name} if there is one.")
        files = {modality: (CaseFile(patches, mpp),)}  # one for all: a third of a million would be large
        for row, number in enumerate(own.tolist()):
            name = f"{part}_{row:06d}"
            cases.append(Case(name, slides[row] if slides else name, known[number], part, files=files, row=row))
    return CaseTable(root, tuple(cases), (modality,), known, tuple(notes))


def _pairs(root: Path) -> list[tuple[str, Path, Path]]:
    """Part, patches and labels, in the order of training."""
    found: dict[str, tuple[Path, Path]] = {}
    for path in sorted(root.iterdir()):
        packed = path.with_suffix("")
        if _PACKED.fullmatch(path.name) and not packed.is_file():
            raise CaseTableError(f"{path} is still packed. Unpack it with `gunzip {path}`.")
        match = _PATCHES.fullmatch(path.name)
        if match is None:
            continue
        labels = path.with_name(f"{match['stem']}_y.h5")
        if not labels.is_file():
            raise CaseTableError(f"{path.name} has no labels beside it. Add {labels.name}.")
        part = PART_NAMES[match["part"]]
        if part in found:
            raise CaseTableError(f"{path.name} and {found[part][0].name} are both the part {part}. Move one away.")
        found[part] = path, labels
    return [(part, *found[part]) for part in ORDER if part in found]


def _labels(path: Path, patches: Path) -> npt.NDArray[np.int64]:
    count = _count(patches)
    try:
        with open_hdf5(str(path)) as file:
            stored = dataset(file, "y", path)[()]
    except OSError as error:
        raise unreadable(path, error) from error
    if stored.dtype.kind not in "uib" or stored.size != count or (stored < 0).any():
        raise CaseTableError(
            f"{path.name} holds y {stored.shape} of {stored.dtype} for the {count} patches of {patches.name}. "
            "It needs a whole number from 0 for each."
        )
    return np.asarray(stored.reshape(-1), np.int64)


def _count(path: Path) -> int:
    """The number of patches, (N, H, W, 3) bytes."""
    try:
        with open_hdf5(str(path)) as file:
            patches = dataset(file, "x", path)
            shape, kind = patches.shape, patches.dtype
    except OSError as error:
        raise unreadable(path, error) from error
    if len(shape) != 4 or shape[3] != 3 or 0 in shape[1:] or kind != np.uint8:
        raise StoreError(f"{path} holds x {shape} of {kind}, not bytes (N, H, W, 3). Give PatchCamelyon's layout.")
    return int(shape[0])


def dataset(file: h5py.File, key: str, path: Path) -> h5py.Dataset:
    """A dataset of an HDF5 file.

    Raises:
        StoreError: if there is none of this name.
    """
    if not isinstance(file.get(key), h5py.Dataset):
        raise StoreError(f"{path} has no dataset {key!r}; it has {', '.join(file) or 'nothing'}. Give another file.")
    return file[key]


def _most(numbers: Sequence[npt.NDArray[np.int64]]) -> int:
    return max((int(own.max()) for own in numbers if len(own)), default=-1)


def _meta(patches: Path) -> Path:
    return patches.with_name(patches.name.removesuffix("_x.h5") + "_meta.csv")


def _slides(patches: Path, count: int) -> list[str]:
    """The slide of every patch; nothing where no file says."""
    path = _meta(patches)
    if not path.is_file():
        return []
    table = read_csv(path, ("wsi",), strip=True, error=CaseTableError, advice="Restore it, or move it away.")
    slides = [row["wsi"] for row in table]
    if len(slides) != count or not all(slides):
        raise CaseTableError(
            f"{path.name} names {sum(map(bool, slides))} slides in column wsi for {count} patches. Restore it, or move "
            "it away."
        )
    return slides
