import csv
import io
import json
import re
import subprocess
import sys
from math import isnan
from shutil import rmtree

import pytest
from rich.console import Console

from pathfuse.cli.compare import compare
from pathfuse.errors import RecipeError, RunError
from pathfuse.evaluate.compare.compare import compare_runs, compare_subsets
from pathfuse.evaluate.compare.files import as_csv, as_markdown, as_table
from pathfuse.evaluate.compare.findings import CompareOptions
from pathfuse.evaluate.compare.run import read_runs
from tests.evaluate.runs import edit, write_csv, write_folds, write_run, write_versions

QUICK = {"draws": 200, "permutations": 199}


def pair(tmp_path, **options):
    return [
        write_run(tmp_path / "weak", seed=1, **options),
        write_run(tmp_path / "strong", seed=2, **{"skill": 4.0, **options}),
    ]


def of(paths, **options):
    return compare_runs(read_runs(paths), CompareOptions(**{**QUICK, **options}))


def refused(paths, error=RunError):
    with pytest.raises(error) as caught:
        of(paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_better_run_is_found_with_interval_tests_and_effect_size(tmp_path):
    found = of(pair(tmp_path), metrics=("balanced_accuracy", "auroc", "auroc/0", "brier"), baseline="weak")
    by_metric = {difference.metric: difference for difference in found.differences}
    assert list(by_metric) == ["balanced_accuracy", "auroc", "auroc/0", "brier"]
    accuracy = by_metric["balanced_accuracy"]
    assert accuracy.run == "strong" and accuracy.baseline == "weak"
    assert 0 < accuracy.low < accuracy.difference < accuracy.high
    assert accuracy.p_permutation == 1 / 200 and accuracy.p_permutation_holm == 4 / 200
    assert accuracy.only_run_right > accuracy.only_baseline_right and accuracy.cohens_g > 0
    assert by_metric["brier"].difference < 0 < by_metric["brier"].error_reduction < 1
    assert by_metric["auroc/0"].p_delong < 0.05 and by_metric["auroc"].p_delong != by_metric["auroc"].p_delong
    own = {(value.run, value.metric): value for value in found.values}
    gap = own["strong", "auroc"].value - own["weak", "auroc"].value
    assert by_metric["auroc"].difference == pytest.approx(gap)


def test_without_a_baseline_every_pair_is_compared(tmp_path):
    paths = [*pair(tmp_path), write_run(tmp_path / "other", seed=3)]
    pairs = {(d.baseline, d.run) for d in of(paths).differences}
    assert pairs == {("weak", "strong"), ("weak", "other"), ("strong", "other")}
    assert {d.baseline for d in of(paths, baseline="other").differences} == {"other"}


def test_exchanging_the_runs_changes_the_sign_and_nothing_else(tmp_path):
    paths = pair(tmp_path)
    (one,), (other,) = (of(order, metrics=("auroc/2+",)).differences for order in (paths, paths[::-1]))
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert (one.p_permutation, one.p_delong) == pytest.approx((other.p_permutation, other.p_delong))
    assert one.cohens_g == pytest.approx(-other.cohens_g)


def test_the_order_of_the_rows_in_a_file_does_not_matter(tmp_path):
    paths = pair(tmp_path)
    before = as_csv(of(paths))
    header, *rows = (paths[0] / "predictions.csv").read_text().splitlines()
    (paths[0] / "predictions.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    assert as_csv(of(paths)) == before


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path):
    paths = pair(tmp_path)
    code = "import sys; from pathfuse.cli.compare import compare; compare(sys.argv[1:])"
    words = [*map(str, paths), "--draws", "200", "--permutations", "199", "--metric", "all", "--out"]
    subprocess.run([sys.executable, "-c", code, *words, str(tmp_path / "a")], check=True, capture_output=True)
    compare([*words, str(tmp_path / "b")])
    compare([*words, str(tmp_path / "c"), "--seed", "1"])
    for name in ("comparison.csv", "comparison.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "b" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_subsets_stand_side_by_side_and_what_each_run_can_use_is_compared(tmp_path):
    paths = [write_run(tmp_path / "he_only"), write_run(tmp_path / "both", seed=1, subsets=("he", "ihc", "he+ihc"))]
    found = of(paths, metrics=("accuracy",))
    assert [(d.subset, d.run) for d in found.differences] == [("he", "both"), ("as trained", "both")]
    assert {v.subset for v in found.values if v.run == "both"} == {"he", "ihc", "he+ihc", "as trained"}
    assert any("he+ihc: no test predictions of he_only" in note for note in found.notes)
    trained = {v.run: v.value for v in found.values if v.subset == "as trained"}
    own = {(v.run, v.subset): v.value for v in found.values}
    assert trained == {"he_only": own["he_only", "he"], "both": own["both", "he+ihc"]}


def test_a_model_that_learned_from_one_stain_stands_for_itself_by_that_one(tmp_path):
    every = ("he", "ihc", "he+ihc")
    paths = [write_run(tmp_path / name, seed=seed, subsets=every) for seed, name in enumerate(("he_only", "both"))]
    write_versions(paths[0], given=["he"])
    found = of(paths, metrics=("accuracy",))
    own = {(v.run, v.subset): v.value for v in found.values}
    assert own["he_only", "as trained"] == own["he_only", "he"]
    assert own["both", "as trained"] == own["both", "he+ihc"]


def test_a_question_is_asked_once_though_two_blocks_could_answer_it(tmp_path):
    paths = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate(("he_only", "corr"))]
    paths.append(write_run(tmp_path / "both", seed=2, subsets=("he+ihc",)))
    found = of(paths, metrics=("accuracy",), baseline="he_only")
    assert [(d.subset, d.run) for d in found.differences] == [("he", "corr"), ("as trained", "both")]
    assert {v.run for v in found.values if v.subset == "as trained"} == {"he_only", "corr", "both"}


def test_strata_hold_every_case_once(tmp_path):
    found = of(pair(tmp_path, patients=50))
    for run in ("weak", "strong"):
        assert sum(s.n for s in found.strata if s.run == run) == 50


def test_folds_are_pooled_and_tested_by_signed_ranks(tmp_path):
    paths = [write_folds(tmp_path / "weak", seed=1), write_folds(tmp_path / "strong", seed=2, skill=4.0)]
    found = of(paths, metrics=("accuracy",))
    (difference,) = found.differences
    assert (difference.n_folds, difference.p_wilcoxon, difference.rank_biserial) == (5, pytest.approx(2 / 2**5), 1)
    assert found.values[0].n_cases == 120


def test_seeds_of_a_fold_are_one_fold_to_the_signed_rank_test(tmp_path):
    for name, skill in (("weak", 1.0), ("strong", 4.0)):
        for seed in (1, 2):
            write_folds(tmp_path / name / f"seed{seed}", seed=seed, folds=5, skill=skill)
    paths = [tmp_path / "weak", tmp_path / "strong"]
    (difference,) = of(paths, metrics=("accuracy",)).differences
    assert (difference.n_folds, difference.p_wilcoxon) == (5, pytest.approx(2 / 2**5))
    # Three folds stay three, however often they were trained.
    for path in paths:
        for fold in (path / f"seed{seed}" / f"fold_{number}" for seed in (1, 2) for number in (3, 4)):
            rmtree(fold)
    found = of(paths, metrics=("accuracy",))
    assert found.differences[0].n_folds == 3 and isnan(found.differences[0].p_wilcoxon)
    assert not any("drawn several times" in note for note in found.notes)


def test_folds_that_were_drawn_several_times_are_said_to_share_patients(tmp_path):
    for name, seed in (("a", 1), ("b", 11)):
        write_folds(tmp_path / name / "r0", seed=seed, folds=2, patients=12)
        write_folds(tmp_path / name / "r1", seed=seed + 1, folds=3, patients=8)
    found = of([tmp_path / "a", tmp_path / "b"])
    assert found.differences[0].n_folds == 5
    assert any("drawn several times" in note for note in found.notes)


def test_tests_on_other_cohorts_below_a_fold_are_not_folds(tmp_path):
    paths = [write_folds(tmp_path / name, folds=2, seed=seed) for seed, name in enumerate("ab")]
    write_run(tmp_path / "a" / "fold_0" / "external", first=500)
    assert of(paths).values[0].n_cases == 48


def test_a_baseline_may_be_named_by_its_path(tmp_path):
    paths = list(map(str, pair(tmp_path)))
    words = [*paths, "--baseline", paths[1], "--draws", "50", "--permutations", "50", "--out", str(tmp_path / "out")]
    assert compare(words) == 0
    assert "weak - strong" in (tmp_path / "out" / "comparison.md").read_text()


def test_several_passes_over_the_same_cases_are_averaged(tmp_path):
    for name, seed in (("a", 1), ("b", 11)):
        for turn in range(2):
            write_run(tmp_path / name / f"seed_{turn}", seed=seed + turn)
    found = of([tmp_path / "a", tmp_path / "b"], metrics=("accuracy",))
    single = of([tmp_path / "a" / "seed_0", tmp_path / "a" / "seed_1"], metrics=("accuracy",))
    assert found.values[0].value == pytest.approx(sum(value.value for value in single.values) / 2)
    assert found.values[0].n_cases == 40


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            "t2,q2,val,0",
            "t2,q2,train,0",
            "weak and strong: the splits differ (1 of 42 cases are in another part, first t2)",
        ),
        ("t2,q2,val,0\n", "", "weak and strong: the splits differ (1 case is in one of them only)"),
    ],
)
def test_another_split_is_said_with_the_first_difference(tmp_path, before, after, says):
    paths = pair(tmp_path)
    edit(paths[1], before, after, "splits.csv")
    assert any(note.startswith(says) for note in of(paths).notes)


