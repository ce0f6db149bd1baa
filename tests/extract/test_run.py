import csv
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from pathfuse.errors import ImageError, RecipeError, RunError, StoreError
from pathfuse.extract import reading
from pathfuse.extract import run as run_module
from pathfuse.extract.reading import Readers
from pathfuse.slides.slide import Slide
from pathfuse.store import open_slide as open_features
from pathfuse.system.locks import FileLock
from tests.conftest import DATA, needs_data
from tests.extract.small import expected, run, write_slides
from tests.slides.drawing import finished, glass, section, write_pyramid

JOB = Path("5x_64px_0px_overlap")
FEATURES = JOB / "features_QuadrantMeans"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / FEATURES / "status.csv").open(newline="") as file:
        return {row["slide"]: row for row in csv.DictReader(file)}


def test_features_are_those_of_the_patches_at_the_coordinates(tmp_path: Path) -> None:
    slides = write_slides(tmp_path / "slides", 1)
    statuses, _ = run(slides, tmp_path / "out")
    with h5py.File(tmp_path / "out" / FEATURES / "s0.h5") as file:
        features, coords = file["features"][:], file["coords"][:]
    assert statuses["s0"].status == "done" and int(statuses["s0"].patches) == len(coords) > 8
    assert np.abs(features - expected(section(520, seed=0), coords)).max() < 1e-5


def test_the_folder_is_laid_out_as_trident_does(tmp_path: Path) -> None:
    run(write_slides(tmp_path / "slides", 1), tmp_path / "out")
    assert files(tmp_path / "out") == {
        "thumbnails/s0.jpg",
        "contours/s0.jpg",
        "contours_geojson/s0.geojson",
        f"{JOB}/patches/s0_patches.h5",
        f"{FEATURES}/s0.h5",
        f"{FEATURES}/status.csv",
        f"{FEATURES}/versions.json",
    }
    with h5py.File(tmp_path / "out" / FEATURES / "s0.h5") as file:
        features, coords = file["features"], file["coords"]
        assert features.dtype == np.float32 and features.chunks is None and coords.dtype == np.int64
        assert {"name", "savetodir", "encoder"} <= set(features.attrs)
        sizes = {
            key: coords.attrs[key] for key in ("patch_size", "patch_size_level0", "overlap", "target_magnification")
        }
        assert sizes == {"patch_size": 64, "patch_size_level0": 64, "overlap": 0, "target_magnification": 5}
        assert {"level0_magnification", "level0_width", "level0_height", "name", "savetodir"} <= set(coords.attrs)
        assert file.attrs["mpp"] == pytest.approx(2.0) and file.attrs["modality"] == "he"
        assert len(file.attrs["encoder_digest"]) == 64 and "pathfuse_version" in file.attrs
        with h5py.File(tmp_path / "out" / JOB / "patches" / "s0_patches.h5") as patches:
            assert np.array_equal(patches["coords"][:], coords[:])
            assert dict(patches["coords"].attrs)["patch_size_level0"] == 64


def test_our_own_reader_reads_it(tmp_path: Path) -> None:
    run(write_slides(tmp_path / "slides", 1), tmp_path / "out", modality="ihc", dtype="float16")
    found = open_features(tmp_path / "out" / FEATURES / "s0.h5")
    assert (found.source_format, found.modality, found.encoder) == ("pathfuse", "ihc", "QuadrantMeans")
    assert found.mpp == pytest.approx(2.0) and found.patch_size_level0 == 64
    assert str(found.features.read().dtype) == "torch.float16"


def test_patches_at_a_coarser_spacing_cover_more_of_the_slide(tmp_path: Path) -> None:
    slides = write_slides(tmp_path / "slides", 1)
    run(slides, tmp_path / "out", mpp=4.0, patch_px=32)
    with h5py.File(tmp_path / "out" / "2.5x_32px_0px_overlap" / "features_QuadrantMeans" / "s0.h5") as file:
        features, coords = file["features"][:], file["coords"][:]
        assert file["coords"].attrs["patch_size_level0"] == 64
    assert np.abs(features - expected(section(520, seed=0), coords)).max() < 0.003  # levels are stored as bytes


