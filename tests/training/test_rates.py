"""Learning rates by depth and in the warm-up."""

import pytest
import torch
from torch import nn

from pathfuse.core import Backbone
from pathfuse.errors import RecipeError
from pathfuse.recipes import compose
from pathfuse.training.lightning_data import LightningData
from pathfuse.training.plan import TrainingPlan
from pathfuse.training.rates import SCALE, apply_scales, decayed_groups, multiplied


class Layers(Backbone):
    def __init__(self):
        super().__init__()
        self.in_chans, self.out_dim = 3, 2
        self.stem, self.block, self.norm = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, images):
        return images

    def layer_groups(self):
        return [list(part.parameters()) for part in (self.stem, self.block, self.norm)]


class Plain(Layers):
    layer_groups = Backbone.layer_groups


def test_a_layer_learns_slower_the_deeper_it_lies():
    module = nn.ModuleDict({"backbone": Layers(), "head": nn.Linear(2, 4)})
    module["backbone"].block.bias.requires_grad_(False)
    groups = decayed_groups(module, 0.5)
    assert [(group[SCALE], len(group["params"])) for group in groups] == [(1.0, 2), (0.5, 2), (0.25, 1), (0.125, 2)]
    assert groups[0]["params"][0] is module["head"].weight and groups[3]["params"][0] is module["backbone"].stem.weight
    optimizer = torch.optim.SGD(groups, lr=2.0)
    apply_scales(optimizer.param_groups)
    assert [group["lr"] for group in optimizer.param_groups] == [2.0, 1.0, 0.5, 0.25]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1.0, 0.5, 0.25, 0.125])


def test_a_backbone_that_says_nothing_is_one_group_and_a_shared_one_counts_once():
    shared = Plain()
    groups = decayed_groups(nn.ModuleList([shared, shared, nn.Linear(2, 2)]), 0.5)
    assert [(group[SCALE], len(group["params"])) for group in groups] == [(1.0, 2), (0.5, 6)]


def test_within_the_block_rates_are_multiplied_and_after_it_as_before():
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))]}], lr=0.3)
    with pytest.raises(KeyError), multiplied(optimizer.param_groups, 0.1):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.03)
        raise KeyError
    assert optimizer.param_groups[0]["lr"] == 0.3


RECIPE = """
cohort: {cases: CASES}
data:
  class_path: PairedPatches
  init_args: {size_px: 32, normalise: []}
loading: {batch_size: 4, num_workers: 0}
model:
  layer_decay: 0.5
  warmup_epochs: 2
  encoder:
    class_path: PerStainImageEncoder
    init_args: {backbone: {class_path: TimmBackbone, init_args: {name: test_resnet}}}
  fusion: {class_path: MeanFusion}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
optimizer: {class_path: SGD, init_args: {lr: 1.0}}
lr_scheduler: {class_path: StepLR, init_args: {step_size: 1, gamma: 0.5}}
trainer: {max_epochs: 3}
"""


# What torch says of Lightning's own code.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*does not have many workers")
def test_the_rate_rises_step_by_step_under_the_schedule(cases, tmp_path, monkeypatch):
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.replace("CASES", str(cases)))
    plan = TrainingPlan.parse(compose([path], [], []))
    data = plan.data_of("train")
    task = plan.task_of("train")
    seen = []
    step = torch.optim.SGD.step

    def noting(self, closure=None):
        seen.append([group["lr"] for group in self.param_groups])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.SGD, "step", noting)
    stage = plan.stages["train"]
    stage.make_trainer([], str(tmp_path)).fit(stage.in_lightning(task), datamodule=LightningData(data))
    heads = [rates[0] for rates in seen]  # two batches per epoch
    assert heads == pytest.approx([0.25, 0.5, 0.5 * 0.75, 0.5 * 1.0, 0.25, 0.25])
    assert all(rates == pytest.approx([rates[0] * 0.5**depth for depth in range(len(rates))]) for rates in seen)
    assert len(seen[0]) == 6  # the head, and five groups of a small ResNet


@pytest.mark.parametrize("line", ["layer_decay: 0.0", "layer_decay: 1.5", "warmup_epochs: -1"])
def test_a_wrong_rate_is_one_line(line, cases, tmp_path):
    key = line.partition(":")[0]
    text = RECIPE.replace("CASES", str(cases))
    path = tmp_path / "r.yaml"
    path.write_text("\n".join(f"  {line}" if key in row else row for row in text.splitlines()))
    plan = TrainingPlan.parse(compose([path], [], []))
    with pytest.raises(RecipeError, match=key):
        plan.task_of("train")
