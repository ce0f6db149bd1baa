"""Options of Lightning end in a result or in one line that says what is wrong with the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.training.steady.refused import refusal
from tests.cohort.natural import NAMES, bag_recipe, stores, table
from tests.security.conftest import PLAIN

CALLBACKS, CLI = "lightning.pytorch.callbacks", "lightning.pytorch.cli"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    bag_recipe(folder)
    stores(folder)
    table(folder / "labels.csv", "case_id,label", [f"{name},{'ab'[k % 2]}" for k, name in enumerate(NAMES)])
    return folder


def callback(name: str, **options: object) -> str:
    return f"--trainer.callbacks+={ {'class_path': f'{CALLBACKS}.{name}', 'init_args': options} }"


def plateau(monitor: str) -> str:
    return f"--lr_scheduler={ {'class_path': f'{CLI}.ReduceLROnPlateau', 'init_args': {'monitor': monitor}} }"


REFUSED = {
    "a misspelt metric to stop by": (callback("EarlyStopping", monitor="val/los"), "val/los` which is not available"),
    "a misspelt metric to keep by": (callback("ModelCheckpoint", monitor="val/los"), "could not find the monitored"),
    "a schedule without a metric": ("--lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau", "include a monitor"),
    "rates without a logger": (callback("LearningRateMonitor"), "Give one with --logger csv"),
    "a search of the rate": (callback("LearningRateFinder"), "learning rate finder"),
    "a duration that is none": (callback("Timer", duration="soon"), "not a valid duration"),
    "half precision throughout": ("--trainer.precision=bf16-true", "Use 32-true, bf16-mixed"),
    "an optimiser of sparse gradients": ("--optimizer=SparseAdam", "does not support dense gradients"),
    "no batch to accumulate": ("--trainer.accumulate_grad_batches=0", "modulo by zero"),
    "a callback for another model": (callback("BackboneFinetuning"), "has no attribute 'backbone'"),
    "options that exclude each other": (
        "--optimizer={class_path: Adam, init_args: {fused: true, foreach: true}}",
        "together",
    ),
    "a part of the test": ("--trainer.limit_test_batches=0.5", "all cases are tested"),
    "no epoch": ("--trainer.max_epochs=0", "has trained no epoch"),
    "a device that is not there": ("--trainer.accelerator=tpu", "trainer cannot be built"),
}
WORKS = {
    "by steps": (callback("EarlyStopping", monitor="val/loss"), plateau("val/loss"), "--trainer.precision=bf16-mixed"),
    "averaged": (
        *(callback("StochasticWeightAveraging", swa_lrs=0.01), callback("LearningRateMonitor"), "--logger=csv"),
        *("--optimizer=LBFGS", "--trainer.accumulate_grad_batches=2", callback("Timer", duration="00:01:00:00")),
    ),
}


def fitted(folder: Path, out: Path, *more: str) -> int:
    sources = ["--cases", str(folder / "labels.csv"), "--stores", f"{{he: {folder}/he, ihc: {folder}/ihc}}"]
    few = ["--loading.num_workers=0", "--out", str(out)]
    return main(["fit", "--recipe", str(folder / "bags.yaml"), *sources, *few, *more])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_one_line(
    name: str, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    word, said = REFUSED[name]
    capsys.readouterr()
    assert fitted(cohort, tmp_path / "run", word) == 2
    *usage, line = capsys.readouterr().err.splitlines()
    assert said in line and line.startswith("error: stage train") and len(usage) <= 1


@pytest.mark.parametrize("name", WORKS)
def test_other_options_are_trained_to_the_end(name: str, cohort: Path, tmp_path: Path) -> None:
    assert fitted(cohort, tmp_path / "run", *WORKS[name]) == 0
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_a_batch_of_one_case_and_batch_normalisation_are_one_line(
    tmp_path: Path, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain.yaml").write_text(PLAIN.replace("CASES", str(cases)))
    line = ["fit", "--recipe", str(tmp_path / "plain.yaml"), "--out", str(tmp_path / "run"), "--loading.batch_size=1"]
    assert main(line) == 2
    assert "a batch of one case cannot be normalised" in capsys.readouterr().err


def test_a_training_part_without_a_class_is_said(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    rows = [f"{name},{'b' if k % 2 and k > 5 else 'a'},{parts[k]}" for k, name in enumerate(NAMES)]
    path = table(tmp_path / "fold.csv", "case_id,label,split", rows)
    assert fitted(cohort, tmp_path / "run", "--cases", str(path)) == 0
    assert "The training part has no case of b" in capsys.readouterr().out


def test_an_error_of_our_own_is_no_refusal() -> None:
    try:
        raise ValueError("a fault of ours")
    except ValueError as error:
        assert refusal(error) is None
