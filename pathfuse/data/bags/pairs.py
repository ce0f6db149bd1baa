"""Stains of different cases of one class as training cases: for cohorts where nobody has every stain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from pathfuse.cohort import Positions
from pathfuse.core import Batch
from pathfuse.data.bags.dataset import BagSet
from pathfuse.data.bags.features import Slides
from pathfuse.data.bags.packed import CaseFacts, Sampling
from pathfuse.data.loading.sampler import Item
from pathfuse.errors import CaseTableError, PathfuseError

Pairing = Literal["case", "class", "class_static"]


class ClassPairs:
    """Draws, for every class, cases that lend one stain each.

    Args:
        origin: the case table, for messages.
        targets: per case of the cohort, its class index, -1 where unknown.
        classes: class names.
        lends: per stain and case of the cohort, whether it has that stain.
        index: positions in the cohort of the cases that may lend.
        seed: of the draw.
        static: draw once for all epochs, as released.

    Raises:
        CaseTableError: if a class has cases of one stain and none of another, or no case has a label.

    Source: WSMCL (Shi et al. 2025), pairs of the same class: as many for every class as there are cases with the first
        stain, divided by the number of classes, drawn with replacement.
    """

    def __init__(
        self,
        origin: Path,
        targets: Positions,
        classes: Sequence[str],
        lends: Mapping[str, npt.NDArray[np.bool_]],
        index: Positions,
        *,
        seed: int,
        static: bool,
    ) -> None:
        self.seed = seed
        self.static = static
        known = index[targets[index] >= 0]
        if not len(known):
            raise CaseTableError(
                f"{origin.name}: no training case has a label, and pairing: class pairs by it. Use pairing: case."
            )
        self.pools = [
            [known[lends[stain][known] & (targets[known] == number)] for stain in lends]
            for number in range(len(classes))
            if (targets[known] == number).any()
        ]
        present = [name for number, name in enumerate(classes) if (targets[known] == number).any()]
        for name, pools in zip(present, self.pools, strict=True):
            for stain, pool in zip(lends, pools, strict=True):
                if not len(pool):
                    raise CaseTableError(
                        f"{origin.name}: no training case of class {name} has {stain}, and pairing: class needs one "
                        "for every class. Add one, or leave the class out."
                    )
        cases = sum(len(pools[0]) for pools in self.pools)
        self.each = max(1, cases // len(self.pools))

    def __len__(self) -> int:
        return self.each * len(self.pools)

    def draw(self, epoch: int) -> Positions:
        """(N, M) in the order of the classes: of which case each of the M stains is taken."""
        random = np.random.default_rng([self.seed, 0 if self.static else epoch, 2])
        blocks = [
            np.column_stack([pool[random.integers(len(pool), size=self.each)] for pool in pools])
            for pools in self.pools
        ]
        return np.concatenate(blocks).astype(np.int64)


class PairedBagSet(BagSet):
    """Training cases put together from the stains of different cases; see `BagSet` and `ClassPairs`."""

    def __init__(
        self,
        slides: Sequence[Mapping[str, Slides]],
        widths: Mapping[str, int],
        facts: CaseFacts,
        pairs: ClassPairs,
        *,
        sampling: Sampling,
        dtype: torch.dtype,
    ) -> None:
        index = np.arange(len(pairs), dtype=np.int64)
        super().__init__(slides, widths, facts, index, sampling=sampling, dtype=dtype)
        self.pairs = pairs

    def __getitems__(self, wanted: Sequence[Item | int]) -> Batch | PathfuseError:
        """A batch of pairs; each has the name of all its cases, and the patient of the first."""
        items = [(0, item) if isinstance(item, int) else item for item in wanted]
        epochs = [epoch for epoch, _ in items]
        drawn = {epoch: self.pairs.draw(epoch) for epoch in set(epochs)}
        lenders = np.stack([drawn[epoch][position] for epoch, position in items])  # (B, M)
        try:
            bags = {m: self._bags(m, place, epochs, lenders[:, place].tolist()) for place, m in enumerate(self.widths)}
        except PathfuseError as error:
            return error
        first = lenders[:, 0]
        return Batch(
            {**bags},
            {m: bag.lengths > 0 for m, bag in bags.items()},
            torch.from_numpy(self.facts.targets[first]),
            tuple("+".join(dict.fromkeys(self.facts.case_ids[case] for case in row)) for row in lenders.tolist()),
            tuple(self.facts.patient_ids[case] for case in first),
            torch.from_numpy(first.copy()),
        )
