"""The explainer that is taken where nobody names one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.core import DataSpec, ModalitySpec
from pathfuse.inference.explainers import default_explainer
from pathfuse.registry import ENCODERS, EXPLAINERS, FUSIONS, INPUTS


def spec(kind: str) -> DataSpec:
    return DataSpec((ModalitySpec("he", kind, 8),), ("0", "1"), (3, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "name"), [("features", "Attention"), ("patches", "Attention"), ("image", "GradCAM"),
                                            ("vector", "IntegratedGradients")])  # fmt: skip
def test_without_a_wish_of_the_block_it_follows_what_is_read(kind: str, name: str) -> None:
    assert default_explainer(spec(kind), ["he"]) == name


def test_the_wish_of_every_block_is_an_explainer() -> None:
    parts = [registry.get(name) for registry in (FUSIONS, ENCODERS, INPUTS) for name in registry.names()]
    wishes = {part.explained_by for part in parts if isinstance(part, type)}
    assert wishes - {None} <= set(EXPLAINERS.names()) and {"AttentionRollout", "IntegratedGradients"} <= wishes


def test_transmil_is_explained_by_the_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--cohort.demo.patients=12", "--data.pictures.grid=2", "--trainer.max_epochs=1"]
    assert main(["fit", "--recipe", "transmil", "--layer", "demo", *small, "--out", "run"]) == 0
    assert main(["explain", "run", "--out", "maps"]) == 0
    assert list(json.loads(Path("maps/explain.json").read_text())["explainers"]) == ["AttentionRollout"]
