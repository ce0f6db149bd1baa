"""Words during training: who speaks of several processes, and Lightning without its hints."""

from __future__ import annotations

import logging
import warnings

from pathfuse.inference.speaking import hush

# What Lightning says to people who write their own loops; a recipe decides these things on purpose.
QUIET = (
    r".*does not have many workers.*",
    r".*`log_every_n_steps`.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*The number of training batches .* is smaller than the logging interval.*",
    r".*treespec.*",
    r"Found \d+ module\(s\) in eval mode at the start of training.*",
)


def prepare_lightning() -> None:
    """Imports Lightning with its tips and hints switched off."""
    hush()
    for pattern in QUIET:
        warnings.filterwarnings("ignore", pattern)
    import lightning.pytorch  # noqa: F401 - it sets the levels of its loggers when it is imported

    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)


def is_first_rank() -> bool:
    """Whether this process writes and speaks: always where there is one, else in the first of all."""
    from lightning.pytorch.utilities import rank_zero_only

    # Lightning keeps the number there, from the environment before a trainer exists and from its strategy afterwards.
    return int(getattr(rank_zero_only, "rank", 0)) == 0