def test_finished_slides_are_skipped_and_not_touched(tmp_path: Path) -> None:
    slides = write_slides(tmp_path / "slides")
    run(slides[:1], tmp_path / "out")
    before = (tmp_path / "out" / FEATURES / "s0.h5").stat().st_mtime_ns
    statuses, shown = run(slides, tmp_path / "out")
    assert {name: status.status for name, status in statuses.items()} == {"s0": "skipped", "s1": "done"}
    assert (tmp_path / "out" / FEATURES / "s0.h5").stat().st_mtime_ns == before
    assert "1 done, 0 without patches, 1 skipped, 0 failed" in shown
    assert {row["status"] for row in table(tmp_path / "out").values()} == {"done"}


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "float16"},
        {"modality": "ihc"},
        {"min_tissue": 0.3},
        {"encoder_options": {"scale": 2.0}},
        {"slide_mpp": 2.0},
        {"autocast": "bf16"},
        {"drop_pen": False},
    ],
)
def test_other_settings_are_an_error_unless_told_to_overwrite(tmp_path: Path, change: dict[str, object]) -> None:
    slides = write_slides(tmp_path / "slides", 1)
    run(slides, tmp_path / "out")
    before = (tmp_path / "out" / FEATURES / "s0.h5").read_bytes()
    name = next(iter(change)).replace("encoder_options", "digest")
    with pytest.raises(StoreError, match=rf"s0\.h5.*{name}.*--overwrite"):
        run(slides, tmp_path / "out", **change)
    assert (tmp_path / "out" / FEATURES / "s0.h5").read_bytes() == before
    statuses, _ = run(slides, tmp_path / "out", overwrite=True, **change)
    assert statuses["s0"].status == "done"
    assert run(slides, tmp_path / "out", **change)[0]["s0"].status == "skipped"


def test_a_file_of_another_tool_is_not_overwritten(tmp_path: Path) -> None:
    slides, path = write_slides(tmp_path / "slides", 1), tmp_path / "out" / FEATURES / "s0.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((3, 4))
    with pytest.raises(StoreError, match="not made by pathfuse"):
        run(slides, tmp_path / "out")
    path.write_bytes(b"half")
    with pytest.raises(StoreError, match="cannot be read"):
        run(slides, tmp_path / "out")


def test_bad_slides_are_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    good = write_slides(folder, 2)
    whole = good[0].read_bytes()
    (folder / "cut.tiff").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.svs").touch()
    (folder / "text.svs").write_text("text")
    write_pyramid(folder / "bare.tiff", section(300), mpp=None)
    write_pyramid(folder / "coarse.tiff", section(300), mpp=6.0)
    write_pyramid(folder / "blank Ü.tiff", finished(glass(300, 300)), mpp=2.0)
    write_pyramid(folder / "tiny.tiff", section(40), mpp=2.0)
    tifffile.imwrite(folder / "deep.tiff", section(300).astype(np.uint16), photometric="rgb", tile=(128, 128))
    statuses, shown = run([folder, folder / "absent.svs"], tmp_path / "out")
    failed = {name: status.reason for name, status in statuses.items() if status.status == "failed"}
    assert set(failed) == {"cut", "empty", "text", "bare", "coarse", "deep", "absent"}
    wanted = {"bare": "mpp", "coarse": "coarser", "deep": "16 bits", "absent": "does not exist", "empty": "0 bytes"}
    assert all(word in failed[name] for name, word in wanted.items())
    assert all("\n" not in reason for reason in failed.values())
    assert {name for name, one in statuses.items() if one.status == "done"} == {"s0", "s1"}
    assert {n: s.reason for n, s in statuses.items() if s.status == "empty"} == {
        "blank Ü": "no tissue found",
        "tiny": "the slide is smaller than one patch (64 level-0 px)",
    }
    rows = table(tmp_path / "out")
    assert {name: row["reason"] for name, row in rows.items() if row["status"] == "failed"} == failed
    assert "failed: absent, bare, coarse, cut, deep, empty, text" in shown.splitlines()[-1]
    assert {path.name for path in (tmp_path / "out" / FEATURES).iterdir()} == {
        "s0.h5",
        "s1.h5",
        "blank Ü.h5",
        "tiny.h5",
        "status.csv",
        "versions.json",
    }


