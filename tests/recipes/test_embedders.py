"""The embedders of arXiv 2411.05028 as layers of attention_mil, and stains pooled each, then joined by any fusion."""

import json

import numpy as np
import pytest
import torch
import yaml

from pathfuse.cli import main
from pathfuse.recipes import compose, find_recipe
from pathfuse.training.plan import TrainingPlan
from tests.recipes.bag_tables import LABELS, write_bag_table
from tests.store import foreign

EMBEDDERS = {
    "imagenet": "features_AlexNet",
    "pcam": "features_pcam",
    "imagenet_pcam": "features_imagenet_pcam",
    "ihc_patches": "features_ihc_patches",
}
SMALL = ["--loading.num_workers=0", "--loading.batch_size=4", "--trainer.max_epochs=1", "--model.encoder.dim=8"]


def write_features(root, width=16):
    """The features of twelve slides by every embedder, where the page has them extracted to; and the labels."""
    for number, name in enumerate(EMBEDDERS.values()):
        for case in range(12):
            path = root / "features" / "20x_224px_0px_overlap" / name / f"c{case:02d}.h5"
            values = foreign.features(5, width + number, seed=case) + 0.5 * (case % 4)
            foreign.trident(path, values.astype(np.float16), foreign.grid(5))
    rows = [f"c{case:02d},{LABELS[case % 4]},{('train', 'val', 'test')[case // 4]}" for case in range(12)]
    (root / "labels.csv").write_text("\n".join(["case_id,label,split", *rows]))


@pytest.mark.parametrize("layer", EMBEDDERS)
def test_each_embedder_is_a_layer_that_names_its_features(layer, tmp_path, monkeypatch):
    write_features(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["--layer", layer, "--cohort.cases=labels.csv", *SMALL, "--out=run"]
    assert main(["fit", "--recipe", str(find_recipe("attention_mil")), *words]) == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["cohort"]["stores"]["he"].endswith(EMBEDDERS[layer])
    assert config["data"]["init_args"]["patches_per_bag"] == 100
    (spec,) = json.loads((tmp_path / "run" / "spec.json").read_text()).values()
    assert spec["modalities"][0]["width"] == 16 + list(EMBEDDERS).index(layer)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["he"]
    wanted = {"auroc", "auroc_weighted", *(f"auroc/{label}" for label in LABELS)}
    assert {f"test/{name}" for name in wanted} <= set(metrics)


def test_an_embedder_without_a_table_of_labels_says_what_is_missing(capsys):
    assert main(["fit", "--recipe", "attention_mil", "--layer", "pcam", "--print_config"]) == 0
    assert "demo cohort" not in capsys.readouterr().err
    assert main(["fit", "--recipe", "attention_mil", "--layer", "pcam"]) == 2
    assert "cohort.cases" in capsys.readouterr().err


@pytest.mark.parametrize("pool", ["AttentionFusion", "MeanPool", "MaxPool"])
@pytest.mark.parametrize("fusion", ["MeanFusion", "ConcatFusion", "TailFusion"])
def test_every_stain_is_pooled_and_then_joined_by_any_fusion(pool, fusion, tmp_path):
    table = write_bag_table(tmp_path)
    options = [
        ("cohort.cases", str(table)), ("loading.num_workers", "0"), ("data.modalities", "[he, ihc]"),
        ("model.encoder.dim", "8"), ("model.fusion", pool), ("model.fusion.fusion", fusion),
    ]  # fmt: skip
    plan = TrainingPlan.parse(compose([find_recipe("attention_mil")], [], options))
    data = plan.data_of(plan.last)
    model = plan.task_of(plan.last).model.eval()
    batch = next(iter(data.test_dataloader()))
    both, one = model(batch).logits, model(batch.drop("ihc")).logits
    assert both.shape == one.shape == (len(batch), 4) and not torch.allclose(both, one)
    assert torch.equal(model(batch.drop("ihc").fill("ihc", 1e3)).logits, one)
