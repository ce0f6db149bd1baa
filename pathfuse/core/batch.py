"""The batch: every modality's key is always there, and a boolean per row says which rows are real."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from pathfuse.core.spec import DataSpec

_Move = Callable[[Tensor], Tensor]


class SlideInfo(NamedTuple):
    """One slide behind a bag: `mpp` in micrometres per level-0 pixel, `patch_size_level0` in level-0 pixels."""

    slide_id: str
    mpp: float | None = None
    patch_size_level0: float | None = None


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

    def _map(self, move: _Move) -> Bags:
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
            _cat_all([bag.slide for bag in bags]),
            _cat_all([bag.coords for bag in bags]),
            tuple(case for bag in bags for case in bag.slides),
        )


@dataclass(frozen=True)
class Batch:
    """B cases with everything known about them.

    Attributes:
        x: per modality, images (B, 3, H, W) in [0, 1] or `Bags`. Rows that are not present hold any payload.
        present: per modality, (B,) bool; the keys are those of `x`.
        target: (B,) long class index, -1 where the label is unknown.
        case_ids: the B cases.
        patient_ids: their patients, the unit of splits and statistics.
        index: (B,) long, position of the case in its data set; what seeded augmentation and tests refer to.
    """

    x: dict[str, Tensor | Bags]
    present: dict[str, Tensor]
    target: Tensor
    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    index: Tensor | None = field(default=None)

    def __len__(self) -> int:
        return int(self.target.shape[0])

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.x)

    def image(self, modality: str) -> Tensor:
        """The images (B, C, H, W) of a modality.

        Raises:
            TypeError: if the modality holds bags.
        """
        value = self.x[modality]
        if isinstance(value, Bags):
            raise TypeError(f"{modality} holds bags, and this component reads one image per case")
        return value

    def keep(self, *modalities: str) -> Batch:
        """The same cases with every other modality marked absent."""
        present = {m: p if m in modalities else torch.zeros_like(p) for m, p in self.present.items()}
        return replace(self, present=present)

    def drop(self, *modalities: str) -> Batch:
        """The same cases with these modalities marked absent."""
        return self.keep(*(m for m in self.modalities if m not in modalities))

    def fill(self, modality: str, value: float) -> Batch:
        """The same batch with `value` in every absent row of a modality: a model may not notice."""
        payload = self.x[modality]
        absent = ~self.present[modality]
        if isinstance(payload, Bags):
            rows = absent[payload.owner]
            filled: Tensor | Bags = replace(payload, values=_put(payload.values, rows, value))
        else:
            filled = _put(payload, absent, value)
        return replace(self, x={**self.x, modality: filled})

    def select(self, rows: Tensor) -> Batch:
        """Some cases of the batch; `rows` (B',) long, repeats allowed."""
        picked = rows.tolist()
        return Batch(
            {m: v.select(rows) if isinstance(v, Bags) else v[rows.to(v.device)] for m, v in self.x.items()},
            {m: p[rows.to(p.device)] for m, p in self.present.items()},
            self.target[rows.to(self.target.device)],
            tuple(self.case_ids[row] for row in picked),
            tuple(self.patient_ids[row] for row in picked),
            None if self.index is None else self.index[rows.to(self.index.device)],
        )

    @staticmethod
    def cat(batches: Sequence[Batch]) -> Batch:
        """Several batches with the same modalities as one."""
        first = batches[0]
        return Batch(
            {m: _cat_values([batch.x[m] for batch in batches]) for m in first.x},
            {m: torch.cat([batch.present[m] for batch in batches]) for m in first.present},
            torch.cat([batch.target for batch in batches]),
            tuple(case for batch in batches for case in batch.case_ids),
            tuple(patient for batch in batches for patient in batch.patient_ids),
            _cat_all([batch.index for batch in batches]),
        )

    @classmethod
    def of_images(cls, spec: DataSpec, images: Mapping[str, Tensor]) -> Batch:
        """A batch from images at hand; every stain that is not given is absent.

        Args:
            spec: what the model was built for (`model.spec`).
            images: per modality, (B, C, H, W) in [0, 1], at the size and spacing of the spec.

        Raises:
            ValueError: if there is no image, a stain that the spec does not have, or another number of cases.
        """
        unknown = set(images) - set(spec.names)
        counts = {image.shape[0] for image in images.values()}
        if unknown or len(counts) != 1:
            raise ValueError(f"give images of {', '.join(spec.names)}, the same number of each; got {list(images)}")
        first, count = next(iter(images.values())), counts.pop()
        blank = {name: first.new_zeros(count, spec[name].width, *first.shape[2:]) for name in spec.names}
        present = {name: torch.full((count,), name in images, device=first.device) for name in spec.names}
        ids = tuple(str(row) for row in range(count))
        target = torch.full((count,), -1, device=first.device)
        return cls({**blank, **images}, present, target, ids, ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for asynchronous copies to a GPU."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, move: _Move) -> Batch:
        return replace(
            self,
            x={m: v._map(move) if isinstance(v, Bags) else move(v) for m, v in self.x.items()},
            present={m: move(p) for m, p in self.present.items()},
            target=move(self.target),
            index=None if self.index is None else move(self.index),
        )


def _put(values: Tensor, rows: Tensor, value: float) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (values.dim() - 1)), values.new_tensor(value), values)


def _cat_all(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None


def _cat_values(parts: Sequence[Tensor | Bags]) -> Tensor | Bags:
    if isinstance(parts[0], Bags):
        return Bags.cat([part for part in parts if isinstance(part, Bags)])
    return torch.cat([part for part in parts if isinstance(part, Tensor)])
