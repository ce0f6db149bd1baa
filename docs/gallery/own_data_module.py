"""Your own data module
====================

Data that no file format of ours knows: expression of two genes, a vector per case.

Runs in about 15 seconds.
"""

# %%
# Two tables to try it on. One says who the cases are and what their labels are, the other has the data.

import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

import pathfuse

random = np.random.default_rng(0)
Path("runs").mkdir()
with open("runs/labels.csv", "w") as labels, open("runs/expression.csv", "w") as expression:
    labels.write("case_id,label\n")
    expression.write("case_id,ERBB2,ESR1\n")
    for number in range(60):
        amplified = number % 2
        labels.write(f"c{number},{'negative positive'.split()[amplified]}\n")
        expression.write(f"c{number},{random.normal(2 * amplified):.3f},{random.normal():.3f}\n")

# %%
# A data module takes the cohort first and its own options after it. It says which modalities there are, and gives one
# case of them. Folds, leakage checks, balanced sampling and new cases come for free.


@pathfuse.DATA.register
class ExpressionTable(pathfuse.SampleData):
    """Expression of some genes, a vector per case.

    Args:
        cohort: the cases.
        table: CSV with the case in its first column and a gene in each further one.
    """

    def __init__(self, cohort: pathfuse.Cohort, *, table: str = "runs/expression.csv") -> None:
        with open(table, newline="") as file:
            _, *rows = csv.reader(file)
        self.genes = {case: torch.tensor([float(cell) for cell in cells]) for case, *cells in rows}
        super().__init__(cohort.restricted(self.genes, f"no row in {table}"))

    def modality_specs(self) -> list[pathfuse.ModalitySpec]:
        return [pathfuse.ModalitySpec("rna", "vector", len(next(iter(self.genes.values()))))]

    def sample(self, case: pathfuse.Case, draw: pathfuse.Draw) -> dict[str, Tensor]:
        return {"rna": self.genes[case.case_id]}


# %%
# A recipe that reads it.

Path("runs/expression.yaml").write_text("""
data: {class_path: ExpressionTable}
loading: {num_workers: 0}
model:
  encoder: {class_path: VectorEncoder, init_args: {dim: 16, hidden: 16}}
  fusion: {class_path: MeanFusion}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
optimizer: {class_path: Adam, init_args: {lr: 1.0e-2}}
trainer: {max_epochs: 20}
""")
model = pathfuse.fit("runs/expression.yaml", cases="runs/labels.csv", out="runs/genes", quiet=True)

# %%
# What it learned, on test patients.

numbers = json.loads((model.run / "metrics.json").read_text())["rna"]
print(f"balanced accuracy {numbers['test/balanced_accuracy']:.2f} of {numbers['n_cases']} patients")

with open("runs/genes/predictions.csv", newline="") as file:
    rows = list(csv.DictReader(file))
with open("runs/expression.csv", newline="") as file:
    genes = {row["case_id"]: float(row["ERBB2"]) for row in csv.DictReader(file)}
fig, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for label in model.classes:
    own = [row for row in rows if row["target"] == label]
    axes.scatter([genes[row["case_id"]] for row in own], [float(row["p_positive"]) for row in own], label=label)
axes.set(xlabel="expression of ERBB2", ylabel="probability of positive")
axes.legend()
