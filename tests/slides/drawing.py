"""Small slides for tests: drawn tissue with grain, written as the files that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

GLASS = np.array([243, 243, 245])
STAINS = {"he": (190, 110, 165), "counterstain": (222, 224, 236), "dab": (150, 105, 75)}
PENS = {"red": (200, 20, 35), "green": (20, 150, 110), "black": (25, 25, 28), "blue": (40, 60, 190)}


def grain(height: int, width: int, scale: int, seed: int) -> np.ndarray:
    """Noise with blobs of `scale` pixels, about -1 to 1."""
    rng = np.random.default_rng(seed)
    small = rng.normal(0, 0.5, (height // scale + 2, width // scale + 2)).astype(np.float32)
    big = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(big).clip(-1, 1)


def disc(height: int, width: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Pixels within a radius of (x, y)."""
    rows, columns = np.ogrid[:height, :width]
    return (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= radius**2


def glass(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Empty glass with the noise of a camera, float (H, W, 3)."""
    noise = np.random.default_rng(seed).normal(0, 0.6, (height, width, 3))
    return GLASS + noise


def paint(image: np.ndarray, where: np.ndarray, stain: str, scale: int = 12, seed: int = 1) -> None:
    """Tissue of a stain: its colour with grain, pale stains with little of it."""
    colour = np.array(STAINS[stain], float)
    depth = (243 - colour) * (0.55 * grain(*image.shape[:2], scale, seed)[..., None])
    image[where] = (colour + depth)[where]


def finished(image: np.ndarray) -> np.ndarray:
    """As 8-bit RGB."""
    return image.round().clip(0, 255).astype(np.uint8)


def section(size: int = 1024, stain: str = "he", seed: int = 0) -> np.ndarray:
    """A round piece of tissue on glass, (size, size, 3)."""
    image = glass(size, size, seed)
    paint(image, disc(size, size, (size * 0.5, size * 0.45), size * 0.38), stain, seed=seed)
    return finished(image)


def write_pyramid(path: Path, image: np.ndarray, mpp: float | None = 0.5, levels: int = 2, tile: int = 256) -> Path:
    """A tiled pyramidal TIFF; the spacing is in the resolution tags, or nowhere."""
    with tifffile.TiffWriter(path) as file:
        current = Image.fromarray(image)
        for level in range(levels):
            per_cm = None if mpp is None else (1e4 / (mpp * 2**level),) * 2
            file.write(
                np.asarray(current),
                tile=(tile, tile),
                photometric="rgb",
                compression="zlib",
                subfiletype=1 if level else 0,
                resolution=per_cm,
                resolutionunit=1 if mpp is None else 3,
                metadata=None,
            )
            current = current.reduce(2)
    return path


def write_ome(path: Path, image: np.ndarray, mpp: float = 0.5) -> Path:
    """A pyramidal OME-TIFF with its levels in SubIFDs."""
    size = {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    with tifffile.TiffWriter(path, ome=True) as file:
        options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
        file.write(image, subifds=1, metadata={"axes": "YXS", **size}, **options)
        file.write(np.asarray(Image.fromarray(image).reduce(2)), subfiletype=1, metadata=None, **options)
    return path
