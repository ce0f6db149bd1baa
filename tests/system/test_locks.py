import os
import subprocess
import sys
from pathlib import Path

from pathfuse.system.locks import FileLock
from tests.conftest import PROJECT_ROOT


def test_one_holds_it_and_the_next_gets_it_after_release(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire() and not second.acquire()
    first.release()
    assert not path.exists()
    assert second.acquire() and not first.acquire()
    second.release()


def test_a_file_left_behind_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_text("left by a killed process")
    with FileLock(tmp_path / "a.lock") as lock:
        assert lock.acquire()


def test_a_lock_whose_name_was_removed_meanwhile_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    path.unlink()  # what a release does, seen by somebody who has opened the file before
    assert second.acquire()
    second.release()
    first.release()


def test_the_kernel_releases_it_when_its_process_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pathfuse.system.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); print(lock.acquire(), flush=True); time.sleep(60)\n"
    )
    path = tmp_path / "a.lock"
    child = subprocess.Popen([sys.executable, "-c", script, path], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None and child.stdout.readline() == "True\n"
        lock = FileLock(path)
        assert not lock.acquire()
        child.kill()
        child.wait()
        assert lock.acquire()
        lock.release()
    assert os.listdir(tmp_path) == []
