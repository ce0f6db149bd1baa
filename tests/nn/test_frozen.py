import copy

import torch
from torch import nn

from pathfuse.core import TokenSpec
from pathfuse.nn import PartlyFrozen


class Half(PartlyFrozen):
    """A network that stays, and one that learns."""

    reads = ("he",)

    def __init__(self):
        super().__init__()
        self.kept, self.learns = nn.Sequential(nn.BatchNorm1d(2)), nn.BatchNorm1d(2)
        self.out = {"he": TokenSpec(2, "vector")}
        self.keep_frozen(self.kept)

    def forward(self, batch):
        raise NotImplementedError


def test_the_frozen_part_stays_in_eval_mode_and_learns_nothing_in_a_copy_too():
    for encoder in (Half(), copy.deepcopy(Half())):
        encoder.train()
        assert not encoder.kept.training and not encoder.kept[0].training and encoder.learns.training
        assert [name for name, weight in encoder.named_parameters() if weight.requires_grad] == [
            "learns.weight",
            "learns.bias",
        ]
        assert set(encoder.state_dict()) == set(Half().state_dict())
        encoder.eval()
        assert not encoder.learns.training


def test_a_copy_freezes_its_own_part():
    first = Half()
    second = copy.deepcopy(first)
    first.kept.train()
    second.train()
    assert first.kept.training and not second.kept.training
    assert torch.is_tensor(second.kept[0].weight)
