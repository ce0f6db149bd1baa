"""Tutorial: from nothing to a comparison
======================================

You have installed pathfuse and nothing else. At the end you know whether IHC tells more than H&E in a cohort.

Runs in about 60 seconds.
"""

# %%
# **A cohort.** There is none yet, so one is drawn. It is written as your own would lie on disk: images, and a table
# with a row per file.

import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt

from pathfuse.cli import main

main(["data", "demo", "runs/cohort", "--patients", "24", "--size_px", "64"])
print("\n".join(Path("runs/cohort/cases.csv").read_text().splitlines()[:5]))

# %%
# A case is a pair of patches, H&E and IHC, with the HER2 score of its patient. Brown membranes say the score; in H&E it
# shows in the nuclei alone.

with open("runs/cohort/cases.csv", newline="") as file:
    rows = list(csv.DictReader(file))
fig, panels = plt.subplots(2, 4, figsize=(7, 3.8), layout="constrained")
for column, label in enumerate(sorted({row["label"] for row in rows})):
    for line, stain in enumerate(("he", "ihc")):
        row = next(row for row in rows if (row["label"], row["modality"]) == (label, stain))
        panels[line, column].imshow(plt.imread(Path("runs/cohort") / row["path"]))
        panels[line, column].set_title(f"{stain}, {label}")
        panels[line, column].axis("off")

# %%
# **Is the table understood?** Look before you train.

main(["data", "check", "runs/cohort/cases.csv"])

# %%
# **A first run.** A recipe is a whole pipeline by name: here a small network that sees IHC. The layer ``demo`` has
# small sizes. Training, test and report are one command.

SMALL = ["--layer", "demo", "--cases", "runs/cohort/cases.csv", "--data.size_px", "48", "--trainer.max_epochs", "6"]
main(["fit", "--recipe", "ihc_only", *SMALL, "--out", "runs/first"])

# %%
# The run folder has everything: ``report.html`` is its page. The curves of training are a table.

with open("runs/first/curves/train.csv", newline="") as file:
    curve = list(csv.DictReader(file))
fig, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for name in ("train/loss", "val/loss"):
    axes.plot([float(row[name]) for row in curve], label=name)
axes.set(xlabel="epoch", ylabel="loss")
axes.legend()

# %%
# **Where did it look?**

main(["explain", "runs/first", "--out", "runs/maps"])

# %%
# One case of the test part, the tissue under the map:

first = json.loads(Path("runs/maps/explain.json").read_text())["cases"][0]
Path("runs/maps") / first["pictures"]["GradCAM"]["ihc"]

# %%
# **Does IHC tell more than H&E?** One run on one split says little. ``study`` trains each variant on every fold and
# compares them on the same patients.

Path("runs/adds.yaml").write_text("""
splits: {folds: 2, seed: 0}
seeds: [1]
variants:
  he: {recipe: he_only}
  ihc: {recipe: ihc_only}
report:
  metrics: [balanced_accuracy, auroc]
  baseline: he
  figures:
    areas: {kind: bars, value: auroc, title: Area under the curve}
""")
main(["study", "runs/adds.yaml", *SMALL, "--out", "runs/adds", "--jobs", "1"])

# %%
# The answer in a sentence, with an interval over patients:

print(Path("runs/adds/comparison.md").read_text().splitlines()[2])

# %%
# And as a picture. ``runs/adds/report.html`` is the page of the comparison.

Path("runs/adds/figures/areas.svg")

# %%
# That was everything, on generated patients. With yours, replace the first line by the path of your table.
# ``pathfuse recipes`` lists what else can be trained, and the other examples take single questions further.
