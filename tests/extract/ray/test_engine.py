"""Extraction on a Ray of two workers: whoever is killed, every slide is done, with the bytes of one machine."""

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from pathfuse.errors import ImageError, RecipeError, RunError, StoreError
from pathfuse.extract.embed import Embedder
from pathfuse.extract.job import run_job
from pathfuse.extract.layout import Layout
from pathfuse.extract.ray import encoder as ray_encoder
from pathfuse.extract.ray import engine as ray_engine
from pathfuse.extract.ray.encoder import RayEncoder, RayReaders, Work
from pathfuse.extract.settings import Settings
from pathfuse.slides.grid import PatchGrid
from pathfuse.system.locks import FileLock
from tests.conftest import PROJECT_ROOT
from tests.extract.ray_small import Mortal, own_ray
from tests.extract.small import job, run, write_slides

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by the rules of POSIX")
FEATURES = Path("5x_64px_0px_overlap") / "features_Mortal"
# A process takes seconds to start: what needs no second encoder has none.
ONE = {"engine": "ray", "encoders": 1, "batch_size": 4, "encoder": "Mortal", "workers": 1}
RAY = {**ONE, "encoders": 2}


@pytest.fixture(scope="module")
def ray() -> Iterator[ModuleType]:
    with own_ray() as module:
        yield module


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine") / "slides"
    write_slides(folder, 4)
    return folder


@pytest.fixture(scope="module")
def whole(slides: Path) -> dict[str, bytes]:
    """The files of the local engine, made under the name that the others have: they hold the name of their folder."""
    out = slides.with_name("out")
    run([slides], out, encoder="Mortal", workers=1, batch_size=4)
    found = files(out)
    out.rename(out.with_name("local"))
    return found


@pytest.fixture
def out(slides: Path) -> Iterator[Path]:
    yield slides.with_name("out")
    shutil.rmtree(slides.with_name("out"), ignore_errors=True)


