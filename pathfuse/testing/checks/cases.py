"""Checks that cases, bags and patches do not change one another."""

from __future__ import annotations

import torch

from pathfuse.testing.answer import Answer, assert_finite, assert_same
from pathfuse.testing.feed import shuffled
from pathfuse.testing.trial import Trial


def cases_are_independent(trial: Trial) -> None:
    """In eval mode the answer to a case is the same alone, repeated, and among others in any order."""
    feed = trial.feed(absent=True)
    whole = trial.answer(feed)
    for rows in ([3], [4, 0, 2, 1, 3], [1, 1, 0]):
        got = trial.answer(feed.select(rows))
        assert_same(_without_terms(got), _pick(whole, rows), f"when cases {rows} are given instead of all", 1e-4)


def patch_order_does_not_matter(trial: Trial) -> None:
    """The order of patches within a bag changes nothing, for components that set `order_free`."""
    feed = trial.feed()
    other, orders = shuffled(feed)
    lengths = {name: payload.lengths for name, payload in feed.batch.x.items() if not isinstance(payload, torch.Tensor)}
    expected, got = trial.answer(feed), trial.answer(other)
    for name, stain in expected.packed.items():
        moved = torch.cat(expected.rows[name])[orders[stain]]
        expected.rows[name] = list(torch.split(moved, lengths[stain].tolist()))
    assert_same(got, expected, "when patches change their order", 1e-4)


def bags_of_any_length_work(trial: Trial) -> None:
    """Bags of 0, 1, 2 and k - 1 patches get finite outputs in eval and in training; `k` is read off the component."""
    k = int(getattr(trial.build().component, "k", 8))
    feed = trial.feed(6, lengths=(1, 2, max(k - 1, 1), k, 2 * k, 0))
    assert_finite(trial.answer(feed), "for short bags")
    assert_finite(trial.answer(feed, training=True), "in training for short bags")


def _pick(answer: Answer, rows: list[int]) -> Answer:
    return Answer(
        {name: [values[row] for row in rows] for name, values in answer.rows.items()},
        {name: present[rows] for name, present in answer.present.items()},
    )


def _without_terms(answer: Answer) -> Answer:
    return Answer(answer.rows, answer.present)
