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


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases whose three stains lie in one frame; so small that measuring them takes no time."""
    folder = tmp_path_factory.mktemp("stains")
    he, _ = write_sections(folder)
    with Image.open(he) as image:
        image.reduce(EDGE_PX // SMALL_PX).save(he)
    mpp = MPP * EDGE_PX / SMALL_PX
    rows = ["case_id,patient_id,modality,path,mpp,label,split"]
    for number in range(2):
        for stain in ("he", "ihc", "ki67"):
            shutil.copy(he, folder / f"c{number}_{stain}.png")
            rows.append(f"c{number},p{number},{stain},c{number}_{stain}.png,{mpp},2+,train")
    path = folder / "cases.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def line(table: Path, out: Path, *more: str) -> list[str]:
    return ["register", str(table), "--moving", "ihc,ki67", "--out", str(out), "--transform", "identity", *more]


def statuses(out: Path) -> dict[str, str]:
    with (out / "status.csv").open() as file:
        return {row["pair"]: row["status"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def first(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first half of the pairs, registered."""
    out = tmp_path_factory.mktemp("first") / "out"
    assert main(line(table, out, "--shard", "1/2")) == 0
    return out


@pytest.fixture(scope="module")
def whole(table: Path, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pairs, registered by two shares."""
    out = tmp_path_factory.mktemp("whole") / "out"
    shutil.copytree(first, out)
    assert main(line(table, out, "--shard", "2/2")) == 0
    return out


def test_several_stains_are_registered_onto_one_and_shares_make_a_whole(
    table: Path, first: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(statuses(first)) == 2
    assert statuses(whole) == dict.fromkeys(PAIRS, "accepted")
    record = read_record(whole / "c1-ki67")
    assert (record.fixed.stain, record.moving.stain, record.pair.patient_id) == ("he", "ki67", "p1")
    page = (whole / "register.html").read_text()
    assert all(pair in page for pair in PAIRS)
    assert main(line(table, whole, "--shard", "3/2")) == 2
    assert "3/2" in capsys.readouterr().err


def test_a_stopped_run_goes_on_and_overwrite_begins_anew(table: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
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
    twice = table.with_name("twice.csv")
    twice.write_text(table.read_text() + "c0,p0,he,c1_he.png,12,2+,train\n")
    assert main(line(twice, tmp_path / "out")) == 2
    assert "has 2 slides of he" in capsys.readouterr().err


def test_ray_registers_the_same(table: Path, first: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    with own_ray():
        assert main(line(table, there, "--shard", "1/2", "--engine", "ray", "--address", "local")) == 0
    assert statuses(there) == statuses(first) and len(statuses(first)) == 2
    for pair in statuses(first):
        ours, theirs = read_record(first / pair), read_record(there / pair)
        assert (ours.transform.matrix == theirs.transform.matrix).all()
        assert (ours.trust.values == theirs.trust.values).all()
