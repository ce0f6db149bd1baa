"""The batch: every modality's key is always there, and a boolean per row says which rows are real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pathfuse.core.bags import Bags, Move, cat_known
from pathfuse.core.spec import DataSpec, ModalitySpec


@dataclass(frozen=True)
class Batch:
    """B cases with everything known about them.

    Attributes:
        x: per modality, images (B, 3, H, W) in [0, 1], vectors (B, D) or `Bags`. Rows that are not present hold any
            payload.
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
            TypeError: if the modality holds something else.
        """
        value = self.x[modality]
        if isinstance(value, Bags) or value.dim() != 4:
            raise TypeError(f"{modality} holds {_held(value)}, and this component reads one image per case")
        return value

    def vector(self, modality: str) -> Tensor:
        """The vectors (B, D) of a modality.

        Raises:
            TypeError: if the modality holds something else.
        """
        value = self.x[modality]
        if isinstance(value, Bags) or value.dim() != 2:
            raise TypeError(f"{modality} holds {_held(value)}, and this component reads one vector per case")
        return value

    def bags(self, modality: str) -> tuple[Bags, Tensor]:
        """The bags of a modality, and (B,) bool which cases have at least one patch of it.

        Raises:
            TypeError: if the modality holds something else.
        """
        value = self.x[modality]
        if not isinstance(value, Bags):
            raise TypeError(f"{modality} holds {_held(value)}, and this component reads bags")
        return value, self.present[modality] & (value.lengths > 0)

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
            cat_known([batch.index for batch in batches]),
        )

    @classmethod
    def of_images(cls, spec: DataSpec, images: Mapping[str, Tensor]) -> Batch:
        """A batch from images at hand; every modality that is not given is absent.

        Args:
            spec: what the model was built for (`model.spec`).
            images: per modality, (B, C, H, W) in [0, 1], at the size and spacing of the spec; of a modality of vectors,
                (B, D), encoded as in training.

        Raises:
            ValueError: if there is none, a modality that the spec does not have, or another number of cases.
        """
        unknown = set(images) - set(spec.names)
        counts = {image.shape[0] for image in images.values()}
        if unknown or len(counts) != 1:
            raise ValueError(f"give images of {', '.join(spec.names)}, the same number of each; got {list(images)}")
        first, count = next(iter(images.values())), counts.pop()
        edges = next((image.shape[2:] for image in images.values() if image.dim() == 4), ())
        blank = {m.name: _blank(m, first, count, edges) for m in spec.modalities}
        present = {name: torch.full((count,), name in images, device=first.device) for name in spec.names}
        ids = tuple(str(row) for row in range(count))
        target = torch.full((count,), -1, device=first.device)
        return cls({**blank, **images}, present, target, ids, ids)

    @classmethod
    def of_bags(cls, spec: DataSpec, bags: Mapping[str, Sequence[Tensor]]) -> Batch:
        """A batch from bags of features or patches at hand; every modality that is not given is absent.

        Args:
            spec: what the model was built for (`model.spec`).
            bags: per modality a bag for each of the B cases, (T, D) features or (T, 3, H, W) patches; a bag without
                rows is an absent modality.

        Raises:
            ValueError: if there is none, a modality that the spec does not have or has no bags of, another number of
                cases, or another width.
        """
        known = [m for m in spec.modalities if m.in_bags]
        counts = {len(own) for own in bags.values()}
        if set(bags) - {m.name for m in known} or len(counts) != 1 or not all(counts):
            names = ", ".join(m.name for m in known) or "nothing: this model reads no bags"
            raise ValueError(f"give bags of {names}, the same number of each; got {list(bags)}")
        first, count = next(iter(bags.values()))[0], counts.pop()
        x: dict[str, Tensor | Bags] = {}
        present: dict[str, Tensor] = {}
        for modality in spec.modalities:
            own = bags.get(modality.name)
            x[modality.name] = _blank(modality, first, count, ()) if own is None else _packed(modality, own)
            made = x[modality.name]
            there = made.lengths > 0 if isinstance(made, Bags) else torch.zeros(count, dtype=torch.bool)
            present[modality.name] = there.to(first.device)
        ids = tuple(str(row) for row in range(count))
        return cls(x, present, torch.full((count,), -1, device=first.device), ids, ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for asynchronous copies to a GPU."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, move: Move) -> Batch:
        return replace(
            self,
            x={m: v.map(move) if isinstance(v, Bags) else move(v) for m, v in self.x.items()},
            present={m: move(p) for m, p in self.present.items()},
            target=move(self.target),
            index=None if self.index is None else move(self.index),
        )


def _held(value: Tensor | Bags) -> str:
    if isinstance(value, Bags):
        return "bags"
    return {2: "one vector per case", 4: "one image per case"}.get(value.dim(), f"tensors of {value.dim()} dimensions")


def _blank(modality: ModalitySpec, like: Tensor, count: int, edges: Sequence[int]) -> Tensor | Bags:
    """What stands for an absent modality."""
    if modality.kind == "vector":
        return like.new_zeros(count, modality.width)
    size = modality.size_px or 1
    edges = edges or (size, size)
    if modality.kind == "image":
        return like.new_zeros(count, modality.width, *edges)
    patch = edges if modality.kind == "patches" else ()
    lengths = torch.zeros(count, dtype=torch.long, device=like.device)
    return Bags(like.new_zeros(0, modality.width, *patch), lengths)


def _packed(modality: ModalitySpec, bags: Sequence[Tensor]) -> Bags:
    for bag in bags:
        if bag.dim() != (4 if modality.kind == "patches" else 2) or bag.shape[1] != modality.width:
            raise ValueError(f"{modality.name}: a bag is (T, {modality.width}), and one is {tuple(bag.shape)}")
    lengths = torch.tensor([len(bag) for bag in bags], device=bags[0].device)
    return Bags(torch.cat(list(bags)), lengths)


def _put(values: Tensor, rows: Tensor, value: float) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (values.dim() - 1)), values.new_tensor(value), values)


def _cat_values(parts: Sequence[Tensor | Bags]) -> Tensor | Bags:
    if isinstance(parts[0], Bags):
        return Bags.cat([part for part in parts if isinstance(part, Bags)])
    return torch.cat([part for part in parts if isinstance(part, Tensor)])
