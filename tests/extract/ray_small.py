"""An encoder that kills its own process, and a Ray on this machine for one test file."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from torch import Tensor

from pathfuse.registry import BACKBONES
from pathfuse.system.ray_cluster import connected
from tests.conftest import PROJECT_ROOT
from tests.extract.small import DELAY, QuadrantMeans


class Mortal(QuadrantMeans):
    """QuadrantMeans whose process is killed in the middle of a slide, a number of times in all.

    Args:
        in_chans: channels.
        graves: folder that counts the deaths of all processes; empty lets it live.
        deaths: how many there are to be.
    """

    def __init__(self, in_chans: int, *, graves: str = "", deaths: int = 0) -> None:
        super().__init__(in_chans)
        # Private: what changes no feature has no place in the digest.
        self._graves, self._deaths, self.batches = graves, deaths, 0

    def forward(self, images: Tensor) -> Tensor:
        self.batches += bool(images.any())  # the probe before the first slide is black
        if self.batches > 2 and self._is_next():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)

    def _is_next(self) -> bool:
        for number in range(self._deaths):
            try:
                os.mkdir(Path(self._graves) / str(number))
            except FileExistsError:
                continue
            return True
        return False


BACKBONES.register(Mortal)


@contextmanager
def own_ray(cpus: int = 2, delay_s: float = 0.05) -> Iterator[ModuleType]:
    """Ray on this machine, whose processes see the tests and take their time; nothing of it is left behind."""
    pytest.importorskip("ray", reason="needs pathfuse[ray]")
    folder = tempfile.mkdtemp(prefix="pf")  # short: the names of its sockets have to fit 107 bytes
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(map(str, [PROJECT_ROOT, PROJECT_ROOT / "plugins"])))
            patch.setenv(DELAY, str(delay_s))
            patch.setenv("RAY_TMPDIR", folder)
            patch.delenv("RAY_ADDRESS", raising=False)
            with connected("local", cpus=cpus) as ray:
                yield ray
    finally:
        shutil.rmtree(folder, ignore_errors=True)
