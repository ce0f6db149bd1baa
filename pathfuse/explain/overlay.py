"""A map as a picture: the image, the map over it in grey, and the colour scale."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from pathfuse.errors import RunError

Picture = NDArray[np.uint8]

# Nine anchors of viridis: readable with any colour vision and in grey print, and no stain has these colours.
VIRIDIS = (0x440154, 0x472D7B, 0x3B528B, 0x2C728E, 0x21918C, 0x28AE80, 0x5EC962, 0xADDC30, 0xFDE725)
GAP_PX = 6
SCALE_PX = 12
FONT_PX, LINE_PX = 13, 17
LOW, HIGH = "least", "most"
UNTITLED = "height and width without the title"
MIN_EDGE_PX = 256
"""Smaller images are enlarged by a whole factor, so that a patch of 64 px can be looked at."""


def overlay(image: Tensor, cam: Tensor, *, strength: float = 0.75) -> Picture:
    """The picture of one map.

    Args:
        image: (C, H, W) in [0, 1].
        cam: (H, W) in [0, 1].
        strength: how much of the image the highest values cover; the lowest values cover nothing.
    """
    pixels = image.detach().float().cpu().clamp(0, 1).movedim(0, 2).numpy()  # (H, W, C)
    values = cam.detach().float().cpu().clamp(0, 1).numpy()  # (H, W)
    grey = pixels.mean(2, keepdims=True).repeat(3, axis=2)  # the map's colours would mix with those of the stain
    alpha = strength * values[..., None]
    blended = (1 - alpha) * grey + alpha * colours(values)
    shown = pixels if pixels.shape[2] == 3 else grey
    panels = [enlarged(panel) for panel in (shown, blended)]
    height = panels[0].shape[0]
    gap = np.ones((height, GAP_PX, 3))
    scale = colours(np.linspace(1, 0, height)[:, None].repeat(SCALE_PX, axis=1))
    whole = np.concatenate([panels[0], gap, panels[1], gap, scale], axis=1)
    return np.asarray((whole * 255).round(), dtype=np.uint8)


def titled(picture: Picture, title: str) -> Picture:
    """The picture of a map with a title above it and the ends of its colour scale named.

    Args:
        picture: as `overlay` makes it, with the scale at its right edge.
        title: lines of text; one that is too long for the picture goes on in the next line.
    """
    font = ImageFont.load_default(FONT_PX)
    height, width = picture.shape[:2]
    whole = width + round(font.getlength(f" {LOW}")) + GAP_PX
    lines = [line for text in title.split("\n") for line in _wrapped(text, font, whole - 2 * GAP_PX)]
    above = len(lines) * LINE_PX + 2 * GAP_PX
    sheet = Image.new("RGB", (whole, above + height), "white")
    sheet.paste(Image.fromarray(picture), (0, above))
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((GAP_PX, GAP_PX + number * LINE_PX), line, "black", font)
    draw.text((width + GAP_PX // 2, above), HIGH, "black", font, "lt")
    draw.text((width + GAP_PX // 2, above + height - 1), LOW, "black", font, "lb")
    return np.asarray(sheet)


def _wrapped(text: str, font: Any, width: int) -> list[str]:  # noqa: ANN401 - either kind of Pillow's fonts
    """A text in lines that are no wider than `width`; a word that is too long is cut where it must be."""
    lines = [""]
    for sign in " ".join(text.split()):
        if font.getlength(lines[-1] + sign) <= width:
            lines[-1] += sign
            continue
        kept, _, word = lines[-1].rpartition(" ")
        lines[-1:] = [kept, (word + sign).lstrip()] if kept and sign != " " else [lines[-1], sign.strip()]
    return lines


def read_parts(path: Path) -> tuple[Picture, Picture]:
    """The image and the map over it, from the file of a picture of `overlay`, with a title or without."""
    with Image.open(path) as file:
        whole = np.asarray(file.convert("RGB"))
        high, wide = (int(word) for word in file.info.get(UNTITLED, f"{whole.shape[0]} {whole.shape[1]}").split())
    picture = whole[-high:, :wide]  # a title is above, and the names of the scale are on the right
    width = (wide - 2 * GAP_PX - SCALE_PX) // 2
    return picture[:, :width], picture[:, width + GAP_PX : 2 * width + GAP_PX]


def colours(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Values (...) in [0, 1] as colours (..., 3) in [0, 1]."""
    anchors = np.array([[code >> 16, code >> 8 & 255, code & 255] for code in VIRIDIS]) / 255
    places = np.linspace(0, 1, len(anchors))
    return np.stack([np.interp(values, places, anchors[:, channel]) for channel in range(3)], axis=-1)


def write_png(path: Path, picture: Picture, *, title: str = "") -> None:
    """Writes a picture whole or not at all, and how large it is without its title.

    Args:
        path: the file.
        picture: of `overlay`, or any other without a title.
        title: lines of text above it; empty writes none.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        said = PngInfo()
        said.add_text(UNTITLED, f"{picture.shape[0]} {picture.shape[1]}")
        Image.fromarray(titled(picture, title) if title else picture).save(temporary, format="PNG", pnginfo=said)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}). Free space or choose another folder.") from error
    finally:
        with suppress(OSError):  # where the folder is no folder, the first error is the one to report
            temporary.unlink()


def enlarged(panel: NDArray[np.floating]) -> NDArray[np.floating]:
    """A small picture (H, W, C) enlarged by a whole factor."""
    factor = max(1, MIN_EDGE_PX // min(panel.shape[:2]))
    return panel.repeat(factor, axis=0).repeat(factor, axis=1)
