"""The clinical table: one column tells the score, one does not, and it is the same beside whatever is drawn."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pathfuse.demo import (
    BagPictures,
    DemoCohort,
    PatchPictures,
    SlidePictures,
    make_patient,
    write_bags,
    write_patches,
    write_slides,
)
from pathfuse.demo.clinical import CLINICAL, write_clinical

WHO = DemoCohort(patients=400, seed=11)


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("clinical") / CLINICAL
    write_clinical(path, WHO)
    return rows(path)


def told(table, column):
    """How well a column tells high from low scores (area under the curve), and over how many patients."""
    level = {patient.patient_id: patient.level for patient in (make_patient(WHO, index) for index in range(400))}
    known = [(level[row["patient_id"]] >= 2, float(row[column])) for row in table if row[column]]
    return roc_auc_score(*zip(*known, strict=True)), len(known)


def test_there_is_a_row_per_patient_in_order(table):
    assert [row["patient_id"] for row in table] == [f"P{index:04d}" for index in range(400)]


def test_one_column_tells_the_score_without_settling_it(table):
    auroc, _ = told(table, "her2_copies")
    assert 0.85 < auroc < 0.99


def test_the_other_column_is_noise(table):
    auroc, count = told(table, "age")
    # The standard error of an area of 0.5 over two halves of n/2 is sqrt((n + 1) / (3 n^2)), about 0.029 here.
    assert abs(auroc - 0.5) < 3.3 * np.sqrt((count + 1) / (3 * count**2))


@pytest.mark.parametrize("column", ["her2_copies", "age"])
def test_some_cells_are_empty_as_in_every_clinical_table(table, column):
    empty = np.mean([not row[column] for row in table])
    assert 0.01 < empty < 0.1  # 5 % are left out; the standard deviation over 400 is 1.1 %


def test_the_same_patients_have_the_same_rows_beside_patches_slides_and_bags(tmp_path):
    who = DemoCohort(patients=4, seed=2)
    written = [
        write_patches(tmp_path / "patches", who, PatchPictures(size_px=16)),
        write_slides(tmp_path / "slides", who, SlidePictures(slide_px=64)),
        write_bags(tmp_path / "bags", who, BagPictures(grid=1, patch_px=8)),
    ]
    texts = {path.with_name(CLINICAL).read_bytes() for path in written}
    assert len(texts) == 1
    named = {row["patient_id"] for row in rows(written[0].with_name(CLINICAL))}
    assert named == {row["patient_id"] for path in written for row in rows(path)}


def test_another_seed_makes_other_rows_and_other_options_do_not(tmp_path, table):
    for name, who in (("seed", replace(WHO, seed=12)), ("fewer", replace(WHO, patients=40, labelled_patients=0))):
        write_clinical(tmp_path / name, who)
    assert rows(tmp_path / "seed") != table
    assert rows(tmp_path / "fewer") == table[:40]
