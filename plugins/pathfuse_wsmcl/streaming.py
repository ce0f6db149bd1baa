"""A large bag through projection, attention and norm in three passes, a piece at a time, for inference.

The only array as long as the bag is the result itself: the first pass fills it with the projected patches, the last one
replaces them by the finished rows. All in the precision of the weights, whatever autocast says, so that a patch's score
does not depend on the size of its bag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pathfuse.nn import product
from pathfuse_wsmcl.attention import NystromAttention
from pathfuse_wsmcl.few_landmarks import Landmarks, by_head
from pathfuse_wsmcl.value_conv import sequence_conv

ROWS = 4096  # patches at once


class _Seen(NamedTuple):
    """What the landmarks have seen of all patches.

    Attributes:
        context: z A3 v (heads, m, d).
        logs: logarithm of A3's row sums (heads, m).
        received: the mean row of A1 z (heads, m).
    """

    context: Tensor
    logs: Tensor
    received: Tensor


class Stream:
    """One case on its way through a layer.

    Args:
        project: features to patches of the layer's width.
        norm: before the attention.
        attention: the layer.
        finish: the last norm.
    """

    def __init__(
        self,
        project: Callable[[Tensor], Tensor],
        norm: nn.LayerNorm,
        attention: NystromAttention,
        finish: Callable[[Tensor], Tensor],
    ) -> None:
        self.project = project
        self.norm = norm
        self.attention = attention
        self.finish = finish
        self.heads = attention.heads
        self.weight = attention.to_qkv.weight
        self.reach = 0 if attention.value_conv is None else attention.value_conv.kernel_size[0] // 2

    @torch.no_grad()
    def run(self, features: Tensor, result: Tensor, score: Tensor) -> None:
        """Fills `result` (n, D) and `score` (n,) from `features` (n, D')."""
        with torch.autocast(features.device.type, enabled=False):
            landmarks, mean = self._project(features, result)
            seen = self._gather(result, landmarks)
            self._finish(result, score, landmarks, seen)
            if self.attention.score == "mean_token":
                logits = torch.cat([self.attention.paid_by_mean(rows, mean) for rows in self._normed(features)], 1)
                score.copy_(logits.softmax(1).mean(0))

    def _normed(self, features: Tensor) -> Iterator[Tensor]:
        for rows in torch.split(features, ROWS):
            yield self.norm(self.project(rows.to(self.weight.dtype)))

    def _project(self, features: Tensor, result: Tensor) -> tuple[Landmarks, Tensor]:
        n, m = len(features), self.attention.landmarks
        padding = self.attention.padding(n)
        per_landmark = (n + padding) // m
        sums = result.new_zeros(m, result.shape[1])
        for start in range(0, n, ROWS):
            rows = result[start : start + ROWS]
            rows.copy_(self.project(features[start : start + ROWS].to(rows.dtype)))
            segment = torch.arange(padding + start, padding + start + len(rows), device=rows.device) // per_landmark
            sums.index_add_(0, segment, self.norm(rows))
        return self.attention.landmarks_of(sums / per_landmark), sums.sum(0) / n

    def _gather(self, result: Tensor, landmarks: Landmarks) -> _Seen:
        ql, kl, inverse = landmarks
        padding = self.attention.padding(len(result))
        context, a1 = torch.zeros_like(ql), ql.new_zeros(ql.shape[:2])
        highest = ql.new_full(ql.shape[:2], 0.0 if padding else -torch.inf)
        total = ql.new_full(ql.shape[:2], float(padding))
        for rows in torch.split(result, ROWS):
            q, k, v = self._qkv(self.norm(rows))
            for h in range(self.heads):
                logits = product(k[:, h], ql[h].mT)  # (rows, m)
                top = torch.maximum(highest[h], logits.amax(0))
                shrink = (highest[h] - top).exp()
                weights = logits.sub_(top).exp_()
                total[h] = total[h] * shrink + weights.sum(0)
                context[h] = context[h] * shrink[:, None] + product(v[:, h].mT, weights).mT
                highest[h] = top
                a1[h] += torch.softmax(product(q[:, h], kl[h].mT), 1).sum(0)
        received = (a1[:, None] / len(result) @ inverse)[:, 0]  # (heads, m)
        return _Seen(inverse @ (context / total[..., None]), total.log() + highest, received)

    def _finish(self, result: Tensor, score: Tensor, landmarks: Landmarks, seen: _Seen) -> None:
        """Replaces the projected patches in `result` by the finished rows and fills the scores."""
        n, taps = len(result), self.attention.taps()
        score.zero_()
        before = result[:0]  # normalised rows that the convolution still needs and that are overwritten already
        for start in range(0, n, ROWS):
            stop = min(n, start + ROWS)
            ahead = self.norm(result[start : stop + self.reach])
            normed = torch.cat([before, ahead])
            own = slice(len(before), len(before) + stop - start)
            q, k, v = self._qkv(normed)
            out = q.new_empty(q.shape)
            for h in range(self.heads):
                product(torch.softmax(product(q[:, h], landmarks.keys[h].mT), 1), seen.context[h], out=out[:, h])
                a3 = product(k[own, h], landmarks.queries[h].mT).sub_(seen.logs[h]).exp_()  # (rows, m)
                score[start:stop] += a3 @ seen.received[h] / self.heads
            if taps is not None:
                out += sequence_conv(v, taps)
            before = normed[: own.stop][-self.reach :] if self.reach else before
            added = self.attention.project_out(out[own].flatten(1))
            result[start:stop] = self.finish(result[start:stop] + added)

    def _qkv(self, normed: Tensor) -> tuple[Tensor, ...]:
        return by_head(product(normed, self.weight.mT), 3, self.heads)  # each (n, heads, d)