def test_without_split_files_the_hashes_are_compared(tmp_path):
    paths = pair(tmp_path, splits=False)
    for path, digest in zip(paths, "ab", strict=True):
        write_versions(path, split_sha256=digest)
    assert any("weak and strong: the splits differ" in note for note in of(paths).notes)


def test_runs_are_compared_on_the_patients_that_they_share_and_the_rest_is_counted(tmp_path):
    base = write_run(tmp_path / "base", splits=False)
    later = write_run(tmp_path / "later", first=3, seed=1, splits=False)
    found = of([base, later], metrics=("accuracy",))
    assert {(v.n_cases, v.n_patients) for v in found.values} == {(37, 37)}
    assert (
        "he: compared on the 37 patients that all share. Left out: 3 cases of 3 patients only in base, first c0000; 3 "
        "cases of 3 patients only in later, first c0040."
    ) in found.notes
    # The same numbers come from files that hold these patients alone.
    for name, path in (("x", base), ("y", later)):
        header, *rows = csv.reader(io.StringIO((path / "predictions.csv").read_text()))
        (tmp_path / name).mkdir()
        write_csv(tmp_path / name / "predictions.csv", header, [row for row in rows if "c0003" <= row[0] <= "c0039"])
    alone = of([tmp_path / "x", tmp_path / "y"], metrics=("accuracy",))
    assert [(d.difference, d.low, d.p_permutation) for d in alone.differences] == [
        (d.difference, d.low, d.p_permutation) for d in found.differences
    ]
    far = write_run(tmp_path / "far", first=500, splits=False)
    assert "he: base, far have no test case in common" in refused([base, far])