def test_a_slide_without_patches_has_an_empty_file(tmp_path: Path) -> None:
    blank = write_pyramid(tmp_path / "blank.tiff", finished(glass(300, 300)), mpp=2.0)
    run([blank], tmp_path / "out")
    found = open_features(tmp_path / "out" / FEATURES / "blank.h5")
    assert tuple(found.features.shape) == (0, 12) and found.mpp == pytest.approx(2.0)
    assert run([blank], tmp_path / "out")[0]["blank"].status == "skipped"


def test_a_failure_is_tried_again_and_its_row_replaced(tmp_path: Path) -> None:
    slides = write_slides(tmp_path / "slides", 1)
    aside = slides[0].rename(tmp_path / "aside")
    assert run(slides, tmp_path / "out")[0]["s0"].status == "failed"
    aside.rename(slides[0])
    assert run(slides, tmp_path / "out")[0]["s0"].status == "done"
    assert table(tmp_path / "out")["s0"]["reason"] == ""


@pytest.mark.parametrize("surprise", [ImageError("it is gone"), RuntimeError("a decoder's\nsurprise"), MemoryError()])
def test_a_slide_that_breaks_midway_leaves_nothing_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surprise: Exception
) -> None:
    slides, calls = write_slides(tmp_path / "slides"), []
    real = Slide.read_patches

    def breaks(slide, coords, size, px):
        calls.append(slide.path.name)
        if slide.path.name == "s0.tiff" and calls.count("s0.tiff") == 2:
            raise surprise
        return real(slide, coords, size, px)

    monkeypatch.setattr("pathfuse.slides.slide.Slide.read_patches", breaks)
    statuses, _ = run(slides, tmp_path / "out")
    assert statuses["s0"].status == "failed" and statuses["s1"].status == "done"
    assert sorted(path.name for path in (tmp_path / "out" / FEATURES).iterdir()) == [
        *("s1.h5", "status.csv", "versions.json")
    ]
    assert not list((tmp_path / "out" / ".locks").iterdir())


def test_a_slide_that_vanishes_midway_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slides = write_slides(tmp_path / "slides")
    real = reading.plan_slide

    def plan(source, layout, rule):
        found = real(source, layout, rule)
        if source.slide_id == "s0":
            source.path.unlink()
        return found

    monkeypatch.setattr("pathfuse.extract.run.plan_slide", plan)
    statuses, _ = run(slides, tmp_path / "out")
    assert "does not exist" in statuses["s0"].reason and statuses["s1"].status == "done"


def test_features_that_overflow_float16_are_a_failure_not_infinity(tmp_path: Path) -> None:
    slides = write_slides(tmp_path / "slides", 1)
    statuses, _ = run(slides, tmp_path / "out", dtype="float16", encoder_options={"scale": 1e6})
    assert statuses["s0"].status == "failed" and "float32" in statuses["s0"].reason


def test_a_case_table_gives_slides_of_one_stain_and_their_spacing(tmp_path: Path) -> None:
    Image.fromarray(section(520)).save(tmp_path / "a.png")
    Image.fromarray(section(520, stain="dab")).save(tmp_path / "b.png")
    (tmp_path / "cases.csv").write_text("case_id,patient_id,modality,path,mpp\n1,1,he,a.png,2.0\n1,1,ihc,b.png,4.0\n")
    statuses, _ = run([tmp_path / "cases.csv"], tmp_path / "out", modality="ihc", mpp=4.0)
    assert {name: one.mpp for name, one in statuses.items()} == {"b": "4"}
    with pytest.raises(RecipeError, match=r"cases\.csv has no slides of modality 'er'; it has he, ihc"):
        run([tmp_path / "cases.csv"], tmp_path / "other", modality="er")


def test_reading_processes_give_the_same_file_as_a_thread(tmp_path: Path) -> None:
    slides = write_slides(tmp_path / "slides")
    run(slides, tmp_path / "thread")
    run(slides, tmp_path / "processes", workers=1, batch_size=7)
    for name in ("s0", "s1"):
        one, other = (h5py.File(tmp_path / run_ / FEATURES / f"{name}.h5") for run_ in ("thread", "processes"))
        with one, other:
            assert np.array_equal(one["features"][:], other["features"][:])
            assert np.array_equal(one["coords"][:], other["coords"][:])


def die(*arguments: object) -> None:
    os._exit(1)


