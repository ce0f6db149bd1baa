"""Vectors of a cohort in the batches of data modules, in training, and for new cases."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pathfuse.cli import main
from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_patches import PairedPatches
from tests.conftest import write_cases
from tests.recipes.bag_tables import write_bag_table

TINY = "{he: {class_path: BagEncoder, init_args: {dim: 8}}, ihc: {class_path: BagEncoder, init_args: {dim: 8}}, \
clinical: {class_path: VectorEncoder, init_args: {dim: 8, hidden: 4}}}"


def parts_of(table):
    """Part of every patient."""
    with Path(table).open(newline="") as file:
        return {row["patient_id"]: row["split"] for row in csv.DictReader(file)}


def write_clinical(table, name="clinical.csv", *, shift=lambda patient: 0.0, without=()):
    """Two columns of numbers and a category beside a case table; some cells are empty."""
    path = Path(table).parent / name
    rows = []
    for number, patient in enumerate(parts_of(table)):
        age = "" if number % 5 == 4 else f"{50 + number + shift(patient):g}"
        rows.append(f"{patient},{age},{number % 3},{'left' if number % 2 else 'right'}")
    kept = [row for row in rows if row.split(",")[0] not in without]
    path.write_text("\n".join(["patient_id,age,copies,side", *kept]) + "\n")
    return path


def patches(table, clinical="clinical.csv", **options):
    data = PairedPatches(Cohort(cases=str(table), vectors={"clinical": clinical}, **options), size_px=16)
    data.loading = Loading(batch_size=4, num_workers=0)
    return data


def fit(table, out, clinical="clinical.csv"):
    return main(
        [
            "fit", "--recipe", "he_ihc_clinical", "--cases", str(table), f"--cohort.vectors={{clinical: {clinical}}}",
            "--loading.num_workers=0", "--trainer.max_epochs=2", f"--model.encoder.encoders={TINY}",
            "--model.fusion.hidden=8", "--out", str(out),
        ]
    )  # fmt: skip


def weights(run):
    (path,) = Path(run).rglob("best.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def test_paired_patches_get_a_vector_of_each_case_and_a_mask(tmp_path):
    table = write_cases(tmp_path)
    write_clinical(table, without=("p001", "p007"))
    data = patches(table)
    modality = data.spec().modalities[-1]
    assert (modality.name, modality.kind, modality.width) == ("clinical", "vector", 6)
    assert [(column.name, column.kind) for column in modality.columns] == [
        ("age", "number"), ("copies", "number"), ("side", "category"),
    ]  # fmt: skip
    batch = Batch.cat(list(data.predict_dataloader()))
    assert batch.modalities == ("he", "ihc", "clinical")
    assert batch.present["clinical"].tolist() == [n not in (1, 7) for n in range(16)]
    assert batch.vector("clinical").shape == (16, 6) and batch.vector("clinical").isfinite().all()
    assert not batch.vector("clinical")[~batch.present["clinical"]].any()
    assert "2 of 16 cases have no row in clinical.csv." in data.notes()


def test_every_loader_gives_a_case_its_own_row(tmp_path):
    table = write_cases(tmp_path)
    write_clinical(table)
    data = patches(table)
    whole = Batch.cat(list(data.predict_dataloader()))
    rows = dict(zip(whole.case_ids, whole.vector("clinical"), strict=True))
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            for case, vector in zip(batch.case_ids, batch.vector("clinical"), strict=True):
                assert torch.equal(vector, rows[case])


def test_numbers_are_standardised_on_the_training_part_of_the_fold(tmp_path):
    table = write_cases(tmp_path)
    write_clinical(table)
    for seed in (0, 1):
        data = patches(table, split="drawn", seed=seed)
        data.loading = Loading(batch_size=16, num_workers=0)  # else a batch of one case is left out
        train = Batch.cat(list(data.train_dataloader())).vector("clinical").double()
        copies = train[:, 2]  # age and whether it is known come first
        assert abs(float(copies.mean())) < 1e-5 and abs(float(copies.std(correction=0)) - 1) < 1e-5


def test_a_category_that_no_training_case_has_is_said_and_is_none(tmp_path):
    table = write_cases(tmp_path)
    path = write_clinical(table)
    test = next(patient for patient, part in parts_of(table).items() if part == "test")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{test},50,1,both" if line.startswith(test) else line for line in lines) + "\n")
    data = patches(table)
    batch = Batch.cat(list(data.test_dataloader()))
    row = batch.patient_ids.index(test)
    assert batch.vector("clinical")[row, -2:].tolist() == [0, 0] and batch.present["clinical"][row]
    assert any("side has 'both', which no training case has" in note for note in data.notes())


def test_the_rows_of_test_patients_change_no_trained_weight(tmp_path):
    table = write_bag_table(tmp_path / "bags")
    parts = parts_of(table)
    write_clinical(table)
    write_clinical(table, "other.csv", shift=lambda patient: 1000.0 if parts[patient] == "test" else 0.0)
    write_clinical(table, "trained.csv", shift=lambda patient: 7.0 * (int(patient[1:]) % 3))
    for name in ("clinical", "other", "trained"):
        assert fit(table, tmp_path / name, f"{name}.csv") == 0
    one, other, third = (weights(tmp_path / name) for name in ("clinical", "other", "trained"))
    assert list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], third[name]) for name in one)


def test_new_cases_are_encoded_as_the_run_was_trained(tmp_path):
    table = write_bag_table(tmp_path / "bags")
    write_clinical(table)
    run = tmp_path / "run"
    assert fit(table, run) == 0
    line = ["predict", str(run), "--cases", str(table), "--loading.num_workers=0"]
    scores = {}
    for name, kept in (("all", None), ("few", ("c00", "c05"))):
        with (tmp_path / "bags" / "cases.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        cases = tmp_path / "bags" / f"{name}.csv"
        with cases.open("w", newline="") as file:
            csv.writer(file).writerows([header, *(row for row in rows if kept is None or row[0] in kept)])
        line[3] = str(cases)
        assert main([*line, "--out", str(tmp_path / name)]) == 0
        with (tmp_path / name / "predictions.csv").open(newline="") as file:
            scores[name] = {row["case_id"]: float(row["p_0"]) for row in csv.DictReader(file)}
    # Two cases alone would be standardised otherwise; by the run's own encoding they are what they were among all.
    assert set(scores["few"]) == {"c00", "c05"}
    assert all(np.isclose(value, scores["all"][case], atol=1e-5) for case, value in scores["few"].items())


def test_a_table_of_new_cases_without_a_column_of_the_run_is_one_line(tmp_path, capsys):
    table = write_bag_table(tmp_path / "bags")
    write_clinical(table)
    assert fit(table, tmp_path / "run") == 0
    (tmp_path / "bags" / "bare.csv").write_text("patient_id,age\np00,50\n")
    words = ["--cases", str(table), "--cohort.vectors={clinical: bare.csv}", "--out", str(tmp_path / "scores")]
    assert main(["predict", str(tmp_path / "run"), *words]) != 0
    assert "bare.csv has no column 'copies', which the model was trained with" in capsys.readouterr().err


def test_the_run_says_how_the_columns_are_encoded(tmp_path):
    table = write_bag_table(tmp_path / "bags")
    write_clinical(table)
    assert fit(table, tmp_path / "run") == 0
    text = json.dumps([json.loads(path.read_text()) for path in (tmp_path / "run").rglob("spec*.json")])
    assert '"age"' in text and '"deviation"' in text and '["left", "right"]' in text


@pytest.mark.parametrize("name", ["nowhere.csv"])
def test_a_table_that_is_not_there_is_one_line_before_anything_trains(name, tmp_path, capsys):
    table = write_bag_table(tmp_path / "bags")
    assert fit(table, tmp_path / "run", name) != 0
    assert name in capsys.readouterr().err
