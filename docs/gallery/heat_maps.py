"""Heat maps, and whether to believe them
======================================

A map is drawn whether or not it is true. On the demo cohort it is known where the signal is.

Runs in about 40 seconds.
"""

# %%
# A model of IHC images. The signal is in the membranes, by construction.

import json
from pathlib import Path

import pathfuse
from pathfuse.cli import main

model = pathfuse.fit(
    "ihc_only",
    layers=["demo"],
    out="runs/ihc",
    cohort__demo__patients=32,
    data__pictures__cases_per_patient=1,
    data__pictures__size_px=96,
    data__size_px=96,
    trainer__max_epochs=12,
    quiet=True,
)

# %%
# Two explainers on the test part. ``--faithfulness`` measures how far each can be believed.

main(
    ["explain", "runs/ihc", "--explainer", "GradCAM", "--explainer", "InputXGradient", "--faithfulness"]
    + ["--out", "runs/maps"]
)

# %%
# Insertion shows the highest places first and watches the probability rise; a random map stands beside it. ``AUC`` is
# that of the scores against the membranes: 0.5 is chance.

result = json.loads(Path("runs/maps/explain.json").read_text())["faithfulness"]
for row in result["table"]:
    print(f"{row['explainer']:16} {row['measure']:30} {row['value']:6.2f}  ({row['low']:.2f} to {row['high']:.2f})")
print(*result["sentences"], sep="\n")

# %%
# A case, with Grad-CAM over it. ``runs/maps/explain.html`` has all of them, with a slider for the map.

sorted(Path("runs/maps/GradCAM").glob("*.png"))[0]
