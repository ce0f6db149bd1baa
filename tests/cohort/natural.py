"""A small cohort of features of two stains as TRIDENT writes them, and a recipe that trains on it in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.store.foreign import features, grid, trident

NAMES = [f"S{number:02d}" for number in range(12)]
RECIPE = """# Small bags
seed: 1
data: {class_path: PairedBags}
loading: {batch_size: 4, num_workers: 0}
model:
  encoder: {class_path: BagEncoder, init_args: {dim: 8}}
  fusion: {class_path: AttentionFusion, init_args: {hidden: 8}}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
trainer: {max_epochs: 1}
"""


def bag_recipe(folder: Path) -> Path:
    """The recipe as `bags.yaml`."""
    path = folder / "bags.yaml"
    path.write_text(RECIPE)
    return path


def stores(folder: Path, names: Sequence[str] = NAMES) -> None:
    """A folder `he` and a folder `ihc` with a feature file per name."""
    for place, stain in enumerate(("he", "ihc")):
        for number, name in enumerate(names):
            trident(folder / stain / f"{name}.h5", features(6, 8, 100 * place + number), grid(6))


def table(path: Path, header: str, lines: Sequence[str]) -> Path:
    """A text table."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path
