"""The finding of a comparison, in one sentence that can stand by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pathfuse.evaluate.compare.blocks import AS_TRAINED, Block
from pathfuse.evaluate.compare.findings import Comparison, Difference
from pathfuse.evaluate.metrics.resampled import Resampled
from pathfuse.evaluate.names import from_given, given_name, in_sentence, metric_name


class _Found(NamedTuple):
    """A difference, turned so that it counts from the worse to the better."""

    better: str
    worse: str
    amount: str
    clear: bool


def answer_of(blocks: Sequence[Block], differences: Sequence[Difference], metric: Resampled) -> str:
    """The answer of a comparison of runs.

    It is about what each run was trained with or, where they were trained with the same, about the most stains that all
    were given. Of several pairs the one that is furthest apart is told, and that it is.

    Args:
        blocks: what was compared.
        differences: what was found.
        metric: the first that was asked for.
    """
    block = _main(blocks)
    own = [d for d in differences if d.subset == block.subset and d.metric == metric.name and d.low == d.low]
    if not own:
        return ""
    one = max(own, key=lambda d: (abs(d.difference), d.run))
    found, patients = _turned(one, metric), f"{len(set(block.any.patient_ids))} patients"
    better, worse = found.better, found.worse
    if block.given:
        better, worse = (f"{name} (given {given_name(block.given[name])})" for name in (better, worse))
    begin = "" if block.given else f"From {from_given(block.subset)}, "
    if found.clear:
        said = f"{begin}{better} is better than {worse} by {found.amount}, {patients}."
    else:
        said = f"{begin}{better} and {worse} are not told apart: {better} is ahead by {found.amount}, {patients}."
    if len(own) > 1:
        p = one.p_permutation_holm
        said += f" This is the largest of {len(own)} differences; p {'< 0.0001' if p < 1e-4 else f'{p:.4f}'} (Holm)."
    return said


def answer_within(found: Comparison) -> str:
    """The answer about the stains of one run: what the fullest combination has over its first stain."""
    more = max(found.runs, key=lambda name: name.count("+"))
    less = found.options.baseline or found.runs[0]
    own = [d for d in found.differences if d.metric == found.metrics[0] and {d.run, d.baseline} == {more, less}]
    if not own or own[0].low != own[0].low:
        return ""
    sign = 1 if own[0].run == more else -1
    low, high = sorted((sign * own[0].low, sign * own[0].high))
    metric, patients = in_sentence(metric_name(own[0].metric)), next(v.n_patients for v in found.values)
    gained = sign * own[0].difference
    limits, begin = f"({low:.2f} to {high:.2f})", f"On the same {patients} patients"
    added = [name for name in more.split("+") if name not in less.split("+")]
    if set(less.split("+")) < set(more.split("+")):
        adds, base = given_name("+".join(added)), given_name(less)
        if low > 0 or high < 0:
            verb = f"adds {gained:.2f}" if gained > 0 else f"takes {-gained:.2f}"
            limits = limits if gained > 0 else f"({-high:.2f} to {-low:.2f})"
            joint = "to" if gained > 0 else "from"
            return f"{begin}, {adds} {verb} {metric} {limits} {joint} {base} alone."
        return f"{begin}, {adds} is not seen to add to {base} alone; {metric} differs by {gained:+.2f} {limits}."
    return f"{begin}, {metric} from {from_given(more)} less that from {from_given(less)} is {gained:+.2f} {limits}."


def _main(blocks: Sequence[Block]) -> Block:
    having = [block for block in blocks if len(block.scored) > 1]
    trained = [block for block in having if block.subset == AS_TRAINED]
    return trained[0] if trained else max(having, key=lambda block: (len(block.scored), block.subset.count("+")))


def _turned(one: Difference, metric: Resampled) -> _Found:
    sign = 1 if metric.higher else -1
    if sign * one.difference < 0:
        sign, better, worse = -sign, one.baseline, one.run
    else:
        better, worse = one.run, one.baseline
    low, high = sorted((sign * one.low, sign * one.high))
    digits = 2 if abs(one.difference) >= 0.01 else 3
    name = in_sentence(metric_name(metric.name))
    amount = f"{abs(one.difference):.{digits}f} {name} ({low:.{digits}f} to {high:.{digits}f})"
    # A metric of which less is better is lower in the better run: the difference counts downwards.
    return _Found(better, worse, amount if metric.higher else f"{amount}, of which less is better", low > 0 or high < 0)
