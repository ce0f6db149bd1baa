"""Finds the feature files of a slide in a folder that some tool wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pathfuse.errors import StoreError
from pathfuse.store.formats.eva import MANIFEST
from pathfuse.store.formats.wsmcl import SUFFIXES as WSMCL_SUFFIXES
from pathfuse.store.read import suffixes
from pathfuse.system.csv_table import read_csv

ONE_OF = ("h5_files", "pt_files")
"""CLAM writes the same features twice; the first of these has the coordinates."""

NO_FEATURES = {"patches", "coords", "coordinates", "labels", "inst_labels", "visualization", "thumbnails", "masks"}


@dataclass
class SlideFiles:
    """The feature files of a folder, by slide: name without suffix, file name, and path below the folder.

    Attributes:
        folder: the folder.
        files: per name, the files of that slide in order.
        twins: names that two files in different sub-folders claim.
        paths: all of the files, sorted.
    """

    folder: Path
    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    twins: dict[str, tuple[Path, Path]] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)

    def get(self, name: str, modality: str) -> tuple[Path, ...]:
        """The files of a slide, or of `<name>_<STAIN>` with or without a part behind it; empty if there are none.

        Raises:
            StoreError: if two files claim the name.
        """
        stains = dict.fromkeys((modality.upper(), modality))
        for key in (name, *(f"{name}_{stain}{part}" for stain in stains for part in ("", "_train", "_val", "_test"))):
            if key in self.twins:
                first, second = self.twins[key]
                raise StoreError(
                    f"{first} and {second} are both slide {key}. Give the table the path of the one meant."
                )
            if key in self.files:
                return self.files[key]
        return ()

    def add(self, name: str, path: Path) -> None:
        """Makes a file known by one of its names."""
        if self.files.setdefault(name, (path,)) != (path,):
            self.twins[name] = (self.files[name][0], path)


def find_files(folder: Path) -> SlideFiles:
    """The feature files of a folder; with eva's `manifest.csv`, parts of one slide belong together, in table order.

    Raises:
        StoreError: if there is no feature file.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder. Give the folder that holds one feature file per slide.")
    if (folder / MANIFEST).is_file():
        parts = _read_manifest(folder)
        return SlideFiles(folder, parts, paths=sorted({path for files in parts.values() for path in files}))
    start = next((folder / name for name in ONE_OF if (folder / name).is_dir()), folder)
    found = SlideFiles(folder)
    for path in _walk(start, suffixes()):
        found.paths.append(path)
        relative = str(path.relative_to(start))
        for name in dict.fromkeys((_slide_name(path), path.name, relative, relative.removesuffix(path.suffix))):
            found.add(name, path)
    if not found.files:
        raise StoreError(f"{folder} has no feature file ({', '.join(suffixes())}). Give another folder.")
    return found


def _walk(folder: Path, known: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink() and path.name not in NO_FEATURES:
            yield from _walk(path, known)
        elif path.suffix.lower() in known and path.is_file() and not path.stem.endswith("_coordinates"):
            yield path


def _slide_name(path: Path) -> str:
    if path.suffix == ".pth":
        ending = next((end for end in WSMCL_SUFFIXES if path.stem.endswith(end)), "")
        return path.stem.removesuffix(ending)
    return path.stem


def _read_manifest(folder: Path) -> dict[str, tuple[Path, ...]]:
    path = folder / MANIFEST
    found: dict[str, tuple[Path, ...]] = {}
    for line, row in read_csv(path, ["embeddings"], error=StoreError, advice="Write it again.").numbered():
        cell = row["embeddings"]
        inside = (folder / cell).resolve()
        if not cell or not inside.is_relative_to(folder.resolve()):
            raise StoreError(f"{path} line {line}: embeddings {cell!r} is no path inside {folder}. Correct it.")
        name = row.get("wsi_id") or Path(row.get("origin") or cell).stem
        found[name] = (*found.get(name, ()), folder / cell)
    return found
