"""Operations on bags that are packed one after another, never padded.

Source: measured on eight bags of 584 to 11,752 patches: a scatter softmax with one matrix-vector product per bag is as
fast as one bag at a time, padding is three times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pathfuse.core import Tokens

ROWS = 16384  # patches converted to the working precision at once: 64 MB of 1,024 float32 features
BLOCK = 2048  # rows that are taken through several steps while they, or what is made of them, are in a CPU's cache
FEW = 512  # rows of which torch's own steps leave nothing long behind, and are faster than ours


@dataclass(frozen=True)
class Bag:
    """The patches of a token that may be read.

    Attributes:
        values: (T', D) patches of the cases that have the modality.
        lengths: (B,) patches of each case, 0 where it is absent.
        kept: (T',) their rows in the token, None where nothing was left out.
    """

    values: Tensor
    lengths: Tensor
    kept: Tensor | None

    def spread(self, rows: Tensor, total: int) -> Tensor:
        """Something per readable patch (T',) as one row for every patch (T,), zeros where a patch was not read."""
        return rows if self.kept is None else rows.new_zeros(total, *rows.shape[1:]).index_copy(0, self.kept, rows)


def readable(values: Tensor, lengths: Tensor, present: Tensor) -> Bag:
    """The patches of present cases; nothing is copied when that is all of them or none."""
    shown = torch.where(present, lengths, 0)
    read = int(shown.sum())
    if read == len(values):
        return Bag(values, shown, None)
    if read == 0:
        return Bag(values[:0], shown, lengths.new_zeros(0))
    kept = present[owner(lengths, len(values))].nonzero().flatten()
    return Bag(values[kept], shown, kept)


def readable_token(token: Tokens) -> Bag:
    """The patches of a packed token that may be read."""
    assert token.lengths is not None
    return readable(token.values, token.lengths, token.present)


def owner(lengths: Tensor, total: int) -> Tensor:
    """(T,) the case of every patch."""
    return torch.repeat_interleave(lengths, output_size=total)


def at_least_float(values: Tensor) -> Tensor:
    """The values in float32 or better, for sums and losses.

    Half precision rounds a confidence of 0.999 to 1, and a sum over a bag leaves its range.
    """
    return values.float() if values.dtype.itemsize < 4 else values


def segment_softmax(score: Tensor, lengths: Tensor) -> Tensor:
    """Softmax of (T, K) scores over the patches of each case, in float32 or better."""
    score = at_least_float(score)
    if len(lengths) == 1:
        return torch.softmax(score, 0)
    cases = owner(lengths, len(score))  # (T,)
    index = cases[:, None].expand_as(score)
    # The maximum only keeps exp in range; it cancels, so no gradient goes through it.
    low = score.new_full((len(lengths), score.shape[1]), -torch.inf)
    highest = low.scatter_reduce(0, index, score.detach(), "amax")  # (B, K)
    weight = (score - highest[cases]).exp()  # (T, K)
    total = weight.new_zeros(len(lengths), score.shape[1]).index_add(0, cases, weight)  # (B, K)
    return weight / total[cases]


def segment_sum(weight: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    """Sum of `values` (T, D) weighted by `weight` (T, K) over the patches of each case: (B, K, D).

    The result has the precision of `weight`; half-precision values are converted piece by piece, never as a whole.
    """
    if len(lengths) == 1 and len(values) <= FEW:
        with torch.autocast(values.device.type, enabled=False):
            return (weight.mT @ values.to(weight.dtype))[None]
    result: Tensor = _SegmentSum.apply(weight, values, lengths)
    return result


def segment_mean(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean (B, D) over the patches of each case, in float32 or better; zeros for a case without patches."""
    sums = torch.stack([_total(bag) for bag in torch.split(values, lengths.tolist())])  # (B, D)
    return sums / lengths.clamp(min=1)[:, None].to(sums.dtype)


def segment_max(values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum (B, D) over the patches of each case, in float32 or better, and the row of `values` it stands in.

    Zeros and -1 for a case without patches.
    """
    best, where, start = [], [], 0
    for part in torch.split(values, lengths.tolist()):
        if len(part):
            highest, row = part.max(0)  # (D,)
            best.append(at_least_float(highest))  # autocast on a CPU stacks no float16
            where.append(row + start)
        else:
            best.append(at_least_float(values.new_zeros(values.shape[1])))
            where.append(torch.full((values.shape[1],), -1, device=values.device))
        start += len(part)
    return torch.stack(best), torch.stack(where)


def segment_top_k(score: Tensor, lengths: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The patches with the k highest scores of each case.

    Args:
        score: (T,) of every patch.
        lengths: (B,) patches of each case.
        k: how many; a smaller bag gives all it has.

    Returns:
        Their rows (T'), case after case and best first, of equal ones the first; and (B,) how many each case gives.
    """
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)[:-1]]).tolist()
    rows = [
        part.argsort(descending=True, stable=True)[:k] + start
        for start, part in zip(starts, torch.split(score, lengths.tolist()), strict=True)
    ]
    return torch.cat([*rows, lengths.new_zeros(0)]), lengths.clamp(max=k)


def _total(bag: Tensor) -> Tensor:
    """The sum (D,) of patches (n, D) in float32 or better; half precision is converted a piece at a time."""
    if bag.dtype.itemsize >= 4 or len(bag) <= ROWS:
        return at_least_float(bag).sum(0)
    return torch.stack([at_least_float(rows).sum(0) for rows in torch.split(bag, ROWS)]).sum(0)


class _SegmentSum(torch.autograd.Function):
    """One matrix product per case, forward and backward: with few branches a read of the values at full speed."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, values: Tensor, lengths: Tensor) -> Tensor:  # noqa: ANN401
        ctx.sizes = lengths.tolist()
        ctx.save_for_backward(weight, values)
        result = weight.new_zeros(len(ctx.sizes), weight.shape[1], values.shape[1])  # (B, K, D)
        for out, share, part in zip(
            result, torch.split(weight, ctx.sizes), torch.split(values, ctx.sizes), strict=True
        ):
            for rows, w in zip(torch.split(part, ROWS), torch.split(share, ROWS), strict=True):
                out.addmm_(w.T, rows.to(w.dtype))
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        weight, values = ctx.saved_tensors
        wants_weight, wants_values, _ = ctx.needs_input_grad
        d_weight = torch.empty_like(weight) if wants_weight else None
        d_values = torch.empty_like(values) if wants_values else None
        start = 0
        for size, g in zip(ctx.sizes, grad, strict=True):  # g (K, D)
            rows = slice(start, start + size)
            if d_weight is not None:
                d_weight[rows] = values[rows].to(g.dtype) @ g.T
            if d_values is not None:
                # One branch is an outer product; as a product of rank 1 a matrix library is slow at it.
                d_values[rows] = weight[rows] * g if len(g) == 1 else weight[rows] @ g
            start += size
        return d_weight, d_values, None
