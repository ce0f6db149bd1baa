"""The small inputs of shared/cases, which failed once: each is right, or refused in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pathfuse.cli import main
from pathfuse.data.images.decode import decode
from pathfuse.slides import open_slide, tissue_rule
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.tissue import tissue_mask
from tests.conftest import DATA

MAKE = DATA.parent / "cases" / "make_cases.py"
pytestmark = pytest.mark.skipif(not MAKE.is_file(), reason=f"no {MAKE}; its inputs are made there")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, str(MAKE), str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("table", "store", "words", "status", "said"),
    [
        ("slide_label", "feats", (), 0, "slide is Slide, label is Label"),
        ("patient_er", "feats", (), 0, "patient is Patient, label is ER"),
        ("hospital", "feats", (), 0, "patient is Patient_ID, site is Hospital, label is HER2"),
        ("upper", "feats", (), 0, "case is Case_ID, slide is Slide_ID, label is Label"),
        ("index_column", "feats", (), 0, "counts the rows; it is not read"),
        ("semicolon", "feats", (), 0, "separated by semicolons"),
        ("patient_semicolon", "feats", (), 0, "separated by semicolons"),
        ("with_suffix", "feats", (), 0, "he: 12 files found"),
        ("two_slides", "feats_two", (), 0, "he: 12 files found"),
        ("patients_only", "feats_two", (), 2, "--cohort.match prefix"),
        ("patients_only", "feats_two", ("--match", "prefix"), 0, "he: 12 files found"),
        ("na", "feats", (), 0, "3 of 12 rows have no label in label (NA: 3)"),
        ("same_file", "feats", (), 1, "cases S00 and X have one file, S00.h5; one is in train, the other in test"),
    ],
)
def test_a_table_is_read_or_refused(
    table: str,
    store: str,
    words: tuple[str, ...],
    status: int,
    said: str,
    cases: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["data", "check", str(cases / "tables" / f"{table}.csv"), "--stores", f"{{he: {cases / store}}}", *words]
    assert main(line) == status
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert not any(f"label {name}:" in printed.out for name in ("Label", "ER", "NA", "HER2"))


def test_both_stores_are_read_or_the_recipe_says_that_it_takes_one(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = f"{{he: {cases / 'feats'}, ihc: {cases / 'feats_ihc'}}}"
    words = ["fit", "--recipe", "attention_mil", "--cases", str(cases / "tables/slide_label.csv"), "--stores", stores]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert "data.modalities is he. Read it with --data.modalities '[he, ihc]'" in capsys.readouterr().err


def test_a_numpy_archive_is_named(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["store", "inspect"], ["data", "check"]):
        assert main([*words, str(cases / "feats.npz")]) != 0
        said = capsys.readouterr().err
        assert ".npz" in said and (".h5" in said or "--stores" in said)


def test_slides_are_what_they_are(cases: Path) -> None:
    with open_slide(cases / "slides" / "thumbnail_first.svs") as slide:
        assert slide.size == (512, 512) and slide.mpp == pytest.approx(0.499)
    with open_slide(cases / "slides" / "lzw_strips.tif") as slide:
        assert slide.mpp == pytest.approx(0.5)
    grid, places = PatchGrid(32, 1.0), []
    for name in ("rgba", "opaque"):
        with open_slide(cases / "slides" / f"{name}.tif") as slide:
            overview = slide.overview(8.0)
            places.append(grid.coords(slide, tissue_mask(overview, 8.0, tissue_rule("he"))))
    assert len(places[0]) and np.array_equal(*places)


def test_an_image_that_was_stored_turned_is_turned_back(cases: Path) -> None:
    turned, straight = (
        decode(cases / "pairs" / "he.jpg"),
        np.asarray(Image.open(cases / "pairs" / "ihc.png").convert("RGB")),
    )
    assert np.abs(turned[::-1, ::-1].astype(int) - straight).mean() < 3
