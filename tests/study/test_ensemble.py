import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor

from pathfuse.cli import main
from pathfuse.core import Metric
from pathfuse.errors import RunError
from pathfuse.evaluate.metrics.measures import Measures
from pathfuse.runs.folder import RunFolder
from pathfuse.study.ensemble import combine, write_metrics
from tests.evaluate.runs import edit, write_run, write_versions
from tests.study.conftest import Call
from tests.study.small import rows

CLASSES = ("0", "1+", "2+", "3+")


def combined(members: list[Path], out: Path) -> int:
    return combine([RunFolder(member) for member in members], RunFolder(out), members)


def test_the_models_of_a_study_predict_an_external_cohort_as_an_ensemble(
    done: Path, call: Call, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "external"
    assert main(["test", str(done), "--cohort.cases", str(cases), "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("WARNING: 8 of 16 test patients have the id of one") == 2
    for variant in ("he", "ihc"):
        joint = rows(out / variant / "predictions.csv")
        parts = [rows(out / variant / f"members/seed1-r0f{fold}/predictions.csv") for fold in (0, 1)]
        assert len(joint) == 16 and {row["split"] for row in joint} == {"test"}
        for row, *members in zip(joint, *parts, strict=True):
            assert len({member["case_id"] for member in (row, *members)}) == 1
            for column in (*(f"p_{name}" for name in CLASSES), "confidence"):
                mean = sum(float(member[column]) for member in members) / 2
                assert float(row[column]) == pytest.approx(mean, abs=2e-6)
            assert float(row[f"p_{row['predicted']}"]) == max(float(row[f"p_{name}"]) for name in CLASSES)
        metrics = json.loads((out / variant / "metrics.json").read_text())
        assert metrics[variant]["n_cases"] == 16
    # Each is a run for a comparison.
    words = [str(out / "he"), str(out / "ihc"), "--draws", "20", "--permutations", "20", "--out", str(tmp_path / "c")]
    assert main(["compare", *words]) == 0
    # The cases of the study itself: each is tested by the models that did not train on it.
    assert main(["test", str(done / "he"), "--out", str(tmp_path / "own")]) == 0
    assert "WARNING" not in capsys.readouterr().out
    own = {row["case_id"]: row["p_0"] for row in rows(tmp_path / "own" / "predictions.csv")}
    tested = {row["case_id"]: row["p_0"] for f in (0, 1) for row in rows(done / f"he/seed1/r0f{f}/predictions.csv")}
    assert own == tested
    (done / "he/seed1/r0f1/predictions.csv").unlink()
    capsys.readouterr()
    assert main(["test", str(done / "he"), "--out", str(tmp_path / "part")]) == 0
    assert "WARNING: runs that are not finished are no members: 1, first" in capsys.readouterr().out
    assert len(rows(tmp_path / "part" / "predictions.csv")) == 8
    assert main(["predict", str(done)]) == 2
    assert "say which cases to predict" in capsys.readouterr().err


class FarOff(Metric):
    """Share of predictions that are two scores off or more."""

    key = "far_off"

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        return float(((prob.argmax(1) - target).abs() > 1).double().mean())


def test_an_ensemble_reports_what_its_recipe_measures_and_what_its_members_were_given(tmp_path: Path) -> None:
    every = ("he", "ihc", "he+ihc")
    members = [write_run(tmp_path / name, seed=seed, subsets=every) for seed, name in enumerate("ab")]
    for member in members:
        write_versions(member, plugins={"foreign": "1.2"}, given=None, trained_on=["he", "he+ihc"])
    combined(members, tmp_path / "joint")
    joint = RunFolder(tmp_path / "joint")
    found = write_metrics(joint, Measures.of([FarOff()], "balanced_accuracy", None, CLASSES))
    for subset, own in joint.predictions.subsets.items():
        far = (abs(own.rows.predicted - own.rows.target) > 1).mean()
        assert found[subset]["test/far_off"] == pytest.approx(far)
    assert joint.versions["plugins"] == {"foreign": "1.2"} and joint.shown.trained(every) == ["he", "he+ihc"]
    assert list(joint.json("modalities.json")["same_patients"]["subsets"]) == ["he", "he+ihc"]


def test_members_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "a", seed=1, patients=8), write_run(tmp_path / "b", seed=2, patients=8)
    assert combined([one, other], tmp_path / "both") == 2
    edit(other, ",p0003,", ",p0002,")
    with pytest.raises(RunError, match=r"case c0003 has patient_id 'p0002', but 'p0003'"):
        combined([one, other], tmp_path / "both")
    few = write_run(tmp_path / "c", seed=3, patients=6)
    with pytest.raises(RunError, match=r"predicted by 1 members, some by 2"):
        combined([one, few], tmp_path / "both")
    two = write_run(tmp_path / "d", patients=8, classes=("neg", "pos"))
    with pytest.raises(RunError, match="other classes"):
        combined([one, two], tmp_path / "both")


def test_a_member_that_was_not_calibrated_leaves_the_others_their_probabilities(tmp_path: Path) -> None:
    """A fold whose validation part is too small has no calibration, and its siblings have one."""
    paths = [write_run(tmp_path / name, seed=seed, patients=8) for seed, name in enumerate("abc")]
    lines = (paths[0] / "predictions.csv").read_text().splitlines()
    further = [",".join(f"cal_{name}" for name in CLASSES), *["0.25,0.25,0.25,0.25"] * 8]
    (paths[0] / "predictions.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(lines, further, strict=True)) + "\n")
    for number, order in enumerate((paths, paths[::-1])):
        out = tmp_path / f"joint{number}"
        assert combined(order, out) == 3
        joint = rows(out / "predictions.csv")
        assert not any(name.startswith("cal_") for name in joint[0])
        mean = sum(float(rows(path / "predictions.csv")[0]["p_0"]) for path in paths) / 3
        assert float(joint[0]["p_0"]) == pytest.approx(mean, abs=2e-6)
