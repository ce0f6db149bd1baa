"""Finds the feature files of a slide in a folder that some tool wrote."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal

from pathfuse.errors import StoreError
from pathfuse.store.formats.eva import MANIFEST
from pathfuse.store.formats.wsmcl import SUFFIXES as WSMCL_SUFFIXES
from pathfuse.store.read import suffixes
from pathfuse.system.csv_table import read_csv

ONE_OF = ("h5_files", "pt_files")
"""CLAM writes the same features twice; the first of these has the coordinates."""

NO_FEATURES = {"patches", "coords", "coordinates", "labels", "inst_labels", "visualization", "thumbnails", "masks"}
_TRIED = 20  # names that are compared with every file to show a near miss


Match = Literal["name", "prefix"]
_SUFFIX = re.compile(
    r"(\.ome)?\.(svs|svslide|tiff?|ndpi|mrxs|scn|vms|vmu|bif|czi|dcm|isyntax|qptiff|vsi|png|jpe?g|bmp|h5|hdf5|pth?|npy)$",
    re.IGNORECASE,
)


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

    def get(self, name: str, modality: str, *, match: Match = "name") -> tuple[Path, ...]:
        """The files of a slide, or of `<name>_<STAIN>` with or without a part behind it; empty if there are none.

        A name may have a suffix or a folder that the file lacks, and where one file alone can be meant, other capitals
        or another form of the same letters (an umlaut is one sign or two).

        Args:
            name: of the slide.
            modality: its stain.
            match: `prefix` also takes every file whose name goes on after a sign: `P1_a` for `P1`, never `P12`.

        Raises:
            StoreError: if two files claim the name.
        """
        bare = without_suffix(name)
        for key in dict.fromkeys(end for start in (name, bare, _last(bare)) for end in _endings(start, modality)):
            if key in self.twins:
                first, second = self.twins[key]
                raise StoreError(
                    f"{first} and {second} are both slide {key}. Give the table the path of the one meant."
                )
            if key in self.files:
                return self.files[key]
        for key in _endings(_last(bare), modality):
            near = self._loose.get(loose(key), ())
            if len(near) > 1:
                raise StoreError(
                    f"{near[0]} and {near[1]} may both be slide {key}. Give the table the name of the one meant."
                )
            if near:
                return self.files[near[0]]
        return self._beginning(_last(bare)) if match == "prefix" else ()

    @property
    def names(self) -> list[str]:
        """A name of every slide."""
        return list(dict.fromkeys(_slide_name(path) for path in self.paths))

    @cached_property
    def _loose(self) -> dict[str, tuple[str, ...]]:
        """Names by what is left of them without capitals; several names of one file count once."""
        found: dict[str, dict[tuple[Path, ...], str]] = {}
        for name, files in self.files.items():
            if name not in self.twins:
                found.setdefault(loose(without_suffix(name)), {}).setdefault(files, name)
        return {key: tuple(names.values()) for key, names in found.items()}

    def _beginning(self, name: str) -> tuple[Path, ...]:
        start = loose(name)
        return tuple(
            path
            for path in self.paths
            if start and (other := loose(_slide_name(path))).startswith(start) and not other[len(start) :][:1].isalnum()
        )

    def add(self, name: str, path: Path) -> None:
        """Makes a file known by one of its names."""
        if self.files.setdefault(name, (path,)) != (path,):
            self.twins[name] = (self.files[name][0], path)


def without_suffix(name: str) -> str:
    """A name without the suffix of a slide, image or feature file."""
    return _SUFFIX.sub("", name)


def loose(name: str) -> str:
    """A name by which two spellings of it are equal: without capitals, letters in one form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def near_miss(names: Sequence[str], files: Sequence[str]) -> str:
    """A sentence that shows one name of a table beside the name of a file that is most like it.

    Args:
        names: those that have no file.
        files: names of the files.
    """
    for name in names[:_TRIED]:
        own = loose(_last(without_suffix(name)))
        begins = next((file for file in files if own.startswith(loose(file)) or loose(file).startswith(own)), None)
        if own and begins:
            return f"The table says {name!r}, and the folder has {begins!r}."
        near = get_close_matches(loose(_last(without_suffix(name))), [loose(file) for file in files], n=1, cutoff=0.3)
        if near:
            shown = next(file for file in files if loose(file) == near[0])
            return f"The table says {name!r}, and the folder has {shown!r}."
    return f"The table says {names[0]!r}, and the folder has {files[0]!r}." if names and files else ""


def _last(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


def _endings(name: str, modality: str) -> list[str]:
    stains = dict.fromkeys((modality.upper(), modality))
    return [name, *(f"{name}_{stain}{part}" for stain in stains for part in ("", "_train", "_val", "_test"))]


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
        raise StoreError(f"{folder} has no feature file ({', '.join(suffixes())}). {_other_kinds(folder)}")
    return found


def _other_kinds(folder: Path) -> str:
    kinds = Counter(path.suffix.lower() for path in folder.iterdir() if path.is_file() and path.suffix)
    if not kinds:
        return "Give another folder."
    kind, count = kinds.most_common(1)[0]
    return f"It has {count} {kind} files, which are not read. Save the features as .h5, .pt or .npy."


def _walk(folder: Path, known: tuple[str, ...], above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The feature files of a folder; linked folders are followed, but not in a circle."""
    here = folder.resolve()
    if here in above:
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and path.name not in NO_FEATURES:
            yield from _walk(path, known, (*above, here))
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
