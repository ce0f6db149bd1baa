"""A recipe of one stage, ways to spoil it, and a canary that any code which runs would touch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pathfuse.cli import main

Refuse = Callable[..., str]

PLAIN = """
cohort: {cases: CASES}
data:
  class_path: PairedPatches
  init_args: {size_px: 32, normalise: []}
loading: {batch_size: 4, num_workers: 0}
model:
  encoder:
    class_path: ImageEncoder
    init_args:
      backbone: {class_path: TimmBackbone, init_args: {name: test_resnet, weights: random}}
      input: {class_path: Single, init_args: {modality: he}}
  fusion: {class_path: MeanFusion}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
optimizer: {class_path: Adam, init_args: {lr: 1.0e-3}}
trainer: {max_epochs: 1}
"""


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that no test may bring to life; `evil` is an importable module that makes it."""
    path = tmp_path / "CANARY"
    (tmp_path / "evil.py").write_text(f"open({str(path)!r}, 'w').close()\nclass Head: ...\ndef call(*a): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


@pytest.fixture
def plain(cases: Path) -> dict[str, Any]:
    """A recipe of one stage, as data."""
    config: dict[str, Any] = yaml.safe_load(PLAIN.replace("CASES", str(cases)))
    return config


def put(config: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    """A copy of a recipe with another value at a dotted key; `/` separates, because class paths hold dots."""
    result = copy.deepcopy(config)
    block = result
    *parents, last = key.split("/")
    for parent in parents:
        block = block.setdefault(parent, {})
    block[last] = value
    return result


@pytest.fixture
def refuse(tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Runs a command that must end with exit code 2 and one line, having done nothing; returns the line."""

    def call(*words: str) -> str:
        capsys.readouterr()
        before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
        assert main([word.replace("CANARY", str(canary)) for word in words]) == 2
        printed = capsys.readouterr()
        lines = printed.err.splitlines()
        assert lines[-1].startswith("error: ") and len(lines[-1]) > len("error: ") + 10
        assert len(lines) == 1 or (len(lines) == 2 and lines[0].startswith("usage: ")), printed.err
        assert "Traceback" not in printed.err + printed.out
        assert not canary.exists(), "something ran"
        after = {path for path in tmp_path.rglob("*") if "cache" not in path.parts and "__pycache__" not in path.parts}
        assert after <= before, f"something was written: {sorted(after - before)}"
        return lines[-1]

    return call


@pytest.fixture
def refuse_recipe(refuse: Refuse, tmp_path: Path) -> Refuse:
    """The same for `fit` with a recipe, given as text or data."""

    def call(recipe: str | dict[str, Any], *words: str) -> str:
        path = tmp_path / "hostile.yaml"
        path.write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe, sort_keys=False))
        return refuse("fit", "--recipe", str(path), "--out", str(tmp_path / "run"), *words)

    return call
