"""Metrics of torchmetrics in a recipe: their values, names and refusals."""

import json
from pathlib import Path

import pytest
import torch
from torchmetrics.functional.classification import multiclass_jaccard_index, multiclass_specificity

from pathfuse.cli import main
from pathfuse.errors import RecipeError
from pathfuse_torchmetrics.multiclass import TorchMetrics, _known

GENERATOR = torch.Generator().manual_seed(3)
PROB = torch.rand(40, 4, generator=GENERATOR).softmax(1).double()
TARGET = torch.randint(0, 4, (40,), generator=GENERATOR)


def test_the_numbers_are_those_of_torchmetrics() -> None:
    found = TorchMetrics(metrics=["Specificity", "JaccardIndex"], average="weighted")(PROB, TARGET)
    assert found["specificity"] == pytest.approx(float(multiclass_specificity(PROB, TARGET, 4, "weighted")), abs=1e-6)
    assert found["jaccard_index"] == pytest.approx(
        float(multiclass_jaccard_index(PROB, TARGET, 4, "weighted")), abs=1e-6
    )


@pytest.mark.parametrize("name", _known())
def test_everything_that_can_be_named_gives_one_number(name: str) -> None:
    (value,) = TorchMetrics(metrics=[name])(PROB, TARGET).values()
    assert -1 <= value <= 1


@pytest.mark.parametrize("name", ["Specifity", "HingeLoss", "FBetaScore", "StatScores", "Confusion"])
def test_what_is_no_number_or_better_when_less_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"can be taken here\. ?(Did you mean|Known)"):
        TorchMetrics(metrics=[name])


def test_a_class_without_cases_and_no_case_at_all_are_quiet() -> None:
    assert 0 <= TorchMetrics()(PROB, TARGET.clamp(max=2))["specificity"] <= 1
    assert torch.tensor(TorchMetrics()(PROB, torch.full((40,), -1))["specificity"]).isnan()


def test_a_recipe_measures_and_selects_by_them(tmp_path: Path) -> None:
    run = tmp_path / "run"
    metric = "[{class_path: TorchMetrics, init_args: {metrics: [JaccardIndex, Specificity]}}]"
    words = ["--layer", "demo", "--cohort.demo.patients=24", "--data.pictures.cases_per_patient=1"]
    words += ["--trainer.max_epochs=1", "--data.size_px=32", "--model.encoder.backbone.name=test_resnet"]
    words += [f"--model.metrics={metric}", "--model.select_by=jaccard_index"]
    assert main(["fit", "--recipe", "he_only", *words, "--out", str(run)]) == 0
    assert {"test/jaccard_index", "test/specificity"} <= json.loads((run / "metrics.json").read_text())["he"].keys()
