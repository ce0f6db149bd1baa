"""The demo cohort as whole slides at low magnification: a piece of tissue on glass."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.demo import sections
from pathfuse.demo.block import Row, make_block
from pathfuse.demo.case import SLIDE_UM
from pathfuse.demo.cohort import COLUMNS, TABLE, Progress, each_case, save_png, write_once, write_table
from pathfuse.demo.fields import Floats, Window, smooth
from pathfuse.demo.options import GENERATOR_VERSION, DemoOptions, digest_of
from pathfuse.demo.patient import DemoPatient
from pathfuse.demo.tissue import Tissue, tissue, tumour_at
from pathfuse.errors import RecipeError

SLIDES_VERSION = 1
"""Raise it whenever a slide of an existing cohort would change: cached cohorts are named by it."""

_SAMPLE_PX, _SAMPLE_MPP = 96, 1.0  # the window that the colours of a patient's tissue are measured on
_MOTTLE = 60  # channels of the slide's unevenness


@dataclass(frozen=True)
class DemoSlides:
    """Generated low-magnification slides of the patients of the demo cohort; equal options give equal files.

    Args:
        patients: number of patients; the four scores come equally often. From 12 on every part has every score.
        cases_per_patient: tissue blocks of each patient; each is a case with a slide of each stain.
        slide_px: edge of the square slides in pixels.
        mpp: micrometres per pixel of the slides; from 2 on cells average out, and so they are drawn.
        missing: per stain, the fraction of cases that lack it; a case always keeps one stain.
        labelled: fraction of the training patients whose label is known; the other parts always have theirs.
        val_fraction: fraction of the patients in the validation part.
        test_fraction: fraction of the patients in the test part.
        sites: number of sites; patients are spread over them.
        site_effect: how far sites differ in colour, strength and sharpness; 0 is not at all, 1 clearly visible.
        seed: another seed makes other patients.
    """

    patients: int = 240
    cases_per_patient: int = 1
    slide_px: int = 384
    mpp: float = 4.0
    missing: Mapping[str, float] = field(default_factory=dict)
    labelled: float = 1.0
    val_fraction: float = 0.15
    test_fraction: float = 0.25
    sites: int = 1
    site_effect: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.slide_px < 64:
            raise RecipeError(f"demo slides: slide_px is {self.slide_px}; give at least 64.")
        if not 2 <= self.mpp <= 16:
            raise RecipeError(f"demo slides: mpp is {self.mpp}; slides can be drawn from 2 to 16 µm per pixel.")
        self.cohort()

    def cohort(self) -> DemoOptions:
        """The demo cohort that the patients belong to."""
        return DemoOptions(
            patients=self.patients,
            cases_per_patient=self.cases_per_patient,
            missing=self.missing,
            labelled=self.labelled,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            sites=self.sites,
            site_effect=self.site_effect,
            seed=self.seed,
        )

    def to_json(self) -> str:
        """The options and the versions of the generator, as written into the cohort folder."""
        versions = {"generator": GENERATOR_VERSION, "slides": SLIDES_VERSION}
        return json.dumps({**versions, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    def digest(self) -> str:
        """A short name of the cohort."""
        return f"slides-{digest_of(self.to_json())}"


def write_slides(folder: Path | str, options: DemoSlides, progress: Progress | None = None) -> Path:
    """Writes the cohort and returns its `cases.csv`; a finished cohort of the same options is used as it is.

    Beside the table it holds `slides/<stain>/<case>.png` and `truth/tissue/<case>.png`.

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        options: what.
        progress: is told the finished and the total number of cases.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
    """
    return write_once(folder, options, lambda building: _write(building, options, progress))


def _write(folder: Path, options: DemoSlides, progress: Progress | None) -> None:
    cohort = options.cohort()
    rows: list[Row] = []

    def make(index: int) -> list[Row]:
        return _write_case(folder, options, cohort, index)

    for new in each_case(make, cohort.cases, progress):
        rows += new
    write_table(folder / TABLE, COLUMNS, rows)


def _write_case(folder: Path, options: DemoSlides, cohort: DemoOptions, index: int) -> list[Row]:
    block = make_block(cohort, index, "slide")
    patient, case_id, rng = block.patient, block.case_id, block.rng
    reach = options.slide_px * options.mpp / 2
    x, y = rng.uniform(reach, SLIDE_UM - reach, 2)
    window = Window(float(x), float(y), options.slide_px, options.mpp)
    piece = _piece(window.size_px, rng)
    tumour = _step(tumour_at(patient, *window.points()) / np.float32(0.3) + np.float32(0.5))
    save_png(folder / "truth" / "tissue" / f"{case_id}.png", Image.fromarray((piece > 0.5).astype(np.uint8) * 255))
    sample = Window(window.x_um, window.y_um, _SAMPLE_PX, _SAMPLE_MPP)
    seen = tissue(patient, sample)
    rows: list[Row] = []
    for stain in block.stains:
        noise = np.random.default_rng([options.seed, zlib.crc32(f"slide {stain}".encode()), index])
        path = Path("slides", stain, f"{case_id}.png")
        save_png(folder / path, Image.fromarray(_expose(patient, stain, window, sample, seen, tumour, piece, noise)))
        rows.append(block.row(stain, path, options.mpp))
    return rows


def _piece(size_px: int, rng: np.random.Generator) -> Floats:
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
