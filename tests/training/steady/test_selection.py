"""Which epoch is kept: the best, of equals the one with less classification loss, also after a resume."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pathfuse.runs.checkpoints import BEST
from pathfuse.training.steady.selection import Criterion, EpochCheckpoint


def trainer_of(epoch: int, **logged: float) -> Any:
    metrics = {name.replace("__", "/"): torch.tensor(value) for name, value in logged.items()}
    decide = SimpleNamespace(reduce_boolean_decision=bool)
    return SimpleNamespace(callback_metrics=metrics, current_epoch=epoch, global_step=epoch, strategy=decide)


def kept(checkpoint: EpochCheckpoint, monkeypatch: pytest.MonkeyPatch, epochs: list[dict[str, float]]) -> int | None:
    monkeypatch.setattr(checkpoint, "_save_checkpoint", lambda trainer, path: None)
    monkeypatch.setattr(checkpoint, "_should_remove_checkpoint", lambda *args: False)
    monkeypatch.setattr(checkpoint, "_get_metric_interpolated_filepath_name", lambda *args: f"{checkpoint.dirpath}/b")
    for epoch, logged in enumerate(epochs):
        trainer = trainer_of(epoch, **logged)
        checkpoint._save_topk_checkpoint(trainer, checkpoint._monitor_candidates(trainer))
    return checkpoint.kept_epoch


def test_of_equal_epochs_the_one_with_less_classification_loss_is_kept(tmp_path: Path, monkeypatch) -> None:
    values = [(0.5, 1.0, 1.0), (0.7, 0.9, 9.0), (0.7, 0.8, 10.0), (0.7, 0.85, 1.0), (0.6, 0.1, 0.1)]
    epochs = [{"val__score": s, "val__classification": c, "val__loss": t} for s, c, t in values]
    best = EpochCheckpoint(tmp_path, BEST, Criterion("val/score", higher=True))
    assert kept(best, monkeypatch, epochs) == 2
    without = [{"val__score": s, "val__loss": t} for s, _, t in values]
    assert kept(EpochCheckpoint(tmp_path, BEST, Criterion("val/score", higher=True)), monkeypatch, without) == 3


def test_where_the_value_is_never_defined_the_loss_selects(tmp_path: Path, monkeypatch) -> None:
    epochs = [{"val__loss": 2.0}, {"val__loss": 1.0, "val__score": float("nan")}, {"val__loss": 3.0}]
    assert kept(EpochCheckpoint(tmp_path, BEST, Criterion("val/score", higher=True)), monkeypatch, epochs) == 1


def test_a_resumed_run_knows_what_decided(tmp_path: Path, monkeypatch) -> None:
    first = EpochCheckpoint(tmp_path, BEST, Criterion("val/score", higher=True))
    kept(first, monkeypatch, [{"val__score": 0.7, "val__loss": 1.0}])
    second = EpochCheckpoint(tmp_path, BEST, Criterion("val/score", higher=True))
    second.load_state_dict(first.state_dict())
    assert (second.kept_epoch, second.tie) == (0, 1.0)
    kept(second, monkeypatch, [{"val__score": 0.7, "val__loss": 2.0}])
    assert second.tie == 1.0
