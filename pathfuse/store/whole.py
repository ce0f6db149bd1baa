"""Files that appear whole or not at all, whatever they hold, and values that fit the type they are written in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor

from pathfuse.errors import StoreError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`, which takes its place when the block ends without an error.

    Raises:
        StoreError: if the folder cannot be written to or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        why = error.strerror or str(error).splitlines()[0]
        raise StoreError(f"{path} cannot be written ({why}). Free space or choose another folder.") from error
    finally:
        with suppress(OSError):  # no folder, no temporary file
            temporary.unlink()


def fitting(features: Tensor, dtype: torch.dtype, path: Path) -> Tensor:
    """The features in another type on the CPU.

    Raises:
        StoreError: if a finite value overflows there.
    """
    values = features.detach().cpu().to(dtype).contiguous()
    if dtype == torch.float16 and features.dtype != torch.float16:
        lost = torch.isinf(values) & torch.isfinite(features.detach().cpu())
        if bool(lost.any()):
            raise StoreError(
                f"{path}: {int(lost.sum())} values are above 65504 and overflow float16. Write float32 instead."
            )
    return values
