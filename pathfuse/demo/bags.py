"""The demo cohort as bags: features of the patches of whole regions, with the truth about every patch."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pathfuse.demo.block import DemoBlock, Row, make_block
from pathfuse.demo.case import SLIDE_UM
from pathfuse.demo.cohort import COLUMNS, TABLE, Progress, each_case, refuse_extra_stains, write_once, write_table
from pathfuse.demo.descriptor import NAME, describe
from pathfuse.demo.histology import sections
from pathfuse.demo.histology.fields import Floats, Window
from pathfuse.demo.histology.tissue import tissue, tumour_at
from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import DemoPatient
from pathfuse.demo.pictures import BagPictures
from pathfuse.store.formats.trident_write import write_trident

TRUTH = Path("truth", "patches.csv")
TRUTH_COLUMNS = ("case_id", "modality", "slide_id", "patch", "x", "y", "tumour", "signal")
_STAINS = ("he", "ihc")
_SPOTS = 8  # places that are looked at to find one with the wanted share of tumour


def write_bags(folder: Path | str, who: DemoCohort, pictures: BagPictures, progress: Progress | None = None) -> Path:
    """Writes the cohort and returns its `cases.csv`; a finished cohort of the same options is used as it is.

    Beside the table it holds `features/<stain>/<slide>.h5` and `truth/patches.csv`, a row per patch: its place, the
    share of it that is tumour, and whether it carries the score (at least half of it is tumour).

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        who: the patients.
        pictures: what is drawn of them.
        progress: is told the finished and the total number of cases.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
        RecipeError: if the patients have further stains, of which no bags are drawn.
    """
    refuse_extra_stains(who, "bags")
    return write_once(folder, who, pictures, lambda building: _write(building, who, pictures, progress))


def _write(folder: Path, who: DemoCohort, pictures: BagPictures, progress: Progress | None) -> None:
    files: list[Row] = []
    patches: list[Row] = []

    def make(index: int) -> tuple[list[Row], list[Row]]:
        return _write_case(folder, who, pictures, index)

    for new, truth in each_case(make, who.patients * pictures.cases_per_patient, progress):
        files += new
        patches += truth
    write_table(folder / TRUTH, TRUTH_COLUMNS, patches)
    write_table(folder / TABLE, COLUMNS, files)


def _write_case(folder: Path, who: DemoCohort, pictures: BagPictures, index: int) -> tuple[list[Row], list[Row]]:
    block = make_block(who, pictures.cases_per_patient, index, "bag")
    files: list[Row] = []
    truth: list[Row] = []
    for stain, slide, features, coords, tumour in _slides(who.seed, pictures, block, index):
        slide_id = f"{block.case_id}-{stain}-{slide + 1}"
        path = Path("features", stain, f"{slide_id}.h5")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_trident(
            folder / path,
            torch.from_numpy(features.astype(np.float16)),
            torch.from_numpy(coords),
            encoder=NAME,
            patch_size=pictures.patch_px,
            patch_size_level0=pictures.patch_px,
            mpp=pictures.mpp,
            savetodir=path.parent.as_posix(),  # not the folder they are built in, or no two cohorts would be equal
            attributes={"modality": stain},
        )
        files.append(block.row(stain, path, pictures.mpp))
        for patch, ((x, y), share) in enumerate(zip(coords.tolist(), tumour.tolist(), strict=True)):
            truth.append((block.case_id, stain, slide_id, patch, x, y, f"{share:.3f}", int(share >= 0.5)))
    return files, truth


def _slides(
    seed: int, pictures: BagPictures, block: DemoBlock, index: int
) -> Iterator[tuple[str, int, Floats, np.ndarray[tuple[int, ...], np.dtype[np.int64]], Floats]]:
    """Every slide of a case: its stain and number, and of its patches the features, places and shares of tumour."""
    patient, rng = block.patient, block.rng
    looks = patient.morphology
    # A slide shows more than the places that a pathologist would cut out: less of it is tumour.
    whole = replace(patient, morphology=replace(looks, tumour=pictures.tumour * looks.tumour))
    counts = rng.integers(1, pictures.slides + 1, len(_STAINS))
    windows = [_place(whole, pictures, rng) for _ in range(pictures.slides)]
    for slide, window in enumerate(windows):
        shown = [s for place, s in enumerate(_STAINS) if s in block.stains and slide < counts[place]]
        seen = tissue(whole, window) if shown else None  # serial sections: all stains show one region
        for stain in shown:
            assert seen is not None
            noise = np.random.default_rng([seed, zlib.crc32(f"bag {stain} {slide}".encode()), index])
            grain = noise.standard_normal((window.size_px, window.size_px, 1), np.float32) * np.float32(1.5)
            stains = (
                sections.he_section(whole, window, seen)
                if stain == "he"
                else sections.her2_section(whole, window, seen)[0]
            )
            features = describe(sections.expose(whole, stain, stains, pictures.mpp, grain), pictures.patch_px)
            kept = _shares(seen.glass, pictures.patch_px) < 0.5
            kept = kept if kept.any() else np.ones_like(kept)
            places = _coords(window, pictures)[kept]
            yield stain, slide, features[kept], places, _shares(seen.tumour, pictures.patch_px)[kept]


def _place(patient: DemoPatient, pictures: BagPictures, rng: np.random.Generator) -> Window:
    """A region with about as much tumour as the slide; never one without any, where there is a choice."""
    edge = pictures.grid * pictures.patch_px
    spots = np.floor(rng.uniform(0.05 * SLIDE_UM, 0.9 * SLIDE_UM, (_SPOTS, 2)) / pictures.mpp)  # left, top in pixels
    middle = ((spots + edge / 2) * pictures.mpp).astype(np.float32)
    reach = np.linspace(-0.5, 0.5, 9, dtype=np.float32) * np.float32(edge * pictures.mpp)
    x = middle[:, 0, None, None] + reach[None, :, None] + 0 * reach[None, None, :]  # (spots, 9, 9)
    y = middle[:, 1, None, None] + reach[None, None, :] + 0 * reach[None, :, None]  # (spots, 9, 9)
    share = (tumour_at(patient, x, y) > 0).mean(axis=(1, 2))
    best = int(np.abs(share - patient.morphology.tumour).argmin())
    left, top = spots[best]
    return Window(float((left + edge / 2) * pictures.mpp), float((top + edge / 2) * pictures.mpp), edge, pictures.mpp)


def _coords(window: Window, pictures: BagPictures) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(N, 2) left and top of every patch in pixels of the slide, row by row."""
    half = window.size_px / 2
    left, top = round(window.x_um / window.mpp - half), round(window.y_um / window.mpp - half)
    step = np.arange(pictures.grid, dtype=np.int64) * pictures.patch_px
    y, x = np.meshgrid(top + step, left + step, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])


def _shares(mask: Floats, patch_px: int) -> Floats:
    """(N,) mean over every patch."""
    edge = mask.shape[0] // patch_px
    shares: Floats = mask.reshape(edge, patch_px, edge, patch_px).mean((1, 3)).ravel()
    return shares
