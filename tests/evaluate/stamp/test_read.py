"""`patient-preds.csv` of STAMP by its layout rules: written by hand and read, written by us and read by hand."""

import csv
import math

import numpy as np
import pytest

from pathfuse.cli import main
from pathfuse.errors import RecipeError, RunError
from pathfuse.evaluate.compare.compare import compare_runs
from pathfuse.evaluate.compare.files import as_csv
from pathfuse.evaluate.compare.findings import CompareOptions
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.evaluate.stamp.read import read_stamp_predictions
from pathfuse.evaluate.stamp.write import export_stamp
from tests.evaluate.runs import edit, write_csv, write_folds, write_run

QUICK = CompareOptions(metrics=("accuracy", "brier"), draws=50, permutations=49)
BY_HAND = """\
PATIENT,KRAS,pred,KRAS_mutated,KRAS_wild type,loss
TCGA-07,wild type,wild type,0.03125,0.96875,0.33015
0042,mutated,mutated,0.75,0.25,0.47408
TCGA-11,wild type,mutated,0.625,0.375,0.82593
TCGA-99,,wild type,0.4,0.6,
"""


def hand_written(folder, text=BY_HAND):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "patient-preds.csv").write_text(text)
    return folder


def compared(paths, given=None):
    return compare_runs(read_runs(paths, given=given), QUICK)


