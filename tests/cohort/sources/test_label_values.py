"""Labels as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.cohort.sources.label_values import clean_labels


@pytest.mark.parametrize(
    ("cells", "column", "labels"),
    [
        (["0", "+1", "2+", "3 +"], "label", ["0", "1+", "2+", "3+"]),
        (["0", "1.0", "2.0", "3"], "HER2", ["0", "1+", "2+", "3+"]),
        (["0", "1,0", "NA", "2"], "HER2_score", ["0", "1+", "", "2+"]),
        (["0", "1", "0"], "HER2", ["0", "1", "0"]),  # negative and positive, for all one knows
        (["0.0", "1.0", ""], "label", ["0", "1", ""]),
        (["0", "1", "2", "3"], "label", ["0", "1", "2", "3"]),
        (["HER2-low", "HER2 low", "HER2-zero"], "HER2", ["low", "low", "zero"]),
        (["HER2+", "HER2-"], "status", ["positive", "negative"]),
        (["2+", "0", "HER2-low"], "HER2", ["2+", "0", "HER2-low"]),  # is refused: no score
        (["+", "-", "+"], "ER", ["+", "-", "+"]),
        (["0", "+", "++", "+++"], "HER2", ["0", "1+", "2+", "3+"]),
        (["+", "0", "+"], "HER2", ["+", "0", "+"]),  # positive and negative, for all one knows
        (["0", "1+", "2+ (equivocal)", "3+ (positive)"], "HER2 score", ["0", "1+", "2+", "3+"]),
        (["a", "n.a.", "N.A.", "pending", "TBD", "-999", "b"], "label", ["a", "", "", "", "", "", "b"]),
        (["a", "-", "b"], "label", ["a", "", "b"]),
        (["Tumor", "tumor", "tumor", "TUMOR "], "label", ["tumor"] * 4),
    ],
)
def test_what_a_label_means(cells, column, labels):
    assert clean_labels(cells, column=column)[0] == labels


def test_labels_that_somebody_named_stay():
    assert clean_labels(["2.0", "HER2-low", "NA"], column="HER2", keep=["2.0", "HER2-low", "NA"])[0] == [
        "2.0", "HER2-low", "NA",
    ]  # fmt: skip


def test_what_changed_is_said():
    assert clean_labels(["2.0", "NA", "3+"], column="HER2")[1] == [
        "1 of 3 rows have no label in HER2 (NA: 1).", "Labels in HER2: 2.0 is 2+.",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=8), max_size=8))
def test_cleaning_twice_changes_nothing(cells):
    once = clean_labels(cells)[0]
    assert clean_labels(once)[0] == once
