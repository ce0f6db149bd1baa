import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from pathfuse.nn import rectified
from pathfuse.nn.products import _onednn


@pytest.fixture(params=["private", "public"])
def way(request, monkeypatch):
    monkeypatch.setattr("pathfuse.nn.products._ONEDNN", _onednn() if request.param == "private" else None)
    monkeypatch.setattr("pathfuse.nn.products.SMALLEST", 1)


@pytest.mark.parametrize("block", [4, 100])
@pytest.mark.parametrize("rows", [0, 1, 9])
@pytest.mark.usefixtures("way")
def test_a_layer_in_blocks_equals_the_whole_layer(rows, block, monkeypatch):
    monkeypatch.setattr("pathfuse.nn.rectify.BLOCK", block)
    values, weight, bias = (torch.randn(*shape, requires_grad=True) for shape in ((rows, 5), (3, 5), (3,)))
    one, two = rectified(values, weight, bias), torch.relu(F.linear(values, weight, bias))
    assert_close(one, two)
    slope = torch.randn(rows, 3)
    both = (torch.autograd.grad((each * slope).sum(), [values, weight, bias]) for each in (one, two))
    for mine, theirs in zip(*both, strict=True):
        assert_close(mine, theirs)


@pytest.mark.parametrize("features", [torch.float16, torch.float32])
def test_half_precision_is_converted_block_by_block(features):
    values, weight, bias = torch.randn(9, 64).to(features), torch.randn(3, 64, requires_grad=True), torch.randn(3)
    exact = torch.relu(F.linear(values.float(), weight, bias))
    assert_close(rectified(values, weight, bias), exact)
    with torch.autocast("cpu", torch.bfloat16):
        cheap = rectified(values, weight, bias)
    assert cheap.dtype == torch.bfloat16
    assert_close(cheap.float(), exact, rtol=0.05, atol=0.2)
    cheap.sum().backward()
    assert weight.grad.dtype == torch.float32
