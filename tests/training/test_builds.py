"""Every stage of a recipe is built once, trained, and that build is calibrated and tested."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import pathfuse
from pathfuse.cli import main
from pathfuse.core import Batch, DataSpec, ImageInput, Model, stage_model
from pathfuse.registry import INPUTS
from pathfuse.runs.folder import RunFolder
from tests.training.conftest import Run


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Model]:
    """Every model that is made."""
    found: list[Model] = []
    before = Model.__init__

    def counting(self: Model, *args: object) -> None:
        found.append(self)
        before(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Model, "__init__", counting)
    return found


def test_a_fit_of_two_stages_builds_two_models(fit: Run, built: list[Model]) -> None:
    run = fit("run")
    assert len(built) == 2
    # Testing and loading know nothing of the fit, and build each stage once more.
    assert main(["test", str(run), "--out", str(run / "again")]) == 0
    assert len(built) == 4
    pathfuse.load(run)
    assert len(built) == 7  # both stages, and what is handed over: a model around the parts of the last one


def test_a_resumed_fit_builds_every_stage_once(fit: Run, built: list[Model]) -> None:
    run = fit("run")
    predictions = (run / "predictions.csv").read_text()
    (run / "stages.json").unlink()
    built.clear()
    assert main(["fit", "--resume", str(run)]) == 0
    assert len(built) == 2
    assert (run / "predictions.csv").read_text() == predictions


def test_a_stage_stands_on_the_weights_that_the_earlier_one_selected(fit: Run) -> None:
    run = RunFolder(fit("run", "--correlate.trainer.max_epochs=3"))
    earlier = torch.load(run.selected("correlate"), weights_only=True)["state_dict"]
    later = torch.load(run.selected("predict"), weights_only=True)["state_dict"]
    prefix = "model.encoder.input.model."
    inside = {key.removeprefix(prefix): value for key, value in later.items() if key.startswith(prefix)}
    assert inside.keys() == {key.removeprefix("model.") for key in earlier if key.startswith("model.")}
    assert all(torch.equal(value, earlier[f"model.{key}"]) for key, value in inside.items())


class TakesTheSum(ImageInput):
    """Keeps nothing of the earlier stage but a number, which is taken when it is built."""

    name = "he"
    reads = ("he",)
    channels = 3

    def __init__(self, spec: DataSpec, *, checkpoint: str) -> None:
        super().__init__()
        self.register_buffer("total", total(stage_model(checkpoint).state_dict()))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return batch.x["he"], batch.present["he"]


def total(weights: dict[str, Tensor]) -> Tensor:
    """A number that depends on every weight."""
    return torch.stack([value.double().abs().sum() for value in weights.values()]).sum()


def test_a_component_that_takes_a_part_of_an_earlier_stage_takes_it_trained(
    small: Path, tmp_path: Path, built: list[Model]
) -> None:
    INPUTS.register(TakesTheSum)
    small.write_text(small.read_text().replace("CorrelatedRepresentation", "TakesTheSum"))
    run = RunFolder(tmp_path / "run")
    assert main(["fit", "--recipe", str(small), "--out", str(run.path)]) == 0
    assert len(built) == 3  # the second stage once more, with what the first has learned
    earlier = torch.load(run.selected("correlate"), weights_only=True)["state_dict"]
    trained = total({key: value for key, value in earlier.items() if key.startswith("model.")})
    later = torch.load(run.selected("predict"), weights_only=True)["state_dict"]
    assert torch.equal(later["model.encoder.input.total"], trained)
