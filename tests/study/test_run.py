import csv
import json
from pathlib import Path

import pytest
import torch

from pathfuse.cli import main
from tests.study.conftest import Call
from tests.study.small import results, rows, write_study


def test_a_study_trains_every_variant_on_every_fold_and_compares_them(done: Path) -> None:
    assert [(row["variant"], row["fold"], row["status"]) for row in rows(done / "runs.csv")] == [
        ("he", "0", "done"), ("he", "1", "done"), ("ihc", "0", "done"), ("ihc", "1", "done"),
    ]  # fmt: skip
    tested = [row["case_id"] for fold in (0, 1) for row in rows(done / f"he/seed1/r0f{fold}/predictions.csv")]
    assert sorted(tested) == [f"c{number:03d}" for number in range(16)]
    values = [row for row in rows(done / "comparison.csv") if row["kind"] == "value"]
    assert {(row["run"], row["n_cases"]) for row in values} == {("he", "16"), ("ihc", "16")}
    for name in (
        "folds.md",
        "tables/areas.md",
        "figures/mec.svg",
        "figures/roc_he.svg",
        "figures/roc_ihc.csv",
        "figures/together.svg",
        "figures/maps.svg",
        "figures/drop.svg",
    ):
        assert (done / name).is_file(), name
    assert all((done / f"he/seed1/r0f{fold}/explain/explain.json").is_file() for fold in (0, 1))
    assert not (done / "ihc/seed1/r0f0/explain").exists()
    numbers_are_those_of_the_runs(done)
    checkpoints_name_their_folds(done)


def numbers_are_those_of_the_runs(done: Path) -> None:
    found = [json.loads((done / f"he/seed1/r0f{f}/metrics.json").read_text())["he"]["test/auroc"] for f in (0, 1)]
    row = next(r for r in rows(done / "tables/areas.csv") if (r["variant"], r["metric"]) == ("he", "auroc"))
    assert float(row["mean"]) == pytest.approx(sum(found) / 2, abs=1e-6)
    assert float(row["sd"]) == pytest.approx(abs(found[0] - found[1]) / 2**0.5, abs=1e-6)
    assert row["published"] == "0.9" and "[*published* 0.9]" in (done / "tables/areas.md").read_text()
    bars = next(row for row in rows(done / "figures/mec.csv") if row["variant"] == "he")
    mec = [json.loads((done / f"he/seed1/r0f{f}/metrics.json").read_text())["he"]["test/mec"] for f in (0, 1)]
    assert float(bars["mean"]) == pytest.approx(sum(mec) / 2, abs=1e-6)


def checkpoints_name_their_folds(done: Path) -> None:
    hashes = set()
    for fold in (0, 1):
        run = done / f"he/seed1/r0f{fold}"
        said = json.loads((run / "versions.json").read_text())
        assert (said["repeat"], said["fold"]) == (0, fold)
        for name in ("best", "last"):
            stamp = torch.load(run / f"checkpoints/train/{name}.ckpt", weights_only=True)["pathfuse_split"]
            assert stamp["split_sha256"] == said["split_sha256"] and stamp["splits_sha256"] == said["splits_sha256"]
            assert (stamp["repeat"], stamp["fold"]) == (0, fold)
        hashes.add((said["splits_sha256"], said["split_sha256"]))
    assert len({file for file, _ in hashes}) == 1 and len(hashes) == 2


