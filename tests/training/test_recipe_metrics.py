"""A metric of somebody else's distribution: named in a recipe, selected by, listed, checked, compared."""

from __future__ import annotations

import csv
import gc
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pathfuse.cli import main
from pathfuse.registry import table as registry
from tests.conftest import CLASSES
from tests.evaluate.runs import write_run

SCORE_ERROR = '''
"""How many scores a prediction is off."""

import torch

from pathfuse.core import Metric


class ScoreError(Metric):
    """Mean distance in scores between prediction and truth.

    Args:
        missed: price of one score too low against one too high.
    """

    key = "score_error"
    higher = False

    def __init__(self, *, missed: float = 1.0) -> None:
        self.missed = missed

    def measure(self, prob, target, confidence, classes):
        """The mean price."""
        apart = (prob.argmax(1) - target).double()
        return float(torch.where(apart < 0, -self.missed * apart, apart).mean())


class LossOfSomebody(ScoreError):
    """Its key is a name of ours."""

    key = "macro_f1"


class NeverDefined(ScoreError):
    """NaN throughout."""

    key = "never"
    undefined = "it is a full moon"

    def measure(self, prob, target, confidence, classes):
        """NaN."""
        return float("nan")
'''


@pytest.fixture(autouse=True)
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The distribution `foreign-metrics`, as pip leaves it behind."""
    info = tmp_path / "site" / "foreign_metrics-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-metrics\nVersion: 1.2\n")
    names = ("ScoreError", "LossOfSomebody", "NeverDefined")
    lines = [f"{name} = foreign_metrics:{name}" for name in names]
    (info / "entry_points.txt").write_text("\n".join(["[pathfuse.metric]", *lines, ""]))
    (tmp_path / "site" / "foreign_metrics.py").write_text(SCORE_ERROR)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry.forget_installed()
    yield
    sys.modules.pop("foreign_metrics", None)
    registry.forget_installed()
    gc.collect()


def fit(recipe: Path, out: Path, *words: str) -> int:
    return main(["fit", "--recipe", str(recipe), "--out", str(out), "--correlate.trainer.max_epochs=1", *words])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_recipe_adds_and_selects_by_it(
    page: None, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, plain = tmp_path / "run", tmp_path / "plain"
    words = ["--predict.model.metrics=[{class_path: ScoreError, init_args: {missed: 2}}, BrierScore]"]
    words += ["--predict.model.select_by=score_error", "--predict.trainer.max_epochs=3"]
    assert fit(small, run, *words) == 0
    printed = capsys.readouterr().out
    assert "test metrics that the recipe adds" in printed and "score_error" in printed

    found = json.loads((run / "metrics.json").read_text())
    for subset, values in found.items():
        own = [row for row in rows(run / "predictions.csv") if row["subset"] == subset and row["split"] == "test"]
        apart = np.array([CLASSES.index(row["predicted"]) - CLASSES.index(row["target"]) for row in own])
        assert values["test/score_error"] == np.where(apart < 0, -2 * apart, apart).mean()

    epochs = rows(run / "curves" / "predict.csv")
    curve = [(float(row["val/score_error"]), float(row["val/classification"])) for row in epochs]
    best = torch.load(run / "checkpoints" / "predict" / "best.ckpt", weights_only=True)
    assert best["epoch"] == curve.index(min(curve))
    assert "The epoch of best score_error on the validation part was taken" in (run / "methods.md").read_text()
    versions = json.loads((run / "versions.json").read_text())
    assert versions["plugins"]["foreign-metrics"] == "1.2"
    page = json.loads((run / "report.json").read_text())["sections"]["metrics"]["further"]
    assert page == [{"given": "he", "score_error": found["he"]["test/score_error"]}]

    # Nothing else changes: ours stand as without it, before the added ones.
    assert fit(small, plain, "--predict.trainer.max_epochs=3") == 0
    for subset, values in json.loads((plain / "metrics.json").read_text()).items():
        assert list(values) == [name for name in found[subset] if name != "test/score_error"]
    saved = yaml.safe_load((run / "config.yaml").read_text())["stages"]["predict"]["model"]
    assert saved["metrics"][0] == {"class_path": "foreign_metrics.ScoreError", "init_args": {"missed": 2.0}}
    assert main(["test", str(run), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
    said = json.loads((tmp_path / "again" / "versions.json").read_text())
    assert (said["plugins"], said["components"]) == (versions["plugins"], versions["components"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--predict.model.metrics=[ScoreErr]"],
            "model.metrics: ScoreErr is not a known component. Did you mean Score",
        ),
        (["--predict.model.select_by=kapa_quadratic"], "select_by is 'kapa_quadratic'.*Did you mean kappa_quadratic"),
        (["--predict.model.select_by=score_error"], "a further metric has to be named in model.metrics"),
        (["--predict.model.metrics=[ScoreError, ScoreError]"], "model.metrics names ScoreError twice"),
        (["--predict.model.metrics=[LossOfSomebody]"], "LossOfSomebody and MacroF1 both give 'macro_f1'"),
        (["--predict.model.select_by=loss", "--predict.model.select_on=he"], "set model.select_on to null"),
        (
            ["--predict.model.metrics=[NeverDefined]", "--predict.model.select_by=never"],
            "select_by is never, which is not defined on the validation part: it is a full moon",
        ),
    ],
    ids=["metric", "select_by", "not named", "twice", "taken", "loss of a subset", "undefined"],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    words: list[str], says: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(small, tmp_path / "run", *words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ") and re.search(says, line)


def test_the_least_loss_may_select(small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert fit(small, run, "--predict.model.select_by=loss", "--predict.trainer.max_epochs=3") == 0
    curve = [float(row["val/loss"]) for row in rows(run / "curves" / "predict.csv")]
    best = torch.load(run / "checkpoints" / "predict" / "best.ckpt", weights_only=True)
    assert best["epoch"] == int(np.argmin(curve))


def test_it_is_listed_and_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " ScoreError " in line]
    assert line.split()[:3] == ["metric", "ScoreError", "foreign-metrics"]
    assert main(["plugins", "check", "ScoreError"]) == 0
    assert "12 checks ran, 12 passed" in capsys.readouterr().out
    assert main(["plugins", "check", "NeverDefined"]) == 1


def test_runs_are_compared_by_it(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed, skill=3 * seed) for seed, name in enumerate(("weak", "strong"))]
    words = [
        "--metric",
        "ScoreError,brier",
        "--out",
        str(tmp_path / "compared"),
        "--draws",
        "50",
        "--permutations",
        "200",
    ]
    assert main(["compare", *map(str, runs), *words]) == 0
    found = rows(tmp_path / "compared" / "comparison.csv")
    values = {row["run"]: row for row in found if row["kind"] == "value" and row["metric"] == "score_error"}
    for run in runs:
        own = rows(run / "predictions.csv")
        apart = [abs(CLASSES.index(row["predicted"]) - CLASSES.index(row["target"])) for row in own]
        assert float(values[run.name]["value"]) == pytest.approx(np.mean(apart), abs=1e-6)
        assert float(values[run.name]["low"]) <= np.mean(apart) <= float(values[run.name]["high"])
    (difference,) = [row for row in found if row["kind"] == "difference" and row["metric"] == "score_error"]
    assert float(difference["p_permutation"]) < 0.1 and float(difference["error_reduction"]) != 0
