"""Scores of bags as tables: a row per patch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pathfuse.explain.places import SlideScores
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import atomic_text

COLUMNS = ("slide_id", "patch", "x", "y", "patch_size_level0", "score", "percentile")


def write_table(path: Path, slides: Sequence[SlideScores]) -> None:
    """A row per patch of a case and stain, in the order of the bag; `patch` counts from 0 within a slide.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    with atomic_text(path) as file:
        table = CsvWriter(file)
        table.writerow(COLUMNS)
        for one in slides:
            size = "" if one.slide.patch_size_level0 is None else f"{one.slide.patch_size_level0:g}"
            places = [("", "")] * len(one.score) if one.places is None else one.places.tolist()
            # Nine digits bring a float32 back as it was.
            table.writerows(
                (one.slide.slide_id, patch, x, y, size, f"{score:.9g}", f"{percentile:.3f}")
                for patch, ((x, y), score, percentile) in enumerate(
                    zip(places, one.score.tolist(), one.percentile.tolist(), strict=True)
                )
            )
