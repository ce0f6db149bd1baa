"""The verbs of `pathfuse plugins`: what is misspelt, what is missing, and a table of what failed by its cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.core import Fused
from pathfuse.registry import FUSIONS
from pathfuse_images.fusion import MeanFusion

Says = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("chek MeanFusion", "`pathfuse plugins chek` is not understood. Did you mean check?"),
        ("check", "`pathfuse plugins check` takes one word behind it."),
        ("list all", "`pathfuse plugins list` takes nothing behind it."),
        ("show MeanFusion --json", "'--json' is not understood here."),
        ("check MeanFuson", "no component is called 'MeanFuson'. Did you mean MeanFusion?"),
        ("new lab --kind fusoin", "--kind fusoin is no slot. Did you mean fusion?"),
        ("new lab", "--kind is missing: one of backbone, "),
        ("new lab --kind head --colour red", "'--colour' is not understood here."),
        ("new lab --kind head --nam Lab", "'--nam' is not understood here. Did you mean --name?"),
        ("check MeanFusion --jsn", "--jsn needs a value. Did you mean --json?"),
    ],
)
def test_what_is_misspelt_or_missing_is_one_line_with_the_cure(
    words: str, said: str, capsys: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main(["plugins", *words.split()]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"error: {said}") and list(here.iterdir()) == []


class MeansOfTheBatch(MeanFusion):
    """The mean over the stains, moved by the other cases.

    Args:
        tokens: sizes of the tokens.
        spec: the data.
    """

    def forward(self, tokens):
        fused = super().forward(tokens)
        moved = fused.embedding - 0.1 * fused.embedding.mean(0)
        return Fused(moved, fused.present, fused.by_modality, fused.tokens)


def test_failures_are_a_table_by_cause_and_told_to_programs(capsys: Says) -> None:
    FUSIONS.register(MeansOfTheBatch)
    assert main(["plugins", "check", "MeansOfTheBatch"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].split() == ["component", "checks", "built", "for", "cause"]
    assert any("failed" in line and "cases_are_independent" in line and "instead of all" in line for line in lines)
    assert lines[-1].startswith("MeansOfTheBatch: ") and lines[-1].endswith(" failed")
    assert main(["plugins", "check", "MeansOfTheBatch", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["failed"] == sum(cause["count"] for cause in said["causes"]) > 0
    assert {result["status"] for result in said["results"]} == {"passed", "failed"}


def test_a_component_is_shown_with_its_owner_and_ways_to_the_network(capsys: Says) -> None:
    assert main(["plugins", "show", "TimmBackbone"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Of pathfuse 0.1.0, licence Apache-2.0." in shown and "huggingface_hub, timm" in shown
    assert "name: str = 'resnext50_32x4d'" in shown
    assert main(["plugins", "show", "timm:resnet50"]) == 0 and "TimmBackbone" in capsys.readouterr().out
    assert main(["plugins", "show", "UNI_v2"]) == 0 and "encoders.uni2_h" in capsys.readouterr().out
    assert main(["plugins", "show", "hibou_b"]) == 0
    assert "remote code" in capsys.readouterr().out
