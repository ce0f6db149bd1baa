"""Run folders with one thing wrong: a report of each is made without it, or refused in one line that names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.irregular import irregular
from tests.report.runs import write_whole_run
from tests.smoke.ending import ending

Spoil = Callable[[Path], object]
BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))


def text(name: str, content: str | bytes) -> Spoil:
    """A file that holds something else."""
    return lambda run: (run / name).write_bytes(content.encode() if isinstance(content, str) else content)


def cut(name: str, share: float = 0.6) -> Spoil:
    """A file that ends early, in the middle of a cell."""

    def spoil(run: Path) -> None:
        whole = (run / name).read_bytes().rstrip()
        kept = whole[: int(len(whole) * share)]
        (run / name).write_bytes(kept[: kept.rindex(b",")])

    return spoil


def device(name: str) -> Spoil:
    """A link to a file without end."""

    def spoil(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        irregular("device", run / name)

    return spoil


def pipe(name: str) -> Spoil:
    """A pipe that nobody writes into."""

    def spoil(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        irregular("pipe", run / name)

    return spoil


# What is wrong, and a word of the line that says so; none where the report is made without it.
SPOILT: Mapping[str, tuple[Spoil, str]] = {
    "reliability cut short": (cut("reliability.csv"), "reliability.csv"),
    "risk and coverage cut short": (cut("risk_coverage.csv"), "risk_coverage.csv"),
    "a curve that is no UTF-8": (text("curves/train.csv", b"epoch,val/loss\n0,\xff\xfe\n"), "train.csv"),
    "a curve with a NUL": (text("curves/train.csv", b"epoch,val/loss\n0,\0\n"), "train.csv"),
    "a curve that is a device": (device("curves/train.csv"), ""),
    "aliases in the recipe": (text("config.yaml", BOMB), "config.yaml"),
    "a date that is none": (text("config.yaml", "seed: 2020-13-45\n"), "config.yaml"),
    "a number of 5,000 digits": (text("config.yaml", "seed: " + "9" * 5000 + "\n"), "config.yaml"),
    "an empty number": (text("config.yaml", "seed: !!int ''\n"), "config.yaml"),
    "a recipe of brackets": (text("config.yaml", "a: " + "[" * 5000), "config.yaml"),
    "predictions cut short": (cut("predictions.csv"), "predictions.csv"),
    "predictions that are empty": (text("predictions.csv", ""), "predictions.csv"),
    "predictions that are no UTF-8": (text("predictions.csv", b"case_id\n\xff\n"), "predictions.csv"),
    "predictions that are a pipe": (pipe("predictions.csv"), "predictions.csv"),
    "metrics that are a list": (text("metrics.json", "[]"), "metrics.json"),
    "metrics of brackets": (text("metrics.json", "[" * 100_000), "metrics.json"),
    "metrics that are a pipe": (pipe("metrics.json"), ""),
    "versions that are a number": (text("versions.json", "3"), "versions.json"),
    "calibration of letters": (text("calibration.json", '{"a": "b"}'), "calibration.json"),
    "a cohort of numbers": (text("cohort.json", "{"), "cohort.json"),
    "weights that are text": (text("weights.json", '"none"'), "weights.json"),
    "further columns with a NUL": (text("columns.csv", b"case_id,site\nc0000,\0\n"), "columns.csv"),
    "a flow of words": (text("cohort.json", '{"flow": ["in the table"]}'), "cohort.json: flow[0] is"),
    "weights in a word": (text("weights.json", '{"weights": "none"}'), "weights.json: weights is"),
    "patients that are three": (text("modalities.json", '{"same_patients": 3}'), "modalities.json: same_patients is"),
    "a given that is a number": (text("versions.json", '{"given": 3}'), "versions.json: given is"),
    "risk in words": (text("risk_coverage.csv", "subset,score,coverage,risk\nhe,a,high,low\n"), "no number"),
    "parts without labels": (text("splits.csv", "case_id,patient_id,split\na,a,test\n"), "column label is missing"),
    "a seal that is a pipe": (pipe("seal.json"), "seal.json"),
    "a seal without end": (device("seal.json"), "seal.json"),
    "a number of 400 digits": (text("versions.json", '{"repeat": 1' + "0" * 400 + "}"), "versions.json"),
    "half of a sign": (text("versions.json", '{"pathfuse": "\\ud800"}'), "versions.json"),
    "stages in a word": (text("config.yaml", "stages: train\n"), "config.yaml: stages is"),
    "a stage that is none": (text("config.yaml", "stages: {train: }\n"), "config.yaml: stages.train is"),
    "an encoder that is a number": (text("config.yaml", "stages: {train: {model: {encoder: 3}}}\n"), "encoder is 3"),
    "a weight in a word": (text("config.yaml", "model: {loss_weights: {a: much}}\n"), "loss_weights.a is 'much'"),
    "a key twice": (text("config.yaml", "seed: 1\nseed: 2\n"), "'seed' stands twice"),
    "pictures that are no table": (text("examples.csv", b'kind,"'), "examples.csv"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whole_run(tmp_path_factory.mktemp("whole") / "run", patients=12, examples=False)


def test_there_are_at_least_twenty() -> None:
    assert len(SPOILT) >= 20


@pytest.mark.parametrize("name", SPOILT)
def test_a_report_of_it_is_made_or_refused_in_one_line(
    name: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, word = SPOILT[name]
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    spoil(run)
    status, line = ending(capsys, "report", run)
    if word:
        assert status in (1, 2) and line.startswith("error: ") and word in line, (status, line)
    else:
        assert status == 0, line
