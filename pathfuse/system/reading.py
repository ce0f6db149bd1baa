"""Files that are read whole: regular ones of a bounded size, so that no pipe or device is waited for."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

LARGEST = 1 << 30  # bytes; far above any table, recipe or record, and far below the memory of a workstation
WIDEST = 64
"""Bits of a whole number in a text; wider ones fit no column, tensor or float."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_whole(path: Path, *, most: int = LARGEST) -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: if it cannot be read, is a pipe, socket or device, or is larger; `strerror` says which.
    """
    with open_regular(path, most=most) as file:
        content = file.read(most + 1)
    if len(content) > most:  # it grows while it is read
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))
    return content


def open_regular(path: Path, *, most: int | None = None) -> BinaryIO:
    """A file that is opened for reading bytes, which nobody waits for.

    Args:
        path: the file.
        most: bytes that it may have; None for any number.

    Raises:
        OSError: as `read_whole`.
    """
    # Without the flag, opening a pipe waits for whoever writes into it.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        state = os.fstat(number)
        refuse_irregular(path, state, most=state.st_size if most is None else most)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_whole_text(path: Path, *, most: int = LARGEST) -> str:
    """The text of a file in UTF-8, with every end of line as one sign.

    Raises:
        OSError: as `read_whole`.
        UnicodeDecodeError: if it is no UTF-8.
    """
    text = read_whole(path, most=most).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, *, most: int = LARGEST) -> Any:  # noqa: ANN401 - whatever a file holds
    """The value in a JSON file.

    Raises:
        OSError: as `read_whole`.
        ValueError: as `parse_json`.
    """
    return parse_json(read_whole_text(path, most=most))


def parse_json(text: str) -> Any:  # noqa: ANN401
    """The value in a JSON text.

    Raises:
        ValueError: if it is none, is nested too deeply, or has a number or a sign that cannot be written again.
    """
    try:
        value = json.loads(text, parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if _HALF.search(text):  # half of a sign of two, which no file in UTF-8 can hold
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _whole_number(text: str) -> int:
    """The number in a text.

    Raises:
        ValueError: if it is none, or has more than 64 bits.
    """
    if len(text) > WIDEST or (value := int(text)).bit_length() > WIDEST:
        raise ValueError(f"{text[:20]}... is a number of more than {WIDEST} bits")
    return value


def refuse_irregular(path: Path, state: os.stat_result, *, most: int = LARGEST) -> None:
    """Refuses what is no regular file, or is larger than what is asked for.

    Raises:
        OSError: if it is; `strerror` says why.
    """
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device and no regular file", str(path))
    if state.st_size > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))
