"""One call from slides to tables; what `pathfuse quantify` does, for scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pathfuse.errors import ImageError, PathfuseError
from pathfuse.extract.layout import Layout
from pathfuse.extract.sources import SlideSource
from pathfuse.quantify.geojson import write_measurements
from pathfuse.slides.deconvolution import H_DAB, StainVectors, estimated
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.opening import open_slide
from pathfuse.slides.slide import Slide
from pathfuse.slides.stain_amounts import FEATURES, LIMITS_OD, NAMES, Amounts, amounts, check_limits, pooled
from pathfuse.slides.tissue import OVERVIEW_MPP, tissue_mask, tissue_rule
from pathfuse.store.formats.trident_write import write_trident
from pathfuse.system.csv_writing import CsvRecordWriter
from pathfuse.system.files import atomic_text

ENCODER = "StainAmounts"
VECTORS_UM = 2.0  # spacing at which a slide's own stain colours are looked for
Vectors = Literal["standard", "own"]
Say = Callable[[str], None]
COLUMNS = ("slide", "status", "patches", *NAMES, "reason")


@dataclass(frozen=True, kw_only=True)
class QuantifyJob:
    """What to measure.

    Attributes:
        out: folder that gets everything.
        grid: size and spacing of patches.
        modality: stain of the slides, as the features say it.
        vectors: `standard` takes scikit-image's H-DAB, `own` estimates both colours on every slide.
        limits_od: optical densities of DAB from which a pixel is weak, moderate and strong.
    """

    out: Path
    grid: PatchGrid = field(default_factory=PatchGrid)
    modality: str = "ihc"
    vectors: Vectors = "standard"
    limits_od: tuple[float, float, float] = LIMITS_OD

    def __post_init__(self) -> None:
        check_limits(self.limits_od)


@dataclass(frozen=True, eq=False)
class Measured:
    """One slide.

    Attributes:
        source: the slide.
        coords: (N, 2) left and top of its patches in level-0 pixels.
        size_level0: edge of a patch in level-0 pixels.
        mpp: micrometres per level-0 pixel.
        patches: amounts of every patch.
    """

    source: SlideSource
    coords: NDArray[np.int64]
    size_level0: int
    mpp: float
    patches: Sequence[Amounts]


def quantify_all(job: QuantifyJob, sources: Sequence[SlideSource], say: Say = print) -> list[str]:
    """Measures slides; writes `slides.csv`, per slide a CSV, a GeoJSON and a feature file; returns those that failed.

    Args:
        job: what to measure.
        sources: the slides.
        say: told a line per slide.

    Raises:
        PathfuseError: if results cannot be written.
    """
    rows: list[dict[str, object]] = []
    failed = []
    for source in sources:
        try:
            found = measure_slide(job, source)
        except PathfuseError as error:
            failed.append(source.slide_id)
            rows.append({"slide": source.slide_id, "status": "failed", "reason": str(error)})
            say(f"{source.slide_id}: failed ({error})")
            continue
        _write_slide(job, found)
        whole = pooled(found.patches)
        state = "done" if whole is not None else "empty"
        row: dict[str, object] = {"slide": source.slide_id, "status": state, "patches": len(found.patches)}
        rows.append(row | (_cells(whole) if whole is not None else {}))
        dab = "" if whole is None else f", DAB {whole.dab_od:.3f} OD, {whole.positive_area:.1%} positive"
        say(f"{source.slide_id}: {len(found.patches)} patches{dab}")
    _write_csv(job.out / "slides.csv", COLUMNS, rows)
    return failed


def measure_slide(job: QuantifyJob, source: SlideSource) -> Measured:
    """Measures every patch of a slide that has enough tissue.

    Raises:
        ImageError: if it cannot be read, has no spacing, or does not show the stain colours that were asked for.
    """
    with open_slide(source.path, mpp=source.mpp) as slide:
        overview = slide.overview(OVERVIEW_MPP)
        rule = tissue_rule("he" if job.modality == "he" else "ihc")
        mask = tissue_mask(overview, slide.size[0] * slide.mpp / overview.shape[1], rule)
        coords = job.grid.coords(slide, mask)
        size = job.grid.size_level0(slide)
        stains = _stains(job, slide)
        patches = [
            amounts(slide.read(x, y, size, job.grid.size_px), stains=stains, limits_od=job.limits_od)
            for x, y in coords.tolist()
        ]
        return Measured(source, coords, size, slide.mpp, patches)


def _stains(job: QuantifyJob, slide: Slide) -> StainVectors:
    if job.vectors == "standard":
        return H_DAB
    found = estimated(slide.overview(VECTORS_UM))
    if found is None:
        raise ImageError(f"{slide.path} does not show two stains. Measure it with --vectors standard.")
    return found


def _write_slide(job: QuantifyJob, found: Measured) -> None:
    name = found.source.slide_id
    rows = [{"x": x, "y": y, **_cells(one)} for (x, y), one in zip(found.coords.tolist(), found.patches, strict=True)]
    _write_csv(job.out / "patches" / f"{name}.csv", ("x", "y", *NAMES), rows)
    write_measurements(job.out / "geojson" / f"{name}.geojson", name, found.coords, found.size_level0, found.patches)
    features = torch.tensor([one.features() for one in found.patches], dtype=torch.float32)
    write_trident(
        Layout(job.out, job.grid, ENCODER).features(name),
        features.reshape(len(found.patches), len(FEATURES)),
        torch.from_numpy(found.coords),
        encoder=ENCODER,
        patch_size=job.grid.size_px,
        patch_size_level0=found.size_level0,
        mpp=found.mpp,
        attributes={"modality": job.modality, "names": ",".join(FEATURES), "source": found.source.path.name},
    )


def _cells(one: Amounts) -> dict[str, object]:
    return {name: f"{value:.8g}" for name, value in one.row().items()}


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[dict[str, object]]) -> None:
    with atomic_text(path) as file:
        writer = CsvRecordWriter(file, columns)
        writer.writerows(rows)
