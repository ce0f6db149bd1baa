"""The driver's side of extraction on a Ray cluster: who does which slide, and what happens when somebody is lost."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from types import ModuleType
from typing import Any
from uuid import uuid4

from pathfuse.core import Backbone
from pathfuse.errors import PathfuseError, RunError
from pathfuse.extract.finished import is_finished, remove_remains
from pathfuse.extract.layout import Layout
from pathfuse.extract.progress import ExtractProgress
from pathfuse.extract.ray.encoder import RayEncoder, Work
from pathfuse.extract.ray.share import Share
from pathfuse.extract.settings import Settings
from pathfuse.extract.sources import SlideSource
from pathfuse.extract.status import Status, record, recorded_as_done
from pathfuse.system.files import write_text
from pathfuse.system.locks import FileLock

TRIES = 3  # encoders that a slide may lose before it is given up, and starts in a row that may fail
POLL_S = 0.5
STOP_S = 5.0
PATIENCE_S = 60.0


@dataclass
class Encoder:
    """An actor, and what it is doing.

    Attributes:
        actor: its handle.
        call: what it has been asked; None if it has nothing to do.
        source: the slide that it does; None while it gets ready.
    """

    actor: Any
    call: Any = None
    source: SlideSource | None = None


@dataclass
class RayExtraction:
    """Gives slides to encoders on a cluster until all of them are done.

    Attributes:
        ray: the module, connected.
        net: the encoder, which every actor gets a copy of.
        settings: what decides the features.
        layout: where they go; an absolute path that all machines share.
        share: what the actors have.
        progress: what a person sees.
        batch_size: patches per pass; None finds a good one.
        overwrite: do slides again that were done before this run.
    """

    ray: ModuleType
    net: Backbone
    settings: Settings
    layout: Layout
    share: Share
    progress: ExtractProgress
    batch_size: int | None = None
    overwrite: bool = False
    statuses: list[Status] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    recorded: frozenset[str] = frozenset()  # done before the run and in its table: skipping them is no news

    def run(self, sources: Sequence[SlideSource]) -> list[Status]:
        """Does every slide that nobody else does, and waits for those that others do.

        Raises:
            StoreError: before anything is done, if slides were done with other settings.
            RunError: if the encoders cannot be started.
        """
        sources = [replace(source, path=source.path.absolute()) for source in sources]
        finished = [not self.overwrite and is_finished(one, self.layout, self.settings) for one in sources]
        self.recorded = recorded_as_done(self.layout.status)
        for source, done in zip(sources, finished, strict=True):
            if done:
                self._say(source, Status(source.slide_id, "skipped"))
        waiting = deque(source for source, done in zip(sources, finished, strict=True) if not done)
        if waiting:
            with self._encoders(min(self.share.encoders, len(waiting))) as encoders:
                Dispatch(self, encoders, waiting).run()
        return self.statuses

    def start(self) -> Encoder:
        """A new actor, which gets ready."""
        gpu = self.share.gpus > 0
        options: dict[str, object] = {
            # No core of its own: if encoders held all of them, nobody could read for them.
            "num_cpus": 0,
            "num_gpus": self.share.gpus,
            "max_concurrency": 2,
            "max_restarts": 0,  # its slide has to be given out again, which only the driver can do
            "scheduling_strategy": "DEFAULT" if gpu else "SPREAD",
        }
        actor = self.ray.remote(RayEncoder).options(**options).remote(self._net, self._work)
        return Encoder(actor, actor.prepare.remote())

    def say(self, source: SlideSource, status: Status) -> None:
        """Records a slide that no encoder could."""
        self._tidy(source)
        self._say(source, status)

    def shown(self, status: Status) -> None:
        """A slide that its encoder has recorded."""
        self.statuses.append(status)
        self.progress.finish(status)

    def _say(self, source: SlideSource, status: Status) -> None:
        status = replace(status, path=str(source.path))
        if status.status != "skipped" or source.slide_id not in self.recorded:
            record(self.layout.status, status)
        self.shown(status)

    @contextmanager
    def _encoders(self, count: int) -> Iterator[list[Encoder]]:
        """The actors, and the file by which they know that they share the folder."""
        witness = self.layout.root / ".locks" / f"{uuid4().hex}.witness"
        write_text(witness, "")
        self._net = self.ray.put(self.net)
        self._work = Work(
            self.settings,
            self.layout,
            device="cuda" if self.share.gpus else "cpu",
            batch_size=self.batch_size,
            readers=self.share.readers,
            threads=self.share.threads,
            overwrite=self.overwrite,
            started=self.started,
            witness=witness,
            version=version("pathfuse"),
        )
        self.progress.note(str(replace(self.share, encoders=count)))
        encoders: list[Encoder] = []
        try:
            encoders += [self.start() for _ in range(count)]
            yield encoders
        finally:
            self._stop(encoders)
            witness.unlink(missing_ok=True)

    def _stop(self, encoders: list[Encoder]) -> None:
        """Ends all actors; those in the middle of a slide remove what they have begun."""
        at_work = [encoder for encoder in encoders if encoder.source is not None]
        if at_work:
            for encoder in at_work:
                encoder.actor.stop.remote()
            with suppress(self.ray.exceptions.RayError):
                calls = [encoder.call for encoder in at_work]
                self.ray.wait(calls, num_returns=len(calls), timeout=STOP_S, fetch_local=False)
        for encoder in encoders:
            self.ray.kill(encoder.actor)
        for encoder in at_work:
            if encoder.source is not None:
                self._tidy(encoder.source)

    def _tidy(self, source: SlideSource) -> None:
        """Removes what a lost encoder left; if somebody else has the slide, they do."""
        with FileLock(self.layout.lock(source.slide_id)) as lock:
            if lock.acquire():
                remove_remains(source.slide_id, self.layout)


class Dispatch:
    """Slides go to whoever is free; those of a lost encoder go back to the end.

    Args:
        extraction: starts encoders and records slides.
        encoders: those that have been started; lost ones are replaced in this list.
        waiting: slides to do.
    """

    def __init__(self, extraction: RayExtraction, encoders: list[Encoder], waiting: deque[SlideSource]) -> None:
        self.extraction, self.ray = extraction, extraction.ray
        self.encoders, self.waiting = encoders, waiting
        self.held: list[SlideSource] = []  # by other runs
        self.losses: Counter[str] = Counter()
        self.failed_starts = 0
        self.ready = False
        self.told = time.monotonic()

    def run(self) -> None:
        """Returns when every slide is done, skipped or given up.

        Raises:
            RunError: if encoders cannot be started.
        """
        while self.waiting or self.held or any(encoder.source for encoder in self.encoders):
            for encoder in self.encoders:
                if encoder.call is None and self.waiting:
                    encoder.source = self.waiting.popleft()
                    encoder.call = encoder.actor.do.remote(encoder.source)
            self._wait()
            self._show()
            if not self.waiting:
                self.waiting.extend(self.held)
                self.held.clear()

    def _wait(self) -> None:
        asked = {encoder.call: encoder for encoder in self.encoders if encoder.call is not None}
        if self.held or not asked:
            time.sleep(POLL_S)  # what is left is being done by other runs; ask them again, but not all the time
        answered, _ = self.ray.wait(list(asked), timeout=POLL_S) if asked else ([], [])
        for call in answered:
            self._take(asked[call])
        if not self.ready and time.monotonic() - self.told > PATIENCE_S:
            self.extraction.progress.note("no encoder has started yet: the cluster is busy or still growing.")
            self.told = time.monotonic()

    def _take(self, encoder: Encoder) -> None:
        try:
            status = self.ray.get(encoder.call)
        except self.ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except self.ray.exceptions.RayError as error:
            self._replace(encoder, error)
            return
        source, encoder.call, encoder.source = encoder.source, None, None
        if source is None:
            self.ready, self.failed_starts = True, 0
        elif status is None:
            self.held.append(source)
        else:
            self.extraction.shown(status)

    def _replace(self, encoder: Encoder, error: Exception) -> None:
        """Another encoder in the place of one that was killed, or whose machine is gone."""
        with suppress(self.ray.exceptions.RayError):
            self.ray.kill(encoder.actor)
        if encoder.source is None:
            self.failed_starts += 1
            if self.failed_starts >= TRIES:
                raise RunError(f"the encoders cannot be started on the cluster ({_line(error)}).") from error
        else:
            self._again(encoder.source)
        self.encoders[self.encoders.index(encoder)] = self.extraction.start()

    def _again(self, source: SlideSource) -> None:
        self.losses[source.slide_id] += 1
        count = self.losses[source.slide_id]
        if count < TRIES:
            self.extraction.progress.note(f"{source.slide_id}: its encoder was lost; it is done again.")
            self.waiting.append(source)
            return
        why = f"{count} encoders were lost with it, out of memory or with their machines"
        self.extraction.say(source, Status(source.slide_id, "failed", reason=why))

    def _show(self) -> None:
        progress = self.extraction.progress
        if not progress.console.is_terminal:
            return
        at_work = [encoder for encoder in self.encoders if encoder.source is not None]
        asked = [encoder.actor.progress.remote() for encoder in at_work]
        answered = self.ray.wait(asked, num_returns=len(asked), timeout=POLL_S)[0] if asked else []
        done = total = sum(int(status.patches) for status in self.extraction.statuses if status.status == "done")
        for call in answered:
            with suppress(self.ray.exceptions.RayError):  # a lost one is dealt with where its slide is
                more, of = self.ray.get(call)
                done, total = done + more, total + of
        if asked:
            progress.show(f"{len(asked)} slides", done, total)


def _cause(error: Exception) -> PathfuseError:
    """What a user can do something about, of an error that came from an actor."""
    cause = getattr(error, "cause", None)  # of a RayTaskError
    if isinstance(cause, PathfuseError):
        return cause
    return RunError(f"an encoder on the cluster failed ({_line(error)}). Is the same pathfuse on every machine?")


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
