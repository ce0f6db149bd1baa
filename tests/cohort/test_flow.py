"""The cohort flow and the pictures that a report shows."""

import numpy as np
import pytest

from pathfuse.cohort import Cohort
from pathfuse.cohort.flow import FlowStep
from pathfuse.data.contract import CaseData
from pathfuse.data.images.decode import picture_of
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.data.slide_thumbnails import SlideThumbnails
from pathfuse.demo import BagPictures, DemoCohort, SlidePictures
from pathfuse.errors import CaseTableError
from tests.data.pairs import save_image, write_table
from tests.store import foreign

HEADER = "case_id,patient_id,modality,path,label,split"


@pytest.fixture
def table(tmp_path):
    """Three patients: P1 has two cases, one without H&E and IHC; P2 is an unclear 2+; P3 and P4 are as they should."""
    rows = [
        ("A", "P1", "he", "0", "train"),
        ("A", "P1", "ihc", "0", "train"),
        ("B", "P1", "ki67", "0", "train"),
        ("C", "P2", "he", "2+", "train"),
        ("D", "P3", "he", "3+", "val"),
        ("E", "P4", "ihc", "3+", "test"),
    ]
    lines = [f"{c},{p},{m},{save_image(tmp_path / f'{c}_{m}.png').name},{label},{s}" for c, p, m, label, s in rows]
    return write_table(tmp_path / "cases.csv", HEADER, *lines)


def patches(table, *, modalities=("he", "ihc"), **who) -> PairedPatches:
    cohort = Cohort(cases=str(table), cache=str(table.parent / "cache"), **who)
    made = PairedPatches(cohort, modalities=list(modalities), size_px=8, normalise=[])
    made.loading = Loading(num_workers=0)
    return made


def test_every_case_of_the_table_is_in_one_step(table):
    assert patches(table, label_map="positive_ish").flow() == [
        FlowStep("table", "in the table", 5, 4),
        FlowStep("left out", "left out: label 2+ by the label map", 1, 1),
        FlowStep("left out", "left out: no he or ihc image", 1, 0),  # its patient has another case
        FlowStep("in use", "in use", 3, 3),
        FlowStep("part", "train", 1, 1),
        FlowStep("part", "val", 1, 1),
        FlowStep("part", "test", 1, 1),
    ]


def test_where_nothing_is_left_out_the_flow_says_so(table):
    steps = patches(table, modalities=["he", "ihc", "ki67"], missing="allow").flow()
    assert [(step.kind, step.cases) for step in steps[:2]] == [("table", 5), ("in use", 5)]


def test_cases_without_a_patch_leave_the_flow_of_bags(tmp_path):
    for name, count in (("A", 3), ("B", 0), ("C", 2)):
        foreign.trident(tmp_path / f"{name}.h5", foreign.features(count, 4, 1), foreign.grid(count))
    rows = [f"{name},{name},he,{name}.h5,{label},train" for name, label in (("A", "0"), ("B", "1+"), ("C", "3+"))]
    table = write_table(tmp_path / "cases.csv", HEADER, *rows)
    steps = PairedBags(Cohort(cases=str(table), val_fraction=0.0), modalities=["he"]).flow()
    assert steps == [
        FlowStep("table", "in the table", 3, 3),
        FlowStep("left out", "left out: no he patch", 1, 1),
        FlowStep("in use", "in use", 2, 2),
        FlowStep("part", "train", 2, 2),
    ]


class Own(CaseData):
    """A data module of someone else, which only says what it must."""

    def modality_specs(self):
        return []

    def dataset(self, index, part):
        return []


def test_a_data_module_that_says_nothing_has_the_flow_of_its_cohort_and_no_pictures(table):
    own = Own(Cohort(cases=str(table)))
    assert own.flow() == [
        FlowStep("table", "in the table", 5, 4),
        FlowStep("in use", "in use", 5, 4),
        FlowStep("part", "train", 3, 2),
        FlowStep("part", "val", 1, 1),
        FlowStep("part", "test", 1, 1),
    ]
    assert own.cohort.chosen_fold is None
    assert own.picture("A") == {}
    with pytest.raises(CaseTableError, match="no case 'Z'"):
        own.picture("Z")


def test_a_picture_is_the_prepared_image_of_every_stain_that_is_there(table):
    data = patches(table)
    batch = next(iter(data.predict_dataloader()))
    for row, case in enumerate(batch.case_ids):
        shown = data.picture(case)
        assert set(shown) == {m for m in ("he", "ihc") if batch.present[m][row]}
        for modality, picture in shown.items():
            assert picture.dtype == np.uint8
            expected = (batch.image(modality)[row] * 255).round().byte().permute(1, 2, 0)
            assert np.array_equal(picture, expected.numpy())


def test_large_pictures_are_made_small_by_averaging():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1024, 600), dtype=np.uint8)
    made = picture_of(pixels)
    assert made.shape == (512, 300, 3)
    mean = pixels.transpose(1, 2, 0).reshape(512, 2, 300, 2, 3).mean((1, 3))
    assert np.abs(made - mean).max() <= 1


def test_thumbnails_have_pictures_and_bags_do_not(tmp_path):
    who = Cohort(demo=DemoCohort(patients=12), cache=str(tmp_path))
    slides = SlideThumbnails(who, pictures=SlidePictures(slide_px=64), size_px=32)
    first = slides.split_table()[0].case_id
    assert {m: p.shape for m, p in slides.picture(first).items()} == {"he": (32, 32, 3), "ihc": (32, 32, 3)}
    bags = PairedBags(who, pictures=BagPictures(grid=2, patch_px=8))
    assert bags.picture(first) == {}


def test_a_picture_of_an_unknown_case_is_refused(table):
    with pytest.raises(CaseTableError, match=r"cases.csv has no case 'Z' in use"):
        patches(table).picture("Z")
