"""Orders the cases of an epoch so that every class comes equally often."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from pathfuse.data.loading.sampler import EpochSampler


class BalancedSampler(EpochSampler):
    """Gives out as many cases as there are, or `length`, every class equally often.

    Unlabelled cases come only where none has a label.

    A small class repeats its cases, a large one leaves some out; what is left out changes from epoch to epoch.

    Args:
        data: what is sampled from.
        targets: (N,) class index of every item of `data`, -1 where unknown.
        seed: of the order.
        length: items of an epoch; None gives as many as there are cases.
        epoch: asked whenever an iterator starts; None uses what `set_epoch` said.
        ranks: number of processes that share the cases.
        rank: which of them this is.
    """

    def __init__(
        self,
        data: Dataset[object],
        targets: npt.NDArray[np.int64],
        *,
        seed: int,
        length: int | None = None,
        epoch: Callable[[], int] | None = None,
        ranks: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(data, seed=seed, shuffle=True, length=length, epoch=epoch, ranks=ranks, rank=rank)
        known = np.unique(targets[targets >= 0])
        self.pools = [np.flatnonzero(targets == target) for target in (known if len(known) else [-1])]

    def order(self, epoch: int, count: int) -> npt.NDArray[np.int64]:
        """The positions of an epoch, one after the other."""
        random = np.random.default_rng([self.seed, epoch])
        count = self.length if self.length is not None and count else count
        # The classes take turns at the one case more that an uneven count leaves.
        shares = np.full(len(self.pools), count // len(self.pools))
        shares[(epoch + np.arange(count % len(self.pools))) % len(self.pools)] += 1
        picked = [self._cycle(pool, share, random) for pool, share in zip(self.pools, shares.tolist(), strict=True)]
        return random.permutation(np.concatenate(picked)).astype(np.int64)

    @staticmethod
    def _cycle(pool: npt.NDArray[np.int64], count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """`count` of a pool, each as often as the others or once more."""
        rounds = [random.permutation(pool) for _ in range(-(-count // len(pool)))]
        return np.concatenate([*rounds, pool[:0]])[:count]
