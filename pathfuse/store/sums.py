"""Checksums of the blocks of an array on disk: written beside it, compared when a process first reads a block."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

BLOCK = 64 << 10
"""Bytes of a block: about thirty rows of a usual encoder, so that reading some rows checks little more than them."""
MOST = 8000
"""Blocks of an array; HDF5 keeps 64 KiB of attributes beside it. Larger arrays have larger blocks."""
SUMS, SIZE = "pathfuse_crc32", "pathfuse_crc32_block"
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BlockSums:
    """CRC-32 of every block of an array.

    Attributes:
        block: bytes of a block; the last one may be shorter.
        crc: the checksums, as little-endian 32-bit numbers one after the other.
    """

    block: int
    crc: bytes

    def __len__(self) -> int:
        return len(self.crc) // 4

    def damaged(self, content: Bytes, blocks: Iterator[int]) -> int | None:
        """The first of some blocks that has other bytes than were written; None if none has.

        Args:
            content: all bytes of the array.
            blocks: which are looked at.
        """
        known = np.frombuffer(self.crc, "<u4")
        for number in blocks:
            if zlib.crc32(content[number * self.block : (number + 1) * self.block].data) != known[number]:
                return number
        return None


class Summing:
    """Makes the checksums of an array whose bytes come in parts.

    Args:
        length: bytes of the whole array.
    """

    def __init__(self, length: int) -> None:
        self.block = BLOCK
        while length > self.block * MOST:
            self.block *= 2
        self._done: list[int] = []
        self._open = 0
        self._crc = 0

    def add(self, content: Bytes) -> None:
        """Takes the next bytes."""
        place = 0
        while place < len(content):
            part = content[place : place + self.block - self._open]
            self._crc = zlib.crc32(part.data, self._crc)
            self._open += len(part)
            place += len(part)
            if self._open == self.block:
                self._close()

    def write(self, dataset: h5py.Dataset) -> None:
        """Puts the checksums beside the array."""
        if self._open:
            self._close()
        if self._done:
            dataset.attrs[SUMS] = np.array(self._done, "<u4")
            dataset.attrs[SIZE] = self.block

    def _close(self) -> None:
        self._done.append(self._crc)
        self._open = self._crc = 0


def bytes_of(array: npt.NDArray[Any]) -> Bytes:
    """The bytes of an array that lies in one piece, without a copy."""
    return array.reshape(-1).view(np.uint8)


def read_sums(attributes: h5py.AttributeManager, name: str, length: int) -> BlockSums | None:
    """The checksums among the attributes of an array of so many bytes; None where it has none.

    Raises:
        ValueError: if they are not those of such an array.
    """
    if SUMS not in attributes:
        return None
    kind, block = attributes.get_id(SUMS), attributes.get(SIZE, 0)
    size = int(block) if isinstance(block, np.integer) and block > 0 else 0
    if not size or kind.dtype != np.dtype("<u4") or kind.shape != (-(-length // size),):
        raise ValueError(f"the checksums of {name} are not those of its bytes")
    return BlockSums(size, np.asarray(attributes[SUMS], "<u4").tobytes())
