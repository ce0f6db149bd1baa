"""One call from words to transforms; what `pathfuse register` does, for scripts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

from pathfuse.errors import PathfuseError, RegistrationError, RunError
from pathfuse.register.contract import Registration, Section, check_transform
from pathfuse.register.files.pictures import write_pictures
from pathfuse.register.files.record import FILE as TRANSFORM
from pathfuse.register.files.record import Record, SlideFacts, read_record, write_record
from pathfuse.register.files.status import FILE as STATUS
from pathfuse.register.files.status import PairStatus, record
from pathfuse.register.landmarks import landmarks_of, target_errors
from pathfuse.register.local_trust import local_trust
from pathfuse.register.pair import SlidePair
from pathfuse.register.quality import measure
from pathfuse.register.transform import Transform, midway
from pathfuse.registry.build import build
from pathfuse.registry.table import REGISTRATIONS
from pathfuse.registry.used import recording, software_of
from pathfuse.slides.opening import open_slide
from pathfuse.system.locks import FileLock
from pathfuse.system.ray_cluster import connected

POLL_S = 0.5
AFFINE_GRID = 32
MEAN_UM = 20.0  # spacing of the grid on which both ways are averaged
MAX_SPACING_RATIO = 4.0  # 10x onto 40x; more is a wrong number
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class RegisterJob:
    """How pairs are registered, and where results go.

    Attributes:
        out: folder that gets everything.
        method: a component of the slot `registration`.
        options: of its constructor.
        landmarks: CSV of landmarks, or two separated by a comma; `{case}` stands for the case. Only scores.
        overwrite: do pairs again that are there.
    """

    out: Path
    method: str = "SerialSections"
    options: Mapping[str, Any] = field(default_factory=dict)
    landmarks: str | None = None
    overwrite: bool = False

    def settings(self, pair: SlidePair) -> dict[str, Any]:
        """What decides the result for a pair, as plain words."""
        given = {"fixed_mpp": pair.fixed.mpp, "moving_mpp": pair.moving.mpp}
        settings: dict[str, Any] = json.loads(json.dumps({"options": dict(self.options), **given}))
        return settings

    def build(self) -> Registration:
        """The method with its options.

        Raises:
            PluginError: if it is unknown, does not import or is no registration.
            RecipeError: if an option is not one of its.
        """
        made: Registration = build(REGISTRATIONS, self.method, self.options, Registration, "--method")
        return made


def run_job(
    job: RegisterJob,
    pairs: Sequence[SlidePair],
    *,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    say: Say = print,
) -> list[PairStatus]:
    """Registers pairs, and returns what became of each; a pair that fails stops no other.

    Args:
        job: how.
        pairs: which.
        engine: `local` works here, `ray` on a Ray cluster.
        address: of the cluster.
        say: told a line per pair.

    Raises:
        PathfuseError: for anything that is wrong before the first pair is read.
    """
    job.build()
    if not job.overwrite:
        for pair in pairs:
            _is_done(job, pair)  # other settings are an error before anything is done
    work = _on_ray(job, pairs, address, say) if engine == "ray" else _here(job, pairs)
    statuses = []
    for status in work:
        statuses.append(status)
        if status.status != "skipped":
            say(f"{status.pair}: {status.status}" + (f" ({status.reason})" if status.reason else ""))
    return statuses


def _here(job: RegisterJob, pairs: Sequence[SlidePair]) -> Iterator[PairStatus]:
    left = list(pairs)
    while left:
        busy = []
        for pair in left:
            status = do_pair(job, pair)
            if status is None:
                busy.append(pair)
            else:
                yield status
        if busy and len(busy) == len(left):
            time.sleep(POLL_S)  # all that is left is being done by other processes
        left = busy


def _on_ray(job: RegisterJob, pairs: Sequence[SlidePair], address: str | None, say: Say) -> Iterator[PairStatus]:
    with connected(address, say=say) as ray:
        task = ray.remote(num_cpus=1, max_retries=0)(_there)
        running = {task.remote(job, pair, Path.cwd(), version("pathfuse")): pair for pair in pairs}
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            pair = running.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                yield _record_failure(job, pair, " ".join(str(error).split())[:300])


def _there(job: RegisterJob, pair: SlidePair, folder: Path, own: str) -> PairStatus:
    if version("pathfuse") != own:
        return PairStatus(pair.name, "failed", reason=f"a machine has pathfuse {version('pathfuse')}, not {own}")
    os.chdir(folder)
    return next(_here(job, [pair]))


def do_pair(job: RegisterJob, pair: SlidePair) -> PairStatus | None:
    """Registers one pair and writes everything about it; None if another process is doing it."""
    lock = FileLock(job.out / ".locks" / f"{pair.name}.lock")
    if not lock.acquire():
        return None
    start = time.perf_counter()
    try:
        if not job.overwrite and _is_done(job, pair):
            return PairStatus(pair.name, "skipped")
        found = _registered(job, pair)
        status = _status(found, time.perf_counter() - start)
    except PathfuseError as error:
        return _record_failure(job, pair, str(error))
    except Exception as error:  # noqa: BLE001 - a decoder's surprise costs one pair, not the night's run
        return _record_failure(job, pair, " ".join(f"{type(error).__name__}: {error}".split())[:300])
    finally:
        lock.release()
    record(job.out / STATUS, status)
    return status


def _is_done(job: RegisterJob, pair: SlidePair) -> bool:
    folder = job.out / pair.name
    if not (folder / TRANSFORM).is_file():
        return False
    known = read_record(folder)
    same_slides = [str(slide.path.absolute()) for slide in (pair.fixed, pair.moving)] == [
        known.fixed.path,
        known.moving.path,
    ]
    if (
        known.method != REGISTRATIONS.component(job.method).name
        or dict(known.settings) != job.settings(pair)
        or not same_slides
    ):
        raise RunError(
            f"{folder} was registered with other settings or slides. Choose another --out, or do it again with "
            "--overwrite."
        )
    return True


def _registered(job: RegisterJob, pair: SlidePair) -> Record:
    if pair.fixed.path.resolve() == pair.moving.path.resolve():
        raise RegistrationError(f"{pair.fixed.path} is given as both slides. Name that of the other section.")
    with (
        open_slide(pair.fixed.path, mpp=pair.fixed.mpp) as ours,
        open_slide(pair.moving.path, mpp=pair.moving.mpp) as theirs,
    ):
        _check_spacings(pair, ours.mpp, theirs.mpp)
        fixed, moving = Section(ours, pair.fixed.stain), Section(theirs, pair.moving.stain)
        # Before the work: what is wrong with them costs no registration.
        points = landmarks_of(job.landmarks.replace("{case}", pair.case_id), ours, theirs) if job.landmarks else None
        with recording():
            method = job.build()
            software = software_of()
        there = method.register(fixed, moving)
        check_transform(method, there)
        back = method.back(fixed, moving)
        if back is not None:
            check_transform(method, back)
        quality = measure(fixed, moving, there, back)
        if back is not None and quality.verdict != "refused":
            there = mean_of_both_ways(fixed, there, back)
        trust = local_trust(fixed, moving, there, back)
        landmarks = target_errors(there, *points, (ours.mpp, theirs.mpp), theirs.size) if points else {}
        facts = SlideFacts.of(pair.fixed, ours), SlideFacts.of(pair.moving, theirs)
        found = Record(
            pair,
            *facts,
            there,
            quality,
            quality.verdict,
            trust,
            type(method).__name__,
            job.settings(pair),
            landmarks,
            software,
        )
        folder = job.out / pair.name
        write_pictures(folder, fixed, moving, there, trust)
        write_record(folder, found)
        return found


def mean_of_both_ways(fixed: Section, there: Transform, back: Transform) -> Transform:
    """The mean of both ways, on a grid as fine as the displacements of the first."""
    if there.field is not None:
        shape, pitch = there.field.values.shape[:2], there.field.pitch
        step = max(1, int(MEAN_UM / max(pitch)))  # a displacement bends over distances far longer
        rows, columns = (max(2, -(-edge // step)) for edge in shape)
    else:
        rows = columns = AFFINE_GRID
    width, height = fixed.size_um
    return midway(there, back, (rows, columns), (width / columns, height / rows))


def _check_spacings(pair: SlidePair, fixed: float, moving: float) -> None:
    ratio = max(fixed, moving) / min(fixed, moving)
    if ratio > MAX_SPACING_RATIO:
        raise RegistrationError(
            f"{pair.fixed.path.name} has {fixed:.4g} um per pixel, {pair.moving.path.name} {moving:.4g}: they differ "
            f"{ratio:.1f} times, which no two scans of a block do. Correct one with --slide-mpp or in column mpp."
        )


def _status(found: Record, seconds: float) -> PairStatus:
    quality, transform, score = found.quality, found.transform, found.landmarks
    return PairStatus(
        found.pair.name,
        cast(Any, found.verdict),
        lead=f"{quality.lead:.3f}",
        similarity=f"{quality.similarity:.3f}",
        consistency_um="" if quality.consistency_um is None else f"{quality.consistency_um:.1f}",
        overlap=f"{quality.overlap:.3f}",
        degrees=f"{transform.degrees:.1f}",
        mirrored=str(int(transform.mirrored)),
        scale=f"{transform.scale:.4f}",
        landmarks_median_px=f"{score['median_px']:.2f}" if score else "",
        landmarks_p90_px=f"{score['p90_px']:.2f}" if score else "",
        seconds=f"{seconds:.1f}",
        reason="; ".join(quality.problems or quality.doubts),
        fixed=found.fixed.path,
        moving=found.moving.path,
    )


def _record_failure(job: RegisterJob, pair: SlidePair, reason: str) -> PairStatus:
    places = {"fixed": str(pair.fixed.path), "moving": str(pair.moving.path)}
    status = PairStatus(pair.name, "failed", reason=reason, **places)
    record(job.out / STATUS, status)
    return status
