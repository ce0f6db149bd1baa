"""Data modules that give one case at a time; collating is done for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pathfuse.cohort import Case, Positions
from pathfuse.core import Bags, Batch, ModalitySpec
from pathfuse.data.contract import Batches, CaseData, Part
from pathfuse.data.loading.sampler import Item
from pathfuse.errors import CaseTableError, PathfuseError, PluginError


@dataclass(frozen=True)
class Draw:
    """What a sample may depend on besides its case.

    Attributes:
        part: what the case is for.
        random: a generator of this seed, epoch and case alone; use it for training cases only.
    """

    part: Part
    random: np.random.Generator


class SampleData(CaseData):
    """The short way to a data module: say which modalities there are, and give one case of them.

    A modality that a case lacks is left out of its sample; in the batch it is absent by mask.
    """

    @abstractmethod
    def sample(self, case: Case, draw: Draw) -> Mapping[str, Tensor]:
        """Per modality that the case has, its tensor.

        That is (D,) of a vector, (C, H, W) of an image in [0, 1], (T, D) or (T, C, H, W) of a bag.

        Args:
            case: of the cohort.
            draw: for random changes of training cases.
        """

    def dataset(self, index: Positions, part: Part) -> Batches:
        """Collated samples."""
        return SampleSet(self, index, part)


class SampleSet(Dataset[Batch | PathfuseError]):
    """Some cases of a `SampleData`, collated: images and vectors are stacked, bags are packed.

    Args:
        data: gives the samples.
        index: positions in the cohort of the cases to show.
        part: what they are for.
    """

    def __init__(self, data: SampleData, index: Positions, part: Part) -> None:
        self.specs = tuple(data.modality_specs())
        self.cases = [data.cohort.table.cases[position] for position in index]
        self.targets = data.cohort.table.targets()[index]
        self.index = index
        self.part: Part = part
        self.seed = data.loading.seed
        self.sample = data.sample
        self.module = type(data).__name__

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: Item | int) -> Batch | PathfuseError:
        """One case as a batch of one."""
        return self.__getitems__([item])

    def __getitems__(self, wanted: Sequence[Item | int]) -> Batch | PathfuseError:
        """A batch of cases."""
        items = [(0, item) if isinstance(item, int) else item for item in wanted]
        places = [position for _, position in items]
        try:
            samples = [self._sample(epoch, position) for epoch, position in items]
        except PathfuseError as error:
            return error  # an exception that crosses from a worker arrives as a traceback
        return Batch(
            {spec.name: _collate(spec, [sample.get(spec.name) for sample in samples]) for spec in self.specs},
            {spec.name: torch.tensor([spec.name in sample for sample in samples]) for spec in self.specs},
            torch.from_numpy(self.targets[places]),
            tuple(self.cases[place].case_id for place in places),
            tuple(self.cases[place].patient_id for place in places),
            torch.from_numpy(self.index[places]),
        )

    def _sample(self, epoch: int, position: int) -> Mapping[str, Tensor]:
        random = np.random.default_rng([self.seed, epoch, int(self.index[position])])
        case = self.cases[position]
        sample = self.sample(case, Draw(self.part, random))
        if not isinstance(sample, Mapping):
            raise PluginError(
                f"{self.module}.sample returns a {type(sample).__name__} for case {case.case_id}, and has to return "
                "the tensors of its modalities by name."
            )
        unknown = set(sample) - {spec.name for spec in self.specs}
        if unknown:
            raise CaseTableError(
                f"case {case.case_id} has a sample of {min(unknown)!r}, which modality_specs does not name."
            )
        for spec in self.specs:
            if spec.name in sample:
                _check_shape(spec, sample[spec.name], case.case_id)
        return sample


def _check_shape(spec: ModalitySpec, value: Tensor, case_id: str) -> None:
    """Refuses what cannot be collated with other cases, or is not what the model is built for."""
    one = _shape(spec)
    fits = isinstance(value, Tensor) and value.shape[1 if spec.in_bags else 0 :] == one
    if not fits or value.dim() != len(one) + spec.in_bags:
        found = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        wanted = f"(T, {', '.join(map(str, one))})" if spec.in_bags else one
        raise CaseTableError(
            f"case {case_id} has a sample of {spec.name!r} of {found}, and modality_specs says {spec.kind} of "
            f"{wanted}. Correct one."
        )


def _collate(spec: ModalitySpec, samples: Sequence[Tensor | None]) -> Tensor | Bags:
    there = [sample for sample in samples if sample is not None]
    if spec.in_bags:
        values = torch.cat(there) if there else torch.empty(0, *_shape(spec))  # (T, ...)
        lengths = torch.tensor([0 if sample is None else len(sample) for sample in samples])
        return Bags(values, lengths)
    empty = torch.zeros(_shape(spec)) if not there else torch.zeros_like(there[0])
    return torch.stack([empty if sample is None else sample for sample in samples])  # (B, ...)


def _shape(spec: ModalitySpec) -> tuple[int, ...]:
    """Of one image, vector or patch."""
    return (spec.width, spec.size_px or 1, spec.size_px or 1) if spec.kind in ("image", "patches") else (spec.width,)
