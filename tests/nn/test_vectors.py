import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import Tokens
from pathfuse.nn import cleared, token_vector

PRESENT = torch.tensor([True, False, True])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["vector", "map", "packed"])
def test_any_token_is_the_mean_of_what_a_case_has(layout, dtype):
    shape = {"vector": (3, 2), "map": (3, 2, 4, 5), "packed": (9, 2)}[layout]
    values = (52 + torch.randn(shape)).to(dtype)
    lengths = torch.tensor([2, 3, 4]) if layout == "packed" else None
    rows = values.split([2, 3, 4]) if layout == "packed" else list(values)
    expected = [
        (row if layout == "vector" else row.double().mean(0 if layout == "packed" else (1, 2))).double() for row in rows
    ]
    expected[1] = torch.zeros(2).double()
    got = token_vector(Tokens(values, PRESENT, lengths))
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_close(got.double(), torch.stack(expected), rtol=1e-6, atol=1e-6)


def test_a_bag_without_patches_is_zeros_even_where_it_is_said_to_be_there():
    got = token_vector(Tokens(torch.ones(2, 3), torch.ones(2, dtype=torch.bool), torch.tensor([0, 2])))
    assert got.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_nothing_of_an_absent_row_gets_through():
    values = torch.ones(3, 2, requires_grad=True)
    broken = torch.where(PRESENT[:, None], values, torch.nan)
    made = cleared(broken, PRESENT)
    assert made.tolist() == [[1, 1], [0, 0], [1, 1]]
    made.sum().backward()
    assert values.grad.tolist() == [[1, 1], [0, 0], [1, 1]]
