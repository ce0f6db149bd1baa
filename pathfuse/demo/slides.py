"""The demo cohort as whole slides at low magnification: a piece of tissue on glass."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.demo.block import Row, make_block
from pathfuse.demo.case import SLIDE_UM
from pathfuse.demo.cohort import (
    Progress,
    refuse_extra_stains,
    save_png,
    write_cases,
    write_once,
)
from pathfuse.demo.histology import sections
from pathfuse.demo.histology.fields import Floats, Window, smooth
from pathfuse.demo.histology.tissue import Tissue, tissue, tumour_at
from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import DemoPatient
from pathfuse.demo.pictures import SlidePictures

_SAMPLE_PX, _SAMPLE_MPP = 96, 1.0  # the window that the colours of a patient's tissue are measured on
_MOTTLE = 60  # channels of the slide's unevenness


def write_slides(
    folder: Path | str, who: DemoCohort, pictures: SlidePictures, progress: Progress | None = None
) -> Path:
    """Writes the cohort and returns its `cases.csv`; a finished cohort of the same options is used as it is.

    Beside the table it holds `slides/<stain>/<case>.png` and `truth/tissue/<case>.png`.

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        who: the patients.
        pictures: what is drawn of them.
        progress: is told the finished and the total number of cases.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
        RecipeError: if the patients have further stains, of which no slides are drawn.
    """
    refuse_extra_stains(who, "slides")
    return write_once(folder, who, pictures, lambda building: _write(building, who, pictures, progress))


def _write(folder: Path, who: DemoCohort, pictures: SlidePictures, progress: Progress | None) -> None:
    def make(index: int) -> list[Row]:
        return _write_case(folder, who, pictures, index)

    write_cases(folder, make, who.patients * pictures.cases_per_patient, progress)


def _write_case(folder: Path, who: DemoCohort, pictures: SlidePictures, index: int) -> list[Row]:
    block = make_block(who, pictures.cases_per_patient, index, "slide")
    patient, case_id, rng = block.patient, block.case_id, block.rng
    reach = pictures.slide_px * pictures.mpp / 2
    x, y = rng.uniform(reach, SLIDE_UM - reach, 2)
    window = Window(float(x), float(y), pictures.slide_px, pictures.mpp)
    piece = piece_of_tissue(window.size_px, rng)
    tumour = _step(tumour_at(patient, *window.points()) / np.float32(0.3) + np.float32(0.5))
    save_png(folder / "truth" / "tissue" / f"{case_id}.png", Image.fromarray((piece > 0.5).astype(np.uint8) * 255))
    sample = Window(window.x_um, window.y_um, _SAMPLE_PX, _SAMPLE_MPP)
    seen = tissue(patient, sample)
    rows: list[Row] = []
    for stain in block.stains:
        noise = np.random.default_rng([who.seed, zlib.crc32(f"slide {stain}".encode()), index])
        path = Path("slides", stain, f"{case_id}.png")
        save_png(folder / path, Image.fromarray(_expose(patient, stain, window, sample, seen, tumour, piece, noise)))
        rows.append(block.row(stain, path, pictures.mpp))
    return rows


def piece_of_tissue(size_px: int, rng: np.random.Generator) -> Floats:
    """(H, W) 1 on tissue, 0 on glass: a piece with a wavy outline that leaves an uneven margin."""
    step = (np.arange(size_px, dtype=np.float32) + 0.5) / np.float32(size_px)
    x, y = rng.uniform(0.44, 0.56, 2)
    dx, dy = step[None, :] - np.float32(x), step[:, None] - np.float32(y)
    angle = np.arctan2(dy, dx)
    edge = np.full_like(angle, rng.uniform(0.30, 0.38))
    for wave in range(2, 6):
        edge += np.float32(rng.uniform(0, 0.05) / wave) * np.cos(wave * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    inside = (edge - np.hypot(dx, dy)) * np.float32(size_px) / 2  # in half pixels
    return _step(inside + np.float32(0.5))


def _step(x: Floats) -> Floats:
    """0 below 0, 1 above 1, straight between."""
    clipped: Floats = np.clip(x, 0, 1).astype(np.float32)
    return clipped


def _expose(
    patient: DemoPatient,
    stain: str,
    window: Window,
    sample: Window,
    seen: Tissue,
    tumour: Floats,
    piece: Floats,
    noise: np.random.Generator,
) -> NDArray[np.uint8]:
    """(H, W, 3): nests and stroma in the mean colours that the patient's own section has at full magnification."""
    stains = (
        sections.he_section(patient, sample, seen) if stain == "he" else sections.her2_section(patient, sample, seen)[0]
    )
    light = patient.stainings[stain].transmit(stains)  # (h, w, 3)
    white = patient.stainings[stain].white.astype(np.float32)
    solid = seen.glass < 0.5
    nest, stroma = (_mean(light, solid & where) for where in (seen.tumour > 0.5, seen.tumour <= 0.5))
    # The window may show one kind only: the other then looks like it, half as dense.
    nest = nest if nest is not None else stroma
    stroma = stroma if stroma is not None else nest
    assert nest is not None and stroma is not None
    # Cells are about as large as a pixel: they do not show, but neighbouring pixels have more or less of them.
    cells = np.maximum(1 + np.float32(0.35) * smooth(patient.key, _MOTTLE + 1, window, 9.0), 0)
    mottle = (cells * (1 + np.float32(0.06) * smooth(patient.key, _MOTTLE, window, 60.0)))[..., None]
    density = -np.log(np.maximum(tumour[..., None] * nest + (1 - tumour[..., None]) * stroma, 1) / white) * mottle
    image = white * np.exp(-density * piece[..., None])
    grain = noise.standard_normal((window.size_px, window.size_px, 1), np.float32) * np.float32(1.5)
    exposed: NDArray[np.uint8] = np.clip(image + grain + np.float32(0.5), 0, 255).astype(np.uint8)
    return exposed


def _mean(light: Floats, where: NDArray[np.bool_]) -> Floats | None:
    return light[where].mean(0) if np.count_nonzero(where) >= 16 else None
