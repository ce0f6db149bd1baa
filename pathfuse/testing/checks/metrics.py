"""Checks of metrics: best for the truth, the same in any order, defined or said not to be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pathfuse.core import Metric
from pathfuse.testing.trial import Trial

KEY = re.compile(r"[a-z][a-z0-9_]*")
TOLERANCE = 1e-9


class Cohort(NamedTuple):
    """N predicted cases."""

    prob: Tensor
    target: Tensor
    confidence: Tensor | None
    classes: tuple[str, ...]

    def take(self, rows: Tensor) -> Cohort:
        """Some of the cases, in this order."""
        sure = None if self.confidence is None else self.confidence[rows]
        return Cohort(self.prob[rows], self.target[rows], sure, self.classes)


def the_name_in_files_is_plain(trial: Trial) -> None:
    """The key is a word in small letters, and names() is what comes out, for any number of classes and for no case."""
    metric = _metric(trial)
    key = getattr(metric, "key", None)
    assert isinstance(key, str) and KEY.fullmatch(key), f"key is {key!r}; write small letters, digits and underscores"
    for classes in (2, 4):
        cases = _cohort(classes=classes)
        assert key in metric.names(cases.classes), f"names() lacks {key}"
        for some in (cases, cases.take(torch.arange(0))):
            given = list(metric(*some))
            wanted = list(metric.names(cases.classes))
            assert given == wanted, f"names() says {', '.join(wanted)} for {len(some.target)} cases, given are {given}"


def the_truth_scores_best(trial: Trial) -> None:
    """No prediction beats one that gives the true class all probability, as `higher` says."""
    metric = _metric(trial)
    for classes in (2, 4):
        truth = torch.arange(20) % classes
        sure = torch.ones(20, dtype=torch.float64)
        perfect = _value(metric, Cohort(_certain(truth, classes), truth, sure, _names(classes)))
        for other in _worse(truth, classes):
            value = _value(metric, other)
            beaten = value > perfect + TOLERANCE if metric.higher else value < perfect - TOLERANCE
            assert not beaten, f"a prediction scores {value:g}, better than the truth itself with {perfect:g}"


def some_errors_cost(trial: Trial) -> None:
    """Predictions that are all wrong score worse than the truth."""
    metric = _metric(trial)
    truth = torch.arange(20) % 4
    sure = torch.ones(20, dtype=torch.float64)
    perfect, wrong = (
        _value(metric, Cohort(_certain(called, 4), truth, sure, _names(4))) for called in (truth, (truth + 2) % 4)
    )
    assert not math.isclose(wrong, perfect, abs_tol=TOLERANCE), f"all wrong scores {wrong:g}, as all right does"


def order_of_cases_does_not_matter(trial: Trial) -> None:
    """The same cases in another order give the same numbers."""
    metric = _metric(trial)
    for cases in _cohorts():
        order = torch.randperm(len(cases.target), generator=torch.Generator().manual_seed(1))
        _same(metric(*cases), metric(*cases.take(order)), "in another order of the cases")


def unlabelled_cases_are_left_out(trial: Trial) -> None:
    """Cases with target -1 change nothing."""
    metric = _metric(trial)
    for cases in _cohorts():
        target = cases.target.clone()
        target[::3] = -1
        known = (target >= 0).nonzero().flatten()
        _same(metric(*cases._replace(target=target)), metric(*cases.take(known)), "with unlabelled cases among them")


def inputs_are_left_alone(trial: Trial) -> None:
    """Probabilities, labels and confidence are read, not changed, and the answer repeats itself."""
    metric = _metric(trial)
    for cases in _cohorts():
        copies = [None if part is None else part.clone() for part in cases[:3]]
        first = metric.named(*cases)
        for name, part, copy in zip(cases._fields, cases[:3], copies, strict=False):
            assert part is None or (copy is not None and torch.equal(part, copy)), f"{name} is changed"
        _same(first, metric.named(*cases), "on the second call")


def values_are_finite_or_said_to_be_undefined(trial: Trial) -> None:
    """A float that is finite; NaN without a case, and else only where `undefined` says when."""
    metric = _metric(trial)
    for cases in _cohorts():
        value = _value(metric, cases)
        assert math.isfinite(value), f"{metric.key} is {value} for ordinary cases"
    assert math.isnan(_value(metric, _cohort().take(torch.arange(0)))), f"{metric.key} is a number without a case"
    for what, cases in _odd():
        value = _value(metric, cases)
        assert not math.isinf(value), f"{metric.key} is {value} where {what}"
        assert metric.undefined or not math.isnan(value), f"{metric.key} is NaN where {what}: say so in `undefined`"


def _metric(trial: Trial) -> Metric:
    metric = trial.build().component
    assert isinstance(metric, Metric)
    return metric


def _value(metric: Metric, cases: Cohort) -> float:
    value = metric(*cases)[metric.key]
    assert isinstance(value, float), f"{metric.key} is a {type(value).__name__}, not a float"
    return value


def _same(one: dict[str, float], other: dict[str, float], when: str) -> None:
    assert list(one) == list(other), f"other names come out {when}"
    for name, value in one.items():
        equal = math.isclose(value, other[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        undefined = math.isnan(value) and math.isnan(other[name])
        assert equal or undefined, f"{name} differs {when}: {value}, {other[name]}"


def _names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(classes))


def _certain(called: Tensor, classes: int) -> Tensor:
    return torch.eye(classes, dtype=torch.float64)[called]


def _cohort(n: int = 30, *, classes: int = 4, seed: int = 0, learned: bool = True) -> Cohort:
    generator = torch.Generator().manual_seed(seed)
    prob = torch.randn(n, classes, generator=generator, dtype=torch.float64).softmax(1)
    target = torch.arange(n) % classes  # every class occurs
    sure = torch.rand(n, generator=generator, dtype=torch.float64) if learned else None
    return Cohort(prob, target, sure, _names(classes))


def _cohorts() -> Iterator[Cohort]:
    for classes, learned in ((2, True), (4, True), (4, False)):
        yield _cohort(classes=classes, learned=learned)


def _worse(truth: Tensor, classes: int) -> Iterator[Cohort]:
    for seed in range(10):
        made = _cohort(len(truth), classes=classes, seed=seed, learned=seed % 2 == 0)
        yield made._replace(target=truth)
        part = torch.arange(len(truth)) % 10 <= seed  # ever more of the truth
        yield made._replace(target=truth, prob=torch.where(part[:, None], _certain(truth, classes), made.prob))


def _odd() -> Iterator[tuple[str, Cohort]]:
    cases = _cohort()
    yield "a class has no case", cases.take((cases.target != 3).nonzero().flatten())
    yield "all cases are of one class", cases.take((cases.target == 1).nonzero().flatten())
    yield "there is one case", cases.take(torch.tensor([4]))
    one = cases.take((cases.target == 1).nonzero().flatten())
    yield "all cases are of one class and called so", one._replace(prob=_certain(one.target, 4))
    yield "all probability is given to wrong classes", cases._replace(prob=_certain((cases.target + 1) % 4, 4))
