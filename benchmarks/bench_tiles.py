"""Patches of 256 px at 0.5 um/px read on one core, beside OpenSlide and MONAI: `python -m benchmarks.bench_tiles`.

On a generated 40x pyramid of JPEG tiles, and on real slides with `--slide`. Every variant opens the slide anew, so that
none finds another's decoded tiles. Plain OpenSlide is a read_region loop with Pillow doing what has to be done to get
256 px; MONAI's WSIReader resizes by itself.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import openslide
import torch
from monai.data.wsi_reader import WSIReader
from PIL import Image

from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import compare, options
from benchmarks.measure.jpeg_pyramid import DOWNSAMPLES, jpeg, write_jpeg_pyramid
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.opening import open_slide

PX, MPP = 256, 0.5
PLAIN, MONAI = "OpenSlide loop", "MONAI WSIReader"
AIMS = [Aim("pathfuse", 1.0, "speed", peer) for peer in (PLAIN, MONAI)]
TILE = 256
KINDS = 4  # different tiles that a generated slide is made of


def jpeg_pyramid(
    path: Path, size: int, mpp: float, *, margin: float = 0.1, downsamples: tuple[int, ...] = DOWNSAMPLES
) -> Path:
    """A square slide of JPEG tiles with tissue everywhere but in a margin; takes no memory however large it is."""
    rng = np.random.default_rng(0)
    glass, tissue = jpeg(_glass(), halved=True), [jpeg(_tissue(seed), halved=True) for seed in range(KINDS)]

    def tiles(edge: int) -> Iterator[bytes]:
        low, high = round(margin * edge), round((1 - margin) * edge)
        for top in range(0, edge, TILE):
            for left in range(0, edge, TILE):
                spans = [np.clip([low - start, high - start], 0, TILE) for start in (top, left)]
                covered = [int(end - start) for start, end in spans]
                if min(covered) == 0:
                    yield glass
                elif covered == [TILE, TILE]:
                    yield tissue[int(rng.integers(KINDS))]
                else:
                    mixed, (rows, columns) = _glass(), (slice(*span) for span in spans)
                    mixed[rows, columns] = _tissue(0)[rows, columns]
                    yield jpeg(mixed, halved=True)

    return write_jpeg_pyramid(path, size, mpp, tiles, tile=TILE, halved=True, downsamples=downsamples)


def _glass() -> np.ndarray:
    return np.full((TILE, TILE, 3), (243, 243, 245), np.uint8)


def _tissue(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).normal(0, 28, (TILE // 8, TILE // 8, 3)).clip(-80, 60)
    planes = [Image.fromarray(plane).resize((TILE, TILE)) for plane in small.transpose(2, 0, 1)]
    noise = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    return (np.array([190, 120, 170]) + noise).clip(0, 255).astype(np.uint8)


def variants(path: Path, coords: np.ndarray, size: int) -> dict[str, Callable[[], np.ndarray]]:
    def ours() -> np.ndarray:
        with open_slide(path) as slide:
            return slide.read_patches(coords, size, PX)

    def plain() -> np.ndarray:
        patches = np.empty((len(coords), PX, PX, 3), np.uint8)
        with openslide.OpenSlide(str(path)) as slide:
            for number, (x, y) in enumerate(coords.tolist()):
                region = slide.read_region((x, y), 0, (size, size)).convert("RGB")
                # The quickest that Pillow has for an area mean: whole factors; else its antialiased filter.
                factor, rest = divmod(size, PX)
                small = region.reduce(factor) if not rest else region.resize((PX, PX), Image.Resampling.BILINEAR)
                patches[number] = np.asarray(small)
        return patches

    def monai() -> np.ndarray:
        reader = WSIReader("openslide", level=0)
        slide = reader.read(str(path))
        patches = np.empty((len(coords), PX, PX, 3), np.uint8)
        for number, (x, y) in enumerate(coords.tolist()):
            image, _ = reader.get_data(slide, location=(y, x), size=(size, size))
            if size != PX:
                image = torch.nn.functional.interpolate(
                    torch.from_numpy(image.copy())[None].float(), (PX, PX), mode="area"
                )[0]
            patches[number] = np.asarray(image).transpose(1, 2, 0)
        slide.close()
        return patches

    return {"pathfuse": ours, PLAIN: plain, MONAI: monai}


def agreement(outputs: dict[str, object]) -> str:
    """Largest mean difference in grey levels from plain OpenSlide; the area mean may not differ by more than noise."""
    ours, plain = (np.asarray(outputs[name], np.int16) for name in ("pathfuse", PLAIN))
    apart = float(np.abs(ours - plain).mean())
    if apart > 4:
        sys.exit(f"pathfuse differs from plain OpenSlide by {apart:.1f} grey levels in the mean")
    return f"mean difference {apart:.2f} grey levels"


def main() -> None:
    parser = options("Patches read from slides beside OpenSlide and MONAI.")
    parser.add_argument("--slide", type=Path, action="append", default=[], help="a real slide; may be repeated")
    parser.add_argument("--patches", type=int, default=96, help="patches per call")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or 1)
    with tempfile.TemporaryDirectory() as folder:
        made = [jpeg_pyramid(Path(folder) / f"{mpp}.tiff", 8192, mpp, downsamples=(1, 4)) for mpp in (0.25, 0.2431)]
        for path in [*arguments.slide, *made]:
            grid = PatchGrid(PX, MPP)
            with open_slide(path) as slide:
                size = grid.size_level0(slide)
                coords = grid.coords(slide, np.ones((64, 64), bool))[: arguments.patches]
                title = f"{len(coords)} patches of {PX} px from {size} level-0 px, {path.name}, one core"
            compare(
                title,
                variants(path, coords, size),
                baseline=PLAIN,
                rounds=arguments.rounds,
                check=agreement,
                items=len(coords),
                aims=AIMS,
                markdown=arguments.markdown,
            )


if __name__ == "__main__":
    main()
