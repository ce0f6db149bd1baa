"""`pathfuse extract SLIDES...`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pathfuse.cli.text import COMMANDS
from pathfuse.cli.values import number, one_of, whole
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

HELP = """
SLIDES               files, folders, patterns, or a case table (its slides of --modality)
--encoder NAME       a registered backbone, timm:NAME or local-dir:FOLDER, its options as --encoder.KEY VALUE; or the
                     path of a trained run or checkpoint, whose backbone is taken
--weights WHAT       path of a file or folder, hub (downloads), random (to try a pipeline) or own
--out DIR            where everything is written, in TRIDENT's layout
--mpp V              micrometres per pixel of the patches (0.5)
--patch-px N         edge of a patch in pixels at that spacing (256)
--overlap-px N       pixels that neighbouring patches share (0)
--min-tissue V       share of a patch that has to be tissue (0.5)
--modality NAME      stain: he, ihc or another (he)
--tissue RULE        he or ihc: how tissue is found (he for he, else ihc)
--drop-pen BOOL      leave out marker pen (true)
--slide-mpp V        micrometres per level-0 pixel of all slides, instead of what their files or the table say
--dtype TYPE         float16 or float32: how features are stored (float16)
--autocast TYPE      none, bf16 or fp16: how the encoder computes (none)
--batch-size N       patches per pass (auto)
--workers N          reading processes; 0 reads in a thread (one per core on a GPU machine, else 1); on Ray, per encoder
--device NAME        auto, cpu, cuda or cuda:1 (auto)
--shard i/n          every n-th slide from the i-th on, for job arrays
--overwrite          do slides again that are there, whatever their settings
--engine NAME        local, or ray: an existing Ray cluster does it (local)
--address WHERE      of the cluster: HOST:PORT of its head, or auto (RAY_ADDRESS; without that Ray is started here)
--encoders N         on Ray, networks at a time (as many as the GPUs hold; one per machine without GPUs)
--gpus-per-encoder V on Ray, share of a GPU that each has, for example 0.5 (1 where there are GPUs)

A killed run is continued by the same line. Several processes may share one --out. The exit status is 1 if a slide
failed; status.csv beside the features says why."""

Read = Callable[[str, str], Any]  # key and value to what the job gets


def extract(words: list[str]) -> int:
    """Turns slides into feature files; the exit status is 1 if a slide failed."""
    line = Words.split(words)
    if line.has("help") or not words:
        print(f"usage: {COMMANDS['extract'].usage}\n\n{COMMANDS['extract'].about}\n{HELP}")
        return 0
    # Dashes and underscores are the same, but for the options of an encoder, which are names in Python.
    line.options = [
        (key if key.startswith("encoder.") else key.replace("_", "-"), value) for key, value in line.options
    ]
    for key in ("encoder", "out"):
        if not line.has(key):
            raise RecipeError(f"--{key} is missing. `pathfuse extract --help` says what it may be.")
    chosen: dict[str, Any] = {
        "encoder_options": _encoder_options(line),
        "overwrite": line.take("overwrite") is not None,
    }
    for key, read in OPTIONS.items():
        value = line.take(key)
        if value is not None:
            chosen[key.replace("-", "_")] = read(key, value)
    slides, line.positional = tuple(line.positional), []
    line.finish()
    from pathfuse.extract.job import ExtractJob, run_job

    statuses = run_job(ExtractJob(slides=slides, **chosen))
    return 1 if any(status.status == "failed" for status in statuses) else 0


def _encoder_options(line: Words) -> dict[str, object]:
    import yaml

    prefix = "encoder."
    keys = dict.fromkeys(key for key, _ in line.options if key.startswith(prefix))
    try:
        return {key.removeprefix(prefix): yaml.safe_load(line.take(key) or "") for key in keys}
    except yaml.YAMLError as error:
        raise RecipeError(f"an option of --encoder cannot be read ({str(error).splitlines()[0]}).") from error


def _text(key: str, value: str) -> str:
    return value


def _path(key: str, value: str) -> Path:
    return Path(value)


def _batch(key: str, value: str) -> int | None:
    return None if value == "auto" else whole(key, value)


def _among(*known: str) -> Read:
    return lambda key, value: one_of(key, value, known)


def _truth(key: str, value: str) -> bool:
    return one_of(key, value, ("true", "false")) == "true"


OPTIONS: dict[str, Read] = {
    "encoder": _text,
    "weights": _text,
    "out": _path,
    "mpp": number,
    "patch-px": whole,
    "overlap-px": whole,
    "min-tissue": number,
    "modality": _text,
    "tissue": _among("he", "ihc"),
    "drop-pen": _truth,
    "slide-mpp": number,
    "dtype": _among("float16", "float32"),
    "autocast": _among("none", "bf16", "fp16"),
    "batch-size": _batch,
    "workers": whole,
    "device": _text,
    "shard": _text,
    "engine": _among("local", "ray"),
    "address": _text,
    "encoders": whole,
    "gpus-per-encoder": number,
}
