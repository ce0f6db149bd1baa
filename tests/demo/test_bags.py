"""Generated bags: the patients of the pairs, the truth about every patch, and the same files every time."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from pathfuse.demo import BagPictures, DemoCohort, make_patient, write_bags
from pathfuse.demo.bags import TRUTH
from pathfuse.demo.descriptor import DIM, describe
from pathfuse.errors import CaseTableError, RecipeError
from pathfuse.store import open_slide

WHO = DemoCohort(patients=8, seed=3)
SMALL = BagPictures(grid=3, slides=2)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def features(table, row):
    return open_slide(table.parent / row["path"]).features.read().float()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_bags(tmp_path_factory.mktemp("bags") / "cohort", WHO, SMALL)


def test_the_patients_are_those_of_the_pairs(table):
    pairs = {p.patient_id: p for p in (make_patient(WHO, i) for i in range(8))}
    for row in rows(table):
        assert (row["label"], row["split"]) == (pairs[row["patient_id"]].score, pairs[row["patient_id"]].split)
    assert {row["patient_id"] for row in rows(table)} == set(pairs)


def test_every_patch_has_features_a_place_and_a_truth(table):
    truth = rows(table.parent / TRUTH)
    for row in rows(table):
        slide = open_slide(table.parent / row["path"])
        own = [patch for patch in truth if patch["slide_id"] == slide.slide_id]
        assert slide.features.shape == (len(own), DIM) and 0 < len(own) <= SMALL.grid**2
        assert slide.level0_coords().tolist() == [[int(patch["x"]), int(patch["y"])] for patch in own]
        assert (
            slide.mpp == SMALL.mpp and slide.patch_size_level0 == SMALL.patch_px and slide.modality == row["modality"]
        )
        assert all(int(patch["signal"]) == (float(patch["tumour"]) >= 0.5) for patch in own)
    assert 0.3 < np.mean([int(patch["signal"]) for patch in truth]) < 0.8
    assert len({patch["slide_id"] for patch in truth if patch["case_id"] == truth[0]["case_id"]}) >= 2


def test_the_same_options_give_the_same_features_alone_or_among_others(table, tmp_path):
    again = write_bags(tmp_path / "again", WHO, SMALL)
    fewer = write_bags(tmp_path / "fewer", replace(WHO, patients=4), SMALL)
    for row in rows(table):
        assert torch.equal(features(table, row), features(again, row))
        if row["patient_id"] < "P0004":
            assert torch.equal(features(table, row), features(fewer, row))


def test_two_folders_hold_the_same_bytes(table, tmp_path):
    again = write_bags(tmp_path / "a" / "much" / "longer" / "name", WHO, SMALL).parent
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert len(files) > 16
    assert [name for name in files if (again / name).read_bytes() != (table.parent / name).read_bytes()] == []


def test_brown_follows_the_score_in_signal_patches_and_nowhere_else(table):
    truth = rows(table.parent / TRUTH)
    brown = {1: {}, 0: {}}
    for row in rows(table):
        if row["modality"] == "ihc":
            own = [patch for patch in truth if patch["slide_id"] == open_slide(table.parent / row["path"]).slide_id]
            for value, patch in zip(features(table, row)[:, 29].tolist(), own, strict=True):  # share of brown pixels
                if float(patch["tumour"]) in (0.0, 1.0) or int(patch["signal"]):
                    brown[int(patch["signal"])].setdefault(row["label"], []).append(value)
    assert np.mean(brown[1]["3+"]) > np.mean(brown[1]["0"]) + 1
    assert abs(np.mean(brown[0]["3+"]) - np.mean(brown[0]["0"])) < 0.3


def test_missing_stains_are_missing_and_no_case_lacks_both(tmp_path):
    who = replace(WHO, patients=16, missing={"he": 0.5, "ihc": 0.5})
    found = rows(write_bags(tmp_path / "x", who, replace(SMALL, grid=1)))
    stains = {}
    for row in found:
        stains.setdefault(row["case_id"], set()).add(row["modality"])
    assert len(stains) == 16 and {len(own) for own in stains.values()} == {1, 2}


def test_a_patch_is_described_by_itself_alone():
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    together = describe(image, 16)
    assert together.shape == (6, DIM) and np.isfinite(together).all()
    for number, value in enumerate(together):
        top, left = 16 * (number // 3), 16 * (number % 3)
        assert np.allclose(describe(image[top : top + 16, left : left + 16], 16)[0], value, atol=1e-5)
    flipped = describe(np.ascontiguousarray(image[:, ::-1]), 16)
    assert np.allclose(flipped[:3], together[:3][::-1], atol=1e-4)


def test_other_options_are_another_cohort(table):
    for who, pictures in ((replace(WHO, seed=4), SMALL), (WHO, replace(SMALL, tumour=0.5))):
        with pytest.raises(CaseTableError, match="is not this generated cohort"):
            write_bags(table.parent, who, pictures)


def test_further_stains_are_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(RecipeError, match="bags are drawn of he and ihc, not of ki67"):
        write_bags(tmp_path / "x", replace(WHO, extra_stains=("ki67",)), SMALL)
    assert not list(tmp_path.iterdir())
