import subprocess
import sys
from pathlib import Path

import numpy as np

from pathfuse.extract.layout import Layout
from pathfuse.extract.reading import Readers, close_slides, plan_slide, read_patches
from pathfuse.extract.sources import SlideSource
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.tissue_rules import HETissue
from tests.conftest import PROJECT_ROOT
from tests.extract.small import write_slides
from tests.slides.drawing import section


def test_reading_processes_import_no_torch() -> None:
    script = "import sys, pathfuse.extract.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=PROJECT_ROOT, check=False).returncode == 0


def test_a_plan_says_where_the_patches_are_and_leaves_pictures(tmp_path: Path) -> None:
    path = write_slides(tmp_path / "slides", 1)[0]
    grid = PatchGrid(64, 2.0)
    layout, source = Layout(tmp_path / "out", grid, "x"), SlideSource(path, "s0")
    plan = plan_slide(source, layout, HETissue())
    patches = read_patches(source, grid, plan.coords, plan.size_level0)
    close_slides()
    assert (plan.width, plan.height, plan.size_level0, plan.step_level0, plan.note) == (520, 520, 64, 64, "")
    whole = section(520, seed=0)
    for patch, (x, y) in zip(patches, plan.coords.tolist(), strict=True):
        assert np.array_equal(patch, whole[y : y + 64, x : x + 64])
    for made in (layout.thumbnail("s0"), layout.contours("s0"), layout.geojson("s0")):
        assert made.stat().st_size > 100


def test_a_slide_given_another_spacing_is_opened_anew(tmp_path: Path) -> None:
    path = write_slides(tmp_path / "slides", 1)[0]
    layout = Layout(tmp_path / "out", PatchGrid(64, 2.0), "x")
    sizes = [plan_slide(SlideSource(path, "s0", mpp), layout, HETissue()).size_level0 for mpp in (None, 1.0, 2.0)]
    close_slides()
    assert sizes == [64, 128, 64]


def test_readers_answer_from_a_thread_and_are_closed_twice_without_harm() -> None:
    readers = Readers(0)
    assert readers.submit(sum, [1, 2]).result() == 3
    readers.restart()
    assert readers.submit(sum, [3, 4]).result() == 7
    readers.close()
    readers.close()
