import csv
import errno
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pathfuse.demo import (
    BagPictures,
    DemoCohort,
    PatchPictures,
    SlidePictures,
    cohort,
    demo_folder,
    make_case,
    write_patches,
)
from pathfuse.demo.cohort import to_json
from pathfuse.errors import CaseTableError

WHO = DemoCohort(patients=12, extra_stains=("ki67",), missing={"ihc": 0.4}, sites=2)
PICTURES = PatchPictures(cases_per_patient=2, size_px=24)
CASES = 24
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_patches(tmp_path_factory.mktemp("cache") / "demo", WHO, PICTURES)


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_table_names_every_image_and_nothing_else(table):
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["case_id", "patient_id", "modality", "path", "label", "split", "site", "mpp"]
    assert {row["path"] for row in rows} == {
        path.relative_to(table.parent).as_posix() for path in (table.parent / "images").rglob("*.png")
    }
    cases = [make_case(WHO, PICTURES, index) for index in range(CASES)]
    assert [(row["case_id"], row["modality"]) for row in rows] == [
        (c.case_id, name) for c in cases for name in c.images
    ]
    by_id = {case.case_id: case for case in cases}
    for row in rows:
        case = by_id[row["case_id"]]
        assert (row["label"], row["split"], row["site"], float(row["mpp"])) == (
            case.label,
            case.patient.split,
            case.patient.site,
            PICTURES.mpp,
        )
        np.testing.assert_array_equal(np.asarray(Image.open(table.parent / row["path"])), case.images[row["modality"]])


def test_the_truth_lies_beside_the_images(table):
    case = make_case(WHO, PICTURES, 3)
    for name, mask in case.truth.items():
        read = np.asarray(Image.open(table.parent / "truth" / name / f"{case.case_id}.png"))
        np.testing.assert_array_equal(read > 0, mask)


def test_the_options_are_written(table):
    written = json.loads((table.parent / "options.json").read_text())
    assert written["generator"] >= 1 and written["kind"] == "patches"
    assert DemoCohort(**written["who"]) == replace(WHO, extra_stains=["ki67"])
    assert PatchPictures(**written["pictures"]) == PICTURES


def test_writing_again_elsewhere_gives_the_same_bytes(table, tmp_path):
    assert content(write_patches(tmp_path / "again", WHO, PICTURES).parent) == content(table.parent)


def test_a_finished_cohort_is_used_as_it_is(table, monkeypatch):
    monkeypatch.setattr(cohort, "make_case", None)
    assert write_patches(table.parent, WHO, PICTURES) == table


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    write_patches(tmp_path / "demo", replace(WHO, patients=3), PICTURES, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("what", ["other options", "other files", "a file"])
def test_a_folder_with_something_else_is_left_alone(tmp_path, what):
    folder = tmp_path / "demo"
    if what == "other options":
        write_patches(folder, replace(WHO, patients=1), PICTURES)
    elif what == "other files":
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    else:
        folder.write_text("mine")
    before = content(tmp_path)
    with pytest.raises(CaseTableError, match=r"demo exists and is not this generated cohort"):
        write_patches(folder, WHO, PICTURES)
    assert content(tmp_path) == before


def test_an_empty_folder_is_filled(tmp_path):
    assert write_patches(tmp_path, replace(WHO, patients=1), PICTURES).is_file()


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CaseTableError, match="cannot be written") as caught:
        write_patches(tmp_path / "file" / "demo", WHO, PICTURES)
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(path, image):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cohort, "save_png", full)
    with pytest.raises(CaseTableError, match="No space left on device"):
        write_patches(tmp_path / "demo", WHO, PICTURES)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_patches(tmp_path / "demo", WHO, PICTURES, interrupt)
    assert not list(tmp_path.iterdir())


def write_in_process(folder, progress):
    script = (
        "import json, os, sys\n"
        "from pathfuse.demo import DemoCohort, PatchPictures, write_patches\n"
        "options = json.loads(sys.argv[2])\n"
        "who, pictures = DemoCohort(**options['who']), PatchPictures(**options['pictures'])\n"
        f"write_patches(sys.argv[1], who, pictures, {progress})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, str(folder), to_json(WHO, PICTURES)]
    return subprocess.run(command, env=environment, check=False).returncode


def test_another_process_writes_the_same_bytes(table, tmp_path):
    assert write_in_process(tmp_path / "demo", "None") == 0
    assert content(tmp_path / "demo") == content(table.parent)


def test_a_killed_process_leaves_no_folder_that_looks_complete(table, tmp_path):
    folder = tmp_path / "demo"
    assert write_in_process(folder, "lambda done, total: done == 5 and os._exit(9)") == 9
    assert not folder.exists()
    assert not list(tmp_path.rglob("cases.csv"))
    assert content(write_patches(folder, WHO, PICTURES).parent) == content(table.parent)


def test_two_writers_at_once_make_one_cohort(table, tmp_path):
    both_started = threading.Barrier(2)

    def write(_):
        return write_patches(tmp_path / "demo", WHO, PICTURES, lambda done, total: done == 1 and both_started.wait(30))

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(write, range(2))) == {tmp_path / "demo" / "cases.csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert content(tmp_path / "demo") == content(table.parent)


def test_the_folder_is_named_by_the_options_and_made_late(tmp_path):
    folder = demo_folder(WHO, PICTURES, tmp_path / "cache")
    assert folder.parent == tmp_path / "cache" and not folder.parent.exists()
    assert demo_folder(WHO, PICTURES, tmp_path) == tmp_path / folder.name


@pytest.mark.parametrize(
    "change",
    [{"patients": 8}, {"missing": {"ihc": 0.3}}, {"seed": 1}, {"extra_stains": ("er",)}, {"labelled_patients": 4}],
    ids=str,
)
def test_other_patients_have_another_name(change, tmp_path):
    assert demo_folder(replace(WHO, **change), PICTURES, tmp_path) != demo_folder(WHO, PICTURES, tmp_path)


def test_other_pictures_have_another_name(tmp_path):
    kinds = [PICTURES, replace(PICTURES, mpp=0.5), SlidePictures(), SlidePictures(mpp=8.0), BagPictures()]
    assert len({demo_folder(WHO, pictures, tmp_path).name for pictures in kinds}) == len(kinds)


def test_the_order_of_missing_stains_does_not_change_the_name(tmp_path):
    one, two = ({"he": 0.1, "ihc": 0.2}, {"ihc": 0.2, "he": 0.1})
    names = {demo_folder(replace(WHO, missing=missing), PICTURES, tmp_path) for missing in (one, two)}
    assert len(names) == 1


def test_work_in_threads_keeps_its_order_and_its_errors():
    assert list(cohort.in_threads(lambda item: item * 2, range(100))) == list(range(0, 200, 2))
    with pytest.raises(ZeroDivisionError):
        list(cohort.in_threads(lambda item: 1 // item, range(3)))
