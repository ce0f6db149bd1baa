"""TRIDENT features in
===================

You have features of TRIDENT and a table of labels. Nothing is converted.

Runs in about 40 seconds.
"""

# %%
# Two commands stand for what you have already: slides are drawn, and an encoder with random weights describes their
# patches. ``pathfuse extract`` writes the folders and files of TRIDENT, with some facts more. Nothing is downloaded.

import csv
from pathlib import Path

import pathfuse
from pathfuse.cli import main

main(["data", "demo", "runs/slides", "--layout", "slides", "--patients", "16", "--size_px", "256"])
main(
    ["extract", "runs/slides/cases.csv", "--modality", "ihc", "--encoder", "lunit_vits16", "--weights", "random"]
    + ["--mpp", "4", "--patch-px", "64", "--workers", "0", "--out", "runs/trident_processed"]
)
folder = next(Path("runs/trident_processed").glob("*/features_*"))

# %%
# What is in the files? Format, encoder, patch size and spacing are read from the files themselves. The format of these
# is ``pathfuse``, for the facts more; TRIDENT's own would be ``trident`` here, and all that follows the same.

main(["store", "inspect", str(folder)])

# %%
# A table of labels: a case and its score in each row.

with open("runs/slides/cases.csv", newline="") as file:
    scores = {row["case_id"]: row["label"] for row in csv.DictReader(file)}
Path("runs/labels.csv").write_text("case_id,label\n" + "".join(f"{case},{score}\n" for case, score in scores.items()))

# %%
# What would a fit use? Cases of each class, files found and missing, spacing, and how the first cases were understood.

main(["data", "check", "runs/labels.csv", "--stores", f"{{ihc: {folder}}}"])

# %%
# Then train on it.

model = pathfuse.fit(
    "attention_mil",
    cases="runs/labels.csv",
    stores={"ihc": folder},
    out="runs/from_trident",
    data__modalities=["ihc"],
    loading__num_workers=0,
    trainer__max_epochs=5,
    quiet=True,
)

# %%
# Where the files have coordinates, a map can be drawn: the patches at their places, by attention.

model.explain("runs/labels.csv", "runs/where", stores={"ihc": folder})
sorted(Path("runs/where/Attention").glob("*.png"))[0]
