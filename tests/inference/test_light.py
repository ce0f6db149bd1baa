"""What a trained model may import: no Lightning, and none of what measures, draws folds or augments."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

NEVER = (
    "lightning",
    "torchmetrics",
    "torchvision",
    "sklearn",
    "scipy.stats",
    "pandas",
    "torch._dynamo",
    "torch._inductor",
)
DRAWS = ("matplotlib",)  # where nothing is drawn
NEW = "'run', '--cases', 'labels.csv', '--stores', '{he: he}', '--out', OUT"  # the run's own are drawn parts of
CALLS = {
    "load and predict": ("import pathfuse; pathfuse.load('run').predict('labels.csv', stores={'he': 'he'})", DRAWS),
    "the command predict": (f"from pathfuse.cli import main; assert main(['predict', {NEW}]) == 0", DRAWS),
    "the command explain": (f"from pathfuse.cli import main; assert main(['explain', {NEW}]) == 0", ()),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_trained_model_needs_nothing_that_trains(call: str, trained: Path, tmp_path: Path) -> None:
    code, also = CALLS[call]
    forbidden = (*NEVER, *also)
    found = f"print(json.dumps([name for name in {forbidden} if name in sys.modules]))"
    said = f"import json, sys; OUT = {str(tmp_path / 'out')!r}; {code}; {found}"
    done = subprocess.run([sys.executable, "-c", said], cwd=trained, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_predictions_are_to_the_last_digit_those_that_the_test_of_the_fit_wrote(trained: Path, tmp_path: Path) -> None:
    from pathfuse.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        assert main(["predict", "run", "--out", str(tmp_path / "out")]) == 0
    with (trained / "run/predictions.csv").open() as file:
        tested = {row["case_id"]: row for row in csv.DictReader(file) if row["subset"] == "he"}
    with (tmp_path / "out/predictions.csv").open() as file:
        predicted = {row["case_id"]: row for row in csv.DictReader(file)}
    assert tested and {case: predicted[case] for case in tested} == tested