def test_other_labels_patients_and_tasks_are_refused_by_name(tmp_path):
    base = write_run(tmp_path / "base", splits=False)
    grouped = write_run(tmp_path / "grouped", per_patient=2, patients=20, splits=False)
    assert "case c0001 belongs to patient p0001 in base, but to p0000 in grouped" in refused([base, grouped])
    relabelled = write_run(tmp_path / "relabelled", splits=False)
    edit(relabelled, "c0002,p0002,test,he,1,0,2+", "c0002,p0002,test,he,1,0,3+")
    assert "1 cases have another label, first c0002" in refused([base, relabelled])
    binary = write_run(tmp_path / "binary", classes=("neg", "pos"), splits=False)
    assert "base and binary are different tasks: their classes are 0, 1+, 2+, 3+ and neg, pos" in refused(
        [base, binary]
    )


def test_of_other_folds_the_patients_that_are_shared_count(tmp_path):
    paths = [write_folds(tmp_path / "all", folds=3), write_folds(tmp_path / "some", folds=2, seed=1)]
    found = of(paths, metrics=("accuracy",))
    assert found.values[0].n_cases == 48 and isnan(found.differences[0].p_wilcoxon)
    assert "all and some consist of different folds, so there is no signed-rank test over folds." in found.notes


def within(path, **options):
    (run,) = read_runs([path])
    return compare_subsets(run, CompareOptions(**{**QUICK, **options}))


