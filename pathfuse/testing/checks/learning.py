"""Gradients and labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pathfuse.testing.answer import assert_same
from pathfuse.testing.trial import Trial


def every_parameter_gets_a_gradient(trial: Trial) -> None:
    """No weight that asks for a gradient is left out by the outputs and loss terms of a training step."""
    subject = trial.build(training=True)
    answer = trial.ask(subject, trial.feed(absent=True))
    parts = [_weighted(value) for value in answer.tensors().values() if value.requires_grad]
    component = subject.component
    weights = dict(component.named_parameters()) if isinstance(component, nn.Module) else {}
    wanted = {name: weight for name, weight in weights.items() if weight.requires_grad}
    assert parts or not wanted, "no output is attached to the graph"
    if parts:
        torch.autograd.backward(torch.stack(parts).sum())
    left_out = [name for name, weight in wanted.items() if weight.grad is None]
    assert not left_out, f"no gradient reaches {', '.join(left_out)}"


def unlabelled_cases_do_not_count(trial: Trial) -> None:
    """The loss of a head that classifies does not depend on cases with target -1."""
    feed = trial.feed().unlabelled([1, 3])
    answer = trial.answer(feed)
    if "logits" not in answer.rows:
        return
    without = trial.answer(feed.select([0, 2, 4]))
    answer.rows.clear()
    without.rows.clear()
    assert_same(answer, without, "when cases with target -1 are left out", 1e-4)


def _weighted(value: Tensor) -> Tensor:
    # A plain sum of a softmax is constant and would hide every path through it.
    weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view_as(value)
    return (weight * value).sum()
