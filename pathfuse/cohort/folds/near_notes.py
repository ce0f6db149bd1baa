"""Near-duplicate images across the parts of a cohort or the sides of a fold, said in a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pathfuse.cohort.folds.duplicates import Leak, Pair, across_sides, near_duplicates
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.sources.pairs import SUFFIXES
from pathfuse.cohort.table import Case
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_json


def near_notes(cases: Sequence[Case], cache: Path, rows: Sequence[FoldRow] | None = None) -> list[str]:
    """A line on nearly equal images that lie on two sides; none where there are none, or no images.

    Args:
        cases: with their parts.
        cache: folder in which the pairs of a cohort are kept, since finding them reads every image.
        rows: folds; None takes the parts of the cases.
    """
    files = [file.path for case in cases for own in case.files.values() for file in own]
    if not any(path.suffix.lower() in SUFFIXES for path in files):
        return []
    place = cache / "near" / f"{_key(files)}.json"
    pairs = _kept(place)
    if pairs is None:
        pairs = near_duplicates(cases)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, json.dumps([_plain(pair) for pair in pairs]))
    sides = rows or [FoldRow(0, 0, case.case_id, case.patient_id, case.split) for case in cases if case.split]
    leaks = across_sides(pairs, sides)
    return [_said(leaks)] if leaks else []


def _said(leaks: Sequence[Leak]) -> str:
    more = f" ({len(leaks) - 1} more such pairs.)" if len(leaks) > 1 else ""
    return (
        f"WARNING: nearly equal images lie on two sides: {leaks[0]}. Leave one out, or give both one patient.{more} "
        "`pathfuse data split` lists them."
    )


def _key(files: Sequence[Path]) -> str:
    """By names, sizes and times of change: what is read again is decided without reading it."""
    digest = hashlib.sha256()
    for path in files:
        try:
            state = path.stat()
        except OSError:
            continue
        digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _plain(pair: Pair) -> list[str | int]:
    return [pair.first, pair.second, pair.modality, str(pair.first_file), str(pair.second_file), pair.distance]


def _kept(place: Path) -> list[Pair] | None:
    try:
        rows = read_json(place)
        return [
            Pair(one, two, stain, Path(first), Path(second), int(apart))
            for one, two, stain, first, second, apart in rows
        ]
    except (OSError, ValueError, TypeError):
        return None
