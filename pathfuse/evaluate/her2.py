"""HER2 scores as clinics group them: negative, low, ultra-low and high, the equivocal 2+, and what errors cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from torch import Tensor

from pathfuse.errors import RecipeError
from pathfuse.evaluate.metrics.ranking import auroc
from pathfuse.runs.rows import Index, Values

ULTRA_LOW = "ultra-low"
EQUIVOCAL = "2+"

GROUPINGS: dict[str, dict[str, str]] = {
    "zero_low_high": {"0": "0", ULTRA_LOW: "0", "1+": "low", "2+": "low", "3+": "high"},
    "ultra_low": {"0": "0", ULTRA_LOW: ULTRA_LOW, "1+": "low", "2+": "low", "3+": "high"},
    "any_staining": {"0": "0", ULTRA_LOW: "stained", "1+": "stained", "2+": "stained", "3+": "stained"},
    "positive": {"0": "negative", ULTRA_LOW: "negative", "1+": "negative", "2+": "negative", "3+": "positive"},
}
"""What the scores become. A 2+ counts as low, as for an ISH-negative one; resolve ISH-positive ones before."""

ORDER = ("0", "negative", ULTRA_LOW, "1+", "low", EQUIVOCAL, "equivocal", "3+", "high", "positive")
"""Names of scores and of groups of scores, from least to most."""

NEEDS_ULTRA_LOW = ("ultra_low",)


def in_order(classes: Sequence[str]) -> bool:
    """Whether the classes are HER2 scores or groups of them, from least to most."""
    if any(name not in ORDER for name in classes):
        return False
    ranks = [ORDER.index(name) for name in classes]
    return ranks == sorted(ranks)


@dataclass(frozen=True)
class Regrouped:
    """Predictions in fewer classes.

    Attributes:
        classes: the groups, in the order of the scores.
        prob: (N, G) summed probabilities.
        target: (N,) group, -1 where unknown.
    """

    classes: tuple[str, ...]
    prob: Values
    target: Index


def regrouped(prob: Values, target: Index, classes: Sequence[str], grouping: str) -> Regrouped:
    """Predictions of HER2 scores in the groups of a named scheme.

    Args:
        prob: (N, C).
        target: (N,) class index or -1.
        classes: the C scores; `ultra-low` may be one of them, between 0 and 1+.
        grouping: a name in `GROUPINGS`.

    Raises:
        RecipeError: if the scheme is unknown, a class is no HER2 score, or the scheme needs ultra-low.
    """
    if grouping not in GROUPINGS:
        raise RecipeError(f"grouping {grouping!r} is unknown. Choose from {', '.join(GROUPINGS)}.")
    scheme = GROUPINGS[grouping]
    strange = [name for name in classes if name not in scheme]
    if strange:
        raise RecipeError(f"class {strange[0]!r} is no HER2 score. Regroup runs whose classes are {', '.join(scheme)}.")
    if grouping in NEEDS_ULTRA_LOW and ULTRA_LOW not in classes:
        raise RecipeError(
            f"grouping {grouping} needs the class {ULTRA_LOW}, and this run only has {', '.join(classes)}. Label faint "
            "staining in at most 10 % of the cells as ultra-low, or choose zero_low_high."
        )
    names = tuple(dict.fromkeys(scheme[name] for name in classes))
    groups = [names.index(scheme[name]) for name in classes]
    summed = regroup(torch.from_numpy(prob), groups).numpy()
    return Regrouped(names, summed, regroup_target(torch.from_numpy(target), groups).numpy())


@dataclass(frozen=True)
class Equivocal:
    """What a model makes of the equivocal 2+, the cases that cost a second test.

    Attributes:
        n: cases that are 2+.
        called: how these are predicted, per class.
        predicted: cases that are predicted as 2+.
        are: what these are, per class.
        sensitivity: share of the 2+ that are called 2+.
        precision: share of the called 2+ that are 2+.
        far: share of the 2+ that are called neither 2+ nor a neighbour.
        ish_auroc: how well the probability of 3+ tells ISH-positive from ISH-negative 2+; NaN without these labels.
    """

    n: int
    called: dict[str, int]
    predicted: int
    are: dict[str, int]
    sensitivity: float
    precision: float
    far: float
    ish_auroc: float


def equivocal_report(
    prob: Values, target: Index, classes: Sequence[str], *, ish_positive: Sequence[bool | None] | None = None
) -> Equivocal:
    """The report on 2+.

    Args:
        prob: (N, C).
        target: (N,) class index.
        classes: the C scores, with 2+ and 3+.
        ish_positive: per case whether in-situ hybridisation found amplification; None where unknown.

    Raises:
        RecipeError: if there is no class 2+ or 3+.
    """
    for name in (EQUIVOCAL, "3+"):
        if name not in classes:
            raise RecipeError(f"a report on equivocal cases needs class {name}; this run has {', '.join(classes)}.")
    two, predicted = classes.index(EQUIVOCAL), prob.argmax(1)
    true, called = target == two, predicted == two
    far = np.abs(predicted - two) > 1
    return Equivocal(
        int(true.sum()),
        _counts(predicted[true], classes),
        int(called.sum()),
        _counts(target[called], classes),
        float(called[true].mean()) if true.any() else nan,
        float(true[called].mean()) if called.any() else nan,
        float(far[true].mean()) if true.any() else nan,
        _ish_auroc(prob[:, classes.index("3+")], true, ish_positive),
    )


def cost_matrix(classes: Sequence[str], *, missed: float = 2.0, treated: Mapping[str, float] | None = None) -> Values:
    """(C, C) what it costs to predict column j where row i is true: the distance in scores, more where it is missed.

    The default is a convention, not a measurement: calling a score too low, which may withhold a treatment, costs
    `missed` times as much as calling it too high by the same distance. Give your own matrix where you have one.

    Args:
        classes: the C ordered scores.
        missed: price of one score too low against one too high.
        treated: extra price of calling a class negative (the first class), by name of the true class.
    """
    rank = np.arange(len(classes))
    apart = rank[None, :] - rank[:, None]  # predicted minus true
    cost = np.where(apart < 0, -missed * apart, apart).astype(np.float64)
    for name, extra in (treated or {}).items():
        cost[classes.index(name), 0] += extra
    return cost


def mean_cost(predicted: Index, target: Index, cost: Values) -> float:
    """What the predictions cost per case; NaN without a case."""
    return float(cost[target, predicted].mean()) if len(target) else nan


def _counts(labels: Index, classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(labels.tolist())
    return {name: counts[index] for index, name in enumerate(classes)}


def _ish_auroc(
    score: Values, equivocal: np.ndarray[tuple[int], np.dtype[np.bool_]], ish: Sequence[bool | None] | None
) -> float:
    if ish is None:
        return nan
    rows = [row for row in np.flatnonzero(equivocal).tolist() if ish[row] is not None]
    truth = np.array([int(bool(ish[row])) for row in rows], dtype=np.int64)
    return auroc(np.stack([-score[rows], score[rows]], axis=1), truth)[1] if rows else nan


def regroup(prob: Tensor, groups: Sequence[int]) -> Tensor:
    """(N, G) summed probabilities; take the most probable class after this, never before.

    Args:
        prob: (N, C).
        groups: new class of each old one.
    """
    index = torch.tensor(groups, device=prob.device)
    return prob.new_zeros(prob.shape[0], max(groups) + 1).index_add(1, index, prob)


def regroup_target(target: Tensor, groups: Sequence[int]) -> Tensor:
    """(N,) new class of each case; unknown (-1) stays unknown."""
    # The last entry answers index -1.
    return torch.tensor([*groups, -1], device=target.device)[target]
