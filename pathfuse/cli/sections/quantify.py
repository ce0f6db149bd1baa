"""`pathfuse quantify SLIDES...`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from pathfuse.cli.sections.patch_size import patch_px
from pathfuse.cli.text import print_help
from pathfuse.cli.values import number, one_of
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

HELP = """
SLIDES             files, folders, patterns, or a case table (its slides of --modality)
--out DIR          slides.csv, and per slide a CSV of its patches, a GeoJSON for QuPath and a feature file
--modality NAME    stain of the slides (ihc)
--patch-px N       edge of a patch in pixels (256)
--mpp V            micrometres per pixel of the patches (0.5)
--min-tissue V     share of a patch that has to be tissue (0.5)
--slide-mpp V      micrometres per level-0 pixel of all slides, instead of what their files or the table say
--vectors WHAT     standard: scikit-image's colours of haematoxylin and DAB; own: estimated on every slide (standard)
--limits A,B,C     optical densities of DAB from which a pixel is weak, moderate and strong (0.2,0.4,0.6)

Areas are of pixels, not of cells, and pixel_h_sum is not a pathologist's H-score. The exit status is 1 if a slide
failed."""


def quantify(words: list[str]) -> int:
    """Measures stain; the exit status is 1 if a slide failed."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("quantify", HELP)
    line.options = [(key.replace("_", "-"), value) for key, value in line.options]
    out = line.take("out")
    places, line.positional = line.positional, []
    if not out or not places:
        raise RecipeError("name slides and --out, the folder of the results.")
    modality = line.take("modality") or "ihc"
    size = patch_px(line, 256)
    mpp = number("mpp", line.take("mpp") or "0.5", lambda value: value > 0, "a number above 0")
    tissue = number("min-tissue", line.take("min-tissue") or "0.5", lambda value: 0 <= value <= 1, "a share")
    spacing = line.take("slide-mpp")
    slide_mpp = None if spacing is None else number("slide-mpp", spacing, lambda value: value > 0, "a number above 0")
    vectors = one_of("vectors", line.take("vectors") or "standard", ("standard", "own"))
    limits = _limits(line.take("limits") or "0.2,0.4,0.6")
    line.finish()
    from pathfuse.extract.sources import find_slides
    from pathfuse.quantify.job import QuantifyJob, Vectors, quantify_all
    from pathfuse.slides.grid import PatchGrid

    grid = PatchGrid(size, mpp, 0, tissue)
    job = QuantifyJob(out=Path(out), grid=grid, modality=modality, vectors=cast("Vectors", vectors), limits_od=limits)
    failed = quantify_all(job, find_slides(places, modality=modality, mpp=slide_mpp))
    print(f"{job.out}/slides.csv has the slides")
    return 1 if failed else 0


def _limits(text: str) -> tuple[float, float, float]:
    found = [number("limits", part) for part in text.split(",")]
    if len(found) != 3:
        raise RecipeError(f"--limits {text}: give three rising optical densities, for example 0.2,0.4,0.6.")
    return found[0], found[1], found[2]
