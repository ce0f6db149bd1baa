"""Whole extraction with ResNet-18 beside its closed loop and a DataLoader: `python -m benchmarks.bench_extract`.

The closed loop is the encoder alone on one batch in memory, channels last, in the same type: what no extraction can
beat. The DataLoader is what one writes first: a data set over coordinates, OpenSlide in the workers, float32, batches
of 32. Both networks have random weights; the slide is a generated 40x pyramid of JPEG tiles. Finding the tissue and
writing are timed, start-up (imports, processes, weights) is not: a run takes hours. `--memory` instead measures by how
much a large slide makes the process grow.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import timm
import torch
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from benchmarks.bench_tiles import jpeg_pyramid
from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import compare, options
from pathfuse.extract.embed import Embedder
from pathfuse.extract.encoders import load_encoder
from pathfuse.extract.layout import Layout
from pathfuse.extract.progress import ExtractProgress
from pathfuse.extract.reading import Readers
from pathfuse.extract.run import Extraction
from pathfuse.extract.settings import Settings
from pathfuse.extract.sources import SlideSource
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.opening import open_slide
from pathfuse.slides.tissue import OVERVIEW_MPP, tissue_mask, tissue_rule

ENCODER, PX = "timm:resnet18", 256
KINDS = ("none", "bf16")
AIMS = [
    Aim("pathfuse float32", 0.85, "speed", "closed loop float32"),
    Aim("pathfuse bf16", 0.75, "speed", "closed loop bf16"),
    Aim("pathfuse bf16", 1.5, "speed", "DataLoader float32"),
]
MEMORY_MIB = 2048


class Patches(Dataset):
    """What the peer reads: one patch per item, opened in the worker."""

    def __init__(self, path: Path, coords: np.ndarray, size: int) -> None:
        self.path, self.coords, self.size = path, coords, size
        self.slide: openslide.OpenSlide | None = None

    def __len__(self) -> int:
        return len(self.coords)

    def __getitem__(self, index: int) -> torch.Tensor:
        self.slide = self.slide or openslide.OpenSlide(str(self.path))
        x, y = self.coords[index].tolist()
        image = self.slide.read_region((x, y), 0, (self.size, self.size)).convert("RGB").resize((PX, PX))
        tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
        return (tensor - 0.45) / 0.225


def variants(path: Path, folder: Path, coords: np.ndarray, size: int, workers: int) -> dict[str, Callable[[], object]]:
    nets = {kind: Embedder(load_encoder(ENCODER, "random").net, torch.device("cpu"), PX, kind) for kind in KINDS}
    readers = Readers(workers)
    readers.submit(abs, 0).result()
    peer = timm.create_model(ENCODER.removeprefix("timm:"), num_classes=0).eval()

    def closed(kind: str) -> Callable[[], object]:
        batch = np.random.default_rng(0).integers(0, 256, (32, PX, PX, 3), dtype=np.uint8)
        parts = [batch[: min(32, len(coords) - start)] for start in range(0, len(coords), 32)]
        return lambda: sum(len(rows) for rows in nets[kind].features(parts))

    def whole(kind: str) -> Callable[[], object]:
        def call() -> int:
            shutil.rmtree(folder / kind, ignore_errors=True)
            settings = Settings(ENCODER, "digest", autocast=kind)
            layout = Layout(folder / kind, settings.grid, ENCODER)
            progress = ExtractProgress(1, Console(file=io.StringIO()))
            run = Extraction(settings, layout, nets[kind], readers, progress)
            return sum(int(status.patches) for status in run.run([SlideSource(path, "slide")]))

        return call

    def loader() -> int:
        rows = []
        with torch.inference_mode():
            batches = DataLoader(Patches(path, coords, size), batch_size=32, num_workers=max(1, workers))
            rows = [peer(batch) for batch in batches]
        return len(torch.cat(rows))

    return {
        "DataLoader float32": loader,
        "closed loop float32": closed("none"),
        "pathfuse float32": whole("none"),
        "closed loop bf16": closed("bf16"),
        "pathfuse bf16": whole("bf16"),
    }


def same_count(outputs: dict[str, object]) -> str:
    if len(set(outputs.values())) != 1:
        sys.exit(f"the variants did not embed the same number of patches: {outputs}")
    return "every variant embedded every patch"


def speed(arguments: object, folder: Path) -> None:
    path = jpeg_pyramid(folder / "slide.tiff", arguments.size, 0.25)
    grid = PatchGrid(PX, 0.5)
    with open_slide(path) as slide:
        coords = grid.coords(slide, tissue_mask(slide.overview(OVERVIEW_MPP), OVERVIEW_MPP, tissue_rule("he")))
        size = grid.size_level0(slide)
    compare(
        f"extraction of {len(coords)} patches, ResNet-18, {arguments.workers} reading processes",
        variants(path, folder, coords, size, arguments.workers),
        baseline="DataLoader float32",
        rounds=arguments.rounds,
        check=same_count,
        items=len(coords),
        aims=AIMS,
        markdown=arguments.markdown,
    )


MEASURED = """
import resource, sys
from pathfuse.cli.extract import extract
slide, out = sys.argv[1:]
line = [slide, "--out", out, "--encoder", "timm:test_resnet", "--weights", "random"]
code = extract([*line, "--workers", "1", "--device", "cpu"])
print(*(resource.getrusage(whom).ru_maxrss for whom in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
sys.exit(code)
"""


def memory(size: int, folder: Path) -> None:
    """How much more a large slide takes than a small one, and the peak of the reading process."""

    def peaks(edge: int) -> tuple[float, float]:
        path = jpeg_pyramid(folder / f"{edge}.tiff", edge, 0.25)
        start = time.perf_counter()
        command = [sys.executable, "-c", MEASURED, str(path), str(folder / f"out{edge}")]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        path.unlink()
        print(f"{edge} x {edge} px in {time.perf_counter() - start:.0f} s")
        per_mib = 2**10 if sys.platform != "darwin" else 2**20
        own, reader = (int(peak) / per_mib for peak in done.stdout.split()[-2:])
        return own, reader

    before, small = peaks(4096)
    after, large = peaks(size)
    print(f"this process {before:.0f} to {after:.0f} MiB, its children at most {small:.0f} to {large:.0f} MiB")
    print(f"beyond the model: {after - before + large:.0f} MiB, wanted below {MEMORY_MIB}")
    if after - before + large > MEMORY_MIB:
        sys.exit("too much memory")


def main() -> None:
    parser = options("Extraction beside its closed loop and a DataLoader.")
    parser.add_argument("--size", type=int, default=9216, help="edge of the generated slide in pixels")
    parser.add_argument("--workers", type=int, default=1, help="reading processes")
    parser.add_argument("--memory", type=int, default=0, help="edge of a large slide; measures memory instead of speed")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.memory:
            memory(arguments.memory, Path(folder))
        else:
            speed(arguments, Path(folder))


if __name__ == "__main__":
    main()
