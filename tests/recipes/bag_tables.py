"""Small bag cohorts on disk for whole recipes: features drawn per case, the label visible in their mean."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.store import foreign

WIDTH = 16
LABELS = ("0", "1+", "2+", "3+")


def write_bag_table(
    folder: Path,
    *,
    labels: Sequence[str] = LABELS * 3,
    patches: int = 9,
    slides: int = 1,
    widths: tuple[int, int] = (WIDTH, WIDTH),
    train_without: str | None = None,
    encoder: str = "uni_v1",
    patch_um: float = foreign.LEVEL0 * foreign.MPP,
) -> Path:
    """A case table; of every four cases one is for the test, one for validation.

    Args:
        folder: where.
        labels: of the cases, in order.
        patches: of each case and stain, together.
        slides: files that they are divided over; the first has the odd patch.
        widths: of the features of H&E and of IHC.
        train_without: a label whose cases are all tested.
        encoder: that made the features, as their files name it.
        patch_um: edge of a patch in micrometres.
    """
    rows = [["case_id", "patient_id", "modality", "path", "label", "split", "mpp"]]
    for number, label in enumerate(labels):
        part = ("train", "val", "test")[(number // 4) % 3] if label != train_without else "test"
        for stain, width in zip(("he", "ihc"), widths, strict=True):
            values = foreign.features(patches, width, seed=2 * number + (stain == "he")) + 0.5 * LABELS.index(label)
            cuts = np.array_split(np.arange(patches), slides)
            for slide, rows_of in enumerate(cuts):
                path = folder / stain / f"c{number:02d}-{slide}.h5"
                own, places = values[rows_of].astype(np.float16), foreign.grid(patches)[rows_of]
                foreign.trident(path, own, places, encoder, patch_size_level0=patch_um / foreign.MPP)
                rows.append([f"c{number:02d}", f"p{number:02d}", stain, path, label, part, foreign.MPP])
    table = folder / "cases.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return table
