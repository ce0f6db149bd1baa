import fcntl
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from pathfuse.data.images.cache import prepared_images
from pathfuse.data.images.prepare import Preparation
from pathfuse.errors import ImageError, RunError
from pathfuse.system.cache_folder import default_cache
from tests.data.pairs import save_image

FORK = multiprocessing.get_context("fork")


class Counted(Preparation):
    """Leaves a file per prepared image in `$PATHFUSE_TEST_LOG`, and takes its time if asked to."""

    def __call__(self, path: Path) -> np.ndarray:
        log = Path(os.environ["PATHFUSE_TEST_LOG"])
        (log / f"{path.stem}.{time.monotonic_ns()}").touch()
        time.sleep(float(os.environ.get("PATHFUSE_TEST_SLEEP", "0")))
        return super().__call__(path)


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    monkeypatch.setenv("PATHFUSE_TEST_LOG", str(folder))
    return folder


@pytest.fixture
def files(tmp_path) -> list[Path]:
    return [save_image(tmp_path / "in" / f"{number:02d}.png", seed=number) for number in range(40)]


def rows(images) -> np.ndarray:
    return np.stack([images[row] for row in range(40)])


def drain(log: Path) -> int:
    entries = list(log.iterdir())
    for entry in entries:
        entry.unlink()
    return len(entries)


def entries(cache: Path) -> list[str]:
    return sorted(path.suffix or "entry" for path in (cache / "prepared").iterdir())


def test_a_flipped_byte_of_the_cache_is_found_when_its_image_is_first_read(tmp_path, files):
    images = prepared_images(files, Preparation(8), tmp_path / "cache")
    array = images.folder / "images.npy"
    content = bytearray(array.read_bytes())
    content[-1] ^= 0x10
    array.write_bytes(content)
    again = prepared_images(files, Preparation(8), tmp_path / "cache")
    for _ in range(2):
        assert (again[0] == Preparation(8)(files[0])).all()
        with pytest.raises(ImageError, match=rf"images\.npy is damaged: image {len(files) - 1} .*Delete that folder"):
            again[len(files) - 1]
    shutil.rmtree(images.folder)
    assert (rows(prepared_images(files, Preparation(8), tmp_path / "cache")) == rows(images)).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_are_the_prepared_images_in_order(tmp_path, files, workers):
    images = prepared_images(files, Preparation(8), tmp_path / "cache", workers=workers)
    expected = np.stack([Preparation(8)(file) for file in files])
    assert (rows(images) == expected).all()
    assert entries(tmp_path / "cache") == [".lock", "entry"]


def test_images_are_prepared_once(tmp_path, files, log):
    for _ in range(2):
        prepared_images(files, Counted(8), tmp_path / "cache")
    assert drain(log) == 40


def test_settings_and_changed_files_are_prepared_anew_and_nothing_else(tmp_path, files, log):
    cache = tmp_path / "cache"
    prepared_images(files, Counted(8), cache)
    prepared_images(files, Counted(9), cache)
    assert drain(log) == 80
    save_image(files[5], seed=99)
    images = prepared_images(files, Counted(8), cache)
    assert drain(log) == 1
    assert (rows(images)[5:7] == np.stack([Preparation(8)(file) for file in files[5:7]])).all()


def test_contents_count_when_asked_to(tmp_path, files, log):
    cache = tmp_path / "cache"
    other = save_image(tmp_path / "other.bmp", seed=50)
    plain = save_image(tmp_path / "plain.bmp", seed=51)
    state = plain.stat()
    prepared_images([plain], Counted(8), cache, verify=True)
    plain.write_bytes(other.read_bytes())
    os.utime(plain, ns=(state.st_atime_ns, state.st_mtime_ns))
    images = prepared_images([plain], Counted(8), cache, verify=True)
    assert drain(log) == 2
    assert (images[0] == Preparation(8)(other)).all()


