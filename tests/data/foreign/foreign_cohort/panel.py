"""A table of vectors: the expression of a panel of genes, one row per case."""

import csv
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pathfuse import Case, Cohort, Draw, ModalitySpec, SampleData


class ExpressionPanel(SampleData):
    """Expression of a panel of genes, one vector per case.

    Args:
        cohort: the cases.
        table: CSV with the case in its first column and a gene in each further one.
        noise: deviation of what is added to training cases.
    """

    def __init__(self, cohort: Cohort, *, table: str = "panel.csv", noise: float = 0.0) -> None:
        with open(table, newline="") as file:
            rows = list(csv.reader(file))[1:]
        self.panel = {case: torch.tensor([float(cell) for cell in cells]) for case, *cells in rows}
        super().__init__(cohort.restricted(self.panel, f"no row in {table}"))
        self.noise = noise

    def modality_specs(self) -> Sequence[ModalitySpec]:
        return [ModalitySpec("rna", "vector", len(next(iter(self.panel.values()))))]

    def sample(self, case: Case, draw: Draw) -> Mapping[str, Tensor]:
        values = self.panel[case.case_id]
        if draw.part == "train":
            values = values + self.noise * torch.from_numpy(draw.random.standard_normal(len(values))).float()
        return {"rna": values}
