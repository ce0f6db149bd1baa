"""Nearly equal images in two parts are said by every command that trains, before it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pathfuse.cli import main
from tests.conftest import write_cases
from tests.study.small import write_study

SAID = (
    "WARNING: nearly equal images lie on two sides: c000 (train) and c006 (test): he images he_000.png and he_006.png"
)
Says = pytest.CaptureFixture[str]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study in whose cohort a training image stands in the test part too, a little brighter."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    table = write_cases(folder, patients=16, size_px=48)
    edge = np.linspace(0, 9, 48)
    wave = 127 + 100 * np.sin(edge)[:, None] * np.cos(1.7 * edge)[None]
    for name, shift in (("he_000.png", 0), ("he_006.png", 3)):
        Image.fromarray(np.repeat((wave + shift)[..., None], 3, 2).astype(np.uint8)).save(folder / name)
    return write_study(tmp_path, table, "splits: given\nvariants: {a: RECIPE, b: RECIPE}\n")


@pytest.mark.parametrize("given", [True, False], ids=["parts of the table", "a file of folds"])
def test_a_study_and_a_cross_validation_say_it(study: Path, tmp_path: Path, capsys: Says, given: bool) -> None:
    parts = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    lines = [f"0,0,c{number:03d},p{number:03d},{parts[number % 8]}" for number in range(16)]
    (tmp_path / "folds.csv").write_text("\n".join(["repeat,fold,case_id,patient_id,part", *lines]))
    folds = [] if given else ["--folds", str(tmp_path / "folds.csv")]
    line = ["study", str(study)] if given else ["crossval", "--recipe", str(tmp_path / "small_he.yaml")]
    assert main([*line, *folds, "--dry-run", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count(SAID) == 1


def test_a_fit_says_it_before_it_trains(study: Path, tmp_path: Path, capsys: Says) -> None:
    assert main(["fit", "--recipe", str(tmp_path / "small_he.yaml"), "--out", str(tmp_path / "run")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.index(SAID) < said.index("epoch 1/1")
