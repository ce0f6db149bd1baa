"""Compare recipes
===============

Is a model of IHC better than a model of H&E, and is the difference more than chance?

Runs in about 40 seconds.
"""

# %%
# A study says who is compared. Three variants of one recipe differ in the stains that they read. All of them see the
# same patients in the same folds.

from pathlib import Path

from pathfuse.cli import main

Path("runs").mkdir()
Path("runs/stains.yaml").write_text("""
splits: {folds: 2, seed: 0}
seeds: [1]
overrides: {cohort.demo.patients: 48, data.pictures.grid: 4, trainer.max_epochs: 10}
variants:
  he: {recipe: attention_mil, layers: [demo], overrides: {data.modalities: [he], model.modality_dropout: null}}
  ihc: {recipe: attention_mil, layers: [demo], overrides: {data.modalities: [ihc], model.modality_dropout: null}}
  both: {recipe: attention_mil, layers: [demo]}
report:
  metrics: [balanced_accuracy, auroc]
  baseline: he
  figures:
    areas: {kind: bars, value: auroc, title: Area under the curve}
""")

# %%
# Six runs: three variants on two folds. Every patient is tested once.

main(["study", "runs/stains.yaml", "--out", "runs/stains", "--jobs", "1"])

# %%
# The comparison opens with the answer in a sentence. Its interval is over patients, and its p value is corrected for
# the number of comparisons.

print("\n".join(Path("runs/stains/comparison.md").read_text().splitlines()[2:11]))

# %%
# Bars are means and points are runs. The page of the study, ``runs/stains/report.html``, has this chart, the
# differences and what became of every run.

Path("runs/stains/figures/areas.svg")
