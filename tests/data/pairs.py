"""Small folders of pairs and case tables, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

LABELS = ("0", "1+", "2+", "3+")


def save_image(path: Path, colour: Sequence[int] = (200, 120, 180), size: int = 24, seed: int = 0) -> Path:
    """A noisy image around a colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-40, 40, (size, size, 3))
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


def bci_names(count: int, part: str = "train") -> list[str]:
    """File names with the four scores in turn."""
    return [f"{number:05d}_{part}_{LABELS[number % 4]}.png" for number in range(count)]


def make_pairs(
    root: Path, train: int = 12, test: int = 4, stains: Sequence[str] = ("HE", "IHC"), size: int = 24
) -> Path:
    """A BCI-shaped folder; the number restarts in each part."""
    for position, stain in enumerate(stains):
        for part, count in (("train", train), ("test", test)):
            for number, name in enumerate(bci_names(count, part)):
                seed = number + 1000 * position + (500 if part == "test" else 0)
                save_image(root / stain / part / name, seed=seed, size=size)
    return root


def make_flat(root: Path, names: Sequence[str], stains: Sequence[str] = ("HE", "IHC")) -> Path:
    """A folder of pairs without folders of parts."""
    for stain in stains:
        for number, name in enumerate(names):
            save_image(root / stain / name, seed=number)
    return root


def write_table(path: Path, *lines: str) -> Path:
    """A CSV file; every path it mentions with the ending .png is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
