"""Killed at any moment, and two at once: nothing half-written, nothing done twice."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.conftest import PROJECT_ROOT
from tests.extract.small import run, write_slides

FEATURES = Path("5x_64px_0px_overlap") / "features_QuadrantMeans"

# One process imports everything and forks: an import costs seconds, a fork nothing. It never computes itself.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
os.environ["PATHFUSE_TEST_DELAY"] = "0.02"
import torch
torch.set_num_threads(1)
from tests.extract.small import run
slides, out = sys.argv[1], Path(sys.argv[2])
random.seed(int(sys.argv[3]))
for delay in [random.uniform(0.05, 0.6) for _ in range(7)]:
    child = os.fork()
    if not child:
        run([slides], out, batch_size=4)
        os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(*(path.name for path in out.rglob("features_*/*") if path.name[0] != "."), flush=True)
"""

SHARED = """
import json, os, sys
from pathlib import Path
os.environ["PATHFUSE_TEST_DELAY"] = "0.01"
import torch
torch.set_num_threads(1)
from tests.extract.small import run
slides, out = sys.argv[1], Path(sys.argv[2])
children = []
for number in range(2):
    child = os.fork()
    if not child:
        statuses, _ = run([slides], out, batch_size=4)
        (out.parent / f"{number}.json").write_text(json.dumps({n: s.status for n, s in statuses.items()}))
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitpid(child, 0)[1] for child in children))
"""


def in_fresh_python(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for path in sorted((folder / FEATURES).glob("*.h5")):
        with h5py.File(path) as file:
            found[path.name] = (file["features"][:], file["coords"][:])
    return found


def assert_same(one: Path, other: Path) -> None:
    mine, theirs = contents(one), contents(other)
    assert mine.keys() == theirs.keys()
    for name, arrays in mine.items():
        assert all(np.array_equal(a, b) for a, b in zip(arrays, theirs[name], strict=True))


needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="kills and locks by the rules of POSIX")


@needs_fork
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_moments_it_leaves_no_half_file_and_goes_on(tmp_path: Path, seed: int) -> None:
    write_slides(tmp_path / "slides", 4)
    out = tmp_path / "killed"
    in_fresh_python(KILLED, tmp_path / "slides", out, seed)
    run([tmp_path / "slides"], tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    for name, (features, coords) in contents(out).items():  # every file that is there is complete
        assert np.array_equal(features, whole[name][0]) and np.array_equal(coords, whole[name][1])
    statuses, _ = run([tmp_path / "slides"], out)
    assert {status.status for status in statuses.values()} <= {"done", "skipped"}
    assert_same(out, tmp_path / "whole")
    hidden = [path for path in out.rglob(".*") if path.is_file() and ".status" not in path.name]
    assert not hidden, "remains of a killed run are still there"


@needs_fork
def test_two_processes_share_a_folder_and_do_no_slide_twice(tmp_path: Path) -> None:
    write_slides(tmp_path / "slides", 6)
    in_fresh_python(SHARED, tmp_path / "slides", tmp_path / "out")
    first, second = (json.loads((tmp_path / f"{number}.json").read_text()) for number in (0, 1))
    assert first.keys() == second.keys() == {f"s{number}" for number in range(6)}
    for name in first:
        assert sorted([first[name], second[name]]) == ["done", "skipped"], name
    assert {"done"} < set(first.values()) or {"done"} < set(second.values())
    run([tmp_path / "slides"], tmp_path / "alone")
    assert_same(tmp_path / "out", tmp_path / "alone")
