"""Seven tables of one TRIDENT cohort, as laboratories write them, in at most two options each."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.runs.folder import RunFolder
from tests.cohort.natural import bag_recipe, stores, table

PATIENTS = [f"P{number:02d}" for number in range(12)]
SLIDES = [f"{patient}_{block}" for patient in PATIENTS for block in "ab"]
HER2 = {patient: ("negative", "positive")[k % 2] for k, patient in enumerate(PATIENTS)}
STORES = "--stores '{he: he, ihc: ihc}'"


def patient_level(folder: Path) -> str:
    """Labels of patients in one table, whose slides are found by the beginning of their names."""
    table(folder / "t.csv", "Patient ID,HER2 status", [f"{patient},{said}" for patient, said in HER2.items()])
    return "--cohort.match prefix"


def slide_rows(folder: Path) -> str:
    """One row per slide, with the scanner's file names."""
    table(
        folder / "t.csv", "Slide_ID,Patient,Label", [f"{slide}.svs,{slide[:3]},{HER2[slide[:3]]}" for slide in SLIDES]
    )
    return ""


def wide(folder: Path) -> str:
    """One row per patient and a column of slides per stain."""
    rows = [f"{patient},{patient}_a.svs,{patient}_b.svs,{said},57" for patient, said in HER2.items()]
    table(folder / "t.csv", "PATIENT,HE,IHC,HER2,Age", rows)
    return ""


def semicolons(folder: Path) -> str:
    """A European spreadsheet: semicolons, decimal commas, capitals, a hospital."""
    rows = [f"{patient.lower()};{patient}_a;{said};0,25;Nord" for patient, said in HER2.items()]
    table(folder / "t.csv", "CASE ID;FILENAME;ER;MPP;Hospital", rows)
    return ""


def excel(folder: Path) -> str:
    """A sheet with further columns, two of which may be the label."""
    book = pytest.importorskip("openpyxl", reason="needs pathfuse[excel]").Workbook()
    book.active.append(["Case", "slide", "HER2_score", "ER", "Remarks"])
    for k, patient in enumerate(PATIENTS):
        book.active.append([patient, f"{patient}_a", k % 2 * 3, "pos" if k % 3 else "neg", None])
    book.save(folder / "t.xlsx")
    return "--label HER2_score"


def long_stains(folder: Path) -> str:
    """One row per slide and stain, with paths of another machine."""
    rows = [
        f"{patient},{stain},C:\\scans\\{patient}_{block}.ndpi,{said}"
        for patient, said in HER2.items()
        for stain, block in (("H&E", "a"), ("IHC", "b"))
    ]
    table(folder / "t.csv", "patient,Stain,filename,diagnosis", rows)
    return ""


def pandas(folder: Path) -> str:
    """What `to_csv` writes, with unknown labels and parts in words."""
    parts = ["Training"] * 6 + ["Validation"] * 3 + ["Test"] * 3
    labels = [*HER2.values()]
    labels[3] = "NaN"
    rows = [f"{k},{p},{p}_a,{labels[k]},{parts[k]}" for k, p in enumerate(PATIENTS)]
    table(folder / "t.csv", ",case_id,slide_id,target,Split", rows)
    return ""


TABLES = (patient_level, slide_rows, wide, semicolons, excel, long_stains, pandas)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trident")
    stores(folder, SLIDES)
    bag_recipe(folder)
    return folder


@pytest.mark.parametrize("write", TABLES, ids=lambda write: write.__name__)
def test_a_natural_table_is_read_without_an_edit(
    write: Callable[[Path], str], cohort: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cohort)
    options = write(cohort)
    assert options.count("--") <= 2
    name = "t.xlsx" if write is excel else "t.csv"
    words = shlex.split(options.replace("--cohort.", "--"))
    assert main(["data", "check", name, *shlex.split(STORES), *words]) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert "he: 12 cases" in said or "he: 24 cases" in said
    assert "ihc: 12 cases" in said or "ihc: 24 cases" in said


def test_one_of_them_trains(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cohort)
    monkeypatch.delenv("PATHFUSE_RUN", raising=False)
    line = f"fit --recipe bags.yaml --cases t.csv {STORES} {wide(cohort)} --out {tmp_path / 'run'}"
    assert main(shlex.split(line)) == 0
    assert set(RunFolder(tmp_path / "run").metrics) == {"he", "ihc", "he+ihc"}
