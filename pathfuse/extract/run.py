"""Slide after slide: claim it, read it, embed it, write it, and say what became of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Protocol

import h5py  # type: ignore[import-untyped]
import numpy as np
import torch

from pathfuse.errors import PathfuseError, StoreError
from pathfuse.extract.embed import Embedder
from pathfuse.extract.finished import SETTINGS, check_finished, is_finished, remove_remains
from pathfuse.extract.layout import Layout, magnification_of
from pathfuse.extract.locks import SlideLock
from pathfuse.extract.reading import Pending, Plan, Reading, plan_slide, read_patches
from pathfuse.extract.settings import Settings
from pathfuse.extract.sources import SlideSource
from pathfuse.extract.status import State, Status, record
from pathfuse.files import replacing
from pathfuse.slides.resample import Pixels
from pathfuse.store.trident_write import trident_writer

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
    """A slide that this process does: its lock is held and its tissue is being looked for."""

    source: SlideSource
    lock: SlideLock
    plan: Pending[Plan]


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

    def run(self, sources: Sequence[SlideSource]) -> list[Status]:
        """Does every slide that nobody else does, and waits for those that others do.

        Raises:
            StoreError: before anything is done, if slides were done with other settings.
        """
        if not self.overwrite:
            check_finished(sources, self.layout, self.settings)
        left = list(sources)
        while left:
            done_before = len(self.statuses)
            left = self.once(left)
            if left and len(self.statuses) == done_before:
                time.sleep(POLL_S)  # all that is left is being done by other processes
        return self.statuses

    def once(self, sources: Sequence[SlideSource]) -> list[SlideSource]:
        """Does the slides that are free; returns those that other processes are doing."""
        busy: list[SlideSource] = []
        claims = self._claims(sources, busy)
        ahead: list[Claim] = []
        try:
            current = next(claims, None)
            while current is not None:
                # The next slide's tissue is found while this one's patches are being embedded.
                self._do(current, lambda: ahead.extend(claim for claim in [next(claims, None)] if claim))
                current = ahead.pop() if ahead else next(claims, None)
        finally:
            for claim in ahead:
                claim.plan.cancel()
                claim.lock.release()
        return busy

    def _claims(self, sources: Sequence[SlideSource], busy: list[SlideSource]) -> Iterator[Claim]:
        for source in sources:
            lock = SlideLock(self.layout.lock(source.slide_id))
            if not lock.acquire():
                busy.append(source)
                continue
            try:
                finished = self._finished(source)
                remove_remains(source.slide_id, self.layout)
            except PathfuseError as error:  # another process has just done it with other settings
                lock.release()
                self._say(source, Status(source.slide_id, "failed", reason=str(error)))
                continue
            if finished:
                lock.release()
                self._say(source, Status(source.slide_id, "skipped"))
                continue
            yield Claim(source, lock, self.readers.submit(plan_slide, source, self.layout, self.settings.tissue))

    def _finished(self, source: SlideSource) -> bool:
        path = self.layout.features(source.slide_id)
        if self.overwrite and path.exists() and path.stat().st_mtime < self.started:
            return False
        return is_finished(source, self.layout, self.settings)

    def _do(self, claim: Claim, then: Callable[[], None]) -> None:
        source, start = claim.source, time.perf_counter()
        try:
            plan = self._plan(claim)
            self._write_patches(source, plan)
            self._write_features(source, plan, then)
            seconds = f"{time.perf_counter() - start:.2f}"
            state: State = "done" if len(plan.coords) else "empty"
            status = Status(source.slide_id, state, str(len(plan.coords)), f"{plan.mpp:.6g}", seconds, plan.note)
        except BrokenProcessPool:
            self.readers.restart()
            why = "a reading process died, out of memory or by a damaged file"
            status = Status(source.slide_id, "failed", reason=why)
        except PathfuseError as error:
            status = Status(source.slide_id, "failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - a decoder's surprise costs one slide, not the night's run
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            status = Status(source.slide_id, "failed", reason=reason)
        finally:
            claim.lock.release()
        self._say(source, status)

    def _plan(self, claim: Claim) -> Plan:
        try:
            return claim.plan.result()
        except BrokenProcessPool:  # it may have died of the slide before
            self.readers.restart()
            return self.readers.submit(plan_slide, claim.source, self.layout, self.settings.tissue).result()

    def _say(self, source: SlideSource, status: Status) -> None:
        status = Status(**{**vars(status), "path": str(source.path)})
        self.statuses.append(status)
        record(self.layout.status, status)
        self.progress.finish(status)

    def _write_features(self, source: SlideSource, plan: Plan, then: Callable[[], None]) -> None:
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
            coords_attributes=self._coords_attributes(plan),
            attributes={
                "modality": settings.modality,
                "encoder": settings.encoder,
                "encoder_digest": settings.digest,
                "target_mpp": settings.grid.mpp,
                "patch_mpp": plan.size_level0 * plan.mpp / settings.grid.size_px,
                "source": source.path.name,
                SETTINGS: settings.to_json(source.mpp),
            },
        ) as writer:
            parts = self._parts(source, plan, then)
            for rows in self.embedder.features(parts):
                writer.write(rows)
                self.progress.advance(len(rows))

    def _parts(self, source: SlideSource, plan: Plan, then: Callable[[], None]) -> Iterator[Pixels]:
        """The patches in order, a chunk at a time, decoded ahead of the network."""
        coming: deque[Pending[Pixels]] = deque()
        grid, primed = self.settings.grid, False
        try:
            for start in range(0, len(plan.coords), self.chunk):
                chunk = plan.coords[start : start + self.chunk]
                coming.append(self.readers.submit(read_patches, source, grid, chunk, plan.size_level0))
                if len(coming) > AHEAD * max(1, self.readers.workers) + 1:
                    if not primed:
                        then()
                        primed = True
                    yield coming.popleft().result()
            if not primed:
                then()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()

    def _coords_attributes(self, plan: Plan) -> dict[str, int | float]:
        grid = self.settings.grid
        return {
            "level0_magnification": magnification_of(plan.mpp),
            "target_magnification": magnification_of(grid.mpp),
            "overlap": grid.overlap_px,
            "level0_width": plan.width,
            "level0_height": plan.height,
        }

    def _write_patches(self, source: SlideSource, plan: Plan) -> None:
        path = self.layout.patches(source.slide_id)
        grid = self.settings.grid
        with replacing(path, error=StoreError) as temporary, h5py.File(temporary, "w") as file:
            coords = file.create_dataset("coords", data=plan.coords)
            sizes = {"patch_size": grid.size_px, "patch_size_level0": plan.size_level0}
            facts = {**sizes, **self._coords_attributes(plan), "name": source.slide_id, "savetodir": str(path.parent)}
            for name, value in facts.items():
                coords.attrs[name] = value
            file.attrs["mpp"] = plan.mpp
