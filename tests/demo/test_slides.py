"""Generated slides: tissue on glass, its truth, and the same files every time."""

import csv

import numpy as np
import pytest
from PIL import Image

from pathfuse.demo import DemoCohort, SlidePictures, write_slides
from pathfuse.errors import RecipeError


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_slides_are_tissue_on_glass_and_only_ihc_follows_the_score(tmp_path):
    table = write_slides(tmp_path / "slides", DemoCohort(patients=8), SlidePictures(slide_px=128))
    density = {}
    for row in rows(table):
        image = np.asarray(Image.open(table.parent / row["path"])).astype(float)
        tissue = np.asarray(Image.open(table.parent / "truth" / "tissue" / f"{row['case_id']}.png")) > 0
        assert 0.15 < tissue.mean() < 0.6 and np.percentile(image[~tissue], 5) > 200  # the outline is half tissue
        density.setdefault((row["modality"], row["label"]), []).append(-np.log(image[tissue] / 255).mean(0))
    brown = {
        score: np.mean(density["ihc", score], 0)[2] - np.mean(density["ihc", score], 0)[0] for score in ("0", "3+")
    }
    assert brown["3+"] > brown["0"] + 0.1


def test_further_stains_are_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(RecipeError, match="slides are drawn of he and ihc, not of er"):
        write_slides(tmp_path / "x", DemoCohort(patients=4, extra_stains=("er",)), SlidePictures(slide_px=64))
    assert not list(tmp_path.iterdir())
