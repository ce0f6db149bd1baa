"""One call from words to feature files; what `pathfuse extract` does, for scripts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from pathfuse.data.progress import available_cores
from pathfuse.errors import RecipeError
from pathfuse.extract.embed import Embedder, choose_device
from pathfuse.extract.encoders import LoadedEncoder, load_encoder
from pathfuse.extract.layout import Layout
from pathfuse.extract.progress import ExtractProgress, summary
from pathfuse.extract.reading import Readers
from pathfuse.extract.run import Extraction
from pathfuse.extract.settings import Autocast, Dtype, Settings
from pathfuse.extract.sources import find_slides, shard
from pathfuse.extract.status import Status
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.tissue import Rule, TissueRule


@dataclass(frozen=True, kw_only=True)
class ExtractJob:
    """What to extract from where, with what, to where.

    Attributes:
        slides: files, folders, glob patterns and case tables.
        encoder: a registered backbone, `timm:NAME`, `local-dir:FOLDER`, or the path of a trained run.
        out: folder that gets everything.
        weights: path, `hub`, `random` or `own`.
        encoder_options: further options of the encoder.
        mpp: micrometres per pixel of the patches.
        patch_px: edge of a patch.
        overlap_px: pixels that neighbours share.
        min_tissue: share of a patch that has to be tissue.
        modality: stain of the slides.
        tissue: how tissue is found; None goes by the modality.
        drop_pen: leave out marker pen.
        slide_mpp: micrometres per level-0 pixel of all slides; None asks the table and the files.
        dtype: type of the stored features.
        autocast: type in which the encoder computes.
        batch_size: patches per pass; None finds a good one.
        workers: reading processes; None takes one per core on a GPU machine and one else.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        shard: `i/n` does every n-th slide from the i-th on.
        overwrite: do slides again that are there.
    """

    slides: tuple[str, ...]
    encoder: str
    out: Path
    weights: str | None = None
    encoder_options: Mapping[str, object] = field(default_factory=dict)
    mpp: float = 0.5
    patch_px: int = 256
    overlap_px: int = 0
    min_tissue: float = 0.5
    modality: str = "he"
    tissue: Rule | None = None
    drop_pen: bool = True
    slide_mpp: float | None = None
    dtype: Dtype = "float16"
    autocast: Autocast = "none"
    batch_size: int | None = None
    workers: int | None = None
    device: str = "auto"
    shard: str | None = None
    overwrite: bool = False


def run_job(job: ExtractJob, console: Console | None = None) -> list[Status]:
    """Extracts, and returns what became of every slide; a slide that fails stops no other.

    Args:
        job: what to do.
        console: where progress is shown; standard error if None.

    Raises:
        PathfuseError: for anything that is wrong before the first slide is read.
    """
    console = console or Console(stderr=True)
    if not job.slides:
        raise RecipeError("name at least one slide, folder, pattern or case table.")
    if job.batch_size is not None and job.batch_size < 1:
        raise RecipeError(f"--batch-size {job.batch_size}: has to be above 0.")
    sources = find_slides(job.slides, modality=job.modality, mpp=job.slide_mpp)
    sources = shard(sources, job.shard) if job.shard else sources
    grid = PatchGrid(job.patch_px, job.mpp, job.overlap_px, job.min_tissue)
    encoder = load_encoder(job.encoder, job.weights, job.encoder_options, modality=job.modality)
    if encoder.random:
        warning = f"{job.encoder} has RANDOM weights: these features try the pipeline and mean nothing."
        console.print(warning, markup=False, highlight=False, soft_wrap=True)
    if encoder.note:
        console.print(encoder.note, markup=False, highlight=False, soft_wrap=True)
    rule = TissueRule(stain=job.tissue or ("he" if job.modality == "he" else "ihc"), drop_pen=job.drop_pen)
    settings = Settings(encoder.name, encoder.digest, job.modality, grid, rule, job.dtype, job.autocast)
    embedder = _embedder(job, encoder)
    layout, start = Layout(job.out, grid, encoder.name), time.perf_counter()
    readers = Readers(_workers(job, embedder))
    try:
        with ExtractProgress(len(sources), console) as progress:
            statuses = Extraction(settings, layout, embedder, readers, progress, job.overwrite).run(sources)
    finally:
        readers.close()
    for text in summary(statuses, time.perf_counter() - start, str(layout.status)):
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    return statuses


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
