"""Attention pooling of bags, plain and gated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pathfuse.core import AttentionStep, DataSpec, TokenSpec
from pathfuse.nn import (
    FEW,
    ROWS,
    Bag,
    How,
    NestedFusion,
    Pooled,
    PoolFusion,
    check_counts,
    linear,
    packed_tokens,
    segment_softmax,
    segment_sum,
    watched_weights,
)
from pathfuse_mil.one_pass import Scorer, attention_pool


class GatedAttention(nn.Module):
    """Scores every patch: w^T tanh(V h), or with a gate w^T (tanh(V h) * sigmoid(U h)).

    Args:
        dim: width of the patches.
        hidden: width L of the scoring layer.
        gated: multiply by the sigmoid gate.
        branches: scores K per patch, each with a softmax of its own.

    Source: Ilse et al. 2018, arXiv:1802.04712, equations 8 and 9.
    """

    def __init__(self, dim: int, *, hidden: int = 128, gated: bool = False, branches: int = 1) -> None:
        super().__init__()
        self.value = nn.Linear(dim, hidden)
        self.gate = nn.Linear(dim, hidden) if gated else None
        self.weight = nn.Linear(hidden, branches)

    def forward(self, values: Tensor) -> Tensor:
        """Patches (T, D) to scores (T, K); without gradients only a piece is in working precision at a time."""
        if torch.is_grad_enabled():
            return self._score(values)
        parts = [self._score(rows) for rows in torch.split(values, ROWS)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _score(self, values: Tensor) -> Tensor:
        scorer = self.scorer()
        both = linear(values.to(scorer.weight.dtype), scorer.weight, scorer.bias)
        value, gate = both[:, : scorer.width], both[:, scorer.width :]
        hidden = torch.tanh(value) if self.gate is None else torch.tanh(value) * torch.sigmoid(gate)  # (T, L)
        score: Tensor = self.weight(hidden)
        return score  # (T, K)

    def scorer(self) -> Scorer:
        """The same as plain weights; value and gate are one layer, so that the patches are read once."""
        weight: Tensor = self.value.weight
        bias: Tensor = self.value.bias
        if self.gate is not None:
            weight, bias = torch.cat([weight, self.gate.weight]), torch.cat([bias, self.gate.bias])
        return Scorer(weight, bias, self.weight.weight, self.weight.bias)


class AttentionFusion(PoolFusion):
    """A learned weight for every patch of every modality, then the modalities joined.

    Each has its own attention and its own softmax, so what is said about one does not depend on another. A modality
    that comes as one vector is joined as it is.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        hidden: width of the scoring layer; smaller is steadier on small cohorts.
        gated: multiply the score by a sigmoid gate.
        branches: pooled vectors per modality, each with its own weights; they are put side by side.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.

    Source: Ilse et al. 2018, arXiv:1802.04712, equations 8 and 9.
    Departs: any number of modalities; with several branches `attention` is their mean.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        hidden: int = 128,
        gated: bool = False,
        branches: int = 1,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        check_counts("AttentionFusion", {"hidden": hidden, "branches": branches})
        packed = packed_tokens(tokens, "AttentionFusion")
        dims = {name: token.dim * branches for name, token in packed.items()}
        super().__init__(tokens, spec, dims=dims, fusion=fusion, join=join)
        self.attentions = nn.ModuleDict(
            {n: GatedAttention(t.dim, hidden=hidden, gated=gated, branches=branches) for n, t in packed.items()}
        )
        self.weights = nn.ModuleDict({name: nn.Identity() for name in packed})  # what passes through can be watched

    def pool(self, name: str, bag: Bag) -> Pooled:
        """The weighted sum over the patches of each case, and the weights."""
        attention, watched = self.attentions[name], self.weights[name]
        assert isinstance(attention, GatedAttention)
        alone = len(bag.lengths) == 1 and len(bag.values) <= FEW
        if bag.values.device.type == "cpu" and not alone and not watched._forward_hooks:
            pooled, weight = attention_pool(bag.values, bag.lengths, attention.scorer())
        else:
            weight = watched(segment_softmax(attention(bag.values), bag.lengths))  # (T', K)
            pooled = segment_sum(weight, bag.values, bag.lengths)  # (B, K, D)
        return Pooled(pooled.flatten(1), weight.mean(1))

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """Per modality, the weights of the patches that are read, a row per branch."""
        with watched_weights(self.weights) as steps:
            yield steps
