"""Low against high resolution
===========================

A whole slide as one small image, or as a bag of patches?

Runs in about 40 seconds.
"""

# %%
# ``lowres_convnext`` reads the IHC slide reduced to one image, ``highres_mil`` the same kind of slide as a bag of
# patches. A study trains both on the same folds of the same patients.

from pathlib import Path

from pathfuse.cli import main

Path("runs").mkdir()
Path("runs/resolution.yaml").write_text("""
splits: {folds: 2, seed: 0}
seeds: [1]
overrides: {cohort.demo.patients: 48}
variants:
  low: {recipe: lowres_convnext, layers: [demo], subset: ihc, overrides: {trainer.max_epochs: 10}}
  high: {recipe: highres_mil, layers: [demo], subset: ihc, overrides: {data.pictures.grid: 3, trainer.max_epochs: 10}}
report:
  metrics: [balanced_accuracy, auroc]
  baseline: high
  names: {low: slide as one image, high: bag of patches}
  figures:
    roc: {kind: roc, title: ROC at both resolutions, lines: models}
""")
main(["study", "runs/resolution.yaml", "--out", "runs/resolution", "--jobs", "1"])

# %%
# The classes are 0, low and high, as in the paper that asks this question.

print("\n".join(Path("runs/resolution/comparison.md").read_text().splitlines()[2:10]))

# %%
# ``pathfuse study resolution`` is the same with the sizes of the paper, on slides of your own.

sorted(Path("runs/resolution/figures").glob("*.svg"))[0]
