"""An encoder in a process of a Ray cluster: its slides one after the other, read by tasks of the cluster."""

from __future__ import annotations

import platform
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, ParamSpec, TypeVar

import torch

from pathfuse.core import Backbone
from pathfuse.errors import RunError
from pathfuse.extract.embed import Embedder, choose_device
from pathfuse.extract.layout import Layout
from pathfuse.extract.run import Extraction
from pathfuse.extract.settings import Settings
from pathfuse.extract.sources import SlideSource
from pathfuse.extract.status import Status

P = ParamSpec("P")
R = TypeVar("R")
RAY_CHUNK = 64  # patches per task: enough that opening the slide, where another was open before, counts little
READ_TRIES = 2  # times that Ray repeats a task whose process or machine was lost


@dataclass(frozen=True)
class Work:
    """What every encoder of a run is told.

    Attributes:
        settings: what decides the features.
        layout: where they go; an absolute path.
        device: `cpu`, or `cuda`: the GPU that Ray has given to the actor.
        batch_size: patches per pass; None finds a good one.
        readers: reading tasks at a time.
        threads: of the network, on a CPU.
        overwrite: do slides again that were done before the run.
        started: when the run began.
        witness: a file that the driver has written into the output folder.
        version: of pathfuse, at the driver.
    """

    settings: Settings
    layout: Layout
    device: str
    batch_size: int | None
    readers: int
    threads: int
    overwrite: bool
    started: float
    witness: Path
    version: str


class Stopped(BaseException):
    """The run is over; not an error of the slide, so nothing that handles those may catch it."""


class Count:
    """How far an encoder is with its slide; its driver asks."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.stopped = False

    def begin(self, slide: str, patches: int) -> None:
        """A slide whose patches are known."""
        self.done, self.total = 0, patches
        self._check()

    def advance(self, patches: int) -> None:
        """Some of its patches are written."""
        self.done += patches
        self._check()

    def finish(self, status: Status) -> None:
        """The driver shows it."""
        self.done = self.total = 0

    def _check(self) -> None:
        if self.stopped:
            raise Stopped


class RayEncoder:
    """The actor. Its methods run in two threads: one does slides, the other answers.

    Args:
        net: the encoder, in eval mode on the CPU.
        work: what to do with it.
    """

    def __init__(self, net: Backbone, work: Work) -> None:
        self.net, self.work = net, work
        self.count = Count()

    def prepare(self) -> None:
        """Puts the network on its device and tries it.

        Raises:
            RunError: if this machine has another pathfuse, or does not share the output folder.
            RecipeError: if the network does not take the patches.
        """
        import ray

        work, here = self.work, platform.node()
        if version("pathfuse") != work.version:
            raise RunError(
                f"{here} has pathfuse {version('pathfuse')}, this machine {work.version}. Install the same on both."
            )
        if not work.witness.is_file():
            raise RunError(f"{here} does not see {work.layout.root}. Choose an --out that every machine shares.")
        grid, settings = work.settings.grid, work.settings
        self.embedder = Embedder(self.net, choose_device(work.device), grid.size_px, settings.autocast)
        self.embedder.probe()
        self.embedder.batch_size = work.batch_size or self.embedder.choose_batch_size()
        self.readers = RayReaders(ray, work.readers)

    def do(self, source: SlideSource) -> Status | None:
        """One slide; None if another process is doing it, or the run is over."""
        torch.set_num_threads(self.work.threads)  # Ray gives one, and it is a setting of the thread
        work = self.work
        extraction = Extraction(
            work.settings,
            work.layout,
            self.embedder,
            self.readers,
            self.count,
            overwrite=work.overwrite,
            chunk=RAY_CHUNK,
            started=work.started,
        )
        try:
            extraction.once([source])
        except Stopped:
            return None
        return extraction.statuses[-1] if extraction.statuses else None

    def progress(self) -> tuple[int, int]:
        """Patches of the present slide that are done, and all of them."""
        return self.count.done, self.count.total

    def stop(self) -> None:
        """Ends the present slide without a trace, at its next batch."""
        self.count.stopped = True


class RayReaders:
    """Readers that are tasks of the cluster; one whose process or machine is lost is repeated elsewhere.

    Args:
        ray: the module, connected.
        workers: tasks at a time, as far as the cluster has cores.
    """

    def __init__(self, ray: ModuleType, workers: int) -> None:
        self.workers = workers
        self._ray = ray
        self._tasks: dict[Callable[..., Any], Any] = {}

    def submit(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Task[R]:
        """Has a call done by one of them."""
        if call not in self._tasks:
            self._tasks[call] = self._ray.remote(call).options(num_cpus=1, max_retries=READ_TRIES)
        return Task(self._ray, self._tasks[call].remote(*args, **kwargs))

    def restart(self) -> None:
        """Ray replaces its processes itself."""


class Task(Generic[R]):
    """One call under way."""

    def __init__(self, ray: ModuleType, reference: object) -> None:
        self._ray, self._reference = ray, reference

    def result(self) -> R:
        """Waits for it.

        Raises:
            BrokenProcessPool: if the process that does it died, and died again when it was repeated.
        """
        try:
            found: R = self._ray.get(self._reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            raise BrokenProcessPool(str(error)) from error
        return found

    def cancel(self) -> bool:
        """Says that nobody wants it any more."""
        self._ray.cancel(self._reference)
        return True
