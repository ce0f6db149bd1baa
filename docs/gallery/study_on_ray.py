"""A study on Ray
==============

The runs of a study are independent. Ray gives them to the machines of a cluster; here to this one.

Runs in about 60 seconds.
"""

# %%
# ``--address local`` starts a Ray of its own and ends it again; ``--address HOST:PORT`` names a cluster. Nothing else
# differs: not the folds, not the numbers, not the page.

import csv
from pathlib import Path

from pathfuse.cli import main

Path("runs").mkdir()
Path("runs/pools.yaml").write_text("""
splits: {folds: 2, seed: 0}
seeds: [1]
overrides: {cohort.demo.patients: 48, data.modalities: [ihc], data.pictures.grid: 3, trainer.max_epochs: 6}
variants:
  attention: {recipe: attention_mil, layers: [demo], overrides: {model.modality_dropout: null}}
  mean: {recipe: attention_mil, layers: [demo], overrides: {model.modality_dropout: null, model.fusion: MeanPool}}
report:
  metrics: [balanced_accuracy, auroc]
  baseline: mean
  figures:
    areas: {kind: bars, value: auroc, title: Area under the curve}
""")
main(["study", "runs/pools.yaml", "--out", "runs/pools", "--engine", "ray", "--address", "local"])

# %%
# What became of every run. A run whose machine is lost is ``failed`` here, and the same line does it again.

with open("runs/pools/runs.csv", newline="") as file:
    for row in csv.DictReader(file):
        print(row["variant"], row["fold"], row["status"])

# %%
Path("runs/pools/figures/areas.svg")
