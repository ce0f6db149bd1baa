"""Attention pooling of packed bags in one pass over their rows, forward and backward.

A block of rows is scored, weighed and summed while it is in the cache; the softmax of a bag goes on from block to
block. Only the gates of a block are kept for the backward pass, which reads the rows once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pathfuse.nn import BLOCK, add_product, product, working_dtype


class Scorer(NamedTuple):
    """The layers that score a patch h: w^T (tanh(V h + a) * sigmoid(U h + c)) + b, or without the sigmoid.

    Attributes:
        weight: V (L, D), or V and U one below the other (2 L, D).
        bias: (L,) or (2 L,).
        score: w (K, L).
        score_bias: b (K,).
    """

    weight: Tensor
    bias: Tensor
    score: Tensor
    score_bias: Tensor

    @property
    def width(self) -> int:
        """L."""
        return self.score.shape[1]


def attention_pool(values: Tensor, lengths: Tensor, scorer: Scorer) -> tuple[Tensor, Tensor]:
    """The weighted sums of bags, and the weights. Gradients of gradients are not offered.

    Args:
        values: (T, D) patches of all bags, one bag after another.
        lengths: (B,) patches of each.
        scorer: what weighs them.

    Returns:
        (B, K, D) sums, zeros for an empty bag, and (T, K) weights; both in float32 or better.

    Source: Ilse et al. 2018, arXiv:1802.04712, equations 8 and 9; the softmax that goes on from block to block is that
        of Milakov and Gimelshein 2018, arXiv:1805.02867, algorithm 3.
    """
    keep = torch.is_grad_enabled() and any(each.requires_grad for each in (values, *scorer))
    dtype = working_dtype(scorer.weight)
    with torch.autocast(values.device.type, enabled=False):
        sums, weights = _Pool.apply(values, *scorer, [size for size in lengths.tolist() if size], dtype, keep)
    if len(sums) == len(lengths):
        return sums, weights
    return sums.new_zeros(len(lengths), *sums.shape[1:]).index_copy(0, lengths.nonzero().flatten(), sums), weights


def _owners(sizes: list[int], like: Tensor) -> Tensor:
    """(T,) the bag of every patch."""
    return torch.repeat_interleave(torch.tensor(sizes, device=like.device, dtype=torch.long), output_size=len(like))


class _Block(NamedTuple):
    rows: slice
    pieces: list[tuple[int, slice]]  # the bags in it: the number of each, and its rows within the block


def _blocks(sizes: list[int]) -> Iterator[_Block]:
    start, used = 0, 0
    pieces: list[tuple[int, slice]] = []
    for bag, left in enumerate(sizes):
        while left:
            taken = min(left, BLOCK - used)
            pieces.append((bag, slice(used, used + taken)))
            left, used = left - taken, used + taken
            if used == BLOCK:
                yield _Block(slice(start, start + used), pieces)
                start, used, pieces = start + used, 0, []
    if used:
        yield _Block(slice(start, start + used), pieces)


def _open(rows: Tensor, scorer: Scorer) -> tuple[Tensor, Tensor]:
    """The gates (r, L) or (r, 2 L), tanh before sigmoid, and what the scores are linear in (r, L)."""
    gates = product(rows, scorer.weight.mT).add_(scorer.bias)
    if gates.shape[1] == scorer.width:
        return gates.tanh_(), gates
    value, gate = gates[:, : scorer.width], gates[:, scorer.width :]
    # A copy: along half the columns of a matrix, two threads take several times as long for a tanh.
    hidden = value.clone(memory_format=torch.contiguous_format).tanh_()
    value.copy_(hidden)
    return gates, hidden.mul_(gate.sigmoid_())


class _Softmax:
    """Weighted sums so far, relative to the highest score so far of each bag and branch; no bag is empty."""

    def __init__(self, sizes: list[int], scores: Tensor, dim: int) -> None:
        bags, branches = len(sizes), scores.shape[1]
        self.scores = scores
        self.owner = _owners(sizes, scores)
        self.highest = scores.new_full((bags, branches), -torch.inf)
        self.total = scores.new_zeros(bags, branches)
        self.sums = scores.new_zeros(bags, branches, dim)

    def add(self, block: _Block, rows: Tensor) -> None:
        """Goes on with the rows (r, D) of a block, whose scores are there."""
        first, last = block.pieces[0][0], block.pieces[-1][0] + 1
        score, owner = self.scores[block.rows], self.owner[block.rows] - first
        highest, before = self.highest[first:last], self.highest[first:last].clone()
        highest.scatter_reduce_(0, owner[:, None].expand_as(score), score, "amax")
        shrink, weight = before.sub_(highest).exp_(), (score - highest[owner]).exp_()
        self.total[first:last].mul_(shrink).index_add_(0, owner, weight)
        self.sums[first:last].mul_(shrink[..., None])
        for bag, piece in block.pieces:
            self.sums[bag].addmm_(weight[piece].mT, rows[piece])

    def result(self) -> tuple[Tensor, Tensor]:
        """The sums (B, K, D), and the weights (T, K) in the place of the scores."""
        weight = self.scores.sub_(self.highest[self.owner]).exp_().div_(self.total[self.owner])
        return self.sums.div_(self.total[..., None]), weight


class _Slopes:
    """The gradient of a scorer, summed block by block in float32 or better."""

    def __init__(self, weight: Tensor, score: Tensor, dtype: torch.dtype) -> None:
        exact = torch.promote_types(weight.dtype, torch.float32)
        self.weight, self.score = weight.to(dtype), score.to(dtype)
        shapes = (weight.shape, weight.shape[:1], score.shape, score.shape[:1])
        self.found = Scorer(*(weight.new_zeros(shape, dtype=exact) for shape in shapes))

    def add(self, rows: Tensor, gates: Tensor, slope: Tensor) -> Tensor:
        """Adds rows (r, D), given their gates and the slopes (r, K) of their scores; returns those before the gates."""
        width, cheap = self.found.width, slope.to(rows.dtype)
        value, gate = gates[:, :width], gates[:, width:]
        d_hidden = cheap * self.score if len(self.score) == 1 else cheap @ self.score  # (r, L)
        gated = gates.shape[1] > width
        add_product(self.found.score, cheap.mT, value * gate if gated else value)
        d_gates = torch.empty_like(gates)
        if gated:
            own = torch.mul(d_hidden, value, out=d_gates[:, width:])
            torch.ops.aten.sigmoid_backward.grad_input(own, gate, grad_input=own)
            d_hidden.mul_(gate)
        torch.ops.aten.tanh_backward.grad_input(d_hidden, value, grad_input=d_gates[:, :width])
        add_product(self.found.weight, d_gates.mT, rows)
        self.found.bias.add_(d_gates.sum(0))
        self.found.score_bias.add_(slope.sum(0))
        return d_gates


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        values: Tensor,
        weight: Tensor,
        bias: Tensor,
        score: Tensor,
        score_bias: Tensor,
        sizes: list[int],
        dtype: torch.dtype,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        exact = torch.promote_types(weight.dtype, torch.float32)
        cheap = Scorer(*(each.to(dtype) for each in (weight, bias, score, score_bias)))
        softmax = _Softmax(sizes, values.new_empty(len(values), len(score), dtype=exact), values.shape[1])
        kept = []
        for block in _blocks(sizes):
            part = values[block.rows].to(exact)
            gates, hidden = _open(part.to(dtype), cheap)
            softmax.scores[block.rows] = torch.addmm(cheap.score_bias, hidden, cheap.score.mT)
            softmax.add(block, part)
            if keep:
                kept.append(gates)
        sums, weights = softmax.result()
        ctx.sizes, ctx.dtype = sizes, dtype
        if keep:
            ctx.save_for_backward(values, weight, score, sums, weights, *kept)
        return sums, weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_sums: Tensor, d_weights: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        values, weight, score, sums, weights, *kept = ctx.saved_tensors
        d_values = torch.empty_like(values) if ctx.needs_input_grad[0] else None
        with torch.autocast(values.device.type, enabled=False):
            slopes = _Slopes(weight, score, ctx.dtype)
            owner = _owners(ctx.sizes, weights)
            # What the softmax takes from the slope of every weight: the mean slope of its bag.
            mean = (d_sums * sums).sum(2).index_add_(0, owner, d_weights * weights)  # (B, K)
            slope = d_weights - mean[owner]  # (T, K)
            for (rows, pieces), gates in zip(_blocks(ctx.sizes), kept, strict=True):
                own = weights[rows]
                part = values[rows].to(own.dtype)
                for bag, piece in pieces:
                    slope[rows][piece].addmm_(part[piece], d_sums[bag].mT)
                d_gates = slopes.add(part.to(ctx.dtype), gates, slope[rows].mul_(own))
                if d_values is not None:
                    direct = d_values.dtype == own.dtype == d_gates.dtype
                    d_part = product(d_gates, slopes.weight, out=d_values[rows] if direct else None).to(own.dtype)
                    for bag, piece in pieces:
                        d_part[piece].addmm_(own[piece], d_sums[bag])
                    if not direct:
                        d_values[rows] = d_part
                    del d_part  # before the next one is made
                del d_gates
        return d_values, *(each.to(weight.dtype) for each in slopes.found), None, None, None
