import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pathfuse_corranet.norm import NormAct

CHANNELS_LAST = torch.channels_last


def pair_of(channels, slope):
    own, plain = NormAct(channels, slope=slope).double(), nn.BatchNorm2d(channels).double()
    with torch.no_grad():
        own.weight.uniform_(0.5, 2)
        own.bias.uniform_(-1, 1)
    plain.load_state_dict(own.state_dict())
    return own, plain


def act(x, slope):
    return torch.where(x > 0, x, slope * x)


@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0])
@pytest.mark.parametrize(("channels", "size"), [(4, 8), (3, 7), (16, 6), (1, 5)])
def test_one_batch_is_batch_norm_and_activation(channels, size, slope):
    own, plain = pair_of(channels, slope)
    x = torch.randn(3, channels, size, size, dtype=torch.float64)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, expected = own(a), act(plain(b), slope)
    assert_close(got, expected)
    grad = torch.randn_like(got)
    got.backward(grad)
    expected.backward(grad)
    assert_close(a.grad, b.grad)
    assert_close(own.weight.grad, plain.weight.grad)
    assert_close(own.bias.grad, plain.bias.grad)
    assert_close(own.state_dict(), plain.state_dict())
    assert_close(own.eval()(x), act(plain.eval()(x), slope))


def test_runs_are_the_batch_with_its_repeats():
    own, plain = pair_of(4, 0.01)
    x = torch.randn(4, 4, 8, 8, dtype=torch.float64)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    index = torch.tensor([0, 1, 2, 0, 1, 2, 3, 3, 3, 3, 3])  # three rows twice, the last one five times
    got = own(a, ((3, 2), (1, 5)))[index]
    expected = act(plain(b[index]), 0.01)
    assert_close(got, expected)
    grad = torch.randn_like(got)
    got.backward(grad)
    expected.backward(grad)
    assert_close(a.grad, b.grad)
    assert_close(own.weight.grad, plain.weight.grad)
    assert_close(own.state_dict(), plain.state_dict())


def test_channels_first_and_channels_last_input_give_the_same():
    own, _ = pair_of(4, 0.0)
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    assert_close(own(x), own(x.contiguous(memory_format=CHANNELS_LAST)))


def test_a_long_float32_batch_keeps_its_digits():
    x = torch.randn(8, 4, 128, 128) + 3.0
    own, exact = NormAct(4, slope=1.0), nn.BatchNorm2d(4).double()
    assert_close(own(x).double(), exact(x.double()), rtol=0, atol=2e-6)


def test_a_constant_map_stays_finite():
    own = NormAct(4)
    x = torch.full((2, 4, 8, 8), 30.0, requires_grad=True)
    own(x).sum().backward()
    assert torch.isfinite(x.grad).all()
