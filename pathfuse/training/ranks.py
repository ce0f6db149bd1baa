"""Which of several training processes this one is."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_only


def is_first_rank() -> bool:
    """Whether this process writes and speaks: always where there is one, else in the first of all."""
    # Lightning keeps the number there, from the environment before a trainer exists and from its strategy afterwards.
    return int(getattr(rank_zero_only, "rank", 0)) == 0
