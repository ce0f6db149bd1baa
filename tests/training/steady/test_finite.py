import math
from pathlib import Path

import pytest
import torch

from pathfuse.cli import main
from pathfuse.core.finite import refuse_not_finite
from pathfuse.errors import NotFiniteError, listed


def ends(capsys) -> str:
    """The one line that a command ended with."""
    error: str = capsys.readouterr().err
    assert "Traceback" not in error and error.count("\n") == 1
    return error


def test_a_loss_that_is_no_number_ends_the_run_with_one_line(small: Path, tmp_path: Path, capsys) -> None:
    words = ["--correlate.optimizer.lr=1e30", "--trainer.max_epochs=4", "--out", str(tmp_path / "run")]
    assert main(["fit", "--recipe", str(small), *words]) == 1
    error = ends(capsys)
    assert "stage correlate, epoch " in error and "Lower the learning rate" in error
    assert "pathfuse test" not in error and not (tmp_path / "run" / "predictions.csv").exists()


def test_the_epochs_before_are_kept_and_can_be_tested(small: Path, tmp_path: Path, capsys) -> None:
    """A first epoch at a usual rate, and further ones at a rate that no network stands."""
    run = tmp_path / "run"
    kind = "torch.optim.lr_scheduler.ExponentialLR"
    rates = f'--predict.lr_scheduler={{"class_path": "{kind}", "init_args": {{"gamma": 1.0e+30}}}}'
    assert main(["fit", "--recipe", str(small), "--out", str(run), "--predict.trainer.max_epochs=4", rates]) == 1
    error = ends(capsys)
    assert "stage predict, epoch " in error and f"`pathfuse test {run}`" in error
    kept = torch.load(run / "checkpoints/predict/last.ckpt", weights_only=True)["state_dict"]
    assert all(bool(torch.isfinite(value).all()) for value in kept.values())
    assert main(["test", str(run)]) == 0


def test_a_prediction_that_is_no_number_names_its_cases() -> None:
    refuse_not_finite(["a"], torch.ones(1, 4), torch.ones(1))
    with pytest.raises(NotFiniteError, match=r"the model gives no numbers for b, c: "):
        refuse_not_finite(
            ["a", "b", "c"], torch.tensor([[1.0, 2], [math.nan, 1], [0, 0]]), torch.tensor([1, 1, math.inf])
        )


def test_a_few_cases_are_named_and_the_others_counted() -> None:
    assert listed(["a", "b"]) == "a, b" and listed([str(n) for n in range(7)]) == "0, 1, 2, 3, 4 and 2 more"


def test_no_case_at_all_is_nothing_to_refuse() -> None:
    """A fusion block that leaves out a stain predicts nobody from that stain alone."""
    refuse_not_finite([], torch.zeros(0, 4), torch.zeros(0))
