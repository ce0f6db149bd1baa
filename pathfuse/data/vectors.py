"""Vectors of the cohort in the batches of any data module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pathfuse.cohort import Cohort
from pathfuse.cohort.vectors import encode, fit_columns, unseen
from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.loading.sampler import Item
from pathfuse.errors import PathfuseError


@dataclass(frozen=True)
class Vectors:
    """The vectors of one modality for every case of a cohort.

    Attributes:
        spec: the modality, with how its columns are encoded.
        values: (N, D), by position in the cohort.
        present: (N,) which cases have a row.
        notes: what to know about them.
    """

    spec: ModalitySpec
    values: Tensor
    present: Tensor
    notes: tuple[str, ...] = ()


def vectors_of(cohort: Cohort, made_for: DataSpec | None) -> list[Vectors]:
    """The vectors of a cohort, encoded as the model was trained, or else by the training part.

    A modality that the model has and the cohort has not is absent from every case.

    Raises:
        CaseTableError: if a table cannot be read or does not fit.
    """
    trained = {m.name: m for m in made_for.modalities if m.columns} if made_for else {}
    tables, cases = cohort.vector_tables, cohort.table.cases
    found = []
    for name in dict.fromkeys([*tables, *trained]):
        if name not in tables:
            spec = trained[name]
            found.append(Vectors(spec, torch.zeros(len(cases), spec.width), torch.zeros(len(cases), dtype=torch.bool)))
            continue
        table = tables[name]
        columns = trained[name].columns if name in trained else fit_columns(table, cohort.training)
        values, present = encode(table, columns, cases)
        lost = int((~present).sum())
        notes = (f"{lost} of {len(cases)} cases have no row in {table.path.name}.",) if lost else ()
        spec = ModalitySpec(name, "vector", values.shape[1], columns=columns)
        known = torch.from_numpy(values), torch.from_numpy(present)
        found.append(Vectors(spec, *known, (*notes, *unseen(table, columns, cases))))
    return found


class WithVectors(Dataset[Batch | PathfuseError]):
    """The batches of another data set, with the vectors of their cases.

    Args:
        data: the other data set; the index of its batches is the position in the cohort.
        vectors: per modality, the vectors of every case.
    """

    def __init__(self, data: Dataset[Batch] | Dataset[Batch | PathfuseError], vectors: Sequence[Vectors]) -> None:
        self.data = data
        self.values: Mapping[str, tuple[Tensor, Tensor]] = {v.spec.name: (v.values, v.present) for v in vectors}

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, item: Item | int) -> Batch | PathfuseError:
        """One case as a batch of one."""
        return self.__getitems__([item])

    def __getitems__(self, wanted: Sequence[Item | int]) -> Batch | PathfuseError:
        """A batch of cases."""
        batch: Batch | PathfuseError = self.data.__getitems__(wanted)  # type: ignore[union-attr]
        if isinstance(batch, PathfuseError) or batch.index is None:
            return batch
        index = batch.index
        x = {**batch.x, **{name: values[index] for name, (values, _) in self.values.items()}}
        present = {**batch.present, **{name: there[index] for name, (_, there) in self.values.items()}}
        return replace(batch, x=x, present=present)
