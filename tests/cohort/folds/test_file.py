import csv
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.cli.splits import split
from pathfuse.cli.words import Words
from pathfuse.cohort.folds.check import by_place
from pathfuse.cohort.folds.columns import read_columns
from pathfuse.cohort.folds.draw import draw_folds
from pathfuse.cohort.folds.file import FoldRow, apply_folds, folds_sha256, folds_text, parts_of, read_folds, write_folds
from pathfuse.cohort.folds.formats import read_clam, read_stamp, write_clam, write_stamp
from pathfuse.cohort.sources.case_table import read_cases
from pathfuse.cohort.table import Case, CaseFile
from pathfuse.errors import CaseTableError, RecipeError

CASES = [Case(f"c{n:02d}", f"p{n // 2:02d}", "ab"[n // 2 % 2]) for n in range(40)]


def assignments(rows):
    return [{row.case_id: row.part for row in own} for own in by_place(rows).values()]


def write_table(folder, patients=20, **columns):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        [f"c{n:02d}", f"p{n // 2:02d}", "he", f"slide_{n:02d}.png", "ab"[n // 2 % 2], *(v(n) for v in columns.values())]
        for n in range(2 * patients)
    ]
    with (folder / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["case_id", "patient_id", "modality", "path", "label", *columns], *rows])
    return folder / "cases.csv"


def run(path, *words):
    return split(path, Words.split([*words, "--duplicates", "off"] if "--duplicates" not in words else list(words)))


@pytest.mark.parametrize("nested", [0, 2])
def test_folds_survive_their_file_and_the_hash_is_that_of_the_bytes(tmp_path, nested):
    rows = list(draw_folds(CASES, folds=3, repeats=2, nested=nested).rows)
    digest = write_folds(tmp_path / "splits.csv", rows)
    assert read_folds(tmp_path / "splits.csv") == rows
    assert digest == folds_sha256(tmp_path / "splits.csv")
    assert digest == hashlib.sha256((tmp_path / "splits.csv").read_bytes()).hexdigest()
    header = (tmp_path / "splits.csv").read_text().splitlines()[0]
    assert header == ("repeat,fold,inner,case_id,patient_id,part" if nested else "repeat,fold,case_id,patient_id,part")


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=6)


@settings(max_examples=40)
@given(st.lists(st.tuples(TEXT, TEXT, st.sampled_from(["train", "val", "test"])), min_size=1, max_size=6))
def test_any_names_survive_the_file(tmp_path_factory, people):
    rows = [FoldRow(0, 0, case, patient, part) for case, patient, part in people]
    path = tmp_path_factory.mktemp("folds") / "splits.csv"
    write_folds(path, rows)
    assert read_folds(path) == rows


def test_the_same_seed_gives_the_same_hash():
    assert folds_text(draw_folds(CASES).rows) == folds_text(draw_folds(CASES[::-1]).rows)


def test_cases_get_the_parts_of_one_fold():
    rows = draw_folds(CASES, folds=4).rows
    cases = apply_folds(CASES, rows, fold=2)
    assert {case.case_id: case.split for case in cases} == parts_of(rows, 0, 2)
    with pytest.raises(CaseTableError, match="no repeat 0, fold 9, inner fold 0; the last is repeat 0, fold 3"):
        apply_folds(CASES, rows, fold=9)
    with pytest.raises(CaseTableError, match=r"the splits: 1 of \d+ cases are not in repeat 0, fold 0, first new"):
        apply_folds([*CASES, Case("new", "new", "a")], rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the columns repeat, fold"),
        ("repeat,fold,case_id,patient_id,part\n", "holds no fold"),
        ("repeat,fold,case_id,patient_id,part\n0,x,c,p,train\n", "line 2: fold 'x' is no whole number"),
        ("repeat,fold,case_id,patient_id,part\n0,0,c,p,dev\n", "line 2: part 'dev' is none of train, val, test"),
        ("repeat,fold,case_id,patient_id,part\n0,0,c,p\n", "line 2: 4 cells, but the header has 5"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(CaseTableError, match=message):
        read_folds(tmp_path / "splits.csv")


@pytest.mark.parametrize("ids", ["case", "slide"])
def test_splits_of_clam_are_written_and_read_by_its_layout(tmp_path, ids):
    cases = read_cases(write_table(tmp_path / "cohort"), check_files=False).cases
    rows = draw_folds(cases, folds=3).rows
    files = write_clam(tmp_path / "splits", rows, cases, ids=ids)
    assert [path.name for path in files][:3] == ["splits_0.csv", "splits_0_bool.csv", "splits_0_descriptor.csv"]
    assert assignments(read_clam(tmp_path / "splits", cases).rows) == assignments(rows)
    # Read as CLAM does: an unnamed index, ragged columns, and booleans per slide.
    with (tmp_path / "splits" / "splits_1.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["", "train", "val", "test"] and [row[""] for row in table[:2]] == ["0", "1"]
    train = [row["train"] for row in table if row["train"]]
    with (tmp_path / "splits" / "splits_1_bool.csv").open() as file:
        flags = {row[""]: row for row in csv.DictReader(file)}
    assert [name for name, row in flags.items() if row["train"] == "True"] == train
    assert all(sorted([row["train"], row["val"], row["test"]]) == ["False", "False", "True"] for row in flags.values())
    with (tmp_path / "splits" / "splits_1_descriptor.csv").open() as file:
        sizes = list(csv.DictReader(file))
    assert sum(int(row[part]) for row in sizes for part in ("train", "val", "test")) == len(cases)


def test_splits_without_a_test_column_are_refused_until_it_is_said_what_val_is(tmp_path):
    half = [case.case_id for case in CASES[:30]], [case.case_id for case in CASES[30:]]
    lines = [",train,val", *(f"{k},{a},{half[1][k] if k < 10 else ''}" for k, a in enumerate(half[0]))]
    (tmp_path / "splits_0.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(CaseTableError, match="val would choose the checkpoint and be reported"):
        read_clam(tmp_path, CASES)
    found = read_clam(tmp_path, CASES, val_as="test")
    (own,) = assignments(found.rows)
    assert {case for case, part in own.items() if part == "test"} == set(half[1])
    assert "val" in own.values() and "a validation part is drawn" in found.notes[0]


def test_patients_and_slides_of_foreign_files_are_found(tmp_path):
    cases = [
        Case(c.case_id, c.patient_id, c.label, files={"he": (CaseFile(tmp_path / f"s{c.case_id}.svs"),)}) for c in CASES
    ]
    (tmp_path / "splits_0.csv").write_text(",train,val,test\n0,p00,sc04,c06\n1,p01,,\n")
    (own,) = assignments(read_clam(tmp_path, cases).rows)
    assert own == {"c00": "train", "c01": "train", "c02": "train", "c03": "train", "c04": "val", "c06": "test"}
    (tmp_path / "splits_0.csv").write_text(",train,val,test\n0,p00,nobody,c06\n")
    with pytest.raises(CaseTableError, match=r"splits_0\.csv: 'nobody' in val is no case, slide or patient"):
        read_clam(tmp_path, cases)


def test_splits_of_stamp_are_written_and_read_by_its_layout(tmp_path):
    rows = draw_folds(CASES, folds=4).rows
    write_stamp(tmp_path / "splits.json", rows)
    content = json.loads((tmp_path / "splits.json").read_text())
    assert list(content) == ["splits"] and list(content["splits"][0]) == ["train_patients", "test_patients"]
    found = read_stamp(tmp_path / "splits.json", CASES)
    assert "names no validation patients" in found.notes[0]
    for ours, theirs, names in zip(assignments(rows), assignments(found.rows), content["splits"], strict=True):
        assert {c for c, p in ours.items() if p == "test"} == {c for c, p in theirs.items() if p == "test"}
        assert set(theirs.values()) == {"train", "val", "test"}
        assert not set(names["train_patients"]) & set(names["test_patients"])


def test_a_shared_patient_in_foreign_splits_is_refused(tmp_path, capsys):
    table = write_table(tmp_path)
    people = [f"p{n:02d}" for n in range(20)]
    content = {"splits": [{"train_patients": people, "test_patients": people[:4]}]}
    (tmp_path / "splits.json").write_text(json.dumps(content))
    with pytest.raises(CaseTableError, match=r"is in .* and in test"):
        run(table, "--from", str(tmp_path / "splits.json"))


def test_a_file_that_is_not_of_stamp_is_refused(tmp_path):
    (tmp_path / "splits.json").write_text("{}")
    with pytest.raises(CaseTableError, match="is no splits file of STAMP"):
        read_stamp(tmp_path / "splits.json", CASES)


def test_columns_of_the_case_table_hold_all_splits(tmp_path):
    table = write_table(tmp_path, ish=lambda n: "negative")
    run(table, "--format", "column", "--folds", "3", "--repeats", "2")
    copy = read_cases(tmp_path / "cases_split.csv", check_files=False)
    assert [case.labels["ish"] for case in copy.cases] == ["negative"] * 40
    rows = draw_folds(read_cases(table, check_files=False).cases, folds=3, repeats=2).rows
    assert assignments(read_columns(copy.cases).rows) == assignments(rows)


def test_a_column_of_fold_numbers_tests_each_of_them_and_validates_in_training(tmp_path):
    cases = read_cases(write_table(tmp_path, fold=lambda n: n // 2 % 4), check_files=False).cases
    found = read_columns(cases, "fold")
    for fold, own in enumerate(assignments(found.rows)):
        assert {c for c, p in own.items() if p == "test"} == {c.case_id for c in cases if c.labels["fold"] == str(fold)}
        assert "val" in own.values()
    with pytest.raises(CaseTableError, match="column label is the label, not a fold"):
        read_columns(cases, "label")


def test_a_column_that_is_no_split_is_refused(tmp_path):
    table = write_table(tmp_path, grade=lambda n: "high", same=lambda n: 1)
    cases = read_cases(table, check_files=False).cases
    with pytest.raises(CaseTableError, match="case c00: 'high' in column grade is neither one of train, val, test"):
        read_columns(cases, "grade")
    with pytest.raises(CaseTableError, match="column same holds neither"):
        read_columns(cases, "same")


def test_the_command_prints_sizes_and_the_hash_of_the_file(tmp_path, capsys):
    out = tmp_path / "out" / "splits.csv"
    assert run(write_table(tmp_path), "--folds", "4", "--out", str(out)) == 0
    text = capsys.readouterr().out
    assert f"{out} sha256 {folds_sha256(out)}" in text
    assert "repeat 0, fold 3: train" in text and "test 10 (5) cases (patients)" in text


@pytest.mark.parametrize("kind", ["clam", "stamp", "column", "pathfuse"])
def test_every_format_converts_to_the_file_of_pathfuse(tmp_path, kind):
    table = write_table(tmp_path)
    out = tmp_path / {"clam": "splits", "stamp": "splits.json", "column": "copy.csv", "pathfuse": "a.csv"}[kind]
    run(table, "--format", kind, "--folds", "3", "--out", str(out))
    source, origin = ("column", out) if kind == "column" else (str(out), table)
    run(origin, "--from", source, "--out", str(tmp_path / "back.csv"))
    ours = assignments(draw_folds(read_cases(table, check_files=False).cases, folds=3).rows)
    back = assignments(read_folds(tmp_path / "back.csv"))
    tests = [[{c for c, p in own.items() if p == "test"} for own in found] for found in (ours, back)]
    assert tests[0] == tests[1] and (kind == "stamp" or ours == back)


def test_wrong_options_are_refused(tmp_path):
    table = write_table(tmp_path)
    for words, message in (
        (["--format", "excel"], "--format excel is unknown; write pathfuse or clam or stamp or column"),
        (["--folds", "many"], "--folds many: expected a whole number"),
        (["--duplicates", "99"], "--duplicates 99: expected a whole number up to 15"),
        (["--colour", "red"], "'--colour' is not understood"),
        (["--val_fraction", "half"], "--val_fraction half: expected a number above 0, at most 0.5"),
        (["--val_fraction", "0", "--from", "column:fold"], "--val_fraction 0: expected a number above 0"),
        (["--val_fraction", "nan", "--from", "column:fold"], "--val_fraction nan: expected a number"),
        (["--val_fraction", "0.9"], "--val_fraction 0.9: expected a number above 0, at most 0.5"),
    ):
        with pytest.raises(RecipeError, match=message):
            run(table, *words)
    with pytest.raises(CaseTableError, match="nested splits have no form"):
        run(table, "--nested", "2", "--format", "stamp", "--out", str(tmp_path / "s.json"))
