"""Other processes that a trainer waits for: refused where nobody starts them, because it would wait without end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.mpi import MPIEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

from pathfuse.errors import RecipeError
from pathfuse.training.processes.launched import started_together

PER_CORE = 4  # processes on a core of a CPU; more would only take turns
AT_LEAST = 8
_LAUNCHERS = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)


def refuse_endless_wait(trainer: Mapping[str, Any]) -> None:
    """Looks at `num_nodes` and `devices` of a trainer.

    Args:
        trainer: its options.

    Raises:
        RecipeError: if it would wait for processes that nobody starts.
    """
    nodes, devices = trainer.get("num_nodes"), trainer.get("devices")
    if isinstance(nodes, int) and nodes > 1 and not _launched():
        raise RecipeError(
            f"trainer.num_nodes is {nodes}, and nothing has started pathfuse on the other machines, for which it would "
            f"wait. Start it on each, with `torchrun --nnodes {nodes}` or `srun`, or leave num_nodes out."
        )
    most = max(AT_LEAST, PER_CORE * (os.cpu_count() or 1))
    wanted = str(devices)
    too_many = wanted.isdecimal() and (len(wanted) > 8 or int(wanted) > most)
    if too_many and not torch.cuda.is_available():
        raise RecipeError(
            f"trainer.devices is {wanted[:20]}, and there are {os.cpu_count()} cores and no GPU here. Take fewer."
        )


def refuse_other_number(trainer: Trainer) -> None:
    """Looks at the processes of a trainer, and at those that were started.

    Raises:
        RecipeError: if they differ: each would train a run by itself, all in one folder.
    """
    started = started_together()
    if started is not None and trainer.world_size != started:
        raise RecipeError(
            f"{started} processes were started together, and the trainer has {trainer.world_size}. Say how many each "
            "machine has with --trainer.devices, and how many machines there are with --trainer.num_nodes."
        )


def refuse_copies(trainer: Trainer) -> None:
    """Looks at how a trainer starts its processes.

    Raises:
        RecipeError: if as copies of this one, whose predictions end with them.
    """
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise RecipeError(
            "trainer.strategy trains in copies of this process, whose predictions do not come back. Take ddp, or leave "
            "it out."
        )


def _launched() -> bool:
    """Whether a launcher started this process, or somebody says by hand which machine this is."""
    return "NODE_RANK" in os.environ or any(environment.detect() for environment in _LAUNCHERS)
