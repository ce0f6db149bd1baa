"""Score merges, with and without in-situ hybridisation."""

from dataclasses import replace
from pathlib import Path

import pytest

from pathfuse.cohort import Cohort
from pathfuse.cohort.label_map import MAPS, label_map_of, merge_labels
from pathfuse.cohort.table import Case, CaseTable
from pathfuse.data.labelled_patches import LabelledPatches
from pathfuse.data.paired_bags import PairedBags
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.data.slide_patches import SlidePatches
from pathfuse.data.slide_thumbnails import SlideThumbnails
from pathfuse.demo import BagPictures, DemoCohort, PatchPictures, SlidePictures
from pathfuse.errors import CaseTableError, RecipeError
from pathfuse.registry import DATA
from tests.conftest import write_cases


def table(*cases):
    made = tuple(Case(f"c{i}", f"p{i}", label, labels={"ish": ish}) for i, (label, ish) in enumerate(cases))
    return CaseTable(Path("t.csv"), made, (), ("0", "1+", "2+", "3+"))


def merged(option, *cases):
    found = merge_labels(table(*cases), label_map_of(option, None))
    return {case.case_id: case.label for case in found.cases}, found.classes


SCORES = [("0", ""), ("1+", ""), ("2+", ""), ("2+", "positive"), ("2+", "neg"), ("3+", "negative"), ("", "")]


def test_without_ish_a_2_is_low():
    labels, classes = merged("zero_low_high", *SCORES)
    assert list(labels.values()) == ["0", "low", "low", "low", "low", "high", ""]
    assert classes == ("0", "low", "high")


def test_with_ish_a_2_is_what_ish_says_and_left_out_without():
    labels, classes = merged("zero_low_high_ish", *SCORES)
    assert labels == {"c0": "0", "c1": "low", "c3": "high", "c4": "low", "c5": "high", "c6": ""}
    assert classes == ("0", "low", "high")


def test_what_is_left_out_is_counted():
    notes = merge_labels(table(*SCORES), MAPS["positive_ish"]).notes
    assert notes == ("1 of 7 cases are left out by the label map, first c2 (2+).",)


def test_a_mapping_of_ones_own_keeps_its_order():
    labels, classes = merged({"3+": "yes", "2+ ish+": "yes", "2+": "no", "1+": "no", "0": "no"}, *SCORES)
    assert list(labels.values()) == ["no", "no", "no", "yes", "no", "yes", ""]
    assert classes == ("yes", "no")


def test_the_order_of_the_merged_classes_can_be_said():
    mapping = label_map_of("positive", ["positive", "negative"])
    assert merge_labels(table(("3+", "")), mapping, ["positive", "negative"]).classes == ("positive", "negative")
    with pytest.raises(RecipeError, match=r"'3\+', but cohort\.label_map makes negative, positive"):
        label_map_of("positive", ["3+"])


def test_what_does_not_fit_is_one_line():
    with pytest.raises(RecipeError, match="choose from zero_low_high"):
        label_map_of({}, None)
    with pytest.raises(CaseTableError, match=r"case c0: label '4\+' is none of 0, 1\+"):
        merged("zero_low_high", ("4+", ""))
    with pytest.raises(CaseTableError, match="case c0: ish is 'perhaps'"):
        merged("zero_low_high_ish", ("2+", "Perhaps"))
    with pytest.raises(CaseTableError, match="leaves out every case"):
        merged("zero_low_high_ish", ("2+", ""))


def test_patches_take_a_label_map_and_the_classes_of_a_run(tmp_path):
    who = Cohort(cases=str(write_cases(tmp_path)), label_map="zero_low_high", cache=str(tmp_path / "cache"))
    spec = PairedPatches(who, size_px=8).spec()
    assert spec.classes == ("0", "low", "high") and spec.class_counts == (2, 4, 2)
    again = PairedPatches(replace(who, classes=["0", "low", "high"]), size_px=8).spec()
    assert again == spec


PATCHES, SLIDES = PatchPictures(cases_per_patient=1, size_px=16), SlidePictures(slide_px=128)
EVERY_MODULE = {
    LabelledPatches: {"pictures": PATCHES, "size_px": 16},
    PairedBags: {"pictures": BagPictures(grid=2)},
    PairedPatches: {"pictures": PATCHES, "size_px": 16},
    SlidePatches: {"pictures": SLIDES, "size_px": 16},
    SlideThumbnails: {"pictures": SLIDES, "size_px": 16},
}


def test_every_data_module_is_tried():
    assert {kind.__name__ for kind in EVERY_MODULE} == set(DATA.names())


@pytest.mark.parametrize("kind", EVERY_MODULE, ids=lambda kind: kind.__name__)
def test_every_data_module_takes_a_label_map(kind, tmp_path):
    who = Cohort(demo=DemoCohort(patients=12), cache=str(tmp_path))
    data = kind(replace(who, label_map="zero_low_high"), **EVERY_MODULE[kind])
    assert data.spec().classes == ("0", "low", "high")
    own = {case.case_id: case.label for case in kind(who, **EVERY_MODULE[kind]).cohort}
    merged_to = {"0": "0", "1+": "low", "2+": "low", "3+": "high"}
    assert {case.case_id: case.label for case in data.cohort} == {c: merged_to[label] for c, label in own.items()}
