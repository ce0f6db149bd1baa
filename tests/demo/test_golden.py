"""Pictures of a given seed, as they were before the options were divided: a changed pixel is another cohort."""

import hashlib

import h5py
import numpy as np
import pytest
from PIL import Image

from pathfuse.demo import (
    BagPictures,
    DemoCohort,
    PatchPictures,
    SlidePictures,
    write_bags,
    write_patches,
    write_slides,
)

WHO = DemoCohort(patients=4, sites=2, site_effect=0.5, missing={"ihc": 0.3}, seed=7)
STORED = {
    "patches/cases.csv": "ef542f5202e14853",
    "patches/images/he/P0001-01.png": "bfd80827d336566a",
    "patches/images/ihc/P0001-01.png": "48db9f10a7586f09",
    "patches/images/ki67/P0002-01.png": "055ec920b1f7871c",
    "patches/truth/membrane/P0001-01.png": "9cb48c8805360201",
    "slides/cases.csv": "43aa91bad96b2703",
    "slides/slides/he/P0000-01.png": "5dcc970e72ce4992",
    "slides/slides/ihc/P0003-01.png": "85528f1fbb898340",
    "slides/truth/tissue/P0000-01.png": "8fb6bcb7ac3b62ff",
    "bags/cases.csv": "0070da37ae56929b",
    "bags/truth/patches.csv": "87a4e8a0c27c35d2",
    "bags/features/he/P0001-01-he-2.h5": "3d7c9bf3683bc139",
    "bags/features/ihc/P0003-01-ihc-1.h5": "1ac850f4c8a4b037",
}


def contents(path):
    """What is stored, without what the encoder of the file adds."""
    if path.suffix == ".png":
        return np.asarray(Image.open(path)).tobytes()
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return b"".join(file[key][()].tobytes() for key in ("features", "coords"))
    return path.read_bytes()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    patches = PatchPictures(cases_per_patient=1, size_px=32, shift_px=2, rotation_deg=3)
    write_patches(folder / "patches", DemoCohort(**{**vars(WHO), "extra_stains": ("ki67",)}), patches)
    write_slides(folder / "slides", WHO, SlidePictures(slide_px=96))
    write_bags(folder / "bags", WHO, BagPictures(grid=2, patch_px=16))
    return folder


@pytest.mark.parametrize("name", STORED)
def test_what_is_drawn_is_what_was_drawn(drawn, name):
    assert hashlib.sha256(contents(drawn / name)).hexdigest()[:16] == STORED[name]
