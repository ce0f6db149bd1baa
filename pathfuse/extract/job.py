"""One call from words to feature files; what `pathfuse extract` does, for scripts."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType

from rich.console import Console

from pathfuse.errors import RecipeError
from pathfuse.extract.embed import Embedder, choose_device
from pathfuse.extract.encoders import LoadedEncoder, load_encoder
from pathfuse.extract.layout import Layout
from pathfuse.extract.options import ExtractJob
from pathfuse.extract.progress import ExtractProgress, summary
from pathfuse.extract.reading import Readers
from pathfuse.extract.run import Extraction
from pathfuse.extract.settings import Settings
from pathfuse.extract.sources import SlideSource, find_slides, folder_notes
from pathfuse.extract.status import Status
from pathfuse.registry import READERS
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.normalise import Normaliser, normaliser, normaliser_of
from pathfuse.slides.opening import open_slide
from pathfuse.slides.tissue import Tissue, tissue_rule
from pathfuse.system.progress import available_cores
from pathfuse.system.ray_cluster import connected
from pathfuse.system.shards import shard


@dataclass(frozen=True)
class _Prepared:
    """A job whose words have been understood."""

    job: ExtractJob
    sources: list[SlideSource]
    encoder: LoadedEncoder
    settings: Settings
    layout: Layout


def run_job(job: ExtractJob, console: Console | None = None) -> list[Status]:
    """Extracts, and returns what became of every slide; a slide that fails stops no other.

    Args:
        job: what to do.
        console: where progress is shown; standard error if None.

    Raises:
        PathfuseError: for anything that is wrong before the first slide is read.
    """
    console = console or Console(stderr=True)
    _check(job)
    reader = None
    if job.reader is not None:
        component = READERS.component(job.reader)
        component.load()  # says why it does not work, if it does not
        reader = component.name
    sources = find_slides(job.slides, modality=job.modality, mpp=job.slide_mpp, reader=reader)
    sources = shard(sources, job.shard) if job.shard else sources
    for note in folder_notes(job.slides):
        _say(console, f"note: {note}")
    with ExitStack() as stack:
        # First of all: what is wrong with the cluster is known at once, and a large encoder takes a while.
        ray = stack.enter_context(connected(job.address, say=lambda text: _say(console, text))) if job.on_ray else None
        prepared = _prepare(job, sources, console)
        start = time.perf_counter()
        statuses = _on_ray(prepared, ray, console) if ray is not None else _here(prepared, console)
    for text in summary(statuses, time.perf_counter() - start, str(prepared.layout.status)):
        _say(console, text)
    return statuses


def _check(job: ExtractJob) -> None:
    if not job.slides:
        raise RecipeError("name at least one slide, folder, pattern or case table.")
    if job.batch_size is not None and job.batch_size < 1:
        raise RecipeError(f"--batch-size {job.batch_size}: has to be above 0.")
    given = {"address": job.address, "encoders": job.encoders, "gpus-per-encoder": job.gpus_per_encoder}
    for name, value in given.items():
        if value is not None and not job.on_ray:
            raise RecipeError(f"--{name} {value}: is for --engine ray only. Add it, or leave this out.")


def _prepare(job: ExtractJob, sources: list[SlideSource], console: Console) -> _Prepared:
    grid = PatchGrid(job.patch_px, job.mpp, job.overlap_px, job.min_tissue)
    encoder = load_encoder(job.encoder, job.weights, job.encoder_options, modality=job.modality)
    if encoder.random:
        _say(console, f"{job.encoder} has RANDOM weights: these features try the pipeline and mean nothing.")
    if encoder.note:
        _say(console, encoder.note)
    settings = Settings(
        encoder.name,
        encoder.digest,
        job.modality,
        grid,
        tissue=_tissue(job),
        normaliser=_normaliser(job),
        reader=None if job.reader is None else READERS.component(job.reader).name,
        dtype=job.dtype,
        autocast=job.autocast,
    )
    return _Prepared(job, sources, encoder, settings, Layout(job.out, grid, encoder.name))


def _tissue(job: ExtractJob) -> Tissue:
    pen = {} if job.drop_pen is None else {"drop_pen": job.drop_pen}
    return tissue_rule(job.tissue or ("he" if job.modality == "he" else "ihc"), {**pen, **job.tissue_options})


def _normaliser(job: ExtractJob) -> Normaliser | None:
    if job.normaliser is None:
        if job.normaliser_target is not None:
            raise RecipeError("--normaliser-target is of no use without --normaliser NAME. Add it, or leave this out.")
        return None
    made = normaliser(job.normaliser, job.normaliser_options)
    target = None
    if job.normaliser_target is not None:
        with open_slide(job.normaliser_target) as image:
            target = image.read_level(0, 0, 0, *image.size)
    return normaliser_of(job.modality, made, target, key="--normaliser", target_key="--normaliser-target")


def _here(prepared: _Prepared, console: Console) -> list[Status]:
    job = prepared.job
    embedder = _embedder(job, prepared.encoder)
    readers = Readers(_workers(job, embedder))
    try:
        with ExtractProgress(len(prepared.sources), console) as progress:
            extraction = Extraction(
                prepared.settings, prepared.layout, embedder, readers, progress, overwrite=job.overwrite
            )
            return extraction.run(prepared.sources)
    finally:
        readers.close()


def _on_ray(prepared: _Prepared, ray: ModuleType, console: Console) -> list[Status]:
    from pathfuse.extract.ray.engine import RayExtraction
    from pathfuse.extract.ray.share import share_out

    job = prepared.job
    machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
    share = share_out(
        machines, encoders=job.encoders, gpus=job.gpus_per_encoder, readers=job.workers, device=job.device
    )
    with ExtractProgress(len(prepared.sources), console) as progress:
        extraction = RayExtraction(
            ray,
            prepared.encoder.net,
            prepared.settings,
            prepared.layout.absolute(),
            share,
            progress,
            batch_size=job.batch_size,
            overwrite=job.overwrite,
        )
        return extraction.run(prepared.sources)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _embedder(job: ExtractJob, encoder: LoadedEncoder) -> Embedder:
    embedder = Embedder(encoder.net, choose_device(job.device), job.patch_px, job.autocast)
    embedder.probe()
    embedder.batch_size = job.batch_size or embedder.choose_batch_size()
    return embedder


def _workers(job: ExtractJob, embedder: Embedder) -> int:
    if job.workers is not None:
        return job.workers
    # A GPU has to be fed by every core; a network on the CPU needs the cores itself.
    return available_cores() if embedder.device.type == "cuda" else 1