def test_the_stains_of_one_run_are_compared_on_the_patients_that_have_all(tmp_path):
    """Ten patients have H&E alone: they count for no combination."""
    run = write_run(tmp_path / "run", subsets=("he", "ihc", "he+ihc"), splits=False, seed=3)
    header, *rows = csv.reader(io.StringIO((run / "predictions.csv").read_text()))
    few = [f"c{number:04d}" for number in range(10)]
    write_csv(run / "predictions.csv", header, [row for row in rows if row[3] == "he" or row[0] not in few])
    found = within(run, metrics=("accuracy",))
    assert found.runs == ("he", "ihc", "he+ihc") and found.within == "run"
    assert {v.n_patients for v in found.values} == {30} and {v.subset for v in found.values} == {"same patients"}
    assert [(d.run, d.baseline) for d in found.differences] == [("ihc", "he"), ("he+ihc", "he"), ("he+ihc", "ihc")]
    assert "Left out: 10 cases of 10 patients only in he, first c0000." in " ".join(found.notes)
    own = {v.run: v.value for v in found.values}
    assert found.differences[1].difference == pytest.approx(own["he+ihc"] - own["he"])


def test_a_combination_that_training_never_had_is_compared_on_request(tmp_path):
    run = write_run(tmp_path / "run", subsets=("he", "ihc", "he+ihc"), splits=False)
    write_versions(run, given=None, trained_on=["he", "he+ihc"])
    assert within(run).runs == ("he", "he+ihc")
    assert within(run, all_subsets=True).runs == ("he", "ihc", "he+ihc")
    write_versions(run, given=["he"], trained_on=["he"])
    with pytest.raises(RunError, match="run is asked from he alone"):
        within(run)


def test_the_answer_says_who_is_better_by_how_much_and_on_how_many(tmp_path):
    found = of(pair(tmp_path))
    one = found.differences[0]
    said = f"{one.difference:.2f} balanced accuracy ({one.low:.2f} to {one.high:.2f})"
    assert found.answer == f"From H&E alone, strong is better than weak by {said}, 40 patients."
    turned = of(pair(tmp_path)[::-1])
    assert turned.answer.startswith("From H&E alone, strong is better than weak by")
    less = of(pair(tmp_path), metrics=("brier",)).answer
    assert "strong is better than weak by" in less and "Brier score" in less and "of which less is better" in less
    equal = of([write_run(tmp_path / name, seed=seed) for seed, name in ((5, "a"), (6, "b"))], metrics=("accuracy",))
    assert "are not told apart" in equal.answer and "is ahead by" in equal.answer


def test_the_answer_of_one_run_says_what_a_stain_adds(tmp_path):
    run = write_run(tmp_path / "run", subsets=("he",), splits=False, seed=1, skill=0.5)
    better = write_run(tmp_path / "better", subsets=("he+ihc",), splits=False, seed=2, skill=5.0)
    (_, *rows) = (better / "predictions.csv").read_text().splitlines()
    with (run / "predictions.csv").open("a") as file:
        file.write("\n".join(rows) + "\n")
    said = within(run).answer
    assert said.startswith("On the same 40 patients, IHC adds 0.") and said.endswith("to H&E alone.")
    assert "IHC takes" not in said


def test_an_unfinished_second_pass_is_refused(tmp_path):
    for name in ("a", "b"):
        write_folds(tmp_path / name / "seed_0", folds=2)
        write_run(tmp_path / name / "seed_1" / "fold_0", patients=24)
    assert re.search(
        r"a \(he\): case c0000 was tested 2 times, but case c0024 1 times", refused([tmp_path / "a", tmp_path / "b"])
    )


