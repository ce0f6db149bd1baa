"""Slide after slide: claim it, read it, embed it, write it, and say what became of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from pathfuse.errors import PathfuseError
from pathfuse.extract.coordinates import coords_attributes, write_patches
from pathfuse.extract.embed import Embedder
from pathfuse.extract.finished import SETTINGS, check_finished, is_finished, remove_remains
from pathfuse.extract.layout import Layout
from pathfuse.extract.reading import Pending, Reading, SlidePlan, plan_slide, read_patches
from pathfuse.extract.settings import Settings
from pathfuse.extract.sources import SlideSource
from pathfuse.extract.status import State, Status, record, recorded_as_done
from pathfuse.extract.versions import plugins_of, record_versions
from pathfuse.slides.resample import Pixels
from pathfuse.store.formats.trident_write import trident_writer
from pathfuse.system.locks import FileLock

CHUNK = 16  # patches that one call of a reader decodes: a block of the grid
AHEAD = 2  # chunks per reader that are decoded or under way before they are needed
POLL_S = 0.5
DTYPES = {"float16": torch.float16, "float32": torch.float32}


class Progress(Protocol):
    """Whoever wants to know how far it is."""

    def begin(self, slide: str, patches: int) -> None:
        """A slide whose patches are known."""

    def advance(self, patches: int) -> None:
        """Some of its patches are written."""

    def finish(self, status: Status) -> None:
        """A slide is finished, one way or the other."""


@dataclass
class Claim:
    """A slide that this process does: its lock is held and its tissue is being looked for.

    Attributes:
        source: the slide.
        lock: held.
        plan: under way; None where the reading processes had died before they could be asked.
    """

    source: SlideSource
    lock: FileLock
    plan: Pending[SlidePlan] | None


@dataclass
class Extraction:
    """Everything that stays the same from slide to slide.

    Attributes:
        settings: what decides the features.
        layout: where they go.
        embedder: the network.
        readers: who decodes.
        overwrite: do slides again that were done before this run.
        progress: what a person sees.
        chunk: patches that one call of a reader decodes.
    """

    settings: Settings
    layout: Layout
    embedder: Embedder
    readers: Reading
    progress: Progress
    overwrite: bool = False
    chunk: int = CHUNK
    statuses: list[Status] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    recorded: frozenset[str] = frozenset()  # done before the run and in its table: skipping them is no news

    def run(self, sources: Sequence[SlideSource]) -> list[Status]:
        """Does every slide that nobody else does, and waits for those that others do.

        Raises:
            StoreError: before anything is done, if slides were done with other settings.
        """
        if not self.overwrite:
            check_finished(sources, self.layout, self.settings)
        self.recorded = recorded_as_done(self.layout.status)
        left = list(sources)
        while left:
            done_before = len(self.statuses)
            left = self.once(left)
            if left and len(self.statuses) == done_before:
                time.sleep(POLL_S)  # all that is left is being done by other processes
        return self.statuses

    def once(self, sources: Sequence[SlideSource]) -> list[SlideSource]:
        """Does the slides that are free; returns those that other processes are doing."""
        left, busy = deque(sources), list[SlideSource]()
        ahead: list[Claim] = []
        try:
            while current := ahead.pop() if ahead else self._claim(left, busy):
                self._do(current, left, busy, ahead)
        finally:
            for claim in ahead:
                if claim.plan is not None:
                    claim.plan.cancel()
                claim.lock.release()
        return busy

    def _claim(self, left: deque[SlideSource], busy: list[SlideSource]) -> Claim | None:
        """The next slide that is free and not done; where an error is raised, it stays in `left`."""
        while left:
            source = left[0]
            lock = FileLock(self.layout.lock(source.slide_id))
            if not lock.acquire():
                busy.append(left.popleft())
                continue
            status = self._without_doing(source)
            if status is None:
                left.popleft()
                return Claim(source, lock, self._submitted(source))
            lock.release()
            self._say(source, status)
            left.popleft()
        return None

    def _without_doing(self, source: SlideSource) -> Status | None:
        """What became of a slide that is done or cannot be; None for one that is to be done."""
        try:
            if self._finished(source):
                return Status(source.slide_id, "skipped")
        except PathfuseError as error:  # another process has just done it with other settings
            return Status(source.slide_id, "failed", reason=str(error))
        remove_remains(source.slide_id, self.layout)
        return None

    def _submitted(self, source: SlideSource) -> Pending[SlidePlan] | None:
        try:
            return self.readers.submit(plan_slide, source, self.layout, self.settings.tissue)
        except BrokenProcessPool:  # noticed by whoever waits for it
            return None

    def _finished(self, source: SlideSource) -> bool:
        path = self.layout.features(source.slide_id)
        if self.overwrite and path.exists() and path.stat().st_mtime < self.started:
            return False
        return is_finished(source, self.layout, self.settings)

    def _do(self, claim: Claim, left: deque[SlideSource], busy: list[SlideSource], ahead: list[Claim]) -> None:
        def look_ahead() -> None:
            # The next slide's tissue is found while this one's patches are being embedded. What is wrong there is
            # said when it is the next one's turn, not as a failure of this one.
            with suppress(PathfuseError):
                ahead.extend(found for found in [self._claim(left, busy)] if found)

        try:
            try:
                status = self._extracted(claim, look_ahead)
            except BrokenProcessPool:
                if not ahead:
                    raise
                self.readers.restart()
                # It may have died of the next slide's plan; alone, this one shows whether it is to blame.
                status = self._extracted(claim, lambda: None)
        except BrokenProcessPool:
            self.readers.restart()
            why = "a reading process died, out of memory or by a damaged file"
            status = Status(claim.source.slide_id, "failed", reason=why)
        except PathfuseError as error:
            status = Status(claim.source.slide_id, "failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - a decoder's surprise costs one slide, not the night's run
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            status = Status(claim.source.slide_id, "failed", reason=reason)
        finally:
            claim.lock.release()
        self._say(claim.source, status)

    def _extracted(self, claim: Claim, look_ahead: Callable[[], None]) -> Status:
        source, start = claim.source, time.perf_counter()
        plan = self._plan(claim)
        write_patches(self.layout, source.slide_id, plan)
        self._write_features(source, plan, look_ahead)
        record_versions(self.layout, self.settings, plan.reader)
        seconds = f"{time.perf_counter() - start:.2f}"
        state: State = "done" if len(plan.coords) else "empty"
        return Status(source.slide_id, state, str(len(plan.coords)), f"{plan.mpp:.6g}", seconds, plan.note)

    def _plan(self, claim: Claim) -> SlidePlan:
        # A process that died of the slide before takes this plan with it.
        with suppress(BrokenProcessPool):
            if claim.plan is not None:
                return claim.plan.result()
        self.readers.restart()
        return self.readers.submit(plan_slide, claim.source, self.layout, self.settings.tissue).result()

    def _say(self, source: SlideSource, status: Status) -> None:
        status = Status(**{**vars(status), "path": str(source.path)})
        if status.status != "skipped" or source.slide_id not in self.recorded:
            record(self.layout.status, status)
        self.statuses.append(status)
        self.progress.finish(status)

    def _write_features(self, source: SlideSource, plan: SlidePlan, look_ahead: Callable[[], None]) -> None:
        settings = self.settings
        self.progress.begin(source.slide_id, len(plan.coords))
        with trident_writer(
            self.layout.features(source.slide_id),
            torch.from_numpy(np.require(plan.coords, requirements="W")),  # what comes from another machine is read-only
            self.embedder.dim,
            dtype=DTYPES[settings.dtype],
            encoder=settings.encoder,
            patch_size=settings.grid.size_px,
            patch_size_level0=plan.size_level0,
            mpp=plan.mpp,
            coords_attributes=coords_attributes(settings.grid, plan),
            attributes={
                "modality": settings.modality,
                "encoder": settings.encoder,
                "encoder_digest": settings.digest,
                "target_mpp": settings.grid.mpp,
                "patch_mpp": plan.size_level0 * plan.mpp / settings.grid.size_px,
                "source": source.path.name,
                **plugins_of(settings, plan.reader),
                SETTINGS: settings.to_json(source.mpp),
            },
        ) as writer:
            parts = self._parts(source, plan, look_ahead)
            for rows in self.embedder.features(parts):
                writer.write(rows)
                self.progress.advance(len(rows))

    def _parts(self, source: SlideSource, plan: SlidePlan, look_ahead: Callable[[], None]) -> Iterator[Pixels]:
        """The patches in order, a chunk at a time, decoded ahead of the network."""
        coming: deque[Pending[Pixels]] = deque()
        grid, normaliser, primed = self.settings.grid, self.settings.normaliser, False
        try:
            for start in range(0, len(plan.coords), self.chunk):
                chunk = plan.coords[start : start + self.chunk]
                coming.append(self.readers.submit(read_patches, source, grid, chunk, plan.size_level0, normaliser))
                if len(coming) > AHEAD * max(1, self.readers.workers) + 1:
                    if not primed:
                        look_ahead()
                        primed = True
                    yield coming.popleft().result()
            if not primed:
                look_ahead()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
