"""Processes that something else started together, such as `torchrun` or `srun`: the first one makes the run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pathfuse.errors import RecipeError, RunError
from pathfuse.system.files import write_text

RUN_VARIABLE = "PATHFUSE_RUN"
"""Lightning starts one more process per device with the same command line; this says where the first one trains."""
MARK = ".launch"
WAIT_S = 300.0
_TORCHRUN = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_ID")


def launch(environment: Mapping[str, str] | None = None) -> str | None:
    """What the processes of one launch have in common; None where this process is alone, or Lightning started it.

    Args:
        environment: None takes that of this process.
    """
    own = os.environ if environment is None else environment
    if RUN_VARIABLE in own:
        return None
    for rank, count, names in (("RANK", "WORLD_SIZE", _TORCHRUN), ("SLURM_PROCID", "SLURM_NTASKS", _SLURM)):
        if own.get(rank, "").isdigit() and own.get(count, "").isdigit() and int(own[count]) > 1:
            return " ".join(own.get(name, "-") for name in names)
    return None


def started_together(environment: Mapping[str, str] | None = None) -> int | None:
    """How many processes one launch has; None where this process is alone, or nobody says.

    Args:
        environment: None takes that of this process.
    """
    own = os.environ if environment is None else environment
    # Not SLURM_NTASKS: a batch script has it too, before `srun` starts anything.
    said = own.get("WORLD_SIZE") or own.get("SLURM_STEP_NUM_TASKS", "")
    return int(said) if launch(own) is not None and said.isdigit() else None


def announce(folder: Path) -> None:
    """Tells the other processes of this launch, and those that Lightning starts, that the folder is ready."""
    if (text := launch()) is not None:
        write_text(folder / MARK, text)
    os.environ[RUN_VARIABLE] = str(folder)


def named(folder: Path | None) -> Path:
    """The folder that a command line names, which several processes need.

    Raises:
        RecipeError: if it names none.
    """
    if folder is None:
        raise RecipeError(
            "several processes were started together, and each would name a folder of its own. Say where with --out."
        )
    return folder


def made_by_first(folder: Path, wait_s: float = WAIT_S) -> Path:
    """The folder that the first process makes, or has opened to go on; waits for it.

    Args:
        folder: `--out` or `--resume`.
        wait_s: seconds after which waiting ends.

    Raises:
        RunError: if it is not ready in time.
    """
    text, end = launch(), time.monotonic() + wait_s
    while time.monotonic() < end:
        with suppress(OSError):
            if (folder / MARK).read_text(encoding="utf-8") == text:
                os.environ[RUN_VARIABLE] = str(folder)
                return folder
        time.sleep(0.05)
    raise RunError(
        f"{folder} was not made ready by the first process of this launch within {wait_s:.0f} s. Its own lines say why."
    )


def forget(folder: Path) -> None:
    """Takes the word to the other processes back, when all of them have finished."""
    with suppress(OSError):
        (folder / MARK).unlink()
