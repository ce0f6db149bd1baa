"""Scores of bags against the patches that carry the signal: areas under the ROC curve, beside random ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pathfuse.demo.bags import TRUTH
from pathfuse.errors import CaseTableError
from pathfuse.explain.faith.truth import area_of
from pathfuse.explain.places import SlideScores
from pathfuse.system.csv_table import read_csv

COLUMNS = ("case_id", "modality", "slide_id", "x", "y", "signal")
PatchTruth = dict[tuple[str, str], dict[tuple[str, int, int], bool]]
"""Case id and stain to slide id and place to whether that patch carries the signal."""


def patch_truth_beside(table: Path) -> PatchTruth | None:
    """The rows of `truth/patches.csv` beside a case table, as the demo bags have it; None if it is not there.

    Args:
        table: the case table, or the folder that holds it.

    Raises:
        CaseTableError: if that file has other columns.
    """
    path = (table if table.is_dir() else table.parent) / TRUTH
    if not path.is_file():
        return None
    truth: PatchTruth = {}
    advice = "Correct it, or move it away."
    for number, row in read_csv(path, COLUMNS, error=CaseTableError, advice=advice).numbered():
        try:
            place = (row["slide_id"], int(row["x"]), int(row["y"]))
            truth.setdefault((row["case_id"], row["modality"]), {})[place] = bool(int(row["signal"]))
        except ValueError as error:
            raise CaseTableError(f"{path} line {number}: x, y and signal are whole numbers. {advice}") from error
    return truth


def patch_auc(slides: Sequence[SlideScores], truth: PatchTruth, seed: int) -> tuple[float, float] | None:
    """The area under the ROC curve of the scores of a case and stain, and that of random ones.

    None where the truth does not know the patches, or all or none of them carry the signal.
    """
    known = truth.get((slides[0].case_id, slides[0].stain), {})
    planted, weight = [], []
    for one in slides:
        for (x, y), own in zip([] if one.places is None else one.places.tolist(), one.score.tolist(), strict=False):
            signal = known.get((one.slide.slide_id, x, y))
            if signal is not None:
                planted.append(signal)
                weight.append(own)
    if not planted or all(planted) or not any(planted):
        return None
    chance = np.random.default_rng([seed, zlib.crc32(slides[0].case_id.encode())]).random(len(planted))
    signal_here = np.array(planted)
    return area_of(np.array(weight), signal_here), area_of(chance, signal_here)
