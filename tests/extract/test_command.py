from pathlib import Path

import pytest

from pathfuse.cli.extract import HELP, OPTIONS, extract
from pathfuse.errors import RecipeError
from pathfuse.extract.job import ExtractJob
from tests.extract.small import write_slides

SHORT = ["--encoder", "QuadrantMeans", "--weights", "own", "--mpp", "2", "--patch-px", "64", "--workers", "0"]


def test_a_line_extracts_and_its_exit_status_says_whether_all_went_well(tmp_path: Path) -> None:
    write_slides(tmp_path / "slides", 1)
    line = [str(tmp_path / "slides"), *SHORT, "--out", str(tmp_path / "out"), "--batch_size", "3", "--device", "cpu"]
    assert extract(line) == 0
    (tmp_path / "slides" / "bad.svs").write_text("no slide")
    assert extract(line) == 1
    (tmp_path / "slides" / "bad.svs").unlink()
    assert extract([*line, "--encoder.scale", "3.0", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["a.svs"], "--encoder is missing"),
        (["a.svs", "--encoder", "x"], "--out is missing"),
        ([*SHORT, "--out", "o"], "name at least one slide"),
        (["a", *SHORT, "--out", "o", "--dtype", "int8"], "--dtype int8 is unknown"),
        (["a", *SHORT, "--out", "o", "--mpp", "fine"], "--mpp fine: expected a number"),
        (["a", *SHORT, "--out", "o", "--mpp", "-1"], "above 0"),
        (["a", *SHORT, "--out", "o", "--overlap-px", "64"], "--overlap-px 64"),
        (["a", *SHORT, "--out", "o", "--min-tissue", "2"], "--min-tissue 2"),
        (["a", *SHORT, "--out", "o", "--batch-size", "0"], "--batch-size 0"),
        (["a", *SHORT, "--out", "o", "--patch-size", "64"], "'--patch-size' is not understood"),
        (["a", *SHORT, "--out", "o", "--shard", "3"], "--shard 3"),
    ],
)
def test_a_line_that_means_nothing_is_refused(words: list[str], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        extract(words)


def test_every_option_is_in_the_help_and_in_the_job() -> None:
    fields = set(ExtractJob.__dataclass_fields__)
    for key in OPTIONS:
        assert f"--{key} " in HELP and key.replace("-", "_") in fields
    assert {key.replace("-", "_") for key in OPTIONS} == fields - {"slides", "encoder_options", "overwrite"}
