"""Recipes with one value that cannot be: each ends in one line with exit status 1 or 2, and leaves no run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import write_cases
from tests.security.conftest import PLAIN, put
from tests.smoke.ending import refused

NAME = "model/encoder/init_args/backbone/init_args/name"
# Where it is wrong, and what stands there.
VALUES: tuple[tuple[str, Any], ...] = (
    ("data/init_args/size_px", 0),
    ("data/init_args/size_px", -5),
    ("data/init_args/size_px", "large"),
    ("data/init_args/modalities", []),
    ("data/init_args/nothing", 1),
    ("data/class_path", "PairedPatchs"),
    ("loading/batch_size", 0),
    ("loading/batch_size", -1),
    ("loading/batch_size", "many"),
    ("loading/num_workers", -1),
    ("loading/sampler", "fair"),
    ("trainer/max_epochs", "x"),
    ("trainer/max_epochs", [1]),
    ("trainer/devices", 0),
    ("trainer/devices", 10**9),
    ("trainer/num_nodes", 2),
    ("trainer/num_nodes", "two"),
    ("trainer/accelerator", "quantum"),
    ("trainer/strategy", "nothing"),
    ("trainer/strategy", "ddp_spawn"),
    ("trainer/strategy", "ddp_notebook"),
    ("trainer/precision", "12"),
    ("trainer/speed", 3),
    ("optimizer/init_args/lr", "fast"),
    ("optimizer/init_args/lr", -1.0),
    ("optimizer/class_path", "Adamm"),
    ("lr_scheduler", {"class_path": "StepLR"}),
    ("model/head", 3),
    ("model/fusion", "MeanFussion"),
    ("model/loss_weights", {"nothing": 1.0}),
    ("model/given", ["xray"]),
    (NAME, ""),
    (NAME, "no_such_network"),
    ("seed", "2020-13-45x"),
    ("seed", 1.5),
    ("cohort/cases", "PIPE"),
    ("cohort/cases", "/dev/zero"),
    ("cohort/cases", "/dev/null"),
    ("cohort/cases", "/nowhere/cases.csv"),
    ("cohort/cases", "EMPTY"),
    ("cohort/cases", "x" * 5000),
    ("cohort/classes", ["a", "a"]),
    ("cohort/labels", "grade"),
    ("logger", "telepathy"),
    ("stages", {"model": {}}),
    ("stages", [1]),
    ("seed", 10**30),
    ("data/init_args/size_px", 10**9),
    ("trainer/limit_test_batches", 0),
    ("trainer/limit_test_batches", 0.5),
    ("optimizer/init_args", {"fused": True, "foreach": True}),
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("cohort")
    config: dict[str, Any] = yaml.safe_load(PLAIN.replace("CASES", str(write_cases(folder))))
    return config


def test_there_are_at_least_forty() -> None:
    assert len(VALUES) >= 40


@pytest.mark.parametrize(("key", "value"), VALUES, ids=[f"{key}={str(value)[:20]}" for key, value in VALUES])
def test_it_ends_in_one_line(
    key: str, value: object, plain: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if value == "PIPE":
        os.mkfifo(tmp_path / "pipe.csv")
        value = str(tmp_path / "pipe.csv")
    if value == "EMPTY":
        (tmp_path / "empty").mkdir()
        value = str(tmp_path / "empty")
    recipe = tmp_path / "hostile.yaml"
    recipe.write_text(yaml.safe_dump(put(plain, key, value)))
    refused(capsys, "fit", "--recipe", recipe, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_key_that_stands_twice_is_refused_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "twice.yaml"
    recipe.write_text("trainer: {max_epochs: 1}\nmodel:\n  head: SoftmaxHead\n  head: MeanHead\n")
    assert "twice.yaml line 4 column 3: not readable as YAML ('head' stands twice" in refused(
        capsys, "fit", "--recipe", recipe
    )
