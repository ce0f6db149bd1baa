import torch
from torch.testing import assert_close

from pathfuse.evaluate.her2 import regroup, regroup_target


def test_probabilities_are_summed_before_the_argmax():
    prob = torch.tensor([[0.4, 0.3, 0.25, 0.05]])
    merged = regroup(prob, [0, 1, 1, 2])
    assert_close(merged, torch.tensor([[0.4, 0.55, 0.05]]))
    assert int(merged.argmax(1)) == 1


def test_unknown_labels_stay_unknown():
    assert_close(regroup_target(torch.tensor([0, 2, 3, -1]), [0, 1, 1, 2]), torch.tensor([0, 1, 2, -1]))
