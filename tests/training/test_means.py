"""Means of an epoch: by cases, of what each step says, and nothing of an epoch before."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.training.means import Means

STEPS = st.lists(st.tuples(st.floats(-8, 8, width=32), st.integers(1, 9)), min_size=1, max_size=12)


@given(steps=STEPS)
def test_a_mean_weighs_every_step_by_its_cases(steps: list[tuple[float, int]]) -> None:
    means = Means()
    for value, cases in steps:
        means.add({"loss": torch.tensor(value)}, cases)
    mean, cases = means.taken()["loss"]
    assert cases == sum(count for _, count in steps)
    assert mean.item() == pytest.approx(sum(value * count for value, count in steps) / cases, abs=1e-4)


def test_a_figure_that_a_step_lacks_is_a_mean_over_the_others() -> None:
    means = Means()
    means.add({"loss": torch.tensor(1.0), "contrast": torch.tensor(4.0)}, 2)
    means.add({"loss": torch.tensor(4.0)}, 1)
    assert {name: (mean.item(), cases) for name, (mean, cases) in means.taken().items()} == {
        "loss": (2.0, 3),
        "contrast": (4.0, 2),
    }


def test_what_was_taken_is_not_kept_nor_is_a_graph() -> None:
    means = Means()
    means.add({"loss": torch.tensor(1.0, dtype=torch.bfloat16, requires_grad=True)}, 1)
    (mean, _), *_ = means.taken().values()
    assert mean.dtype == torch.float32 and not mean.requires_grad
    assert means.taken() == {}
