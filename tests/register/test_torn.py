"""A torn section: small patches follow it, and the local error says where the map cannot be trusted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pathfuse.demo import DemoCohort, SerialPictures
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.register.contract import Section
from pathfuse.register.field import Field
from pathfuse.register.job import mean_of_both_ways
from pathfuse.register.local_trust import ERROR, local_trust
from pathfuse.register.method.stages import SerialSections
from pathfuse.register.transform import Matrix, Transform
from pathfuse.slides.opening import open_slide

pytest.importorskip("SimpleITK", reason="needs pathfuse[register]")
Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def affine(ours: np.ndarray, theirs: np.ndarray) -> Matrix:
    best, *_ = np.linalg.lstsq(np.hstack([ours, np.ones((len(ours), 1))]), theirs, rcond=None)
    return np.vstack([best.T, [0, 0, 1]])


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """At places of the truth: errors of the map, local errors, distances from the tear; all (N,) micrometres."""
    folder = tmp_path_factory.mktemp("torn")
    pictures = SerialPictures(slide_px=640, restained=True, torn=1.0, lost=0.0, warp_um=10.0)
    pair = SerialPair(DemoCohort(patients=1, seed=29), pictures, 0)
    paths = [folder / f"{stain}.png" for stain in ("he", "ihc")]
    for path in paths:
        Image.fromarray(pair.image(path.stem)).save(path, compress_level=1)
    truth = np.array(pair.truth(), dtype=float)
    ours, theirs = truth[:, :2], truth[:, 2:]
    method = SerialSections()
    with open_slide(paths[0], mpp=1.0) as he, open_slide(paths[1], mpp=1.0) as ihc:
        fixed, moving = Section(he, "he"), Section(ihc, "ihc")
        # The coarse placement is not what is looked at here: it begins with the best affine.
        there = method.bent(fixed, moving, Transform(affine(ours, theirs)))
        back = method.bent(moving, fixed, Transform(affine(theirs, ours)))
        found = mean_of_both_ways(fixed, there, back)
        trust = local_trust(fixed, moving, found, back)
    tear = pair.known.tear
    assert tear is not None
    at = tear.along(theirs, np.full(2, pair.known.middle_um))
    away = np.where(at > 0, at - tear.gap_um, -at)
    return np.hypot(*(found.forward(ours) - theirs).T), trust.at(ours)[:, ERROR], away


def test_the_map_follows_both_sides_of_a_tear(torn: Found) -> None:
    off, _, _ = torn
    assert np.median(off) <= 2
    assert np.percentile(off, 90) <= 6


def test_places_that_are_far_off_are_said_to_be(torn: Found) -> None:
    off, local, away = torn
    far = off > 10
    assert far.any(), "no place lies beside the tear: draw another section"
    assert (local[far] >= off[far] / 2).all()
    beyond = away > 150
    assert beyond.sum() > 30
    assert np.median(local[beyond]) < 3, "an error that is large everywhere says nothing"


def test_a_smooth_bend_is_no_tear() -> None:
    from pathfuse.register.local_trust import jump

    x = (np.arange(60) + 0.5) * 20.0
    smooth = np.zeros((50, 60, 2), np.float32)
    smooth[..., 0] = 15 * np.sin(2 * np.pi * x / 800)  # its slope is at most 0.12
    torn = smooth.copy()
    torn[:, 30:, 1] += 40
    grid = (20, 24), (50.0, 50.0)
    assert jump(Transform(np.eye(3), Field(smooth, (20.0, 20.0))), *grid).max() == 0
    found = jump(Transform(np.eye(3), Field(torn, (20.0, 20.0))), *grid)
    assert 40 <= found[:, 11:13].min() and found.max() < 60
    assert found[:, :10].max() == 0 and found[:, 14:].max() == 0
