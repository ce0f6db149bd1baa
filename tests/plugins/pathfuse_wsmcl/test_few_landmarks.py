"""Both attentions of a case, block by block, against whole matrices."""

import pytest
import torch
from torch.testing import assert_close

from pathfuse_wsmcl.few_landmarks import Landmarks, attend

HEADS, LANDMARKS, DIM, WIDTH = 2, 5, 3, 7


def parts(patches, spread):
    generator = torch.Generator().manual_seed(0)
    shapes = ((patches, WIDTH), (3 * HEADS * DIM, WIDTH), *[(HEADS, LANDMARKS, DIM)] * 2, (HEADS, LANDMARKS, LANDMARKS))
    values, weight, *small = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return [each.requires_grad_() for each in (values, spread * weight, *small)]


def in_full(values, weight, queries, keys, inverse, padding):
    q, k, v = (values @ weight.mT).view(len(values), 3, HEADS, DIM).permute(1, 2, 0, 3)  # (heads, n, d)
    a1 = torch.softmax(q @ keys.mT, 2)
    nothing = k.new_zeros(HEADS, padding, DIM)
    a3 = torch.softmax(queries @ torch.cat([nothing, k], 1).mT, 2)[:, :, padding:]  # (heads, m, n)
    received = (a1 @ inverse).mean(1, keepdim=True) @ a3  # (heads, 1, n)
    return (a1 @ (inverse @ (a3 @ v))).transpose(0, 1), v.transpose(0, 1), received[:, 0].mean(0)


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("spread", [1.0, 200.0], ids=["even", "peaked"])
def test_output_score_and_gradients_are_those_of_whole_matrices(padding, spread, monkeypatch):
    monkeypatch.setattr("pathfuse_wsmcl.few_landmarks.CELLS", 1)  # 64 patches at once
    given = parts(150, spread)
    landmarks = Landmarks(*given[2:])
    mine = attend(*given[:2], landmarks, padding, torch.float64, torch.float64)
    theirs = in_full(*given, padding)
    for one, two in zip(mine, theirs, strict=True):
        assert_close(one, two)
    generator = torch.Generator().manual_seed(1)
    slopes = [torch.randn(150, HEADS, DIM, generator=generator, dtype=torch.float64) for _ in range(2)]
    both = [
        torch.autograd.grad(sum((each * s).sum() for each, s in zip(found[:2], slopes, strict=True)), given)
        for found in (mine, theirs)
    ]
    # Slopes that are 0 where attention is peaked are differences of products as large as the largest slope.
    largest = max(float(slope.abs().max()) for slope in both[1])
    for one, two in zip(*both, strict=True):
        assert_close(one, two, rtol=1e-6, atol=max(1e-8, 1e-12 * largest))