def killing(monkeypatch: pytest.MonkeyPatch, fatal: Callable[[Callable[..., object], str], bool]) -> None:
    """Reading processes die of the calls that `fatal` says, by function and name of the slide."""
    real = Readers.submit

    def submit(readers, call, source, *arguments):
        return real(readers, die if fatal(call, source.slide_id) else call, source, *arguments)

    monkeypatch.setattr(Readers, "submit", submit)


def test_a_reading_process_that_dies_costs_one_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slides = write_slides(tmp_path / "slides")
    with monkeypatch.context() as patched:
        killing(patched, lambda call, slide: call is reading.read_patches and slide == "s0")
        statuses, _ = run(slides, tmp_path / "out", workers=1)
    assert "a reading process died" in statuses["s0"].reason
    assert statuses["s1"].status == "done"
    assert run(slides, tmp_path / "out")[0]["s0"].status == "done"


def test_slides_that_the_table_has_as_done_are_skipped_without_a_look_at_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides = write_slides(tmp_path / "slides", 3, 200)
    run(slides, tmp_path / "out")
    status = tmp_path / "out" / FEATURES / "status.csv"
    lines = status.read_text().splitlines(keepends=True)
    status.write_text("".join(line for line in lines if not line.startswith("s1,")))
    recorded: list[str] = []
    monkeypatch.setattr(run_module, "record", lambda table, status: recorded.append(status.slide))
    monkeypatch.setattr(run_module, "remove_remains", lambda *_: pytest.fail("it lists whole folders"))
    statuses, _ = run(slides, tmp_path / "out")
    assert {one.status for one in statuses.values()} == {"skipped"} and recorded == ["s1"]


@pytest.mark.parametrize("size", [200, 840])  # all of a slide is under way before the next is looked at, or not
def test_a_slide_whose_tissue_kills_the_reader_does_not_fail_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    killing(monkeypatch, lambda call, slide: call is reading.plan_slide and slide == "s1")
    statuses, _ = run(write_slides(tmp_path / "slides", 3, size), tmp_path / "out", workers=1)
    assert {name: status.status for name, status in statuses.items()} == {"s0": "done", "s1": "failed", "s2": "done"}
    assert "a reading process died" in statuses["s1"].reason


def test_a_lock_that_cannot_be_taken_ends_the_run_and_fails_no_other_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FileLock.acquire

    def acquire(lock: FileLock) -> bool:
        if lock.path.stem == "s1":
            raise RunError("this file system has no locks.")
        return real(lock)

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(RunError, match="no locks"):
        run(write_slides(tmp_path / "slides", 3), tmp_path / "out")
    assert {name: row["status"] for name, row in table(tmp_path / "out").items()} == {"s0": "done"}


@needs_data
def test_real_slides_give_patches_on_their_tissue(tmp_path: Path) -> None:
    core = next((DATA / "bozek_her2_tma").glob("3_*.jpg"))
    with Image.open(core) as image:
        pixels = np.asarray(image.convert("RGB"))
    slide = write_pyramid(tmp_path / "core.tiff", pixels, mpp=0.25, levels=4)
    options = {"mpp": 0.5, "patch_px": 256, "modality": "ihc"}
    statuses, _ = run([slide, DATA / "wsi" / "cmu-1-small-region.svs"], tmp_path / "out", **options)
    assert {name: one.status for name, one in statuses.items()} == {"core": "done", "cmu-1-small-region": "done"}
    features_of = tmp_path / "out" / "20x_256px_0px_overlap" / "features_QuadrantMeans"
    with h5py.File(features_of / "core.h5") as file:
        coords, size = file["coords"][:], file["coords"].attrs["patch_size_level0"]
        features = file["features"][:]
    assert size == 512 and 60 <= len(coords) <= 75
    direct = np.stack([pixels[y : y + 512, x : x + 512].mean((0, 1)) / 255 for x, y in coords.tolist()])
    assert np.abs(features.reshape(-1, 3, 4).mean(2) - direct).max() < 0.003
    with h5py.File(features_of / "cmu-1-small-region.h5") as file:
        edge_um = file["coords"].attrs["patch_size_level0"] * file.attrs["mpp"]
    assert edge_um == pytest.approx(256 * 0.5, rel=0.01)
