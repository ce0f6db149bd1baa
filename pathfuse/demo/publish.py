"""A folder that is there as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pathfuse.errors import CaseTableError


@contextmanager
def published(folder: Path, complete: Callable[[], bool]) -> Iterator[Path]:
    """Yields an empty folder beside `folder`, which takes that name when the block ends without an error.

    Args:
        folder: the name to take; it must be free, or an empty folder.
        complete: says whether `folder` holds what the block writes. Of two processes that write the same thing the
            first one wins, and the second one's work is thrown away.

    Raises:
        CaseTableError: if the folder cannot be written, or holds something else.
    """
    building: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Hidden, and never named like a finished folder: a killed process leaves nothing that looks complete.
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield building
        building.chmod(0o755)  # mkdtemp closes the folder to others; a cohort may be shared
        _take_name(building, folder, complete)
    except OSError as error:
        raise CaseTableError(
            f"{folder}: the generated cohort cannot be written ({error.strerror or error}). "
            "Make room there, or choose another folder."
        ) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def _take_name(building: Path, folder: Path, complete: Callable[[], bool]) -> None:
    try:
        building.rename(folder)
    except OSError:
        # A rename onto a folder with content fails: either somebody else was first, or the name is taken.
        if complete():
            return
        if folder.exists():
            raise taken(folder) from None
        raise


def taken(folder: Path) -> CaseTableError:
    """The error for a name that something else has."""
    return CaseTableError(f"{folder} exists and is not this generated cohort. Move it away, or choose another folder.")
