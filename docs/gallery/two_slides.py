"""Two slides in
=============

An H&E slide, and the IHC of the next section, turned and stretched. Where is the same tissue?

Runs in about 60 seconds.
"""

# %%
# The demo cohort is written as serial sections. The true map between both slides is known, so the result can be scored.

import csv
from pathlib import Path

import matplotlib.pyplot as plt

from pathfuse.cli import main

main(["data", "demo", "runs/serial", "--layout", "serial", "--patients", "1", "--size_px", "768"])

# %%
# ``register`` lays the IHC on the H&E, and says how far it can be trusted. No landmarks are needed for that; where they
# are there, the error is measured too.

main(
    ["register", "runs/serial/cases.csv", "--fixed", "he", "--moving", "ihc", "--out", "runs/registered"]
    + ["--landmarks", "runs/serial/truth/points/{case}.csv"]
)

# %%
# ``pairs`` cuts patches that show the same tissue. Places that cannot be trusted are left out.

main(["pairs", "runs/registered", "--patch-px", "128", "--mpp", "1", "--out", "runs/pairs"])

# %%
# Was it trusted? The lead says how much more alike the tissues are than in any other placement. The error is measured
# at the known landmarks.

with open("runs/registered/status.csv", newline="") as file:
    (found,) = csv.DictReader(file)
for name in ("status", "lead", "consistency_um", "degrees", "landmarks_median_px"):
    print(f"{name:20} {found[name]}")

# %%
# Both slides over each other. ``runs/registered/register.html`` has this, a checkerboard, and the error at every place.

next(Path("runs/registered").rglob("overlay.jpg"))

# %%
# Three of the pairs that were cut, H&E above IHC. They lie in a folder with a case table, so ``--cases runs/pairs``
# trains on them.

with open("runs/pairs/cases.csv", newline="") as file:
    rows = list(csv.DictReader(file))
fig, panels = plt.subplots(2, 3, figsize=(6, 4.2), layout="constrained")
for line, stain in zip(panels, ("he", "ihc"), strict=True):
    for panel, row in zip(line, rows, strict=False):
        panel.imshow(plt.imread(Path("runs/pairs") / row[stain]))
        panel.set_title(stain)
        panel.axis("off")
