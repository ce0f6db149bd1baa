"""A tiny encoder and tiny slides for the tests of extraction."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from pathfuse.core import Backbone
from pathfuse.extract.job import run_job
from pathfuse.extract.options import ExtractJob
from pathfuse.extract.status import Status
from pathfuse.registry import BACKBONES
from tests.slides.drawing import section, write_pyramid

DELAY = "PATHFUSE_TEST_DELAY"  # seconds per batch: time to be killed in


class QuadrantMeans(Backbone):
    """Mean colour of the four quarters of a patch, times a weight.

    Args:
        in_chans: channels.
        scale: multiplies the features.
    """

    def __init__(self, in_chans: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.in_chans, self.out_dim = in_chans, 4 * in_chans
        self.weight = nn.Parameter(torch.full((1, 4 * in_chans), float(scale)))

    def forward(self, images: Tensor) -> Tensor:
        time.sleep(float(os.environ.get(DELAY, "0")))
        return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) * self.weight


BACKBONES.register(QuadrantMeans)


def write_slides(folder: Path, count: int = 2, size: int = 520) -> list[Path]:
    """Slides whose tissue fills several patches of 64 px."""
    folder.mkdir(exist_ok=True)
    return [write_pyramid(folder / f"s{i}.tiff", section(size, seed=i), mpp=2.0) for i in range(count)]


def job(slides: list[Path] | list[str], out: Path, **options: object) -> ExtractJob:
    """An extraction in this process with the tiny encoder."""
    chosen = {
        "encoder": "QuadrantMeans",
        "weights": "own",
        "mpp": 2.0,
        "patch_px": 64,
        "workers": 0,
        "device": "cpu",
        "dtype": "float32",
        **options,
    }
    return ExtractJob(slides=tuple(map(str, slides)), out=out, **chosen)


def run(slides: list[Path] | list[str], out: Path, **options: object) -> tuple[dict[str, Status], str]:
    """What became of the slides, and what a person saw."""
    shown = io.StringIO()
    statuses = run_job(job(slides, out, **options), Console(file=shown, width=200))
    return {status.slide: status for status in statuses}, shown.getvalue()


def expected(slide: np.ndarray, coords: np.ndarray, size: int = 64) -> np.ndarray:
    """Features of patches at full resolution, by a loop."""
    rows = []
    for x, y in coords.tolist():
        patch = slide[y : y + size, x : x + size].astype(np.float64) / 255
        half = size // 2
        quarters = [patch[r : r + half, c : c + half].mean((0, 1)) for r in (0, half) for c in (0, half)]
        rows.append(np.stack(quarters, 1).ravel())
    return np.stack(rows)
