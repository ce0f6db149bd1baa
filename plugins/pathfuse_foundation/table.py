"""The rows of `cards.csv` that can be built: network, pooling, transforms and terms of an encoder."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CARDS = Path(__file__).with_name("cards.csv")
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
Argument = str | int | float | bool


@dataclass(frozen=True)
class Row:
    """What is known of one encoder.

    Attributes:
        name: the word in a recipe.
        library: `timm` or `transformers`.
        network: timm's name, or the class in transformers.
        arguments: of its constructor; layers by their names.
        pooling: `cls`, `cls+mean` (class token beside the mean of the patch tokens), or `projection` (of the class
            token).
        out_dim: width D of its vectors.
        input_px: edge of the images that enter the network.
        resize_px: edge of the image before its middle is cut out.
        interpolation: `bilinear` or `bicubic`.
        mpp: micrometres per pixel it was trained on; empty if unknown.
        mean: per channel.
        std: per channel.
        published: `OWNER/MODEL` on the hub.
        revision: pinned commit there; empty if none is known.
        files: names of its weights, in the order they are looked for.
        licence: of the weights; empty if unknown.
        commercial: `yes`, `no`, or empty if unknown.
        citation: the paper.
        remark: what else a user should know; may be empty.
    """

    name: str
    library: str
    network: str
    arguments: Mapping[str, Argument]
    pooling: str
    out_dim: int
    input_px: int
    resize_px: int
    interpolation: str
    mpp: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    published: str
    revision: str
    files: tuple[str, ...]
    licence: str
    commercial: str
    citation: str
    remark: str


@cache
def rows() -> dict[str, Row]:
    """Name to row, of every encoder that can be built."""
    with CARDS.open(encoding="utf-8", newline="") as file:
        return {line["name"]: _row(line) for line in csv.DictReader(file) if line["library"]}


def _row(line: dict[str, str]) -> Row:
    resize_px, interpolation = line["resize"].split()
    kept = ("name", "library", "network", "pooling", "published", "revision", "licence", "commercial", "citation")
    return Row(
        arguments=dict(_argument(word) for word in line["arguments"].split()),
        out_dim=int(line["out_dim"]),
        input_px=int(line["input_px"]),
        resize_px=int(resize_px),
        interpolation=interpolation,
        mpp=_numbers(line["mpp"]),
        mean=_numbers(line["mean"]),
        std=_numbers(line["std"]),
        files=(line["file"],) if line["file"] else HUB_FILES,
        remark=line["remark"],
        **{key: line[key] for key in kept},
    )


def _numbers(words: str) -> tuple[float, ...]:
    return tuple(float(word) for word in words.split())


def _argument(word: str) -> tuple[str, Argument]:
    key, _, value = word.partition("=")
    if value in ("true", "false"):
        return key, value == "true"
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value