def files(folder: Path) -> dict[str, bytes]:
    """Everything that an extraction leaves, but the table with its times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "status.csv"
    }


def eventually(holds: Callable[[], bool], seconds: float = 1200.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_a_killed_encoder_loses_no_slide_and_changes_no_byte(
    ray: ModuleType, slides: Path, whole: dict[str, bytes], out: Path, tmp_path: Path
) -> None:
    graves = tmp_path / "graves"
    graves.mkdir()
    other = FileLock(out / ".locks" / "s3.lock")  # another run is at this slide for a while
    assert other.acquire()
    threading.Timer(1.0, other.release).start()
    shown = io.StringIO()
    chosen = job([slides], out, encoder_options={"graves": str(graves), "deaths": 1}, **RAY)
    statuses = run_job(chosen, Console(file=shown, width=200, force_terminal=True))
    assert len(list(graves.iterdir())) == 1 and "its encoder was lost; it is done again" in shown.getvalue()
    assert {one.slide: one.status for one in statuses} == dict.fromkeys(["s0", "s1", "s2", "s3"], "done")
    assert files(out) == whole
    again, _ = run([slides], out, **ONE)
    assert {one.status for one in again.values()} == {"skipped"}
    with pytest.raises(StoreError, match=r"s0\.h5.*--overwrite"):
        run([slides], out, min_tissue=0.3, **ONE)


def test_a_slide_that_kills_every_encoder_is_given_up_with_a_reason(
    ray: ModuleType, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "TRIES", 2)
    graves = tmp_path / "graves"
    graves.mkdir()
    (tmp_path / "bad.svs").write_text("no slide")
    chosen = {**RAY, "encoder_options": {"graves": str(graves), "deaths": 2}}
    statuses, _ = run([slides / "s0.tiff", tmp_path / "bad.svs"], tmp_path / "out", **chosen)
    assert {one.status for one in statuses.values()} == {"failed"}
    assert statuses["s0"].reason == "2 encoders were lost with it, out of memory or with their machines"
    assert "bad.svs" in statuses["bad"].reason
    assert {Path(name).parts[0] for name in files(tmp_path / "out")} <= {
        "thumbnails",
        "contours",
        *["contours_geojson", "5x_64px_0px_overlap"],
    }
    assert not [name for name in files(tmp_path / "out") if Path(name).name.startswith(".")]


def test_an_interrupted_run_leaves_nothing_half_done(ray: ModuleType, slides: Path, out: Path) -> None:
    interrupted = threading.Event()

    def interrupt() -> None:
        eventually(lambda: any(out.rglob("features_*/.s*.h5.*")))
        interrupted.set()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run([slides], out, **ONE)
    assert interrupted.is_set()
    assert not [name for name in files(out) if Path(name).name.startswith(".") or name.startswith(".locks")]


DRIVER = """
import sys
from pathlib import Path
from tests.extract import ray_small
from tests.extract.small import run
address, slides, out = sys.argv[1:]
run([slides], Path(out), address=address, engine="ray", encoders=1, batch_size=4, encoder="Mortal", workers=1)
"""


def test_a_driver_killed_at_a_random_moment_leaves_no_half_file(
    ray: ModuleType, slides: Path, whole: dict[str, bytes], out: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", DRIVER, ray.get_runtime_context().gcs_address, str(slides), str(out)]
    said = tmp_path / "said"
    with said.open("w") as file, subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=file) as driver:
        eventually(lambda: any(out.rglob("features_*/.s*.h5.*")) or driver.poll() is not None)
        assert driver.returncode is None, said.read_text()
        time.sleep(random.Random(time.time_ns()).uniform(0, 1))
        driver.kill()
    locks = [FileLock(out / ".locks" / f"s{number}.lock") for number in range(4)]
    eventually(lambda: all(lock.acquire() or lock._file is not None for lock in locks))  # its encoders are gone
    for lock in locks:
        lock.release()
    for name, content in files(out).items():
        if not Path(name).name.startswith(".") and not name.startswith(".locks"):
            assert content == whole[name], name
    statuses, _ = run([slides], out, encoder="Mortal", batch_size=4)
    assert {one.status for one in statuses.values()} <= {"done", "skipped"}
    assert {name: content for name, content in files(out).items() if not name.startswith(".locks")} == whole


def read(folder: Path, deaths: int) -> str:
    """A reading task whose process is killed a number of times."""
    (folder / str(time.time_ns())).touch()
    if len(list(folder.iterdir())) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return "read"


def refuse() -> None:
    raise ImageError("a.svs: it cannot be read.")


def test_a_killed_reading_task_is_repeated_and_errors_come_back_as_they_are(
    ray: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, often = tmp_path / "once", tmp_path / "often"
    once.mkdir()
    often.mkdir()
    readers = RayReaders(ray, 1)
    repeated = readers.submit(read, once, 1)
    with pytest.raises(ImageError, match=r"^a\.svs: it cannot be read\.$"):
        readers.submit(refuse).result()
    monkeypatch.setattr(ray_encoder, "READ_TRIES", 0)  # a process takes seconds to start; one is enough to see it
    with pytest.raises(BrokenProcessPool):
        RayReaders(ray, 1).submit(read, often, 99).result()
    assert repeated.result() == "read"


def work(root: Path, **changes: object) -> Work:
    from importlib.metadata import version

    grid = PatchGrid(64, 2.0)
    facts = {
        "settings": Settings("Mortal", "0" * 64, grid=grid),
        "layout": Layout(root, grid, "Mortal"),
        "device": "cpu",
        "batch_size": 4,
        "readers": 1,
        "threads": 1,
        "overwrite": False,
        "started": 0.0,
        "witness": root / "witness",
        "version": version("pathfuse"),
    }
    return Work(**{**facts, **changes})


def test_a_machine_that_does_not_fit_the_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs pathfuse[ray]")
    with pytest.raises(RunError, match=r"does not see .*\. Choose an --out that every machine shares"):
        RayEncoder(Mortal(3), work(tmp_path)).prepare()
    (tmp_path / "witness").touch()
    with pytest.raises(RunError, match=r"has pathfuse .*, this machine 0\.0\."):
        RayEncoder(Mortal(3), work(tmp_path, version="0.0")).prepare()
    monkeypatch.setattr(Embedder, "probe", lambda embedder: (_ for _ in ()).throw(RecipeError("too small")))
    with pytest.raises(RecipeError, match="too small"):
        RayEncoder(Mortal(3), work(tmp_path)).prepare()


@pytest.mark.parametrize(
    "options", [{"address": "head:6379"}, {"encoders": 2}, {"gpus_per_encoder": 0.5}], ids=lambda one: next(iter(one))
)
def test_what_is_for_ray_is_refused_without_it(slides: Path, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="is for --engine ray only"):
        run([slides], tmp_path / "out", **options)
