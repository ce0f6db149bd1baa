"""`pathfuse pairs` on sections whose map is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pathfuse.cli import main
from pathfuse.cohort.sources.case_table import read_cases
from pathfuse.demo import DemoCohort, SerialPictures, write_serial
from pathfuse.register.files.metaimage import read_mha, write_mha

WHO = DemoCohort(patients=2, seed=3)
PICTURES = SerialPictures(slide_px=640, lost=0.0, torn=0.0, warp_um=0.0, restained=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases registered by their known maps."""
    root = tmp_path_factory.mktemp("pairs")
    table = write_serial(root / "serial", WHO, PICTURES)
    for case in ("P0000-01", "P0001-01"):
        part = table.with_name(f"{case}.csv")
        lines = table.read_text().splitlines()
        part.write_text("\n".join([lines[0], *(line for line in lines if line.startswith(case))]))
        truth = table.parent / "truth" / "points" / f"{case}.csv"
        assert main(["register", str(part), "--out", str(root / "reg"), "--transform", str(truth)]) == 0
    return root


def cut(folder: Path, out: Path, *more: str) -> list[dict[str, str]]:
    line = ["pairs", str(folder / "reg"), "--out", str(out), "--patch-px", "96", "--mpp", "1", *more]
    assert main(line) == 0
    with (out / "cases.csv").open() as file:
        return list(csv.DictReader(file))


def test_pairs_show_the_same_tissue(folder: Path, tmp_path: Path) -> None:
    rows = cut(folder, tmp_path / "p")
    assert len(rows) >= 10
    alike, other = [], []
    planes = []
    for row in rows:
        he, ihc = (np.asarray(Image.open(tmp_path / "p" / row[stain]))[..., 0].astype(float) for stain in ("he", "ihc"))
        assert he.shape == ihc.shape == (96, 96)
        planes.append((he, ihc))
    for number, (he, ihc) in enumerate(planes):
        alike.append(np.corrcoef(he.ravel(), ihc.ravel())[0, 1])
        other.append(np.corrcoef(he.ravel(), planes[number - 1][1].ravel())[0, 1])
    assert np.median(alike) > 0.4 > 0.2 > np.median(other)


def test_the_table_is_a_cohort_with_patients_places_errors_and_stain(folder: Path, tmp_path: Path) -> None:
    rows = cut(folder, tmp_path / "p")
    table = read_cases(tmp_path / "p" / "cases.csv")
    assert table.modalities == ("he", "ihc")
    assert {case.patient_id for case in table.cases} == {"P0000", "P0001"}
    assert all(case.label and case.files["he"][0].mpp == 1.0 for case in table.cases)
    for row in rows:
        assert row["slide"].startswith(row["patient_id"])
        assert int(row["x"]) % 96 == 0 and int(row["y"]) % 96 == 0
        assert 0 <= float(row["error_um"]) <= 30
        assert 0.6 <= float(row["similarity"]) <= 1
        assert 0 <= float(row["dab_area"]) <= 1
    strong = [float(row["dab_od"]) for row in rows if row["label"] == max(r["label"] for r in rows)]
    weak = [float(row["dab_od"]) for row in rows if row["label"] == min(r["label"] for r in rows)]
    assert np.mean(strong) > np.mean(weak)


def test_names_are_those_of_bci(folder: Path, tmp_path: Path) -> None:
    for row in cut(folder, tmp_path / "p"):
        name = Path(row["he"]).name
        assert Path(row["ihc"]).name == name
        assert name.endswith(f"_{row['split']}_{row['label']}.png")
        assert row["he"].startswith(f"HE/{row['split']}/")


def test_what_is_left_out_is_counted_and_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "copy")
    trust = tmp_path / "copy" / "reg" / "P0000-01-ihc" / "trust.mha"
    field = read_mha(trust)
    field.values[:, : field.values.shape[1] // 2, 0] = 80  # a planted error on the left half
    write_mha(trust, field)
    rows = cut(tmp_path / "copy", tmp_path / "p")
    with (tmp_path / "p" / "left_out.csv").open() as file:
        left = [row for row in csv.DictReader(file) if row["reason"] == "local error"]
    assert left and all(row["slide"] == "P0000-01-ihc" and int(row["x"]) < 320 for row in left)
    assert not [row for row in rows if row["patient_id"] == "P0000" and int(row["x"]) + 96 < 320]
    assert f"{len(left)} left out: local error" in capsys.readouterr().out


def test_wrong_lines_are_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for line, says in (
        (["pairs", str(folder), "--out", str(tmp_path / "a")], "no registration"),
        (["pairs", str(folder / "reg"), "--out", str(tmp_path / "full")], "exists already"),
        (["pairs", str(folder / "reg"), "--out", str(tmp_path / "b"), "--min-similarity", "2"], "min_similarity 2"),
        (["pairs", str(folder / "reg"), "--out", str(tmp_path / "b"), "--size-px", "96"], "is now --patch-px"),
        (["pairs", str(folder / "reg"), "--out", str(tmp_path / "c")], "no pair is left: 2 left out: failed ("),
        (
            ["pairs", str(folder / "reg"), "--out", str(tmp_path / "d"), "--mpp", "1", "--patch-px", "5000"],
            "no patch of 5000 px at 1 um per pixel lies on tissue. Try a smaller --patch-px.",
        ),
    ):
        assert main(line) == 2
        assert says in capsys.readouterr().err
