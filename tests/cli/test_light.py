"""The commands that only list must answer without torch: a torch that raises is first on the path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "lightning", "numpy", "timm", "monai", "captum", "torchmetrics", "skimage", "sklearn", "jsonargparse")


@pytest.fixture
def poisoned(tmp_path: Path) -> dict[str, str]:
    for name in HEAVY:
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')\n")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--help"], "usage: pathfuse COMMAND"),
        (["--version"], "pathfuse 0."),
        (["recipes"], "corranet"),
        (["recipes", "list"], "corranet"),
        (["recipes", "show", "corranet"], "stages:"),
        (["recipes", "--help"], "usage: pathfuse recipes"),
        (["plugins"], "SEAttention"),
        (["plugins", "list"], "GradCAM"),
    ],
    ids=" ".join,
)
def test_a_light_command_imports_nothing_heavy(words: list[str], says: str, poisoned: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "pathfuse", *words], env=poisoned, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


def test_the_poison_works(poisoned: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", "import torch"], env=poisoned, capture_output=True, text=True)
    assert "torch was imported" in done.stderr


def test_copying_a_recipe_never_overwrites(tmp_path: Path) -> None:
    copy = [sys.executable, "-m", "pathfuse", "recipes", "copy", "corranet", str(tmp_path / "mine.yaml")]
    assert subprocess.run(copy, capture_output=True).returncode == 0
    assert "stages:" in (tmp_path / "mine.yaml").read_text()
    (tmp_path / "mine.yaml").write_text("mine")
    again = subprocess.run(copy, capture_output=True, text=True)
    assert again.returncode == 2 and "exists already" in again.stderr
    assert (tmp_path / "mine.yaml").read_text() == "mine"
