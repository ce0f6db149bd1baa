"""Every class equally often, whatever the cohort has of it."""

import numpy as np

from pathfuse.data.loading.balanced import BalancedSampler


def test_a_balanced_epoch_has_every_class_equally_often_and_leaves_nobody_out_for_good():
    targets = np.array([0] * 20 + [1] * 3 + [2] * 7 + [-1] * 2)
    sampler = BalancedSampler(range(32), targets, seed=0)
    seen, sizes = set(), []
    for epoch in range(12):
        sampler.set_epoch(epoch)
        order = [position for _, position in sampler]
        counts = np.bincount(targets[order], minlength=3)
        assert counts.sum() == 32 and counts.max() - counts.min() <= 1
        own = np.bincount(order, minlength=32)[20:23]
        assert own.max() - own.min() <= 1
        seen |= set(order)
        sizes.append(counts.tolist())
        assert order == [position for _, position in sampler]
    assert seen == set(range(30))
    assert len({tuple(size) for size in sizes}) == 3  # the classes take turns


def test_without_any_label_every_case_comes_once():
    order = [position for _, position in BalancedSampler(range(6), np.full(6, -1), seed=0)]
    assert sorted(order) == list(range(6))


def test_ranks_share_a_balanced_epoch():
    targets = np.array([0] * 9 + [1] * 3)
    shares = [[p for _, p in BalancedSampler(range(12), targets, seed=0, ranks=2, rank=rank)] for rank in range(2)]
    whole = [p for _, p in BalancedSampler(range(12), targets, seed=0)]
    assert [p for pair in zip(*shares, strict=True) for p in pair] == whole
