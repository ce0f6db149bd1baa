"""The two attentions of a Nystrom layer over one case, without a matrix of patches by patches.

With landmarks q_l, k_l (m of them), A1 = softmax(q k_l^T) and A3 = softmax(q_l k^T), a case's output is
A1 (z (A3 v)) and its patch score the mean row of A1 z A3. Both come from the same A1 and A3, head by head; the backward
pass computes them again instead of keeping 2 n m numbers per head.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pathfuse.nn import add_product, product

LOWEST = -87.0  # exp of less is no normal float32: MKL needs forty times as long for it, and products with it as well
CELLS = 2**18  # cells of A1 or A3 at once, 1 MB in float32, so that they stay in a core's second-level cache


class Landmarks(NamedTuple):
    """What stands for all patches of a case: queries and keys (heads, m, d), and the pseudo-inverse (heads, m, m).

    Queries and keys are both scaled by d^-1/2, so that they meet plain ones.
    """

    queries: Tensor
    keys: Tensor
    inverse: Tensor


def attend(
    values: Tensor, weight: Tensor, landmarks: Landmarks, padding: int, dtype: torch.dtype, score_dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Attends over the patches of one case.

    Args:
        values: (n, D) normalised patches.
        weight: (3 inner, D) projection to queries, keys and values.
        landmarks: of this case.
        padding: zero rows that stand before the patches; their keys take part in A3.
        dtype: precision of everything that only the output and the gradient need.
        score_dtype: precision of queries, keys and both attentions in the forward pass.

    Returns:
        Output (n, heads, d), projected values (n, heads, d) and patch score (n,), which has no gradient.
    """
    result: tuple[Tensor, Tensor, Tensor] = _Attend.apply(values, weight, *landmarks, padding, dtype, score_dtype)
    return result


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        values: Tensor,
        weight: Tensor,
        ql: Tensor,
        kl: Tensor,
        inverse: Tensor,
        padding: int,
        dtype: torch.dtype,
        score_dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(values.device.type, enabled=False):
            heads, n = len(ql), len(values)
            q, k, v = _project(values, weight, heads, dtype, score_dtype)
            ql, kl, inverse = (small.to(score_dtype).contiguous() for small in (ql, kl, inverse))
            out = v.new_empty(v.shape)
            score = values.new_zeros(n, dtype=score_dtype)
            context, logs = torch.empty_like(ql), ql.new_empty(ql.shape[:2])
            a3 = values.new_empty(n, ql.shape[1], dtype=score_dtype)  # of one head after another
            for h in range(heads):
                shares = _gather(k[:, h], v[:, h], ql[h], padding, a3, context[h], logs[h])
                a1 = _answer(q[:, h], kl[h], (inverse[h] @ context[h]).to(dtype), out[:, h])
                received = a1 / n @ inverse[h]  # (m,)
                for rows, share in zip(_blocks(n, len(ql[h])), shares, strict=True):
                    score[rows].addmv_(a3[rows], received * share)
        ctx.save_for_backward(
            values.to(dtype), weight, q.to(dtype), k.to(dtype), v, out, ql, kl, inverse, context, logs
        )
        ctx.input_dtype = values.dtype
        score /= heads  # in place: what is marked has to be what is returned
        ctx.mark_non_differentiable(score)
        return out, v, score

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_v: Tensor, _: Tensor) -> tuple[Any, ...]:  # noqa: ANN401
        values, weight, q, k, v, out, ql, kl, inverse, context, logs = ctx.saved_tensors
        dtype = values.dtype
        with torch.autocast(values.device.type, enabled=False):
            dq, dk, dv = (torch.empty_like(each) for each in (q, k, v))
            d_ql, d_kl, d_inverse = torch.zeros_like(ql), torch.zeros_like(kl), torch.zeros_like(inverse)
            for h in range(len(ql)):
                w = inverse[h] @ context[h]  # (m, d)
                part = _Part(q[:, h], kl[h].to(dtype), w.to(dtype))
                d_w = _many_queries(part, out[:, h], d_out[:, h], dq[:, h], d_kl[h])
                d_inverse[h] = d_w @ context[h].mT
                d_context = inverse[h].mT @ d_w  # (m, d)
                delta = (d_context * context[h]).sum(1)
                part = _Part(k[:, h], ql[h].to(dtype), v[:, h])
                _many_keys(part, logs[h], d_context.to(dtype), delta, dk[:, h], dv[:, h], d_ql[h])
            dv += d_v
            d_values = values.new_zeros(values.shape, dtype=ctx.input_dtype)
            d_weight = torch.empty_like(weight)
            for d, w, d_w in zip((dq, dk, dv), weight.to(dtype).chunk(3), d_weight.chunk(3), strict=True):
                add_product(d_values, d.flatten(1), w)
                d_w.copy_(product(d.flatten(1).mT, values))
        return d_values, d_weight, d_ql, d_kl, d_inverse, None, None, None


class _Part(NamedTuple):
    rows: Tensor  # (n, d) queries or keys of one head
    landmarks: Tensor  # (m, d)
    values: Tensor  # what is averaged: (m, d) for A1, (n, d) for A3


