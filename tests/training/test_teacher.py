"""A stage that teaches another, through a whole run: who learns from what, what is kept, and that it resumes."""

import csv
import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

import pathfuse
from pathfuse.cli import main
from pathfuse.core import Outcome
from pathfuse.recipes import compose
from pathfuse.training import fit as fit_module
from pathfuse.training.plan import TrainingPlan
from pathfuse_teach.distillation import DistillationObjective

RECIPE = """
cohort: {cases: CASES}
data: {class_path: PairedPatches, init_args: {size_px: 32, normalise: []}}
loading: {batch_size: 4, num_workers: 0}
stages:
  teach:
    model:
      encoder:
        class_path: ImageEncoder
        init_args:
          backbone: {class_path: TimmBackbone, init_args: {name: test_resnet, weights: random}}
          input: {class_path: Single, init_args: {modality: ihc}}
      fusion: {class_path: MeanFusion}
      head: {class_path: SoftmaxHead}
      loss_weights: {classification: 1.0}
    trainer: {max_epochs: 1}
  learn:
    model:
      given: [he]
      encoder: {class_path: StainEncoder, init_args: {dim: 8, stem: none}}
      fusion: {class_path: SEAttention}
      head: {class_path: SoftmaxHead}
      objective: {class_path: DistillationObjective, init_args: {teacher: "stage:teach"}}
      loss_weights: {classification: 1.0, distillation: 1.0}
    trainer: {max_epochs: 2}
"""


@pytest.fixture
def taught(tmp_path: Path, cases: Path) -> Path:
    """A recipe of a teacher and a student, on a cohort in which half the training cases have no label."""
    with cases.open(newline="") as file:
        rows = list(csv.DictReader(file))
    bare = {row["case_id"] for row in rows if row["split"] == "train" and int(row["case_id"][1:]) >= 8}
    with cases.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": "" if row["case_id"] in bare else row["label"]} for row in rows)
    path = tmp_path / "taught.yaml"
    path.write_text(RECIPE.replace("CASES", str(cases)))
    return path


def run_of(recipe: Path, out: Path, *words: str) -> Path:
    assert main(["fit", "--recipe", str(recipe), "--out", str(out), *words]) == 0
    return out


def test_the_teacher_learns_from_labels_and_the_student_from_all_pairs(taught: Path) -> None:
    plan = TrainingPlan.parse(compose([taught], [], []))
    assert len(plan.data_of("teach").cohort.training) == 4
    assert len(plan.data_of("learn").cohort.training) == 8
    assert plan.data_of("learn").spec().class_counts == (1, 1, 1, 1)


def test_the_teacher_sees_ihc_and_the_student_never_does(taught: Path, tmp_path: Path, monkeypatch) -> None:
    seen: list[tuple[bool, bool, bool]] = []
    whole_step = DistillationObjective.step

    def step(self, model, shown, whole) -> Outcome:
        told = self._lesson(model, whole).taught
        seen.append((bool(shown.present["ihc"].any()), bool(whole.present["ihc"].all()), bool(told.all())))
        return whole_step(self, model, shown, whole)

    monkeypatch.setattr(DistillationObjective, "step", step)
    run_of(taught, tmp_path / "run")
    assert len(seen) == 2 * (2 + 1) and set(seen) == {(False, True, True)}


def test_the_student_keeps_the_selected_teacher_and_is_tested_from_h_and_e(taught: Path, tmp_path: Path) -> None:
    run = run_of(taught, tmp_path / "run")
    teacher = torch.load(run / "checkpoints/teach/best.ckpt", weights_only=True)["state_dict"]
    student = torch.load(run / "checkpoints/learn/last.ckpt", weights_only=True)["state_dict"]
    kept = {name: value for name, value in student.items() if name.startswith("objective.teacher.")}
    assert len(kept) == len([name for name in teacher if name.startswith("model.")])
    assert all(value.equal(teacher[name.replace("objective.teacher.", "model.")]) for name, value in kept.items())
    assert json.loads((run / "metrics.json").read_text())["he"]["n_cases"] == 4
    model = pathfuse.load(run)
    assert set(model.state_dict()) == {name[6:] for name in student if name.startswith("model.")}
    curve = list(csv.DictReader((run / "curves/learn.csv").read_text().splitlines()))
    assert all(float(row["train/distillation"]) >= 0 and 0 <= float(row["val/teacher_doubt"]) <= 1 for row in curve)


def test_a_resumed_student_equals_the_uninterrupted_one(taught: Path, tmp_path: Path, monkeypatch) -> None:
    class StopAt(Callback):
        def on_train_batch_end(self, trainer, pl_module, *args) -> None:
            if trainer.current_epoch == 1 and trainer.checkpoint_callbacks[0].dirpath.endswith("learn"):
                raise KeyboardInterrupt

    run, out = run_of(taught, tmp_path / "whole"), tmp_path / "stopped"
    whole = fit_module.checkpoints
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "checkpoints", lambda *args, **more: [*whole(*args, **more), StopAt()])
        assert main(["fit", "--recipe", str(taught), "--out", str(out)]) == 130
    assert main(["fit", "--resume", str(out)]) == 0
    for name in ("curves/learn.csv", "predictions.csv", "metrics.json"):
        assert (out / name).read_text() == (run / name).read_text(), name


def test_a_teacher_that_is_no_earlier_stage_is_refused(taught: Path, tmp_path: Path, capsys) -> None:
    words = ["--learn.model.objective.teacher=stage:taech", "--out", str(tmp_path / "run")]
    assert main(["fit", "--recipe", str(taught), *words]) == 2
    assert "'stage:taech' is no earlier stage. Earlier stages: stage:teach." in capsys.readouterr().err
