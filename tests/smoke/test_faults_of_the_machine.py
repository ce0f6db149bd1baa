"""A full disk, too many open files, a closed output, killed processes: one line, and the next step that it names."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from pathfuse.data.loading.loader import case_loader
from pathfuse.data.loading.sampler import EpochSampler
from pathfuse.errors import MachineError, PathfuseError, RunError, StoreError
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.trainer import only_trainer
from pathfuse.store.formats.trident_write import trident_writer
from pathfuse.store.repack import repack
from pathfuse.system.files import write_text
from pathfuse.system.locks import FileLock
from pathfuse.system.machine import machine_fault, machine_faults
from pathfuse.training.steady.nodes import refuse_endless_wait
from tests.conftest import PROJECT_ROOT, write_cases
from tests.security.conftest import PLAIN
from tests.smoke.ending import ending, patience, refused


@contextmanager
def limited(kind: int, most: int) -> Iterator[None]:
    """The kernel refuses more than that to this process, as a full disk would."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def write_chunked(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        rows = np.random.default_rng(0).random((500, 64), np.float32)
        file.create_dataset("features", data=rows, chunks=(10, 64))
        file.create_dataset("coords", data=np.arange(1000).reshape(500, 2), chunks=(10, 2))
        file["coords"].attrs["patch_size_level0"] = 256
    return path


def extract_features(folder: Path) -> None:
    coords = torch.arange(1000).reshape(500, 2)
    with trident_writer(folder / "out" / "s.h5", coords, 64) as writer:
        for start in range(0, 500, 50):
            writer.write(torch.ones(50, 64) * start)


WRITERS: dict[str, Callable[[Path], object]] = {
    "features": extract_features,
    "repacked": lambda folder: repack(folder / "chunked.h5", folder / "out" / "r.h5"),
    "text": lambda folder: write_text(folder / "out" / "t.txt", "x" * 100_000),
}


