"""Tables of vectors: what is read, and how columns are encoded by the training part alone."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pathfuse.cohort import Case, Cohort
from pathfuse.cohort.vectors import MOST_CATEGORIES, UNKNOWN, VectorTable, encode, fit_columns, read_vectors, unseen
from pathfuse.core import Column
from pathfuse.errors import CaseTableError

CASES = [Case(f"c{n}", f"p{n // 2}", split="train" if n < 6 else "test") for n in range(8)]
TRAINING = CASES[:6]
WORDS = st.text("abcdefgh,\"' é", min_size=1, max_size=6).map(str.strip).filter(bool)
CELLS = st.one_of(WORDS, st.integers(-999, 999).map(str), st.sampled_from(UNKNOWN))


def table_of(*columns, key="case_id"):
    """A table of these columns, a cell per case or patient."""
    names = tuple(f"x{place}" for place in range(len(columns)))
    cells = {f"{key[0]}{n}": row for n, row in enumerate(zip(*columns, strict=True))}
    return VectorTable(Path("t.csv"), key, names, cells)


def encoded(table, columns=None, cases=CASES):
    return encode(table, columns or fit_columns(table, TRAINING), cases)[0]


@given(st.dictionaries(WORDS, st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_what_is_written_is_read_with_unknown_cells_empty(tmp_path_factory, rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [["patient_id", "a", "b"], *([key, *row] for key, row in rows.items())]
    )
    path = tmp_path_factory.mktemp("vectors") / "t.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    table = read_vectors(path)
    assert (table.key, table.names) == ("patient_id", ("a", "b"))
    assert table.cells == {
        key: tuple("" if cell.lower() in UNKNOWN else cell for cell in row) for key, row in rows.items()
    }


@given(st.binary(max_size=60))
def test_any_file_is_a_table_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("vectors") / "t.csv"
    path.write_bytes(content)
    try:
        assert read_vectors(path).names
    except CaseTableError as error:
        assert "\n" not in str(error) and "t.csv" in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"t\.csv is empty"),
        ("case,age\nc0,1\n", r"line 1 has the columns case, age\. It needs case_id or patient_id"),
        ("case_id\nc0\n", r"line 1 has the columns case_id\. .* one column per value"),
        ("case_id,age,age\nc0,1,2\n", r"line 1: column 'age' occurs twice"),
        ("case_id,age\nc0,1\nc1\n", r"line 3: 1 cells, but the header has 2"),
        ("case_id,age\n,1\n", r"line 2: case_id is empty"),
        ("case_id,age\nc0,1\nc0,2\n", r"line 3: case_id c0 has a row already"),
        ('case_id,age\nc0,"1\n', r"t\.csv line 2"),
        ("case_id,age\nc0,\0\n", r"line 2 holds a NUL byte"),
    ],
)
def test_a_table_that_cannot_be_used_says_where_and_why(text, said, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(CaseTableError, match=said):
        read_vectors(path)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CaseTableError, match=r"nowhere\.csv"):
        read_vectors(tmp_path / "nowhere.csv")


@given(st.lists(st.floats(-1e3, 1e3), min_size=8, max_size=8))
@example([410.23930833503687] * 6 + [0.0, 411.0])  # of which the deviation is a last bit
def test_numbers_have_mean_0_and_deviation_1_over_the_training_part(numbers):
    values = encoded(table_of([repr(number) for number in numbers]))
    known = np.array(numbers[:6])
    assert np.allclose(values[:6, 0].mean(), 0, atol=1e-3) and np.all(values[:, 1] == 1)
    scale = known.std() if known.std() > 1e-12 * np.abs(known).max() else 1.0
    assert np.allclose(values[:, 0], (np.array(numbers) - known.mean()) / scale, rtol=1e-3, atol=1e-3)


@given(st.lists(st.one_of(st.floats(-9, 9).map(repr), st.just("")), min_size=2, max_size=2))
def test_rows_of_test_cases_change_no_encoding(others):
    cells = ["1", "2", "", "4", "5", "9"]
    assert fit_columns(table_of([*cells, *others]), TRAINING) == fit_columns(table_of([*cells, "0", "0"]), TRAINING)


def test_a_patient_counts_once_however_many_cases_there_are():
    (column,) = fit_columns(table_of(["1", "2", "6", "100"], key="patient_id"), [*TRAINING, *TRAINING[:3]])
    assert (column.mean, column.deviation) == (3.0, np.std([1, 2, 6]))


def test_a_missing_number_is_the_mean_and_says_so():
    values = encoded(table_of(["1", "", "3", "2", "2", "2", "", "4"]))
    assert values[1].tolist() == [0, 0] and values[6].tolist() == [0, 0]
    assert values[:, 1].tolist() == [1, 0, 1, 1, 1, 1, 0, 1]


def test_a_column_that_does_not_vary_is_zero():
    assert encoded(table_of(["5"] * 6 + ["5", "7"]))[:, 0].tolist() == [0] * 7 + [2]


def test_categories_are_one_entry_each_and_unseen_or_missing_ones_none():
    table = table_of(["lobular", "ductal", "", "ductal", "ductal", "ductal", "mucinous", "lobular"])
    (column,) = fit_columns(table, TRAINING)
    assert column == Column("x0", "category", categories=("ductal", "lobular"))
    assert encoded(table).tolist() == [[0, 1], [1, 0], [0, 0], [1, 0], [1, 0], [1, 0], [0, 0], [0, 1]]
    assert unseen(table, [column], CASES) == ["t.csv: x0 has 'mucinous', which no training case has: unknown."]
    assert unseen(table, [column], TRAINING) == []


def test_a_case_without_a_row_is_absent():
    table = VectorTable(Path("t.csv"), "case_id", ("age",), {"c0": ("1",), "c6": ("3",)})
    values, present = encode(table, fit_columns(table, TRAINING), CASES)
    assert present.tolist() == [True, False, False, False, False, False, True, False]
    assert not values[~present].any() and values.dtype == np.float32


def test_other_cases_are_encoded_as_training_was_whatever_their_own_values():
    columns = fit_columns(table_of(["0", "10"] * 4, ["a", "b"] * 4), TRAINING)
    new = VectorTable(Path("new.csv"), "case_id", ("x1", "other", "x0"), {"n": ("b", "?", "15")})
    values, present = encode(new, columns, [Case("n", "n"), Case("m", "m")])
    assert values.tolist() == [[2, 1, 0, 1], [0, 0, 0, 0]] and present.tolist() == [True, False]


@pytest.mark.parametrize(
    ("names", "row", "said"),
    [
        (("x1",), ("a",), r"new\.csv has no column 'x0', which the model was trained with"),
        (("x0", "x1"), ("high", "a"), r"x0 of n is 'high', and training had numbers there"),
    ],
)
def test_a_table_of_other_cases_that_does_not_fit_is_one_line(names, row, said):
    columns = fit_columns(table_of(["0", "10"] * 4, ["a", "b"] * 4), TRAINING)
    with pytest.raises(CaseTableError, match=said):
        encode(VectorTable(Path("new.csv"), "case_id", names, {"n": row}), columns, [Case("n", "n")])


def test_a_column_of_names_is_refused():
    cases = [Case(f"c{n}", f"p{n}", split="train") for n in range(MOST_CATEGORIES + 1)]
    with pytest.raises(CaseTableError, match=f"column 'x0' has {MOST_CATEGORIES + 1} different texts"):
        fit_columns(table_of([f"name {n}" for n in range(len(cases))]), cases)


def test_a_table_of_nobody_in_training_is_refused():
    with pytest.raises(CaseTableError, match=r"has no row for a training case; its first case_id is z"):
        fit_columns(VectorTable(Path("t.csv"), "case_id", ("age",), {"z": ("1",)}), TRAINING)


def test_a_relative_path_is_looked_for_here_and_else_beside_the_cases(tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder, age in ((there, "1"), (here, "2")):
        folder.mkdir()
        (folder / "age.csv").write_text(f"case_id,age\nc0,{age}\n")
    (there / "labels.csv").write_text("case_id,patient_id,label,split\nc0,p0,a,train\n")
    monkeypatch.chdir(tmp_path)
    cohort = Cohort(cases=str(there / "labels.csv"), vectors={"clinical": "age.csv"}, val_fraction=0)
    assert cohort.vector_tables["clinical"].cells == {"c0": ("1",)}
    monkeypatch.chdir(here)
    cohort = Cohort(cases=str(there / "labels.csv"), vectors={"clinical": "age.csv"}, val_fraction=0)
    assert cohort.vector_tables["clinical"].cells == {"c0": ("2",)}
