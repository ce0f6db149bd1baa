"""The demo cohort as bags: features of the patches of whole regions, with the truth about every patch."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from pathfuse.demo import sections
from pathfuse.demo.block import DemoBlock, Row, make_block
from pathfuse.demo.case import SLIDE_UM
from pathfuse.demo.cohort import COLUMNS, TABLE, Progress, each_case, write_once, write_table
from pathfuse.demo.descriptor import NAME, describe
from pathfuse.demo.fields import Floats, Window
from pathfuse.demo.options import GENERATOR_VERSION, DemoOptions, digest_of
from pathfuse.demo.patient import DemoPatient
from pathfuse.demo.tissue import tissue, tumour_at
from pathfuse.errors import RecipeError
from pathfuse.store.formats.trident_write import write_trident

BAGS_VERSION = 2
"""Raise it whenever a file of an existing cohort would change: cached cohorts are named by it."""

TRUTH = Path("truth", "patches.csv")
TRUTH_COLUMNS = ("case_id", "modality", "slide_id", "patch", "x", "y", "tumour", "signal")
_STAINS = ("he", "ihc")
_SPOTS = 8  # places that are looked at to find one with the wanted share of tumour


@dataclass(frozen=True)
class DemoBags:
    """Generated bags of the patients of the demo cohort; equal options give equal files on every machine.

    Args:
        patients: number of patients; the four scores come equally often. From 12 on every part has every score.
        cases_per_patient: tissue blocks of each patient; each is a case with slides of its own.
        slides: largest number of slides of a case and stain; from one up to so many are drawn.
        grid: patches along each edge of the region that a slide shows; those on glass are left out.
        patch_px: edge of a patch in pixels, a multiple of 8.
        mpp: micrometres per pixel of the patches.
        tumour: share of tumour on a slide, against that of the patient's patches; only tumour carries the score.
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
    slides: int = 2
    grid: int = 6
    patch_px: int = 32
    mpp: float = 1.0
    tumour: float = 0.8
    missing: Mapping[str, float] = field(default_factory=dict)
    labelled: float = 1.0
    val_fraction: float = 0.15
    test_fraction: float = 0.25
    sites: int = 1
    site_effect: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("slides", "grid"):
            if getattr(self, name) < 1:
                raise RecipeError(f"demo bags: {name} is {getattr(self, name)}; give at least 1.")
        if self.patch_px < 8 or self.patch_px % 8:
            raise RecipeError(f"demo bags: patch_px is {self.patch_px}; give a multiple of 8.")
        if not 0 < self.tumour <= 1:
            raise RecipeError(f"demo bags: tumour is {self.tumour}; give a fraction above 0, at most 1.")
        self.cohort()

    def cohort(self) -> DemoOptions:
        """The demo cohort that the patients belong to."""
        return DemoOptions(
            patients=self.patients,
            cases_per_patient=self.cases_per_patient,
            size_px=self.grid * self.patch_px,
            mpp=self.mpp,
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
        versions = {"generator": GENERATOR_VERSION, "bags": BAGS_VERSION}
        return json.dumps({**versions, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    def digest(self) -> str:
        """A short name of the cohort."""
        return f"bags-{digest_of(self.to_json())}"


def write_bags(folder: Path | str, options: DemoBags, progress: Progress | None = None) -> Path:
    """Writes the cohort and returns its `cases.csv`; a finished cohort of the same options is used as it is.

    Beside the table it holds `features/<stain>/<slide>.h5` and `truth/patches.csv`, a row per patch: its place, the
    share of it that is tumour, and whether it carries the score (at least half of it is tumour).

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        options: what.
        progress: is told the finished and the total number of cases.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
    """
    return write_once(folder, options, lambda building: _write(building, options, progress))


def _write(folder: Path, options: DemoBags, progress: Progress | None) -> None:
    cohort = options.cohort()
    files: list[Row] = []
    patches: list[Row] = []

    def make(index: int) -> tuple[list[Row], list[Row]]:
        return _write_case(folder, options, cohort, index)

    for new, truth in each_case(make, cohort.cases, progress):
        files += new
        patches += truth
    write_table(folder / TRUTH, TRUTH_COLUMNS, patches)
    write_table(folder / TABLE, COLUMNS, files)


def _write_case(folder: Path, options: DemoBags, cohort: DemoOptions, index: int) -> tuple[list[Row], list[Row]]:
    block = make_block(cohort, index, "bag")
    files: list[Row] = []
    truth: list[Row] = []
    for stain, slide, features, coords, tumour in _slides(options, block, index):
        slide_id = f"{block.case_id}-{stain}-{slide + 1}"
        path = Path("features", stain, f"{slide_id}.h5")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_trident(
            folder / path,
            torch.from_numpy(features.astype(np.float16)),
            torch.from_numpy(coords),
            encoder=NAME,
            patch_size=options.patch_px,
            patch_size_level0=options.patch_px,
            mpp=options.mpp,
            savetodir=path.parent.as_posix(),  # not the folder they are built in, or no two cohorts would be equal
            attributes={"modality": stain},
        )
        files.append(block.row(stain, path, options.mpp))
        for patch, ((x, y), share) in enumerate(zip(coords.tolist(), tumour.tolist(), strict=True)):
            truth.append((block.case_id, stain, slide_id, patch, x, y, f"{share:.3f}", int(share >= 0.5)))
    return files, truth


def _slides(
    options: DemoBags, block: DemoBlock, index: int
) -> Iterator[tuple[str, int, Floats, np.ndarray[tuple[int, ...], np.dtype[np.int64]], Floats]]:
    """Every slide of a case: its stain and number, and of its patches the features, places and shares of tumour."""
    patient, rng = block.patient, block.rng
    looks = patient.morphology
    # A slide shows more than the places that a pathologist would cut out: less of it is tumour.
    whole = replace(patient, morphology=replace(looks, tumour=options.tumour * looks.tumour))
    counts = rng.integers(1, options.slides + 1, len(_STAINS))
    windows = [_place(whole, options, rng) for _ in range(options.slides)]
    for slide, window in enumerate(windows):
        shown = [s for place, s in enumerate(_STAINS) if s in block.stains and slide < counts[place]]
        seen = tissue(whole, window) if shown else None  # serial sections: all stains show one region
        for stain in shown:
            assert seen is not None
            noise = np.random.default_rng([options.seed, zlib.crc32(f"bag {stain} {slide}".encode()), index])
            grain = noise.standard_normal((window.size_px, window.size_px, 1), np.float32) * np.float32(1.5)
            stains = (
                sections.he_section(whole, window, seen)
                if stain == "he"
                else sections.her2_section(whole, window, seen)[0]
            )
            features = describe(sections.expose(whole, stain, stains, options.mpp, grain), options.patch_px)
            kept = _shares(seen.glass, options.patch_px) < 0.5
            kept = kept if kept.any() else np.ones_like(kept)
            places = _coords(window, options)[kept]
            yield stain, slide, features[kept], places, _shares(seen.tumour, options.patch_px)[kept]


def _place(patient: DemoPatient, options: DemoBags, rng: np.random.Generator) -> Window:
    """A region with about as much tumour as the slide; never one without any, where there is a choice."""
    edge = options.grid * options.patch_px
    spots = np.floor(rng.uniform(0.05 * SLIDE_UM, 0.9 * SLIDE_UM, (_SPOTS, 2)) / options.mpp)  # left, top in pixels
    middle = ((spots + edge / 2) * options.mpp).astype(np.float32)
    reach = np.linspace(-0.5, 0.5, 9, dtype=np.float32) * np.float32(edge * options.mpp)
    x = middle[:, 0, None, None] + reach[None, :, None] + 0 * reach[None, None, :]  # (spots, 9, 9)
    y = middle[:, 1, None, None] + reach[None, None, :] + 0 * reach[None, :, None]  # (spots, 9, 9)
    share = (tumour_at(patient, x, y) > 0).mean(axis=(1, 2))
    best = int(np.abs(share - patient.morphology.tumour).argmin())
    left, top = spots[best]
    return Window(float((left + edge / 2) * options.mpp), float((top + edge / 2) * options.mpp), edge, options.mpp)


def _coords(window: Window, options: DemoBags) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(N, 2) left and top of every patch in pixels of the slide, row by row."""
    half = window.size_px / 2
    left, top = round(window.x_um / window.mpp - half), round(window.y_um / window.mpp - half)
    step = np.arange(options.grid, dtype=np.int64) * options.patch_px
    y, x = np.meshgrid(top + step, left + step, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])


def _shares(mask: Floats, patch_px: int) -> Floats:
    """(N,) mean over every patch."""
    edge = mask.shape[0] // patch_px
    shares: Floats = mask.reshape(edge, patch_px, edge, patch_px).mean((1, 3)).ravel()
    return shares
