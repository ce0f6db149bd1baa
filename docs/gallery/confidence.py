"""Confidence and abstention
=========================

When should a person look? A run chooses a threshold on its validation part, and says what it keeps.

Runs in about 30 seconds.
"""

# %%
# The model reads IHC. After training it is calibrated on the validation part: a temperature, a threshold below which it
# abstains, and sets of classes that hold the truth in nine of ten cases. ``target_risk`` says how many errors are
# accepted among the cases that it keeps.

import csv
import json

import matplotlib.pyplot as plt
import numpy as np

import pathfuse

model = pathfuse.fit(
    "attention_mil",
    layers=["demo"],
    out="runs/confident",
    cohort__demo__patients=160,
    data__modalities=["ihc"],
    data__pictures__grid=3,
    model__modality_dropout=None,
    model__target_risk=0.1,
    trainer__max_epochs=12,
    quiet=True,
)

# %%
# Risk and coverage: keep the most confident cases first, and count the errors among those that are kept.

with open(model.run / "risk_coverage.csv", newline="") as file:
    rows = list(csv.DictReader(file))
fig, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for score in sorted({row["score"] for row in rows}):
    own = [row for row in rows if row["score"] == score]
    axes.plot([float(row["coverage"]) for row in own], [float(row["risk"]) for row in own], label=score)
axes.axhline(0.1, color="grey", linestyle=":", label="accepted")
axes.set(xlabel="cases that are kept", ylabel="errors among them", ylim=(0, None))
axes.legend()

# %%
# The threshold was chosen on the validation part. These numbers are of test patients, who had no part in it.

numbers = json.loads((model.run / "metrics.json").read_text())["ihc"]
for name in ("abstained", "risk_kept", "risk_abstained", "set_coverage", "set_size"):
    print(f"{name:15} {numbers[f'test/{name}']:.2f}")

# %%
# A prediction says it case by case: the set, and whether to abstain.

random = np.random.default_rng(0)
width = model.spec["ihc"].width
model.predict({"ihc": [random.random((9, width), dtype=np.float32) for _ in range(3)]})
