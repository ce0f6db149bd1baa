"""The options of an extraction: the command line and its help are read off the fields and their description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Dtype = Literal["float16", "float32"]
Autocast = Literal["none", "bf16", "fp16"]
Engine = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class ExtractJob:
    """What to extract from where, with what, to where.

    Attributes:
        slides: files, folders, patterns, or a case table (its slides of the modality).
        encoder: a registered backbone, timm:NAME or local-dir:FOLDER; or the path of a trained run or checkpoint, whose
            backbone is taken.
        out: folder where everything is written, in TRIDENT's layout.
        weights: path of a file or folder, hub (downloads), random (to try a pipeline) or own.
        encoder_options: further options of the encoder.
        mpp: micrometres per pixel of the patches.
        patch_px: edge of a patch in pixels at that spacing.
        overlap_px: pixels that neighbouring patches share.
        min_tissue: share of a patch that has to be tissue.
        modality: stain of the slides: he, ihc or another.
        tissue: rule by which tissue is found: he, ihc or a registered one; without it he where the modality is he,
            else ihc.
        tissue_options: further options of the rule.
        drop_pen: leave out marker pen; the rules he and ihc do so by themselves.
        normaliser: repaint every patch with the stain colours of a reference: macenko or a registered normaliser.
        normaliser_options: further options of the normaliser.
        normaliser_target: an image whose colours are the reference; without it the normaliser's own.
        reader: a registered slide reader; without it the one that is surest of a file.
        slide_mpp: micrometres per level-0 pixel of all slides; auto takes what the table or the files say.
        dtype: how features are stored.
        autocast: type in which the encoder computes; none is float32.
        batch_size: patches per pass; auto finds a good number.
        workers: reading processes, on Ray per encoder; 0 reads in a thread; auto takes one per core on a GPU machine,
            and one else.
        device: auto, cpu, cuda or cuda:1.
        shard: i/n does every n-th slide from the i-th on, for job arrays.
        overwrite: do slides again that are there, whatever their settings.
        engine: this machine, or an existing Ray cluster.
        address: of the cluster: HOST:PORT of its head, or auto; without it RAY_ADDRESS, or else Ray is started here.
        encoders: on Ray, networks at a time; auto takes as many as the GPUs hold, and one per machine without GPUs.
        gpus_per_encoder: on Ray, share of a GPU that each has, for example 0.5; auto takes one where there are GPUs.
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
    tissue: str | None = None
    tissue_options: Mapping[str, object] = field(default_factory=dict)
    drop_pen: bool | None = None
    normaliser: str | None = None
    normaliser_options: Mapping[str, object] = field(default_factory=dict)
    normaliser_target: str | None = None
    reader: str | None = None
    slide_mpp: float | None = None
    dtype: Dtype = "float16"
    autocast: Autocast = "none"
    batch_size: int | None = None
    workers: int | None = None
    device: str = "auto"
    shard: str | None = None
    overwrite: bool = False
    engine: Engine = "local"
    address: str | None = None
    encoders: int | None = None
    gpus_per_encoder: float | None = None

    @property
    def on_ray(self) -> bool:
        """Whether a cluster does it."""
        return self.engine == "ray"
