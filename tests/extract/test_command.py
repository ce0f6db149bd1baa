from pathlib import Path

import pytest

from pathfuse.cli.extract import described, extract, options
from pathfuse.errors import RecipeError
from pathfuse.extract.options import ExtractJob
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


def test_files_of_a_folder_that_are_no_slides_are_named_by_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_slides(tmp_path / "slides", 1)
    for name in ("a.czi.part", "b.zip", "c.zip", ".hidden"):
        (tmp_path / "slides" / name).write_text("no slide")
    assert extract([str(tmp_path / "slides"), *SHORT, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "slides: files that are not read here: 2 .zip, 1 .part." in capsys.readouterr().err
    (tmp_path / "slides" / "s0.tiff").unlink()
    with pytest.raises(RecipeError, match=r"holds no slides .*files that are not read here: 2 \.zip, 1 \.part"):
        extract([str(tmp_path / "slides"), *SHORT, "--out", str(tmp_path / "out"), "--device", "cpu"])


def test_a_case_table_of_slides_has_the_short_word_of_every_command(tmp_path: Path) -> None:
    write_slides(tmp_path, 2)
    table = tmp_path / "cases.csv"
    table.write_text("case_id,patient_id,modality,path\nc0,p0,he,s0.tiff\n")
    out = tmp_path / "out"
    assert extract(["--cases", str(table), *SHORT, "--out", str(out), "--device", "cpu"]) == 0
    assert [path.name for path in out.rglob("features_*/*.h5")] == ["s0.h5"]


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


def test_the_help_has_every_field_of_the_job_with_its_default_and_description(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert extract(["--help"]) == 0
    shown = capsys.readouterr().out
    assert set(described()) == set(ExtractJob.__dataclass_fields__)
    for option in options():
        assert f"\n--{option.key}" in shown
    words = " ".join(shown.split())
    for line in [
        "--mpp V micrometres per pixel of the patches (0.5)",
        "--patch-px N edge of a patch in pixels at that spacing (256)",
        "--drop-pen BOOL leave out marker pen; the rules he and ihc do so by themselves",
        "--tissue.KEY VALUE further options of the rule",
        "--dtype WORD float16 or float32: how features are stored (float16)",
        "--batch-size N patches per pass; auto finds a good number (auto)",
        "--overwrite do slides again that are there, whatever their settings --engine",
        "--encoder.KEY VALUE further options of the encoder",
        "--out DIR folder where everything is written, in TRIDENT's layout",
    ]:
        assert line in words
    assert max(map(len, shown.splitlines())) <= 120  # `pathfuse extract --help` breaks them at 80


@pytest.mark.parametrize(
    ("key", "word", "value"),
    [
        ("patch-px", "64", 64),
        ("mpp", "2", 2.0),
        ("batch-size", "auto", None),
        ("batch-size", "3", 3),
        ("drop-pen", "false", False),
        ("tissue", "ihc", "ihc"),
        ("out", "o", Path("o")),
        ("shard", "1/2", "1/2"),
    ],
)
def test_a_word_becomes_what_the_field_holds(key: str, word: str, value: object) -> None:
    (option,) = (option for option in options() if option.key == key)
    assert option.read(word) == value
