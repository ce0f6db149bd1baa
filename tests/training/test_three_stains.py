"""Any number of stains with any names: a cohort with a third stain trains with every fusion that takes it."""

import json
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.registry import FUSIONS
from tests.conftest import write_cases

STAINS = ("he", "her2", "ki67")
RECIPE = """
cohort: {cases: CASES}
data:
  class_path: PairedPatches
  init_args: {modalities: [he, her2, ki67], size_px: 32, normalise: [he]}
loading: {batch_size: 4, num_workers: 0}
model:
  encoder:
    class_path: PerStainImageEncoder
    init_args: {backbone: {class_path: TimmBackbone, init_args: {name: test_resnet, global_pool: none}}}
  fusion: {class_path: FUSION}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
trainer: {max_epochs: 1}
"""
# Fusions of packed patches need bags, not images; their own tests train them.
BAG_PLUGINS = ("pathfuse_mil", "pathfuse_torchmil", "pathfuse_wsmcl")
OF_IMAGES = [name for name, found in FUSIONS.table().items() if not found.target.startswith(BAG_PLUGINS)]


def test_there_are_fusions_to_try() -> None:
    assert {"SEAttention", "MeanFusion", "ConcatFusion"} <= set(OF_IMAGES)


@pytest.mark.parametrize("fusion", OF_IMAGES)
def test_three_stains_train_with_every_fusion_that_takes_them(fusion: str, tmp_path: Path) -> None:
    if FUSIONS.get(fusion).exactly == 2:
        pytest.skip(f"{fusion} declares that it joins exactly two stains")
    (tmp_path / "cohort").mkdir()
    recipe = tmp_path / "three.yaml"
    cases = write_cases(tmp_path / "cohort", stains=STAINS)
    recipe.write_text(RECIPE.replace("CASES", str(cases)).replace("FUSION", fusion))
    assert main(["fit", "--recipe", str(recipe), "--out", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert list(metrics) == ["he", "her2", "ki67", "he+her2", "he+ki67", "her2+ki67", "he+her2+ki67"]


def test_corr_a_net_learns_from_three_stains(small: Path, tmp_path: Path) -> None:
    (tmp_path / "three").mkdir()
    cases = write_cases(tmp_path / "three", stains=STAINS)
    words = [f"--cohort.cases={cases}", "--data.modalities=[he, her2, ki67]", "--trainer.max_epochs=1"]
    small.write_text(small.read_text().replace("from_ihc: 1.0", "from_her2: 1.0, from_ki67: 1.0"))
    assert main(["fit", "--recipe", str(small), "--out", str(tmp_path / "run"), *words]) == 0
    assert len(json.loads((tmp_path / "run/metrics.json").read_text())) == 7
