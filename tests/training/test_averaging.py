"""Weights averaged over the steps: what the average is. `test_statistics.py` resumes a run with them."""

import pytest
import torch
from lightning.pytorch import Callback

import pathfuse
from pathfuse.training import fit as fit_module
from tests.training.conftest import Run

AVERAGED = ["--predict.steady.average=0.6"]
SHORT = ["--correlate.trainer.max_epochs=1", "--predict.trainer.max_epochs=3"]


class KeepWeights(Callback):
    """The weights after every step, as the optimiser left them."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, *args) -> None:
        if trainer.checkpoint_callbacks[0].dirpath.endswith("predict"):
            self.steps.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def also(monkeypatch: pytest.MonkeyPatch, callback: Callback) -> None:
    whole = fit_module.checkpoints
    monkeypatch.setattr(fit_module, "checkpoints", lambda *args, **how: [*whole(*args, **how), callback])


def test_checkpoints_and_predictions_are_those_of_the_averaged_weights(fit: Run, monkeypatch) -> None:
    kept = KeepWeights()
    also(monkeypatch, kept)
    run = fit("run", *AVERAGED, *SHORT)
    name = next(key for key in kept.steps[0] if key.startswith("model.head") and key.endswith("weight"))
    average = kept.steps[0][name]
    for n, step in enumerate(kept.steps[1:], start=1):
        keep = min(0.6, (1 + n) / (10 + n))
        average = keep * average + (1 - keep) * step[name]
    last = torch.load(run / "checkpoints/predict/last.ckpt", weights_only=True)
    torch.testing.assert_close(last["state_dict"][name], average)
    assert not torch.equal(average, kept.steps[-1][name])
    best = torch.load(run / "checkpoints/predict/best.ckpt", weights_only=True)
    assert torch.equal(pathfuse.load(run).state_dict()[name.removeprefix("model.")], best["state_dict"][name])