def test_runs_that_cannot_be_measured_are_refused(tmp_path):
    good = write_run(tmp_path / "good")
    assert "is no folder" in refused([good, tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    assert "empty has no predictions.csv. Make it with `pathfuse test" in refused([good, tmp_path / "empty"])
    assert "is named twice" in refused([good, good])
    assert "two runs or more" in refused([good])
    trained = write_run(tmp_path / "trained", split="train")
    assert "no prediction of a labelled test case" in refused([good, trained])
    lonely = [write_run(tmp_path / name, patients=1, per_patient=8) for name in ("one", "two")]
    assert "the only test patient is p0000" in refused(lonely)
    same = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate(("x", "y"))]
    for path in same:
        header, *rows = csv.reader(io.StringIO((path / "predictions.csv").read_text()))
        write_csv(path / "predictions.csv", header, [[*row[:6], "2+", *row[7:]] for row in rows])
    assert "all 40 test cases are 2+" in refused(same)


def test_an_edited_file_is_refused_by_its_hash(tmp_path):
    paths = pair(tmp_path)
    (paths[1] / "seal.json").write_text(json.dumps({"sha256": {"predictions.csv": "0" * 64}}))
    assert "is not the file that the run wrote: its SHA-256 differs" in refused(paths)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("p_1+", "nan", r"line 2: p_1\+ of case c0000 is 'nan', no finite number"),
        ("p_1+", "7", r"line 2: the probabilities of case c0000 sum to"),
        ("confidence", "1.5", r"line 2: confidence 1.5 is outside 0 to 1"),
        ("predicted", "4+", r"line 2: predicted '4\+' is none of 0, 1\+, 2\+, 3\+"),
        ("case_id", "c0001", r"line 3: case c0001 with he is already in line 2"),
    ],
)
def test_a_wrong_cell_is_named_with_its_line(tmp_path, column, value, message):
    paths = pair(tmp_path)
    header, *rows = csv.reader(io.StringIO((paths[1] / "predictions.csv").read_text()))
    rows[0][header.index(column)] = value
    write_csv(paths[1] / "predictions.csv", header, rows)
    assert re.search(message, refused(paths))


def test_a_missing_column_and_a_broken_row_are_named(tmp_path):
    paths = pair(tmp_path)
    edit(paths[0], ",subset,", ",given,")
    assert "line 1: column subset is missing" in refused(paths)
    edit(paths[1], "c0000,", "c0000,x,")
    assert "line 2: 14 cells, but the header has 13" in refused(paths[::-1])


def test_equal_confidences_and_unlabelled_cases_are_said(tmp_path):
    paths = pair(tmp_path)
    header, *rows = csv.reader(io.StringIO((paths[0] / "predictions.csv").read_text()))
    rows = [[*row[:-1], "0.5"] for row in rows]
    write_csv(paths[0] / "predictions.csv", header, [*rows, ["new", "pn", "test", "he", 1, 0, "", *rows[0][7:]]])
    notes = of(paths).notes
    assert any("all confidences of weak are equal" in note for note in notes)
    assert "weak: 1 predictions without a label are left out." in notes


def test_every_number_of_the_tables_is_in_the_csv(tmp_path):
    found = of(pair(tmp_path), metrics=("auroc/0", "accuracy"))
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [row["kind"] for row in rows] == ["value"] * 4 + ["difference"] * 2 + ["stratum"] * 6
    numbers = {
        f"{float(cell):.3f}" for row in rows for cell in row.values() if cell and cell[-1].isdigit() and "." in cell
    }
    text = as_markdown(found)
    tables = text[: text.index("## How to read this")]
    shown = re.findall(r"(?<![\d.])[+-]?(\d\.\d{3})(?!\d)", tables)
    assert len(shown) > 20 and all(number in numbers or f"-{number}" in numbers for number in shown)


def test_a_class_without_test_cases_is_said_and_shown_as_a_dash(tmp_path):
    paths = pair(tmp_path)
    for path in paths:
        header, *rows = csv.reader(io.StringIO((path / "predictions.csv").read_text()))
        write_csv(path / "predictions.csv", header, [row for row in rows if row[header.index("target")] != "3+"])
    found = of(paths)
    assert "he: auroc is not defined, because a class has no test case." in found.notes
    assert "| weak | - |" in as_markdown(found) and "(-)" not in as_markdown(found)


def test_the_table_fits_a_terminal_and_names_every_run(tmp_path):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(as_table(of(pair(tmp_path))))
    text = console.export_text()
    assert "strong" in text and "weak" in text and max(map(len, text.splitlines())) <= 80


def test_the_command_explains_itself_and_refuses_wrong_words(tmp_path, capsys):
    assert compare(["--help"]) == 0 and "usage: pathfuse compare RUN" in capsys.readouterr().out
    paths = list(map(str, pair(tmp_path)))
    for words, message in (
        (["--baseline", "nobody"], "--baseline nobody is none of the runs weak, strong"),
        (["--metric", "speed"], "--metric speed is unknown"),
        (["--draws", "many"], "--draws many: expected a whole number"),
        (["--level", "95"], "--level 95: expected a number between 0 and 1"),
        (["--colour", "red"], "'--colour' is not understood"),
    ):
        with pytest.raises(RecipeError, match=message):
            compare([*paths, *words])