def _project(
    values: Tensor, weight: Tensor, heads: int, dtype: torch.dtype, score_dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys in the precision of the score, values in that of the output; each (n, heads, d).

    One product each: three tensors of a bag of 16,000 patches and width 512 are reused by the allocator, one is not.
    """
    q, k, v = (
        by_head(product(values.to(kind), part.to(kind).mT), 1, heads)[0]
        for part, kind in zip(weight.chunk(3), (score_dtype, score_dtype, dtype), strict=True)
    )
    return q, k, v


def by_head(projected: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """(n, parts * heads * d) as parts of (n, heads, d), where they lie."""
    return projected.view(len(projected), parts, heads, -1).unbind(1)


def _blocks(n: int, landmarks: int) -> list[slice]:
    """The rows 0 to n in pieces; the last may reach beyond."""
    rows = max(64, CELLS // landmarks)
    return [slice(start, start + rows) for start in range(0, n, rows)]


def _exp(logits: Tensor) -> Tensor:
    """In place; what would be below the normal numbers is the smallest of them."""
    return logits.clamp_(min=LOWEST).exp_()


def _gather(
    keys: Tensor, values: Tensor, queries: Tensor, padding: int, a3: Tensor, context: Tensor, logs: Tensor
) -> list[Tensor]:
    """Fills `context` (m, d) with A3 v, `logs` (m,) with the logarithm of A3's row sums, and `a3` (n, m).

    Returns:
        For every block of rows of `a3` what its columns are to be multiplied by to be those of A3.
    """
    highest = queries.new_full((len(queries),), 0.0 if padding else -torch.inf)  # a padded key has logit 0
    total = torch.full_like(highest, padding)
    seen = torch.zeros_like(context.mT, memory_format=torch.contiguous_format)  # (d, m), the faster layout to add to
    tops = []
    for rows in _blocks(len(keys), len(queries)):
        weights = product(keys[rows], queries.mT, out=a3[rows])  # (r, m)
        tops.append(torch.maximum(highest, weights.amax(0)))
        _exp(weights.sub_(tops[-1]))
        shrink = (highest - tops[-1]).exp_()
        total.mul_(shrink).add_(weights.sum(0))
        add_product(seen.mul_(shrink), values[rows].mT, weights.to(values.dtype))
        highest = tops[-1]
    torch.div(seen.mT, total[:, None], out=context)
    torch.add(total.log(), highest, out=logs)
    return [(top - highest).exp_().div_(total) for top in tops]


def _answer(queries: Tensor, keys: Tensor, values: Tensor, out: Tensor) -> Tensor:
    """Fills `out` (n, d) with A1 times values (m, d); returns the column sums (m,) of A1."""
    received = torch.zeros_like(keys[:, 0])
    for rows in _blocks(len(queries), len(keys)):
        a1 = torch.softmax(product(queries[rows], keys.mT), 1)  # (r, m)
        product(a1.to(values.dtype), values, out=out[rows])
        received += a1.sum(0)
    return received


def _many_queries(part: _Part, out: Tensor, grad: Tensor, d_rows: Tensor, d_landmarks: Tensor) -> Tensor:
    """Backward of softmax(rows landmarks^T) values; returns the gradient of `values`, fills the others."""
    both = d_landmarks.new_zeros(2, *d_landmarks.mT.shape)  # of values and landmarks, (d, m) each
    d_values, d_keys = both[0], both[1]
    for rows in _blocks(len(grad), len(part.landmarks)):
        own, g = part.rows[rows], grad[rows]
        a1 = torch.softmax(product(own, part.landmarks.mT), 1)  # (r, m)
        add_product(d_values, g.mT, a1)
        d_logits = product(g, part.values.mT).sub_((g * out[rows]).sum(1, keepdim=True)).mul_(a1)
        product(d_logits, part.landmarks, out=d_rows[rows])
        add_product(d_keys, own.mT, d_logits)
    d_landmarks.copy_(d_keys.mT)
    return d_values.mT


def _many_keys(
    part: _Part, logs: Tensor, grad: Tensor, delta: Tensor, d_rows: Tensor, d_values: Tensor, d_landmarks: Tensor
) -> None:
    """Backward of softmax(landmarks rows^T) values, given the logarithm of its row sums; fills the gradients."""
    d_queries = d_landmarks.new_zeros(d_landmarks.mT.shape)  # (d, m)
    for rows in _blocks(len(part.rows), len(grad)):
        # Patches along the rows here, landmarks along the columns: the layout of the gradients.
        own = part.rows[rows]
        a3 = _exp(product(own, part.landmarks.mT).sub_(logs.to(own.dtype)))  # (r, m)
        product(a3, grad, out=d_values[rows])
        d_logits = product(part.values[rows], grad.mT).sub_(delta.to(own.dtype)).mul_(a3)
        product(d_logits, part.landmarks, out=d_rows[rows])
        add_product(d_queries, own.mT, d_logits)
    d_landmarks.copy_(d_queries.mT)
