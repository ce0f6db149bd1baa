"""The slides that the words of a command line mean."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.errors import RecipeError
from pathfuse.registry import READERS, not_working
from pathfuse.slides.opening import slide_suffixes
from pathfuse.slides.reader import SlideReader
from pathfuse.system.left_out import left_out


@dataclass(frozen=True)
class SlideSource:
    """One slide to extract.

    Attributes:
        path: the file.
        slide_id: its name in every file that is written.
        mpp: micrometres per level-0 pixel that the user gave; None asks the file.
        reader: name of the slide reader that the user gave; None lets the file decide.
    """

    path: Path
    slide_id: str
    mpp: float | None = None
    reader: str | None = None


def find_slides(
    words: Sequence[str], *, modality: str, mpp: float | None = None, reader: str | None = None
) -> list[SlideSource]:
    """The slides behind files, folders, glob patterns and case tables, sorted by name.

    Args:
        words: paths and patterns; a folder means all slides below it; of a case table the slides of one modality.
        modality: stain, for case tables.
        mpp: micrometres per level-0 pixel of all of them; overrides column mpp of a table.
        reader: name of the reader of all of them; None lets the files decide.

    Raises:
        RecipeError: if a word means nothing, or two slides have one name.
    """
    found: dict[Path, SlideSource] = {}
    for word in words:
        for source in _meant(word, modality):
            given = SlideSource(source.path, source.slide_id, source.mpp if mpp is None else mpp, reader)
            found.setdefault(source.path.absolute(), given)
    names: dict[str, SlideSource] = {}
    for source in found.values():
        other = names.setdefault(source.slide_id, source)
        if other is not source:
            raise RecipeError(
                f"{other.path} and {source.path} would both be written as {source.slide_id}.h5. Extract them into "
                "different folders."
            )
    return [names[name] for name in sorted(names)]


def folder_notes(words: Sequence[str]) -> list[str]:
    """A line per folder among the words that holds files of kinds which are no slides."""
    kinds = slide_suffixes()
    return [note for word in words if Path(word).is_dir() and (note := left_out(Path(word), kinds))]


def _meant(word: str, modality: str) -> Iterable[SlideSource]:
    path = Path(word)
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt", ".xlsx"):
        return _of_table(path, modality)
    if path.is_dir():
        files = _of_folder(path)
        if not files:
            others = left_out(path, slide_suffixes())
            known = ", ".join(sorted(slide_suffixes()))
            said = f"{others} " if others else ""
            raise RecipeError(
                f"{path} holds no slides ({known}). {said}Name another folder.{not_working(READERS, SlideReader)}"
            )
    elif path.exists():
        files = [path]
    else:
        files = [Path(name) for name in sorted(glob.glob(word, recursive=True)) if Path(name).is_file()]
        if not files and glob.has_magic(word):
            raise RecipeError(f"{word}: no file matches. Quote the pattern, or correct it.")
        files = files or [path]  # its absence is recorded as that slide's failure
    return [SlideSource(file, slide_name(file)) for file in files]


def _of_table(path: Path, modality: str) -> list[SlideSource]:
    from pathfuse.cohort.sources.case_table import read_cases  # brings torch, which the reading processes do without

    cases = read_cases(path, check_files=False).cases
    files = [file for case in cases for file in case.files.get(modality, ())]
    if not files:
        stains = sorted({stain for case in cases for stain in case.files})
        raise RecipeError(f"{path.name} has no slides of modality {modality!r}; it has {', '.join(stains)}.")
    return [SlideSource(file.path, slide_name(file.path), file.mpp) for file in files]


def _of_folder(folder: Path) -> list[Path]:
    suffixes = slide_suffixes()
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    series: set[Path] = set()
    kept = []
    for path in files:
        if path.suffix.lower() == ".dcm":  # the files of a folder are one series, and OpenSlide finds them all
            if path.parent in series:
                continue
            series.add(path.parent)
        kept.append(path)
    return kept


def slide_name(path: Path) -> str:
    """The file's name without its suffix, and without `.ome`."""
    return path.stem.removesuffix(".ome")
