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

from pathfuse.nn import product

ROWS = 2048  # rows of A1 or columns of A3 at once in the backward pass, so that they stay in cache


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
        Output (heads, n, d), projected values (heads, n, d) and patch score (n,), which has no gradient.
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
            out = torch.empty_like(v)
            score = values.new_zeros(n, dtype=score_dtype)
            context, logs = torch.empty_like(ql), ql.new_empty(ql.shape[:2])
            for h, (qh, kh, vh, oh) in enumerate(zip(q, k, v, out, strict=True)):
                a3, total, logs[h] = _exp_columns(product(kh, ql[h].mT), padding)  # (n, m)
                context[h] = product(vh.mT, a3.to(dtype)).mT.to(score_dtype) / total[:, None]  # (m, d)
                a1 = torch.softmax(product(qh, kl[h].mT), 1)  # (n, m)
                oh.copy_(product(a1.to(dtype), (inverse[h] @ context[h]).to(dtype)))
                received = a1.mean(0) @ inverse[h]  # (m,)
                score += a3 @ (received / total)
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
            d_qkv = v.new_empty(3, *v.shape)
            dq, dk, dv = d_qkv
            d_ql, d_kl, d_inverse = torch.zeros_like(ql), torch.zeros_like(kl), torch.zeros_like(inverse)
            for h in range(len(ql)):
                w = inverse[h] @ context[h]  # (m, d)
                d_w = _many_queries(_Part(q[h], kl[h].to(dtype), w.to(dtype)), out[h], d_out[h], dq[h], d_kl[h])
                d_inverse[h] = d_w @ context[h].mT
                d_context = inverse[h].mT @ d_w  # (m, d)
                delta = (d_context * context[h]).sum(1)
                d_context = d_context.to(dtype)
                _many_keys(_Part(k[h], ql[h].to(dtype), v[h]), logs[h], d_context, delta, dk[h], dv[h], d_ql[h])
            dv += d_v
            d_qkv = d_qkv.permute(2, 0, 1, 3).reshape(len(values), -1)  # (n, 3 inner)
            d_values = product(d_qkv, weight.to(dtype)).to(ctx.input_dtype)
            d_weight = product(values.mT, d_qkv).mT.to(weight.dtype)
        return d_values, d_weight, d_ql, d_kl, d_inverse, None, None, None


class _Part(NamedTuple):
    rows: Tensor  # (n, d) queries or keys of one head
    landmarks: Tensor  # (m, d)
    values: Tensor  # what is averaged: (m, d) for A1, (n, d) for A3


def _project(
    values: Tensor, weight: Tensor, heads: int, dtype: torch.dtype, score_dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys in the precision of the score, values in that of the output; each (heads, n, d)."""
    if dtype == score_dtype:
        q, k, v = by_head(product(values.to(dtype), weight.to(dtype).mT), 3, heads)
        return q, k, v
    split = len(weight) // 3 * 2
    q, k = by_head(product(values.to(score_dtype), weight[:split].to(score_dtype).mT), 2, heads)
    return q, k, by_head(product(values.to(dtype), weight[split:].to(dtype).mT), 1, heads)[0]


def by_head(projected: Tensor, parts: int, heads: int) -> Tensor:
    """(n, parts * heads * d) as (parts, heads, n, d), each head in one piece."""
    return projected.view(len(projected), parts, heads, -1).permute(1, 2, 0, 3).contiguous()


def _exp_columns(logits: Tensor, padding: int) -> tuple[Tensor, Tensor, Tensor]:
    """exp(logits - max), its column sums with the padded keys, and the logarithm of the true sums."""
    highest = logits.amax(0)
    if padding:
        highest = highest.clamp(min=0)  # a padded key has logit 0
    weights = logits.sub_(highest).exp_()
    total = weights.sum(0) + padding * (-highest).exp()
    return weights, total, total.log() + highest


def _many_queries(part: _Part, out: Tensor, grad: Tensor, d_rows: Tensor, d_landmarks: Tensor) -> Tensor:
    """Backward of softmax(rows landmarks^T) values; returns the gradient of `values`, fills the others."""
    d_values = torch.zeros_like(d_landmarks)
    for rows, o, g, d in zip(*(torch.split(each, ROWS) for each in (part.rows, out, grad, d_rows)), strict=True):
        a1 = torch.softmax(product(rows, part.landmarks.mT), 1)  # (r, m)
        d_values += product(g.mT, a1).mT
        d_logits = product(g, part.values.mT).sub_((g * o).sum(1, keepdim=True)).mul_(a1)
        d.copy_(product(d_logits, part.landmarks))
        d_landmarks += product(rows.mT, d_logits).mT
    return d_values


def _many_keys(
    part: _Part, logs: Tensor, grad: Tensor, delta: Tensor, d_rows: Tensor, d_values: Tensor, d_landmarks: Tensor
) -> None:
    """Backward of softmax(landmarks rows^T) values, given the logarithm of its row sums; fills the gradients."""
    for rows, v, d, dv in zip(
        *(torch.split(each, ROWS) for each in (part.rows, part.values, d_rows, d_values)), strict=True
    ):
        # Patches along the rows here, landmarks along the columns: the layout of the gradients.
        a3 = product(rows, part.landmarks.mT).sub_(logs.to(rows.dtype)).exp_()  # (r, m)
        dv.copy_(product(a3, grad))
        d_logits = product(v, grad.mT).sub_(delta.to(rows.dtype)).mul_(a3)
        d.copy_(product(d_logits, part.landmarks))
        d_landmarks += product(rows.mT, d_logits).mT