def refused(paths, given=None, error=RunError):
    with pytest.raises(error) as caught:
        compared(paths, given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def exported(run, out, **options):
    (found,) = read_runs([run])
    return export_stamp(found, out, **options)


def cells(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def records(path):
    header, *rows = cells(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


def as_stamp(run, folder, label="HER2", order=("0", "1+", "2+", "3+")):
    """The cases of a run as STAMP would have written them, each case being a patient: by hand, not by our writer."""
    rows = records(run / "predictions.csv")
    table = [
        [row["patient_id"], row["target"], row["predicted"], *(row[f"p_{name}"] for name in order), "0.5"]
        for row in rows
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "patient-preds.csv", ["PATIENT", label, "pred", *(f"{label}_{n}" for n in order), "loss"], table)
    return folder


def test_a_file_of_stamp_is_read_by_its_layout(tmp_path):
    found = read_stamp_predictions(hand_written(tmp_path) / "patient-preds.csv")
    assert found.classes == ("mutated", "wild type") and found.unlabelled == 1
    own = found.subsets["not stated"]
    assert own.case_ids == own.patient_ids == ("TCGA-07", "0042", "TCGA-11")
    assert own.rows.prob.tolist() == [[0.03125, 0.96875], [0.75, 0.25], [0.625, 0.375]]
    assert own.rows.predicted.tolist() == [1, 0, 0] and own.rows.target.tolist() == [1, 0, 1]
    assert own.rows.confidence.tolist() == [0.96875, 0.75, 0.625] and not own.learned


def test_the_column_of_patients_may_have_another_name_and_categories_an_underscore(tmp_path):
    text = "ID,a_b,pred,a_b_x_y,a_b_z,loss\np1,z,x_y,0.5,0.5,0.7\n"
    found = read_stamp_predictions(hand_written(tmp_path, text) / "patient-preds.csv", given="he")
    assert found.classes == ("x_y", "z") and found.subsets["he"].rows.target.tolist() == [1]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("PATIENT,", "", "line 1: pred as the third column is missing; expected PATIENT, <label>, pred"),
        ("KRAS,pred,", "KRAS,", "line 1: pred as the third column is missing"),
        (",loss", "", "line 1: loss is missing"),
        ("KRAS_mutated", "BRAF_mutated", "line 1: column BRAF_mutated is none of KRAS_<category>"),
        ("KRAS_mutated,", "", "line 1: two columns KRAS_<category> are missing"),
        ("KRAS_mutated", "KRAS_wild type", "or one is there twice"),
        ("0.96875", "nan", "line 2: KRAS_wild type of patient TCGA-07 is 'nan', no finite number"),
        ("0.96875", "", "line 2: KRAS_wild type of patient TCGA-07 is '', no finite number"),
        ("0.96875", "1.96875", "line 2: the probabilities of patient TCGA-07 sum to 2.0000, not 1"),
        ("0.03125,0.96875", "-0.5,1.5", "line 2: the probabilities of patient TCGA-07"),
        ("0042", "TCGA-07", "line 3: patient TCGA-07 is already in line 2"),
        ("0042", "", "line 3: the patient is missing"),
        ("wild type,wild type", "wildtype,wild type", "line 2: KRAS 'wildtype' of patient TCGA-07 is none of"),
        (
            "mutated,mutated",
            "mutated,1",
            "line 3: pred '1' of patient 0042 is none of the categories mutated, wild type",
        ),
        ("0.75,", "0.75,0,", "line 3: 7 cells, but the header has 6"),
    ],
)
def test_a_wrong_file_of_stamp_is_refused_with_its_line(tmp_path, before, after, says):
    edit(hand_written(tmp_path), before, after, "patient-preds.csv")
    with pytest.raises(RunError) as caught:
        read_stamp_predictions(tmp_path / "patient-preds.csv")
    assert says in str(caught.value) and "patient-preds.csv line" in str(caught.value)
    assert "\n" not in str(caught.value) and "Copy the file from STAMP again" in str(caught.value)


def test_a_file_without_lines_or_labels_is_refused(tmp_path):
    run = write_run(tmp_path / "run")
    header, *lines = BY_HAND.splitlines()
    assert "holds no prediction" in refused([run, hand_written(tmp_path / "empty", header + "\n")])
    unknown = hand_written(tmp_path / "unknown", "\n".join([header, lines[-1]]))
    assert "names the label of no patient" in refused([run, unknown])


def test_a_written_file_has_the_layout_of_stamp_and_is_sorted_by_its_loss(tmp_path):
    run = write_run(tmp_path / "run", patients=30)
    (written,) = exported(run, tmp_path / "out", label="HER2")
    assert written.path == tmp_path / "out" / "patient-preds.csv" and written.patients == 30
    header, *rows = cells(written.path)
    assert header == ["PATIENT", "HER2", "pred", "HER2_0", "HER2_1+", "HER2_2+", "HER2_3+", "loss"]
    ours = {row["patient_id"]: row for row in records(run / "predictions.csv")}
    assert {row[0] for row in rows} == set(ours)
    for patient, target, predicted, *prob, loss in rows:
        own = ours[patient]
        assert (target, predicted) == (own["target"], own["predicted"])
        values = [float(value) for value in prob]
        assert values == [float(own[f"p_{name}"]) for name in ("0", "1+", "2+", "3+")]
        expected = -math.log(math.exp(values[header.index(f"HER2_{target}") - 3]) / sum(math.exp(v) for v in values))
        assert float(loss) == pytest.approx(expected, rel=1e-12)
    losses = [float(row[-1]) for row in rows]
    assert losses == sorted(losses) and len(set(losses)) > 20


def test_the_cases_of_a_patient_are_averaged(tmp_path):
    header = ["case_id", "patient_id", "split", "subset", "target", "predicted", "p_n", "p_p", "confidence"]
    rows = [
        ["c1", "A", "test", "he", "p", "n", "0.75", "0.25", "0.5"],
        ["c2", "A", "test", "he", "p", "p", "0.125", "0.875", "0.25"],
        ["c3", "B", "test", "he", "n", "n", "1.0", "0.0", "0.5"],
        ["c4", "C", "train", "he", "n", "n", "1.0", "0.0", "0.5"],
    ]
    (tmp_path / "run").mkdir()
    write_csv(tmp_path / "run" / "predictions.csv", header, rows)
    (written,) = exported(tmp_path / "run", tmp_path / "out", label="y")
    table = {row[0]: row[1:5] for row in cells(written.path)[1:]}
    assert table == {"A": ["p", "p", "0.4375", "0.5625"], "B": ["n", "n", "1.0", "0.0"]}
    edit(tmp_path / "run", "c2,A,test,he,p", "c2,A,test,he,n")
    with pytest.raises(RunError, match=r"patient A is p in case c1 and n in case c2, so the patient has no one label"):
        exported(tmp_path / "run", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_folds_become_splits_and_are_read_back_as_they_were(tmp_path):
    run = write_folds(tmp_path / "run", folds=3, patients=8)
    written = exported(run, tmp_path / "out", label="HER2")
    names = [f"split-{number}/patient-preds.csv" for number in range(3)]
    assert [one.path.relative_to(tmp_path / "out").as_posix() for one in written] == names
    assert [one.fold for one in written] == ["fold_0", "fold_1", "fold_2"]
    one, other = read_runs([run, tmp_path / "out"])
    ours, theirs = one.scored("he"), other.scored("not stated")
    assert ours.patient_ids == theirs.patient_ids == theirs.case_ids
    assert np.array_equal(ours.passes[0].prob, theirs.passes[0].prob)
    assert np.array_equal(ours.passes[0].predicted, theirs.passes[0].predicted)


def test_more_than_nine_splits_keep_their_order(tmp_path):
    for number in (10, 2, 0):
        hand_written(tmp_path / "stamp" / f"split-{number}", BY_HAND.replace("-07", f"-{number}"))
    hand_written(tmp_path / "stamp" / "split-old")
    (found,) = read_runs([tmp_path / "stamp"])
    assert [fold.name for fold in found.folds] == ["split-0", "split-2", "split-10"]


def test_what_cannot_be_exported_is_refused(tmp_path):
    several = write_run(tmp_path / "several", subsets=("he", "he+ihc"))
    with pytest.raises(RecipeError, match=r"has several: he, he\+ihc. Say with --given"):
        exported(several, tmp_path / "out")
    with pytest.raises(RecipeError, match=r"no predictions with ihc, but these: he, he\+ihc"):
        exported(several, tmp_path / "out", given="ihc")
    with pytest.raises(RecipeError, match="--label 'pred' is a column of its own"):
        exported(several, tmp_path / "out", given="he", label="pred")
    assert exported(several, tmp_path / "out", given="he")
    with pytest.raises(RunError, match="exists already"):
        exported(several, tmp_path / "out", given="he+ihc")
    with pytest.raises(RunError, match="is a result of STAMP already"):
        exported(tmp_path / "out", tmp_path / "again")
    for seed in (1, 2):
        write_folds(tmp_path / "seeds" / f"seed{seed}", seed=seed, folds=2, patients=8)
    with pytest.raises(RunError, match="seed1/fold_0 and seed2/fold_0 test the same patients"):
        exported(tmp_path / "seeds", tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_result_of_stamp_is_compared_by_patient(tmp_path):
    run, other = write_run(tmp_path / "ours"), write_run(tmp_path / "other", seed=5, skill=3.0)
    stamp = as_stamp(other, tmp_path / "stamp")
    with_stamp, without = compared([run, stamp], "he"), compared([run, other])
    for one, two in zip(with_stamp.differences, without.differences, strict=True):
        assert (one.run, one.subset, one.metric) == ("stamp", "he", two.metric)
        assert (one.difference, one.low, one.p_permutation) == (two.difference, two.low, two.p_permutation)
    assert any("not checked, beyond equal test patients" in note for note in with_stamp.notes)
    assert not any("averaged" in note or "versions of STAMP" in note for note in with_stamp.notes)
    assert [d.subset for d in compared([stamp / "patient-preds.csv", run]).differences] == ["as trained"] * 2


def test_the_order_of_the_categories_does_not_matter(tmp_path):
    run, other = write_run(tmp_path / "ours"), write_run(tmp_path / "other", seed=5)
    usual = as_stamp(other, tmp_path / "a" / "stamp")
    mixed = as_stamp(other, tmp_path / "b" / "stamp", order=("3+", "0", "2+", "1+"))
    assert as_csv(compared([run, usual])) == as_csv(compared([run, mixed]))


def test_cases_of_all_our_runs_are_averaged_beside_stamp_and_it_is_said(tmp_path):
    runs = [write_run(tmp_path / name, seed=s, patients=20, classes=("n", "p")) for s, name in enumerate("ab")]
    stamp = as_stamp(runs[1], tmp_path / "stamp", order=("n", "p"))
    # A second case per patient with the same label and other probabilities.
    header, *rows = cells(runs[0] / "predictions.csv")
    more = [["x" + row[0], *row[1:7], "p", "0.125", "0.875", "0.5"] for row in rows]
    write_csv(runs[0] / "predictions.csv", header, [*rows, *more])
    found = compared([runs[0], stamp], "he")
    own = {(value.run, value.metric): value for value in found.values}
    assert own["a", "accuracy"].n_cases == own["a", "accuracy"].n_patients == 20
    prob = np.array([[(float(row[8]) + 0.125) / 2, (float(row[9]) + 0.875) / 2] for row in rows])
    target = np.array([("n", "p").index(row[6]) for row in rows])
    assert own["a", "accuracy"].value == pytest.approx((prob.argmax(1) == target).mean())
    assert own["a", "brier"].value == pytest.approx(((prob - np.eye(2)[target]) ** 2).sum(1).mean())
    assert "a: the probabilities of 40 tested cases are averaged to those of 20 patients" in " ".join(found.notes)
    edit(runs[0], "xc0003,p0003,test,he,1,0,p", "xc0003,p0003,test,he,1,0,n")
    assert "a (he): patient p0003 is p in case c0003 and n in case xc0003" in refused([runs[0], stamp])


def test_folds_of_stamp_are_found_by_their_test_patients(tmp_path):
    ours, other = (write_folds(tmp_path / name, seed=s, patients=12) for s, name in enumerate(("ours", "other")))
    for split, fold in enumerate((3, 0, 4, 1, 2)):
        as_stamp(other / f"fold_{fold}", tmp_path / "stamp" / f"split-{split}")
    with_stamp, without = compared([ours, tmp_path / "stamp"], "he"), compared([ours, other])
    for one, two in zip(with_stamp.differences, without.differences, strict=True):
        assert (one.n_folds, one.p_wilcoxon, one.rank_biserial) == (5, two.p_wilcoxon, two.rank_biserial)
    assert any("some versions of STAMP choose the model" in note for note in with_stamp.notes)


def test_other_patients_of_stamp_are_left_out_and_other_folds_labels_and_tasks_refused(tmp_path):
    run = write_run(tmp_path / "ours")
    later = as_stamp(write_run(tmp_path / "later", first=3), tmp_path / "stamp")
    notes = " ".join(compared([run, later]).notes)
    assert "Left out: 3 cases of 3 patients only in ours, first p0000; 3 cases of 3 patients only in stamp" in notes
    equal = as_stamp(run, tmp_path / "equal")
    edit(equal, "p0002,2+,", "p0002,3+,", "patient-preds.csv")
    assert "1 cases have another label, first p0002" in refused([run, equal])
    assert "are different tasks" in refused([run, hand_written(tmp_path / "kras")])
    assert "--given ihc: ours was tested with he" in refused([run, equal], "ihc", RecipeError)
    assert "is about results of STAMP, and none is named" in refused([run, tmp_path / "later"], "he", RecipeError)
    folds = write_folds(tmp_path / "folds", folds=2, patients=20)
    assert "no split of equal is left that tests the patients of fold_0" in refused([folds, equal])
    for number in range(2):
        as_stamp(folds / f"fold_{number}", tmp_path / "cv" / f"split-{number}")
    hand = as_stamp(write_run(tmp_path / "third", first=40), tmp_path / "cv" / "split-2")
    assert "split-2 tests patients of no fold of folds" in refused([folds, hand.parent])


def test_another_split_of_two_of_our_runs_is_said_when_stamp_comes_first(tmp_path):
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    stamp = as_stamp(runs[0], tmp_path / "stamp")
    edit(runs[1], "t2,q2,val,0", "t2,q2,train,0", "splits.csv")
    assert any(note.startswith("a and b: the splits differ (1 of 42 cases") for note in compared([stamp, *runs]).notes)


def test_the_commands_write_and_compare(tmp_path, capsys):
    run = str(write_folds(tmp_path / "run", folds=2, patients=12, subsets=("he", "he+ihc")))
    out = str(tmp_path / "out")
    assert main(["export", run, "--to", "stamp", "--label", "HER2", "--given", "he", "--out", out]) == 0
    assert "split-1/patient-preds.csv: 12 patients tested by fold_1" in capsys.readouterr().out
    words = ["--given", "he", "--draws", "50", "--permutations", "50", "--out", str(tmp_path / "table")]
    assert main(["compare", run, out, *words]) == 0
    table = (tmp_path / "table" / "comparison.md").read_text()
    assert "he, balanced accuracy, out - run | +0.000 (" in table.replace("Balanced", "balanced"), table
    assert main(["export", "--help"]) == 0 and "--to stamp" in capsys.readouterr().out
    for line, says in (
        ([run, "--out", out], "--to nothing is unknown; write stamp"),
        ([run, "--to", "stamp"], "say with --out DIR"),
        (["--to", "stamp", "--out", out], "name one folder"),
        ([run, "--to", "stamp", "--out", out, "--given", "he"], "exists already"),
        ([run, "--to", "stamp", "--out", out, "--colour", "red"], "'--colour' is not understood"),
        ([run, "--to", "stamp", "--out", out + "2", "--label", "", "--given", "he"], "--label '' is a column"),
    ):
        assert main(["export", *line]) == 2
        assert says in capsys.readouterr().err
