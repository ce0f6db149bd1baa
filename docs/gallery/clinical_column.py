"""A clinical column
=================

Does a column of a table help, beside H&E? One column of the demo cohort does, and one is noise.

Runs in about 30 seconds.
"""

# %%
# The demo cohort comes with a table of its patients: ``her2_copies`` rises with the score, ``age`` has nothing to do
# with it, and some cells are empty. ``--cohort.vectors`` names such a table; here the recipe does.
#
# The recipe reads H&E, IHC and the table. IHC would tell the score, so the model is shown the other two.

import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt

import pathfuse
from pathfuse.cli import main

model = pathfuse.fit(
    "he_ihc_clinical",
    layers=["demo"],
    out="runs/with_table",
    cohort__demo__patients=64,
    data__pictures__grid=3,
    model__given=["he", "clinical"],
    trainer__max_epochs=15,
    quiet=True,
)

# %%
# The test gives every patient each combination of the three, also those with IHC. We look at what the model was shown.

with open(model.run / "predictions.csv", newline="") as file:
    rows = list(csv.DictReader(file))
names = ["he", "clinical", "he+clinical"]
right = [[row["predicted"] == row["target"] for row in rows if row["subset"] == name] for name in names]

fig, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.barh(names, [sum(own) / len(own) for own in right])
axes.axvline(0.25, color="grey", linestyle=":", label="chance")
axes.set(xlabel="fraction of patients that are right", xlim=(0, 1))
axes.legend()

# %%
# What did each column do? ``explain`` gives every case the share of each modality and a value per column. Here is the
# mean size of the values over the test cases. A column of noise has some too: few patients teach the model to use it.

case = rows[0]["case_id"]
main(["explain", str(model.run), "--explainer", "InputXGradient", "--case_ids", case, "--out", "runs/columns"])
explained = json.loads(Path("runs/columns/explain.json").read_text())
print("mean share:", explained["shares"]["mean"])
values = [case["columns"]["InputXGradient"]["clinical"] for case in explained["cases"]]
for name in values[0]:
    print(f"{name:25} {sum(abs(own[name]) for own in values) / len(values):.3f}")
