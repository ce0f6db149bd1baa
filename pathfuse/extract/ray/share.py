"""The share of a Ray cluster: its encoders, and the GPUs, readers and threads of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pathfuse.errors import RecipeError, RunError


@dataclass(frozen=True)
class Share:
    """What the encoders of a run have.

    Attributes:
        encoders: how many there are.
        gpus: of one encoder; 0 computes on the CPU.
        readers: reading tasks of one encoder at a time.
        threads: of one encoder that computes on the CPU.
    """

    encoders: int
    gpus: float
    readers: int
    threads: int

    def __str__(self) -> str:
        each = f"{self.gpus:g} GPU" if self.gpus else "the CPU"
        what = "1 encoder" if self.encoders == 1 else f"{self.encoders} encoders"
        return f"{what} on Ray, each with {each} and {self.readers} reading for it at a time."


def share_out(
    machines: Sequence[Mapping[str, float]],
    *,
    encoders: int | None = None,
    gpus: float | None = None,
    readers: int | None = None,
    device: str = "auto",
) -> Share:
    """Fills in what the user did not say.

    Args:
        machines: what every machine of the cluster has of `CPU` and `GPU`.
        encoders: how many; None takes as many as the GPUs hold, and one per machine without GPUs.
        gpus: of one encoder; None takes one where there are GPUs.
        readers: reading tasks of one encoder; None shares the cores where GPUs compute, and takes one else.
        device: what the user asked for.

    Raises:
        RecipeError: if a number makes no sense.
        RunError: if the cluster has no room for one encoder.
    """
    _check(encoders, gpus, device)
    cores = sum(machine.get("CPU", 0) for machine in machines)
    there = sum(machine.get("GPU", 0) for machine in machines)
    if device == "cpu":
        gpus = 0.0
    elif gpus is None:
        gpus = 1.0 if there or device == "cuda" else 0.0
    if encoders is None:
        if gpus:
            encoders = sum(int(machine.get("GPU", 0)) * int(1 / gpus + 1e-9) for machine in machines)
        else:
            encoders = sum(machine.get("CPU", 0) >= 1 for machine in machines)
    if not encoders:
        what = "GPU" if gpus else "core"
        raise RunError(f"this Ray cluster has no {what}. Give --encoders N to wait for machines that have.")
    part = max(1, int(cores) // encoders)
    return Share(encoders, gpus, max(1, readers) if readers is not None else part if gpus else 1, part)


def _check(encoders: int | None, gpus: float | None, device: str) -> None:
    if encoders is not None and encoders < 1:
        raise RecipeError(f"--encoders {encoders}: has to be above 0.")
    if gpus is not None and not 0 <= gpus <= 1:
        raise RecipeError(f"--gpus-per-encoder {gpus:g}: a share of one GPU, from 0 to 1.")
    if device not in ("auto", "cpu", "cuda"):
        raise RecipeError(f"--device {device}: on Ray write auto, cpu or cuda. Ray chooses which GPU.")
    if device == "cpu" and gpus:
        raise RecipeError(f"--gpus-per-encoder {gpus:g} and --device cpu: leave out one of them.")
    if device == "cuda" and gpus == 0:
        raise RecipeError("--gpus-per-encoder 0 and --device cuda: leave out one of them.")
