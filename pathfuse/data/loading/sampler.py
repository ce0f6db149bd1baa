"""Gives out (epoch, position) pairs, so that a sample's draws depend on nothing but the seed, the epoch and itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, DistributedSampler

Item = tuple[int, int]


@dataclass(frozen=True)
class Shared:
    """The share of one process in every epoch.

    Attributes:
        ranks: number of processes that share the cases.
        rank: which of them this is.
        epoch: asked whenever an iterator starts; None uses what `set_epoch` said.
    """

    ranks: int = 1
    rank: int = 0
    epoch: Callable[[], int] | None = None


class EpochSampler(DistributedSampler[Item]):
    """Orders the cases of an epoch.

    A `DistributedSampler`, so that Lightning neither replaces nor wraps it: with several ranks each gets every n-th
    case, and the last ones are repeated to make the shares equal.

    Args:
        data: what is sampled from.
        seed: of the order.
        shuffle: a new order each epoch, or table order.
        length: items of an epoch; None gives every case once. With it, all epochs together go through the cases again
            and again, each time in a new order.
        epoch: asked whenever an iterator starts; None uses what `set_epoch` said.
        ranks: number of processes that share the cases.
        rank: which of them this is.
    """

    def __init__(
        self,
        data: Dataset[object],
        *,
        seed: int,
        shuffle: bool,
        length: int | None = None,
        epoch: Callable[[], int] | None = None,
        ranks: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(data, num_replicas=ranks, rank=rank, shuffle=shuffle, seed=seed)
        self.length = length
        if length is not None:
            self.num_samples = -(-length // ranks)
            self.total_size = self.num_samples * ranks
        self.ask_epoch = epoch

    def __iter__(self) -> Iterator[Item]:
        # Lightning makes the iterator before it calls `set_epoch`, so the epoch is read here, from the trainer.
        epoch = self.epoch if self.ask_epoch is None else self.ask_epoch()
        count = len(self.dataset)  # type: ignore[arg-type]
        order = self.order(epoch, count)
        shares = np.resize(order, self.total_size) if count else order
        for position in shares[self.rank :: self.num_replicas]:
            yield epoch, int(position)

    def order(self, epoch: int, count: int) -> npt.NDArray[np.int64]:
        """The positions of an epoch, one after the other."""
        if self.length is None or not count:
            return self._round(epoch, count)
        first, last = epoch * self.length, (epoch + 1) * self.length
        rounds = [self._round(number, count) for number in range(first // count, -(-last // count))]
        begin = first % count
        return np.concatenate(rounds)[begin : begin + self.length]

    def _round(self, number: int, count: int) -> npt.NDArray[np.int64]:
        """Every position once."""
        return np.random.default_rng([self.seed, number]).permutation(count) if self.shuffle else np.arange(count)
