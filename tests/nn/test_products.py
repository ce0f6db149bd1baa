import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from pathfuse.nn.products import _maker, _mkl_is_slow, _onednn, add_product, batched_product, linear, product


@pytest.fixture(autouse=True, params=["private", "public"])
def way(request, monkeypatch):
    """Every test runs with the private call, whatever processor and size, and with torch's public product alone."""
    monkeypatch.setattr("pathfuse.nn.products._ONEDNN", _onednn() if request.param == "private" else None)
    monkeypatch.setattr("pathfuse.nn.products.SMALLEST", 1)
    return request.param


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_product_of_any_layout_is_the_matrix_product(dtype):
    wide = torch.randn(7, 30).to(dtype)
    right = torch.randn(10, 5).to(dtype)
    for b in (right, right.clone().mT.contiguous().mT, torch.randn(10, 40).to(dtype)[:, 3:8]):
        assert_close(product(wide[:, 10:20], b), wide[:, 10:20] @ b)
    assert_close(product(right.mT, right), right.mT @ right)


def test_a_product_is_written_where_it_is_wanted():
    a, b, out = torch.randn(7, 3), torch.randn(3, 5), torch.zeros(7, 2, 5)
    product(a, b, out=out[:, 1])
    assert_close(out[:, 1], a @ b)
    assert out[:, 0].eq(0).all()


def test_empty_products():
    assert product(torch.zeros(0, 3), torch.zeros(3, 2)).shape == (0, 2)
    assert product(torch.zeros(2, 0), torch.zeros(0, 2)).eq(0).all()
    assert product(torch.zeros(2, 3), torch.zeros(3, 0)).shape == (2, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_products_are_added_to_a_total_that_may_be_more_precise(dtype):
    a, b, total = torch.randn(4, 6).to(dtype), torch.randn(6, 5).to(dtype), torch.randn(4, 5, dtype=torch.float64)
    expected = total + (a @ b).double()
    assert add_product(total, a, b) is total
    assert_close(total, expected, rtol=1e-5, atol=1e-5)
    own = torch.zeros(4, 5).to(dtype)
    assert_close(add_product(own, a, b), a @ b)


def test_small_products_are_public(monkeypatch):
    monkeypatch.setattr("pathfuse.nn.products.SMALLEST", 2 * 4 * 6 * 5)
    asked = []
    monkeypatch.setattr("pathfuse.nn.products._ONEDNN", lambda a, b, *rest: asked.append(len(a)) or a @ b.mT)
    for rows in (3, 4):
        product(torch.randn(rows, 6), torch.randn(6, 5))
    assert asked == [4]


@pytest.mark.parametrize(("maker", "slow"), [("GenuineIntel", False), ("AuthenticAMD", True), ("", False)])
def test_the_maker_of_the_processor_decides_and_no_clock(maker, slow, monkeypatch):
    monkeypatch.setattr("torch.backends.mkl.is_available", lambda: True)
    assert _mkl_is_slow(maker) is slow
    monkeypatch.setattr("torch.backends.mkl.is_available", lambda: False)
    assert not _mkl_is_slow(maker)


def test_the_maker_is_read_from_the_system_or_from_python(monkeypatch):
    def gone(self, encoding):
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", gone)
    monkeypatch.setattr("platform.processor", lambda: "AMD64 Family 25 Model 1 Stepping 1, AuthenticAMD")
    assert _maker() == "AuthenticAMD"


def leaves(*shapes):
    return [torch.randn(*shape, requires_grad=True) for shape in shapes]


def same_gradients(one, two, inputs):
    assert_close(one, two)
    weights = torch.randn_like(one)
    for mine, theirs in zip(*(torch.autograd.grad((each * weights).sum(), inputs) for each in (one, two)), strict=True):
        assert_close(mine, theirs)


def test_linear_layer_and_its_gradient():
    values, weight, bias = leaves((6, 4), (3, 4), (3,))
    same_gradients(linear(values, weight, bias), F.linear(values, weight, bias), [values, weight, bias])
    same_gradients(linear(values, weight), F.linear(values, weight), [values, weight])


def test_products_of_heads_and_their_gradient():
    a, b = leaves((2, 5, 4), (2, 4, 3))
    same_gradients(batched_product(a, b), a @ b, [a, b])


def test_under_autocast_the_result_may_stay_exact():
    values, weight, bias = leaves((6, 64), (3, 64), (3,))
    with torch.autocast("cpu", torch.bfloat16):
        exact, cheap = linear(values, weight, bias, forward=torch.float32), linear(values, weight, bias)
    assert exact.dtype == torch.float32 and cheap.dtype == torch.bfloat16
    assert_close(exact, F.linear(values, weight, bias))
    exact.sum().backward()
    assert weight.grad.dtype == torch.float32
    assert_close(weight.grad, values.detach().sum(0).expand(3, -1), rtol=0.05, atol=0.1)


@pytest.mark.parametrize("cause", [AttributeError, TypeError, RuntimeError, NotImplementedError])
def test_a_private_product_that_changed_is_not_used(monkeypatch, cause):
    class Changed:
        def __getattr__(self, name):
            raise cause(name)

    monkeypatch.setattr(torch.ops, "mkldnn", Changed())
    assert _onednn() is None


def test_a_private_product_that_computes_something_else_is_not_used(monkeypatch):
    class Other:
        @staticmethod
        def _linear_pointwise(a, b, *rest):
            return a + b

    monkeypatch.setattr(torch.ops, "mkldnn", Other())
    assert _onednn() is None
