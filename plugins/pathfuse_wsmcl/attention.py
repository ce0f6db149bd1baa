"""Nystrom self-attention over packed bags, with a score for every patch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.nn import linear, working_dtype
from pathfuse_wsmcl.few_landmarks import Landmarks, attend
from pathfuse_wsmcl.pseudo_inverse import pseudo_inverse
from pathfuse_wsmcl.value_conv import sequence_conv

Score = Literal["received", "mean_token"]


class NystromAttention(nn.Module):
    """Self-attention through landmarks, one case after another, so that cases do not see each other.

    The order of the patches matters: landmarks are means of consecutive patches, and the values are convolved along the
    sequence.

    Args:
        dim: width of the patches.
        heads: attention heads.
        dim_head: width of a head.
        landmarks: landmarks m of a case.
        inverse_steps: iterations of the pseudo-inverse.
        kernel: taps of the value convolution, odd; 0 has none.
        dropout: on the output projection.
        score: `received` is the attention a patch gets from all others, `mean_token` what the mean patch pays to it.
        exact_score: compute the score in the precision of the weights, whatever autocast says.

    Source: Xiong et al. 2021, arXiv:2102.03902; TransMIL (Shao et al. 2021) and WSMCL (Shi et al. 2025) for bags.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        dim_head: int,
        landmarks: int,
        inverse_steps: int = 6,
        kernel: int = 33,
        dropout: float = 0.0,
        score: Score = "received",
        exact_score: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.landmarks = landmarks
        self.inverse_steps = inverse_steps
        self.score = score
        self.exact_score = exact_score
        inner = heads * dim_head
        self.scale: float = dim_head**-0.5
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))
        self.value_conv = (
            nn.Conv2d(heads, heads, (kernel, 1), padding=(kernel // 2, 0), groups=heads, bias=False) if kernel else None
        )

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (T, D), layer-normalised, to what is added to them (T, D) and their scores (T,)."""
        sizes = [size for size in lengths.tolist() if size]
        if not sizes:
            return torch.zeros_like(values), values.new_zeros(0)
        # split, not slices: its backward is one concatenation.
        attended, scores = zip(*(self._case(case) for case in torch.split(values, sizes)), strict=True)
        if len(sizes) == 1:  # spares a copy of the bag
            return self.project_out(attended[0]), scores[0]
        return self.project_out(torch.cat(attended)), torch.cat(scores)

    def project_out(self, attended: Tensor) -> Tensor:
        """The heads (T, inner) joined to (T, D)."""
        project, dropout = self.to_out
        assert isinstance(project, nn.Linear)
        added: Tensor = dropout(linear(attended, project.weight, project.bias))
        return added

    def padding(self, patches: int) -> int:
        """Zero rows that stand before the patches of a case, so that the landmarks divide it."""
        return -patches % self.landmarks

    def landmarks_of(self, segments: Tensor) -> Landmarks:
        """Landmarks from the mean patch (m, D) of every segment, in the precision of the weights."""
        cheap = working_dtype(segments)
        with torch.autocast(segments.device.type, enabled=False):
            segments = segments.to(self.to_qkv.weight.dtype)
            both = segments @ self.to_qkv.weight[: 2 * self.inner].mT  # (m, 2 inner)
            queries, keys = both.view(len(both), 2, self.heads, -1).permute(1, 2, 0, 3)  # (heads, m, d)
            scaled = queries * self.scale
            inverse = pseudo_inverse(torch.softmax(scaled @ keys.mT, -1), self.inverse_steps, cheap)
            return Landmarks(scaled, keys * self.scale, inverse)

    @property
    def inner(self) -> int:
        """Width of all heads together."""
        return self.to_qkv.out_features // 3

    def taps(self) -> Tensor | None:
        """The kernels (heads, taps) of the value convolution."""
        if self.value_conv is None:
            return None
        weight: Tensor = self.value_conv.weight  # (heads, 1, taps, 1)
        return weight.flatten(1)

    def paid_by_mean(self, values: Tensor, mean: Tensor) -> Tensor:
        """Logits (heads, n): what the mean patch (D,) pays to every patch (n, D)."""
        query, key = self.to_qkv.weight[: 2 * self.inner].view(2, self.heads, -1, len(mean))  # (heads, d, D)
        seen = (query @ mean)[:, None] @ key * self.scale  # (heads, 1, D)
        logits: Tensor = seen[:, 0] @ values.to(key.dtype).mT
        return logits

    def _case(self, values: Tensor) -> tuple[Tensor, Tensor]:
        padding = self.padding(len(values))
        parts = F.pad(values, (0, 0, padding, 0)).view(self.landmarks, -1, values.shape[1])
        # A sum divided, not a mean: the gradient of a mean is divided row by row.
        segments = parts.sum(1) / parts.shape[1]  # (m, D)
        dtype = working_dtype(values)
        score_dtype = self.to_qkv.weight.dtype if self.exact_score else dtype
        out, v, score = attend(values, self.to_qkv.weight, self.landmarks_of(segments), padding, dtype, score_dtype)
        taps = self.taps()
        if taps is not None:
            out = out + sequence_conv(v, taps)  # (n, heads, d)
        if self.score == "mean_token":
            score = self._mean_token_score(values)
        return out.flatten(1), score

    @torch.no_grad()
    def _mean_token_score(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            logits = self.paid_by_mean(values, values.mean(0).to(self.to_qkv.weight.dtype))
            return logits.softmax(1).mean(0)  # (n,)
