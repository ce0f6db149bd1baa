"""Reads a plain folder: every image, slide or feature file is a case of its own, without a label."""

from __future__ import annotations

from pathlib import Path

from pathfuse.cohort.sources.pairs import SUFFIXES
from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError
from pathfuse.store.read import suffixes
from pathfuse.system.left_out import left_out

_SLIDES = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".czi", ".dcm", ".isyntax", ".qptiff"}
)


def plain_files(root: Path) -> list[Path]:
    """The files of a folder that may be cases, of the kind that most of them have: images, slides or features."""
    files = [path for path in sorted(root.iterdir()) if path.is_file() and not path.name.startswith(".")]
    kinds = (SUFFIXES, _SLIDES, set(suffixes()))
    return max(([file for file in files if file.suffix.lower() in kind] for kind in kinds), key=len)


def read_files(root: Path, *, modality: str, mpp: float | None = None) -> CaseTable:
    """The files of a plain folder as cases without labels, for a model to predict.

    Args:
        root: the folder.
        modality: what the files are.
        mpp: micrometres per pixel of all of them.

    Raises:
        CaseTableError: if there is none, or two have one name.
    """
    files = plain_files(root)
    names = [path.stem for path in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CaseTableError(f"{root} has two files called {twice}. Rename one.")
    cases = tuple(
        Case(name, name, files={modality: (CaseFile(path, mpp),)}) for name, path in zip(names, files, strict=True)
    )
    notes = [f"{root.name}: every file is a case, taken for {modality}, without a label."]
    others = left_out(root, {path.suffix.lower() for path in files})
    return CaseTable(root, cases, (modality,), (), (*notes, *([others] if others else [])))
