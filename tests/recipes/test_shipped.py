"""Every recipe in the folder parses, prints, prints itself again and takes a step per stage, so that none can rot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pathfuse.cli import main
from pathfuse.core import Batch, weighted_total
from pathfuse.recipes import compose, find_recipe, recipe_files
from pathfuse.registry import components
from pathfuse.training.plan import TrainingPlan
from tests.conftest import PROJECT_ROOT

RECIPES = sorted((PROJECT_ROOT / "recipes").glob("*.yaml"))
# As small as the cohort and its images may be.
TINY = [("cohort.demo.patients", "12"), ("data.pictures.cases_per_patient", "1"), ("loading.num_workers", "0")]

every_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


def demo_options(path: Path) -> list[tuple[str, str]]:
    """The overrides that make a recipe's demo cohort tiny; a size where the recipe has images."""
    text = path.read_text()
    # AlexNet takes nothing below 63 px.
    return [*TINY, ("data.size_px", "64" if "AlexNet" in text else "32")] if "size_px" in text else TINY


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 2
    assert {path.stem for path in RECIPES} <= {recipe.name for recipe in recipe_files()}


@every_recipe
def test_a_recipe_says_what_it_is_and_what_it_needs(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ") and len(lines[0]) > 20
    head = lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    assert any(line.startswith("# Needs: ") for line in head)
    assert find_recipe(path.stem).read_text() == path.read_text()


@every_recipe
def test_a_recipe_has_no_sizes_that_the_task_can_pass(path: Path) -> None:
    words = set(path.read_text().replace(":", " ").replace("{", " ").split())
    assert not words & {"in_chans", "in_dim", "num_classes", "class_counts"}


@every_recipe
def test_a_recipe_prints_itself(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--recipe", path.stem, "--print_config"]) == 0
    whole = capsys.readouterr().out
    (tmp_path / "whole.yaml").write_text(whole)
    assert main(["fit", "--print_config", "--recipe", str(tmp_path / "whole.yaml")]) == 0
    assert capsys.readouterr().out == whole
    assert main(["fit", "--recipe", path.stem, "--print_config=skip_default"]) == 0
    short = capsys.readouterr().out
    assert len(short) < len(whole)
    (tmp_path / "short.yaml").write_text(short)
    assert main(["fit", "--recipe", str(tmp_path / "short.yaml"), "--print_config"]) == 0
    assert capsys.readouterr().out == whole


@every_recipe
def test_the_paper_s_sizes_parse_too(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--recipe", path.stem, "--cohort.cases", str(tmp_path), "--print_config"]) == 0
    printed = capsys.readouterr().out
    config: dict[str, Any] = yaml.safe_load(printed)
    assert printed.count(f"cases: {tmp_path}") == 1 and config["cohort"]["cases"] == str(tmp_path)


@every_recipe
def test_every_stage_of_a_recipe_takes_a_step(path: Path) -> None:
    words = set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    if words & {one.name for one in components() if one.target.startswith("pathfuse_torchmil.")}:
        pytest.importorskip("torchmil", reason="needs pathfuse[torchmil]")
    recipe = compose([path], ["demo"], demo_options(path))
    plan = TrainingPlan.parse(recipe)
    for name in plan.stages:
        data = plan.data_of(name)
        task = plan.task_of(name).train()
        data.prepare_data()
        batch: Batch = next(iter(data.train_dataloader()))
        before = {key: value.detach().clone() for key, value in task.named_parameters() if value.requires_grad}
        made = plan.stages[name].in_lightning(task).configure_optimizers()
        optimizer = made[0][0] if isinstance(made, tuple) else made["optimizer"] if isinstance(made, dict) else made
        outcome = task.objective.losses(task.model, batch)
        total = weighted_total(outcome.terms, task.loss_weights)
        assert torch.isfinite(total)
        total.backward()
        optimizer.step()
        moved = [key for key, value in task.named_parameters() if key in before and not value.equal(before[key])]
        assert len(moved) > len(before) / 2, f"stage {name}: most parameters did not move"
