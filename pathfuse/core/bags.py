"""Bags of patches, packed one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

Move = Callable[[Tensor], Tensor]


class SlideInfo(NamedTuple):
    """One slide behind a bag: `mpp` in micrometres per level-0 pixel, `patch_size_level0` in level-0 pixels.

    `origin` is where viewers begin to count, in level-0 pixels; coordinates here count from the corner of the slide.
    """

    slide_id: str
    mpp: float | None = None
    patch_size_level0: float | None = None
    origin: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Bags:
    """Bags packed one after another; nothing is padded. A bag of length 0 is an absent modality.

    Attributes:
        values: (T, D) features or (T, 3, H, W) patches in [0, 1].
        lengths: (B,) long, patches of each case; they sum to T.
        slide: (T,) long, index into the case's `slides`; None where slides are not told apart.
        coords: (T, 2) long, top-left (x, y) in level-0 pixels of that slide; None if unknown.
        slides: per case, the slides behind its patches.
    """

    values: Tensor
    lengths: Tensor
    slide: Tensor | None = None
    coords: Tensor | None = None
    slides: tuple[tuple[SlideInfo, ...], ...] = ()

    @property
    def offsets(self) -> Tensor:
        """(B + 1,) long: the patches of case b are `values[offsets[b]:offsets[b + 1]]`."""
        return torch.cat([self.lengths.new_zeros(1), self.lengths.cumsum(0)])

    @property
    def owner(self) -> Tensor:
        """(T,) long: the case of every patch."""
        return torch.repeat_interleave(self.lengths, output_size=self.values.shape[0])

    def select(self, rows: Tensor) -> Bags:
        """The bags of some cases; `rows` (B',) long, repeats allowed."""
        offsets = self.offsets.tolist()
        keep = [torch.arange(offsets[row], offsets[row + 1]) for row in rows.tolist()]
        index = torch.cat([*keep, torch.arange(0)]).to(self.values.device)
        return Bags(
            self.values[index],
            self.lengths[rows.to(self.lengths.device)],
            None if self.slide is None else self.slide[index],
            None if self.coords is None else self.coords[index],
            tuple(self.slides[row] for row in rows.tolist()) if self.slides else (),
        )

    def map(self, move: Move) -> Bags:
        """The same bags with every tensor moved."""
        return replace(
            self,
            values=move(self.values),
            lengths=move(self.lengths),
            slide=None if self.slide is None else move(self.slide),
            coords=None if self.coords is None else move(self.coords),
        )

    @staticmethod
    def cat(bags: Sequence[Bags]) -> Bags:
        """Bags of several batches as one."""
        return Bags(
            torch.cat([bag.values for bag in bags]),
            torch.cat([bag.lengths for bag in bags]),
            cat_known([bag.slide for bag in bags]),
            cat_known([bag.coords for bag in bags]),
            tuple(case for bag in bags for case in bag.slides),
        )


def cat_known(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The tensors as one; None if one of them is not known."""
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None
