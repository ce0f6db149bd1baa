"""Several stains, shares, Ray and stopped runs: every pair is registered once, whoever does it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from pathfuse.cli import main
from pathfuse.register.files.record import read_record
from pathfuse.testing.sections import EDGE_PX, MPP, write_sections
from tests.extract.ray_small import own_ray

SMALL_PX = 160
PAIRS = [f"c{number}-{stain}" for number in range(2) for stain in ("ihc", "ki67")]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two cases whose three stains lie in one frame; so small that measuring them takes no time."""
    he, _ = write_sections(tmp_path)
    with Image.open(he) as image:
        image.reduce(EDGE_PX // SMALL_PX).save(he)
    mpp = MPP * EDGE_PX / SMALL_PX
    rows = ["case_id,patient_id,modality,path,mpp,label,split"]
    for number in range(2):
        for stain in ("he", "ihc", "ki67"):
            shutil.copy(he, tmp_path / f"c{number}_{stain}.png")
            rows.append(f"c{number},p{number},{stain},c{number}_{stain}.png,{mpp},2+,train")
    path = tmp_path / "cases.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def line(table: Path, out: Path, *more: str) -> list[str]:
    return ["register", str(table), "--moving", "ihc,ki67", "--out", str(out), "--transform", "identity", *more]


def statuses(out: Path) -> dict[str, str]:
    with (out / "status.csv").open() as file:
        return {row["pair"]: row["status"] for row in csv.DictReader(file)}


def test_several_stains_are_registered_onto_one_and_shares_make_a_whole(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(line(table, out, "--shard", "1/2")) == 0
    assert len(statuses(out)) == 2
    assert main(line(table, out, "--shard", "2/2")) == 0
    assert statuses(out) == dict.fromkeys(PAIRS, "accepted")
    record = read_record(out / "c1-ki67")
    assert (record.fixed.stain, record.moving.stain, record.pair.patient_id) == ("he", "ki67", "p1")
    page = (out / "register.html").read_text()
    assert all(pair in page for pair in PAIRS)
    assert main(line(table, out, "--shard", "3/2")) == 2
    assert "3/2" in capsys.readouterr().err


def test_a_stopped_run_goes_on_and_overwrite_begins_anew(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(line(table, out)) == 0
    times = {pair: (out / pair / "transform.json").stat().st_mtime_ns for pair in PAIRS}
    (out / PAIRS[2] / "transform.json").unlink()  # it comes last: this pair was not finished
    assert main(line(table, out)) == 0
    changed = [pair for pair in PAIRS if (out / pair / "transform.json").stat().st_mtime_ns != times[pair]]
    assert changed == [PAIRS[2]]
    assert main(line(table, out, "--overwrite", "--shard", "1/4")) == 0
    changed = [pair for pair in PAIRS if (out / pair / "transform.json").stat().st_mtime_ns != times[pair]]
    assert changed == [PAIRS[0], PAIRS[2]]


def test_a_case_with_two_slides_of_the_fixed_stain_is_one_line(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(table.read_text() + "c0,p0,he,c1_he.png,12,2+,train\n")
    assert main(line(table, tmp_path / "out")) == 2
    assert "has 2 slides of he" in capsys.readouterr().err


def test_ray_registers_the_same(table: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert main(line(table, here)) == 0
    with own_ray():
        assert main(line(table, there, "--engine", "ray", "--address", "local")) == 0
    assert statuses(there) == statuses(here) == dict.fromkeys(PAIRS, "accepted")
    for pair in PAIRS:
        ours, theirs = read_record(here / pair), read_record(there / pair)
        assert (ours.transform.matrix == theirs.transform.matrix).all()
        assert (ours.trust.values == theirs.trust.values).all()
