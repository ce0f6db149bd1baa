"""A stain is missing
==================

Four of ten patients have no IHC. Can they be used in training, and can they be predicted?

Runs in about 20 seconds.
"""

# %%
# Nothing needs to be said: a stain that a case lacks is a mask, and the model learns from what is there. The demo
# cohort leaves them out by an option. The layer ``both_stains`` also hides stains at random, so that the model learns
# to do without.

import json

import matplotlib.pyplot as plt
import numpy as np

import pathfuse

model = pathfuse.fit(
    "attention_mil",
    layers=["both_stains", "demo"],
    out="runs/missing",
    cohort__demo__patients=64,
    cohort__demo__missing={"ihc": 0.4},
    data__pictures__grid=3,
    trainer__max_epochs=12,
    quiet=True,
)

# %%
# The test gives the model what each patient has, and every smaller combination too. ``modalities.json`` compares the
# combinations on the patients that have both stains; others would not be a fair comparison.

found = json.loads((model.run / "metrics.json").read_text())
names = list(found)
scores = [found[name]["test/balanced_accuracy"] for name in names]
low = [found[name]["test/balanced_accuracy"] - found[name]["test/balanced_accuracy_low"] for name in names]
high = [found[name]["test/balanced_accuracy_high"] - found[name]["test/balanced_accuracy"] for name in names]

fig, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.errorbar(scores, names, xerr=[low, high], fmt="o", capsize=4)
axes.axvline(0.25, color="grey", linestyle=":", label="chance")
axes.set(xlabel="balanced accuracy, with its 95 % interval over patients", xlim=(0, 1))
axes.legend()

# %%
# A new patient is predicted from whatever is there. A stain is left out by not naming it.

random = np.random.default_rng(0)
width = model.spec["he"].width
model.predict({"he": [random.random((9, width), dtype=np.float32)]})