@pytest.mark.parametrize("most", [0, 100, 3000, 30_000])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_nothing_and_is_one_line(name: str, most: int, tmp_path: Path) -> None:
    write_chunked(tmp_path / "chunked.h5")
    with limited(resource.RLIMIT_FSIZE, most), pytest.raises(PathfuseError, match="cannot be written") as caught:
        WRITERS[name](tmp_path)
    assert len(str(caught.value).splitlines()) == 1 and "Free space" in str(caught.value)
    assert not list((tmp_path / "out").iterdir())
    WRITERS[name](tmp_path)  # and with space it works, in the same process
    assert list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "words", [("repack",), ("convert", "--to", "trident", "--mpp", "0.5"), ("convert", "--to", "clam")]
)
def test_a_store_on_a_full_disk_says_one_line_per_file(
    words: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from pathfuse.cli import main

    (tmp_path / "store").mkdir()
    write_chunked(tmp_path / "store" / "a.h5")
    with limited(resource.RLIMIT_FSIZE, 2000):
        status = main(["store", words[0], str(tmp_path / "store"), *words[1:], "--out", str(tmp_path / "out")])
    said = capfd.readouterr().err.splitlines()
    assert status == 1
    assert len(said) == 1 and said[0].startswith("error: ") and "cannot be written" in said[0]


def test_a_fit_on_a_full_disk_says_how_to_go_on_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cohort").mkdir()
    recipe = tmp_path / "plain.yaml"
    recipe.write_text(PLAIN.replace("CASES", str(write_cases(tmp_path / "cohort"))))
    ending(capsys, "data", "check", tmp_path / "cohort" / "cases.csv")
    with limited(resource.RLIMIT_FSIZE, 300_000):
        line = refused(capsys, "fit", "--recipe", recipe, "--out", tmp_path / "run")
    _, found, command = line.partition("pathfuse fit ")
    assert (found and "last.ckpt" in line) or "best.ckpt" in line
    assert "exists already" in refused(capsys, "fit", "--recipe", recipe, "--out", tmp_path / "run")
    assert ending(capsys, "fit", *command.rstrip(".").split())[0] == 0


def test_too_many_open_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_chunked(tmp_path / "a.h5")
    assert ending(capsys, "store", "check", f"he={tmp_path}")[0] in (0, 1)
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    fillers = [os.open("/dev/null", os.O_RDONLY) for _ in range(used)]
    try:
        with limited(resource.RLIMIT_NOFILE, max(fillers) + 1):
            assert "open" in refused(capsys, "data", "check", tmp_path / "cases.csv")
    finally:
        for file in fillers:
            os.close(file)


OUTPUTS = {
    "full": ("recipes > /dev/full", 1, "error: "),
    "closed": ("recipes >&-", 1, "error: standard output is closed."),
    "help into a full one": ("fit --help > /dev/full", 1, "error: "),
    "version into a full one": ("--version > /dev/full", 1, "error: "),
    "closed early": ("recipes | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
    "all closed": ("recipes show nothing >&- 2>&-", 1, ""),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_takes_nothing_is_one_line(name: str) -> None:
    words, status, line = OUTPUTS[name]
    command = ["bash", "-c", f"{sys.executable} -m pathfuse {words}"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    said = done.stderr.splitlines()
    assert (not said and not line) or (len(said) == 1 and said[0].startswith(line)), done.stderr


def test_a_file_that_is_called_by_no_text_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").mkdir()
    write_chunked(tmp_path / "store" / "a.h5").rename(os.fsdecode(os.fsencode(tmp_path / "store") + b"/F\xe4lle.h5"))
    words = ("store", "convert", tmp_path / "store", "--to", "trident", "--mpp", "0.5", "--out", tmp_path / "out")
    assert "is no text in UTF-8. Rename the file or folder" in refused(capsys, *words)
    status, line = ending(capsys, "store", "check", tmp_path / "store")
    assert status == 0 and not line


@pytest.mark.parametrize("out", ["FILE/run", "/proc/run", "/dev/null/run"])
def test_a_folder_that_cannot_be_made_is_one_line(out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "FILE").write_text("")
    place = tmp_path / out if out.startswith("FILE") else Path(out)
    line = refused(capsys, "fit", "--recipe", "corranet.yaml", "--out", place)
    assert "another --out" in line


class Deadly(Dataset[int]):
    """Data whose third item ends the process that loads it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_killed_loader_is_one_line_with_the_next_step() -> None:
    with pytest.raises(MachineError, match=r"process that loads data died.*num_workers.*Then go on\.$"):
        with machine_faults("Then go on."):
            list(DataLoader(Deadly(), num_workers=1))


class Unsendable(Deadly):
    """Data that a process cannot send to another, as if it had no file descriptor left."""

    def __getitem__(self, index: int) -> int:
        return (lambda: index) if index else index  # type: ignore[return-value]


def test_a_loader_that_cannot_send_is_not_waited_for() -> None:
    data = Unsendable()
    loader = case_loader(data, EpochSampler(data, seed=0, shuffle=False), batch_size=1, num_workers=1, seed=0)
    with patience(), pytest.raises(MachineError, match="process that loads data died"), machine_faults("Then go on."):
        list(loader)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "Free space"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "can be written"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "permissions"),
        (MemoryError(), "memory"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "loads data died"),
        (EOFError(), "loads data died"),
        (RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0"), "disk is full"),
    ],
    ids=[
        "space",
        "files",
        "read-only",
        "permission",
        "memory",
        "a loader that sends",
        "a loader that is asked",
        "torch on a full disk",
    ],
)
def test_what_the_machine_refuses_has_a_line(error: Exception, word: str) -> None:
    said = machine_fault(error)
    assert said is not None and word in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError("no number"), RuntimeError("x"), EOFError("x")]
)
def test_what_is_a_fault_of_the_program_is_not_taken_for_one_of_the_machine(error: Exception) -> None:
    assert machine_fault(error) is None


HOLDER = """
import sys, time
from pathlib import Path
from pathfuse.runs.trainer import only_trainer
with only_trainer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_is_trained_by_one_process_and_free_when_that_is_killed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(run)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=r"being trained by another process.*--resume"), only_trainer(run):
            pass
        other.kill()
        other.wait()
    with only_trainer(run):
        pass


def test_a_forked_process_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        lock.release()
        assert FileLock(tmp_path / "lock").acquire()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_folder_that_was_held_for_nothing_goes_again(tmp_path: Path) -> None:
    with only_trainer(tmp_path / "runs" / "x"):
        assert (tmp_path / "runs" / "x").is_dir()
    assert not (tmp_path / "runs").exists()


FIRST = ("spec.json", "splits.csv", "versions.json")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_run_that_was_killed_before_its_recipe_is_replaced(count: int, tmp_path: Path) -> None:
    for name in FIRST[:count]:
        (tmp_path / name).write_text("{}")
    with pytest.raises(RunError, match=r"nothing to go on with\. Start it again: pathfuse fit"):
        RunFolder.open(tmp_path)
    assert RunFolder.create(tmp_path, trains=True).path == tmp_path


def test_only_fit_is_told_to_resume(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("# a, resolved\n")
    with pytest.raises(RunError, match="pathfuse fit --resume"):
        RunFolder.create(tmp_path, trains=True)
    with pytest.raises(RunError, match="choose another --out") as caught:
        RunFolder.create(tmp_path)
    assert "--resume" not in str(caught.value)


@pytest.mark.parametrize("options", [{"num_nodes": 2}, {"devices": 10**6}, {"devices": "9" * 5000}])
def test_nobody_waits_for_processes_that_nobody_starts(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NODE_RANK", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "LSB_JOBID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PathfuseError, match=next(iter(options))):
        refuse_endless_wait(options)
    refuse_endless_wait({"num_nodes": 1, "devices": "auto"})


def test_a_new_file_of_hdf5_is_whole_where_there_is_space(tmp_path: Path) -> None:
    extract_features(tmp_path)
    with h5py.File(tmp_path / "out" / "s.h5") as file:
        assert file["features"][:, 0].tolist() == [row // 50 * 50 for row in range(500)]
    with pytest.raises(StoreError, match="0 rows of features"), trident_writer(tmp_path / "x.h5", torch.ones(2, 2), 3):
        pass
