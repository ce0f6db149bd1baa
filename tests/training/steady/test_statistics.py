"""Recomputed batch statistics: what they are, that nothing else changes, and that a run with them resumes exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch.testing import assert_close

from pathfuse.cli import main
from pathfuse.errors import RecipeError
from pathfuse.recipes import compose
from pathfuse.training import fit as fit_module
from pathfuse.training.plan import TrainingPlan
from pathfuse.training.steady.options import Steady
from tests.training.conftest import Run

RECOMPUTED = "--predict.steady.statistics=100"
AVERAGED = ["--predict.steady.average=0.9"]
SHORT = ["--correlate.trainer.max_epochs=1", "--predict.trainer.max_epochs=2"]


def state(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(run / f"checkpoints/predict/{name}.ckpt", weights_only=True)["state_dict"]


def test_they_are_the_mean_over_training_batches_and_training_is_the_same(fit: Run, small: Path) -> None:
    with_them, without = state(fit("with", RECOMPUTED, *SHORT)), state(fit("without", *SHORT))
    moved = {name for name, value in with_them.items() if not value.equal(without[name])}
    assert moved and all(name.endswith(("running_mean", "running_var")) for name in moved)
    assert not any("correlate" in name or "input.model" in name for name in moved)

    plan = TrainingPlan.parse(compose([small], [], [("predict.data.augment", "null")]))
    plain = state(fit("plain", RECOMPUTED, *SHORT, "--predict.data.augment=null"))
    task, data = plan.task_of("predict"), plan.data_of("predict")
    task.load_state_dict(plain)
    first = next(layer for layer in task.model.encoder.backbone.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    entered: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda _, args: entered.append(args[0].detach()))
    task.eval()
    for batch in data.train_dataloader():
        task.model(batch.keep("he"))
    name = next(key for key, module in task.named_modules() if module is first)
    expected = torch.stack([values.mean((0, 2, 3)) for values in entered]).mean(0)
    assert_close(plain[f"{name}.running_mean"], expected, atol=1e-5, rtol=1e-4)


def test_with_averaged_weights_they_are_of_these_and_a_resumed_run_equals_the_uninterrupted_one(
    fit: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    averaged, words = state(fit("averaged", *AVERAGED, *SHORT)), [*AVERAGED, RECOMPUTED, *SHORT]
    run, out = fit("both", *words), tmp_path / "stopped"
    both = state(run)
    moved = {name for name, value in both.items() if not value.equal(averaged[name])}
    assert moved and all(name.endswith(("running_mean", "running_var")) for name in moved)

    class StopAt(Callback):
        def on_train_batch_end(self, trainer, *args) -> None:
            if trainer.current_epoch == 1 and trainer.checkpoint_callbacks[0].dirpath.endswith("predict"):
                raise KeyboardInterrupt

    whole = fit_module.checkpoints
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "checkpoints", lambda *args, **more: [*whole(*args, **more), StopAt()])
        assert main(["fit", "--recipe", str(small), "--out", str(out), *words]) == 130
    assert main(["fit", "--resume", str(out)]) == 0
    for name in ("curves/predict.csv", "predictions.csv", "metrics.json"):
        assert (out / name).read_text() == (run / name).read_text(), name


@pytest.mark.parametrize("wrong", [{"average": 1.0}, {"average": 0.0}, {"statistics": 0}])
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"steady\.(average|statistics) is .*; give"):
        Steady(**wrong)
