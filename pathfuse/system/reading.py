"""Files that are read whole: regular ones of a bounded size, so that no pipe or device is waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 1 << 30  # bytes; far above any table, recipe or record, and far below the memory of a workstation


def read_whole(path: Path, *, most: int = LARGEST) -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: if it cannot be read, is a pipe, socket or device, or is larger; `strerror` says which.
    """
    # Without the flag, opening a pipe waits for whoever writes into it.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        refuse_irregular(path, os.fstat(file), most=most)
        with os.fdopen(file, "rb", closefd=False) as opened:
            content = opened.read(most + 1)
    finally:
        os.close(file)
    if len(content) > most:  # it grows while it is read
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))
    return content


def read_whole_text(path: Path, *, most: int = LARGEST) -> str:
    """The text of a file in UTF-8, with every end of line as one sign.

    Raises:
        OSError: as `read_whole`.
        UnicodeDecodeError: if it is no UTF-8.
    """
    text = read_whole(path, most=most).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