def test_a_damaged_cache_is_found_and_made_again(tmp_path, files):
    cache = tmp_path / "cache"
    images = prepared_images(files, Preparation(8), cache)
    array = images.folder / "images.npy"
    array.write_bytes(array.read_bytes()[:-100])
    expected = np.stack([Preparation(8)(file) for file in files])
    assert (rows(prepared_images(files, Preparation(8), cache)) == expected).all()
    content = bytearray(array.read_bytes())
    content[-1] ^= 0xFF
    array.write_bytes(content)
    again = prepared_images(files, Preparation(8), cache, verify=True)
    assert entries(cache) == [".lock", ".lock", "entry", "entry"]  # keyed by contents, so another entry
    content = bytearray((again.folder / "images.npy").read_bytes())
    content[-1] ^= 0xFF
    (again.folder / "images.npy").write_bytes(content)
    again = prepared_images(files, Preparation(8), cache, verify=True)
    assert (rows(again) == expected).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_is_named_and_the_others_are_kept(tmp_path, files, log, workers):
    cache = tmp_path / "cache"
    good = files[11].read_bytes()
    files[11].write_bytes(good[: len(good) // 2])
    with pytest.raises(ImageError, match=r"11\.png"):
        prepared_images(files, Counted(8), cache, workers=workers)
    assert entries(cache) == [".lock", ".partial"]
    drain(log)
    files[11].write_bytes(good)
    prepared_images(files, Counted(8), cache, workers=workers)
    assert drain(log) == 1


def test_a_missing_file_is_named(tmp_path, files):
    files[3].unlink()
    with pytest.raises(ImageError, match=r"03\.png"):
        prepared_images(files, Preparation(8), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def _build(files, cache, workers):
    prepared_images(files, Counted(8), cache, workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_build_goes_on_where_it_stopped(tmp_path, files, log, monkeypatch, workers):
    cache = tmp_path / "cache"
    monkeypatch.setenv("PATHFUSE_TEST_SLEEP", "0.02")
    process = FORK.Process(target=_build, args=(files, cache, workers))
    process.start()
    while len(list(log.iterdir())) < 15:
        assert process.is_alive()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert entries(cache) == [".lock", ".partial"]
    monkeypatch.setenv("PATHFUSE_TEST_SLEEP", "0")
    time.sleep(0.1)  # workers of the dead process finish what they hold
    drain(log)
    images = prepared_images(files, Counted(8), cache)
    again = {path.name.partition(".")[0] for path in log.iterdir()}
    assert 0 < len(again) <= 40 - 10
    assert (rows(images) == np.stack([Preparation(8)(file) for file in files])).all()
    assert entries(cache) == [".lock", "entry"]


def test_two_processes_share_one_build(tmp_path, files, log, monkeypatch):
    monkeypatch.setenv("PATHFUSE_TEST_SLEEP", "0.005")
    processes = [FORK.Process(target=_build, args=(files, tmp_path / "cache", workers)) for workers in (0, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert drain(log) == 40


def test_a_lock_dies_with_its_process_even_when_that_had_workers(tmp_path, files, log, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("PATHFUSE_TEST_SLEEP", "0.05")
    process = FORK.Process(target=_build, args=(files, cache, 2))
    process.start()
    while len(list(log.iterdir())) < 4:
        assert process.is_alive()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (lock,) = (cache / "prepared").glob("*.lock")
    with lock.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while anybody holds it


def test_a_damaged_row_of_an_interrupted_build_is_made_again(tmp_path, files, log):
    cache = tmp_path / "cache"
    good = files[0].read_bytes()
    files[0].write_bytes(b"")
    with pytest.raises(ImageError):
        prepared_images(files, Counted(8), cache)
    (partial,) = (cache / "prepared").glob("*.partial")
    content = bytearray((partial / "images.npy").read_bytes())
    content[-1] ^= 0xFF
    (partial / "images.npy").write_bytes(content)
    drain(log)
    with pytest.raises(ImageError):
        prepared_images(files, Counted(8), cache)
    assert {path.name.partition(".")[0] for path in log.iterdir()} == {"00", "39"}
    drain(log)
    files[0].write_bytes(good)
    prepared_images(files, Counted(8), cache)
    assert drain(log) == 1


def test_an_opened_cache_travels_to_other_processes_by_its_path(tmp_path, files):
    images = prepared_images(files, Preparation(8), tmp_path / "cache")
    first = images[1].copy()
    text = pickle.dumps(images)
    assert len(text) < 1000
    assert (pickle.loads(text)[1] == first).all()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, files):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"data\.cache") as caught:
        prepared_images(files, Preparation(8), tmp_path / "file" / "cache")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line(tmp_path, files):
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(RunError, match=r"data\.cache"):
        prepared_images(files, Preparation(8), tmp_path / "cache")


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, files):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(RunError, match="No space left") as caught:
            prepared_images(files, Preparation(64), disk)
        assert len(str(caught.value).splitlines()) == 1
        assert entries(disk) == [".lock"]
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # the failure still holds a map


def test_the_default_folder_is_the_platforms(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "pathfuse"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "pathfuse"
