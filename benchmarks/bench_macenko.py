"""Macenko normalisation beside torchstain and MONAI: `python -m benchmarks.bench_macenko`.

One image and a batch, with the threads of a data-loader worker (1) and of a main process. The peers take one image at
a time, so a batch is a loop for them; torchstain's torch variant gets tensors made beforehand. MONAI tells the two
stains apart by another rule (red over blue) and may swap them, so its picture may differ altogether.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchstain
from monai.apps.pathology.transforms import NormalizeHEStainsd
from PIL import Image

from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import compare, options
from pathfuse.slides.macenko import Macenko

PEER, TRUTH = "torchstain torch", "torchstain numpy"
AIMS = [Aim("pathfuse", 2.0, "speed", PEER)]
BATCH = 8


def tissue(size_px: int, seed: int) -> np.ndarray:
    """A picture like H&E: smooth fields of two stains, grain, and some glass, mixed by Beer-Lambert."""
    rng = np.random.default_rng(seed)
    coarse = rng.gamma(2.0, 0.5, (2, size_px // 16, size_px // 16)).astype(np.float32)
    fields = [Image.fromarray(field).resize((size_px, size_px), Image.Resampling.BICUBIC) for field in coarse]
    amounts = np.stack([np.asarray(field) for field in fields]).clip(0) * rng.gamma(20, 1 / 20, (2, size_px, size_px))
    amounts[:, : size_px // 8] *= 0.05
    density = np.tensordot([[0.65, 0.1], [0.7, 0.95], [0.29, 0.28]], amounts, 1)
    grey = 240 * np.exp(-density) + rng.normal(0, 2, density.shape)
    return grey.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


def picture(path: Path, size_px: int, seed: int) -> np.ndarray:
    """A real image enlarged; each of a batch gets its own grain, as enlarging leaves few colours."""
    image = Image.open(path).convert("RGB").resize((size_px, size_px), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(seed).integers(-4, 5, (size_px, size_px, 3))
    return (np.asarray(image).astype(int) + grain).clip(0, 255).astype(np.uint8)


def variants(images: np.ndarray) -> dict[str, Callable[[], list[np.ndarray]]]:
    ours = Macenko()
    in_numpy = torchstain.normalizers.MacenkoNormalizer(backend="numpy")
    in_torch = torchstain.normalizers.MacenkoNormalizer(backend="torch")
    in_monai = NormalizeHEStainsd(keys="image")
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    return {
        "pathfuse": lambda: [ours(images[0])] if len(images) == 1 else list(ours(images)),
        PEER: lambda: [in_torch.normalize(tensor, stains=False)[0].numpy() for tensor in tensors],
        TRUTH: lambda: [in_numpy.normalize(image, stains=False)[0] for image in images],
        "MONAI": lambda: [in_monai({"image": image})["image"] for image in images],
    }


def agreement(outputs: dict[str, list[np.ndarray]]) -> str:
    """Largest difference from torchstain's numpy variant in grey levels; ours must not exceed one."""
    apart = {
        name: max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(images, outputs[TRUTH], strict=True))
        for name, images in outputs.items()
    }
    if apart["pathfuse"] > 1:
        sys.exit(f"pathfuse differs by {apart['pathfuse']} grey levels from {TRUTH}; at most 1 is allowed")
    levels = ", ".join(f"{name} {value}" for name, value in apart.items() if name != TRUTH)
    return f"grey levels from {TRUTH} at most: {levels}"


def main() -> None:
    parser = options("Macenko normalisation beside torchstain and MONAI.")
    parser.add_argument("--image", type=Path, default=None, help="a real H&E image instead of generated ones")
    arguments = parser.parse_args()
    for threads in [arguments.threads] if arguments.threads else sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        for size_px in (1024, 256):
            for count in (1, BATCH):
                make = (lambda s, seed: picture(arguments.image, s, seed)) if arguments.image else tissue
                images = np.stack([make(size_px, seed) for seed in range(count)])
                compare(
                    f"Macenko, {count} x {size_px} px, {threads} torch thread{'s' * (threads > 1)}",
                    variants(images),
                    baseline=PEER,
                    rounds=arguments.rounds if count == 1 else min(3, arguments.rounds),
                    check=agreement,
                    items=count,
                    aims=AIMS,
                    markdown=arguments.markdown,
                )


if __name__ == "__main__":
    main()