def test_what_is_finished_is_kept_and_what_was_changed_is_noticed(
    done: Path, call: Call, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results(done)
    written = {path: path.stat().st_mtime_ns for path in done.rglob("predictions.csv")}
    capsys.readouterr()
    assert call("out") == 0
    assert "4 skipped" in capsys.readouterr().out
    assert results(done) == before
    assert {path: path.stat().st_mtime_ns for path in written} == written
    # An edited file is made again.
    file = done / "he/seed1/r0f0/predictions.csv"
    file.write_bytes(file.read_bytes() + b"\n")
    assert call("out") == 0
    assert results(done) == before
    what_is_asked_otherwise_is_explained_anew(done, call, study)
    # Another recipe is not mixed in.
    assert call("out", "--trainer.max_epochs=2") == 1
    assert all("max_epochs was 1 and is 2" in row["reason"] for row in rows(done / "runs.csv"))
    assert file.read_bytes() == before["he/seed1/r0f0/predictions.csv"]
    # Nor other folds.
    capsys.readouterr()
    assert call("out", "--split_seed=5") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "splits.csv holds other folds" in error and "--out" in error


def what_is_asked_otherwise_is_explained_anew(done: Path, call: Call, study: Path) -> None:
    """Nothing is trained for it; and figures that were edited are made again."""
    trained = {path: path.stat().st_mtime_ns for path in done.rglob("*.ckpt")}
    figures = done / "he/seed1/r0f1/explain/explain.json"
    assert list(json.loads(figures.read_text())["explainers"]) == ["GradCAM", "InputXGradient"]
    study.write_text(study.read_text().replace("[GradCAM, InputXGradient]", "[InputXGradient]"))
    assert call("out") == 0
    whole = figures.read_bytes()
    assert list(json.loads(whole)["explainers"]) == ["InputXGradient"]
    assert not (figures.parent / "GradCAM").exists()
    figures.write_bytes(whole.replace(b'"soft"', b'"hard"'))
    assert call("out") == 0
    assert figures.read_bytes() == whole
    assert {path: path.stat().st_mtime_ns for path in trained} == trained


def test_a_failed_run_is_recorded_and_the_rest_goes_on(
    call: Call, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write_text(study.read_text().replace("modality: ihc", "modality: mri"))
    assert call("out") == 1
    states = {(row["variant"], row["fold"]): row for row in rows(tmp_path / "out" / "runs.csv")}
    assert [states["he", fold]["status"] for fold in "01"] == ["done", "done"]
    assert [states["ihc", fold]["status"] for fold in "01"] == ["failed", "failed"]
    assert "mri" in states["ihc", "0"]["reason"]
    table = (tmp_path / "out" / "tables/areas.md").read_text()
    assert "| ihc | - | - |" in table and "ihc: 0 of 2 runs are finished." in table
    assert "fewer than two variants are finished" in capsys.readouterr().out


def test_a_report_is_of_the_study_as_it_is_now(done: Path, call: Call, study: Path, tmp_path: Path) -> None:
    # Runs of another seed lie beside those of this one and are not counted.
    assert call("out", "--seeds", "2") == 0
    assert call("fresh", "--seeds", "2") == 0
    assert (done / "comparison.csv").read_bytes() == (tmp_path / "fresh" / "comparison.csv").read_bytes()
    # A comparison with a variant that is no longer finished does not stay.
    study.write_text(study.read_text().replace("modality: ihc", "modality: mri"))
    assert call("out") == 1
    assert not list(done.glob("comparison.*"))


def test_shards_together_are_the_whole_study(
    done: Path, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert call("parts", "--shard", "2/2") == 0
    assert not (tmp_path / "parts" / "comparison.csv").exists()
    assert "2 of 4 runs are not finished" in capsys.readouterr().out
    assert call("parts", "--shard", "1/2") == 0
    assert results(tmp_path / "parts") == results(done)


def test_a_dry_run_writes_nothing(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--ihc.trainer.max_epochs=5", "--loading.batch_size=2", "--last.model.head.hidden=9", "--dry-run")
    assert call("out", *words) == 0
    said = capsys.readouterr().out
    assert "ihc/seed1/r0f1  to do" in said and "4 runs; nothing was done" in said
    assert not (tmp_path / "out").exists()
    he, ihc = (next(line for line in said.splitlines() if line.startswith(f"{name}:")) for name in ("he", "ihc"))
    assert "max_epochs" not in he and "--trainer.max_epochs=5" in ihc
    for line in (he, ihc):
        assert "--loading.batch_size=2" in line and "--train.model.head.hidden=9" in line


def test_folds_of_other_patients_are_refused_before_anything_is_written(
    call: Call, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = tmp_path / "folds.csv"
    assert main(["data", "split", str(cases), "--folds", "2", "--out", str(folds)]) == 0
    folds.write_text(folds.read_text().replace("p000", "p001"))
    assert call("out", "--folds", str(folds)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "belongs to patient" in error
    assert not (tmp_path / "out").exists()


def test_a_class_that_is_missing_from_a_part_of_given_folds_is_said_or_refused(
    call: Call, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sixteen patients in two folds; those of class 3+ are moved."""
    folds = tmp_path / "folds.csv"
    assert main(["data", "split", str(cases), "--folds", "2", "--out", str(folds)]) == 0
    drawn = rows(folds)
    rarest = {f"c{number:03d}" for number in range(3, 16, 4)}
    for part in ("test", "train"):
        other = "train" if part == "test" else "test"
        kept = [
            {**row, "part": other if row["case_id"] in rarest and row["part"] != other else row["part"]}
            for row in drawn
        ]
        with folds.open("w", newline="") as file:
            table = csv.DictWriter(file, drawn[0], lineterminator="\n")
            table.writeheader()
            table.writerows(kept)
        capsys.readouterr()
        status = call("out", "--folds", str(folds), "--dry-run")
        said = capsys.readouterr()
        if part == "test":
            assert status == 0 and "WARNING: repeat 0, fold 0: the test part has no case of 3+" in said.out
        else:
            assert status == 2 and "the training part has no case of 3+" in said.err


def test_cross_validation_is_a_study_of_one_recipe(here: None, tmp_path: Path, cases: Path) -> None:
    write_study(tmp_path, cases)
    folds, out = tmp_path / "folds.csv", tmp_path / "cv"
    assert main(["data", "split", str(cases), "--folds", "2", "--out", str(folds)]) == 0
    words = ["--recipe", str(tmp_path / "small_he.yaml"), "--folds", str(folds), "--seeds", "1,2", "--out", str(out)]
    assert main(["crossval", *words]) == 0
    assert (out / "splits.csv").read_bytes() == folds.read_bytes()
    assert {path.parent.relative_to(out).as_posix() for path in out.rglob("predictions.csv")} == {
        f"small_he/seed{seed}/r0f{fold}" for seed in (1, 2) for fold in (0, 1)
    }
    assert len([row for row in rows(out / "folds.csv") if row["metric"] == "auroc"]) == 4
    assert "seed 2, repeat 0, fold 1" in (out / "folds.md").read_text()


def test_cross_validation_without_folds_says_how_to_make_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crossval", "--recipe", "he_only"]) == 2
    assert "pathfuse data split" in capsys.readouterr().err
