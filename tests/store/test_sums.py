"""A flipped byte of a feature file that pathfuse wrote is found by whoever reads it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.errors import StoreError
from pathfuse.store import open_slide
from pathfuse.store.check import check_slide
from pathfuse.store.formats.trident_write import trident_writer, write_trident
from pathfuse.store.repack import repack
from pathfuse.store.sums import BLOCK, MOST, SIZE, SUMS, BlockSums, Summing, bytes_of

ROWS, WIDTH = 400, 256  # 200 KiB: four blocks of features, one of coordinates


def slide_file(path: Path) -> Path:
    features = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0)).half()
    coords = torch.arange(2 * ROWS).reshape(ROWS, 2)
    write_trident(path, features, coords, encoder="e", patch_size=256, patch_size_level0=512, mpp=0.5)
    return path


def flip(path: Path, dataset: str, place: int) -> None:
    with h5py.File(path) as file:
        offset = file[dataset].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset + place] ^= 0x10
    path.write_bytes(content)


def test_a_file_that_was_written_is_read(tmp_path: Path) -> None:
    slide = open_slide(slide_file(tmp_path / "s.h5"))
    some = np.array([3, 399, 128, 127])
    assert torch.equal(slide.features.read(some), slide.features.read()[torch.from_numpy(some)])
    assert len(slide.features.read(np.array([], np.int64))) == 0
    assert not slide.facts.keys() & {SUMS, SIZE}, "checksums are no facts of a slide"


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 3 * BLOCK, 2 * ROWS * WIDTH - 1])
def test_a_flipped_byte_of_the_features_is_found(place: int, tmp_path: Path) -> None:
    path = slide_file(tmp_path / "s.h5")
    flip(path, "features", place)
    slide = open_slide(path)
    whole = torch.empty(ROWS, WIDTH)
    row = place // (2 * WIDTH)
    for read in (
        slide.features.read,
        lambda: slide.features.read_into(whole),
        lambda: slide.features.read(np.array([row])),
    ):
        with pytest.raises(StoreError, match=r"s\.h5 is damaged: the checksum of the rows from \d+ .*extract it again"):
            read()
    assert any("is damaged" in finding.text for finding in check_slide(slide))


def test_a_flipped_byte_of_the_coordinates_is_found(tmp_path: Path) -> None:
    path = slide_file(tmp_path / "s.h5")
    flip(path, "coords", 5)
    with pytest.raises(StoreError, match="is damaged"):
        open_slide(path).level0_coords()


def test_rows_of_unharmed_blocks_are_read(tmp_path: Path) -> None:
    path = slide_file(tmp_path / "s.h5")
    flip(path, "features", 3 * BLOCK + 1)
    slide = open_slide(path)
    assert len(slide.features.read(np.array([0, 200, 127]))) == 3
    with pytest.raises(StoreError, match="from 384 on"):
        slide.features.read(np.array([0, 399]))


def test_checksums_of_other_bytes_are_refused(tmp_path: Path) -> None:
    path = slide_file(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        file["features"].attrs[SIZE] = 7
    with pytest.raises(StoreError, match="checksums of features are not those of its bytes"):
        open_slide(path)


def test_a_repacked_file_keeps_its_checksums(tmp_path: Path) -> None:
    path = slide_file(tmp_path / "s.h5")
    repack(path, tmp_path / "r.h5")
    flip(tmp_path / "r.h5", "features", 9)
    with pytest.raises(StoreError, match="is damaged"):
        open_slide(tmp_path / "r.h5").features.read()


def test_features_that_come_in_parts_have_the_checksums_of_the_whole(tmp_path: Path) -> None:
    whole = slide_file(tmp_path / "s.h5")
    values = open_slide(whole).features.read()
    with trident_writer(tmp_path / "p.h5", torch.zeros(ROWS, 2), WIDTH) as writer:
        for start in range(0, ROWS, 37):
            writer.write(values[start : start + 37])
    with h5py.File(whole) as one, h5py.File(tmp_path / "p.h5") as two:
        assert np.array_equal(one["features"].attrs[SUMS], two["features"].attrs[SUMS])
    assert torch.equal(open_slide(tmp_path / "p.h5").features.read(), values)


def test_a_slide_without_patches_has_none(tmp_path: Path) -> None:
    write_trident(tmp_path / "e.h5", torch.empty(0, 4), torch.empty(0, 2))
    assert len(open_slide(tmp_path / "e.h5").features.read()) == 0


@given(st.binary(min_size=1, max_size=400), st.lists(st.integers(1, 90)), st.integers(0, 10**6))
def test_one_wrong_byte_is_in_the_block_that_is_named(content: bytes, cuts: list[int], place: int) -> None:
    summing = Summing(len(content))
    summing.block = 64
    whole = np.frombuffer(content, np.uint8)
    places = [0, *sorted({cut for cut in cuts if cut < len(content)}), len(content)]
    for start, end in pairwise(places):
        summing.add(whole[start:end])
    held = Attributes()
    summing.write(held)
    sums = BlockSums(64, held.attrs[SUMS].tobytes())
    every = range(len(sums))
    assert len(sums) == -(-len(content) // 64) and sums.damaged(whole, iter(every)) is None
    spoilt = whole.copy()
    spoilt[place % len(content)] ^= 1
    assert sums.damaged(spoilt, iter(every)) == place % len(content) // 64


class Attributes:
    """Has attributes as a dataset has."""

    def __init__(self) -> None:
        self.attrs: dict[str, np.ndarray] = {}


def test_a_large_array_has_larger_blocks() -> None:
    assert Summing(BLOCK * MOST).block == BLOCK and Summing(BLOCK * MOST + 1).block == 2 * BLOCK
    assert bytes_of(np.zeros((3, 5), np.float16)).shape == (30,)
