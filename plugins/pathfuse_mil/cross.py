"""Cross-attention between stains: a few tokens that summarise one stain ask the patches of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from pathfuse.core import DataSpec, Fused, Tokens, TokenSpec
from pathfuse.errors import RecipeError, did_you_mean
from pathfuse.nn import (
    ROWS,
    Bag,
    How,
    JoinedFusion,
    NestedFusion,
    check_counts,
    check_shares,
    linear,
    readable_token,
    segment_softmax,
    segment_sum,
)
from pathfuse_mil.attention import GatedAttention


@dataclass(frozen=True)
class Answers:
    """What the patches of a stain answer to L queries per case.

    Attributes:
        tokens: (B, L, D).
        weight: (T',) of every patch, the mean over the queries.
        shown: (B,) bool, the cases that it is about; the other rows are not read.
    """

    tokens: Tensor
    weight: Tensor
    shown: Tensor


class StainAttention(nn.Module):
    """Attention of L queries to the patches of one stain, and what becomes of the answers.

    Args:
        in_dim: width of the patches.
        dim: width of queries and answers.
        latents: learned queries L.
        layers: layers of self-attention over the answers.
        heads: of those layers.
        dropout: in those layers and on the result.
        asks: whether other stains are asked with its summary.
    """

    def __init__(
        self, in_dim: int, dim: int, *, latents: int, layers: int, heads: int, dropout: float, asks: bool
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, dim))
        # A bias of the keys adds the same to every patch, and the softmax takes it away again.
        self.key = nn.Linear(in_dim, dim, bias=False)
        self.value = nn.Linear(in_dim, dim)
        self.ask = nn.Linear(dim, dim, bias=False) if asks else None
        self.layers = nn.ModuleList(
            [nn.TransformerEncoderLayer(dim, heads, 2 * dim, dropout, batch_first=True) for _ in range(layers)]
        )
        self.pool = GatedAttention(dim, hidden=dim, gated=True)
        self.out = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout))

    def answers(self, bag: Bag, queries: Tensor, shown: Tensor) -> Answers:
        """The answers to queries (B, L, D); neither keys nor values are made of the patches, so memory is (T', L)."""
        scale = queries.shape[-1] ** -0.5
        folded = (queries * scale) @ self.key.weight  # (B, L, in_dim): q^T (W h) = (W^T q)^T h
        bags = torch.split(bag.values, bag.lengths.tolist())
        score = torch.cat([_score(rows, own) for rows, own in zip(bags, folded, strict=True)])  # (T', L)
        weight = segment_softmax(score, bag.lengths)
        summed = segment_sum(weight, bag.values, bag.lengths).to(self.value.weight.dtype)  # (B, L, in_dim)
        return Answers(self.value(summed), weight.mean(1), shown)  # sum of w (V h) = V (sum of w h)

    def embed(self, sets: Sequence[Answers]) -> Tensor:
        """One vector (B, D) per case from every set of answers that it has; zeros where it has none."""
        tokens = torch.cat([self._refined(answers) for answers in sets], 1)  # (B, sets * L, D)
        count = tokens.shape[1] // len(sets)
        shown = torch.stack([answers.shown for answers in sets], 1).repeat_interleave(count, 1)  # (B, sets * L)
        score = self.pool(tokens.flatten(0, 1)).view(shown.shape)
        # The lowest number, not minus infinity: a case without any set would get NaN.
        weight = torch.where(shown, score, torch.finfo(score.dtype).min).softmax(1)
        embedding: Tensor = self.out((weight[..., None] * tokens).sum(1))  # (B, D)
        return torch.where(shown.any(1, keepdim=True), embedding, 0)

    def _refined(self, answers: Answers) -> Tensor:
        rows = answers.shown.nonzero().flatten()
        tokens = answers.tokens[rows]  # (B', L, D)
        for layer in self.layers if len(rows) else ():
            tokens = layer(tokens)
        return torch.zeros_like(answers.tokens, dtype=tokens.dtype).index_copy(0, rows, tokens)


class CrossAttention(JoinedFusion):
    """Each stain is summarised by a few tokens, and with them it asks the patches of the other stains.

    A stain whose partner is there is embedded by what its patches answer to the partner's tokens; a stain that is alone
    by its own summary, as if it were the only one in the data. So the embedding of each stain depends on the others.

    With patches H of a stain, learned latents Z and the summary S of its partner, in width d:
    own summary = softmax(Z (H W_k)^T / sqrt(d)) H W_v, answers = softmax(S W_q (H W_k)^T / sqrt(d)) H W_v.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        dim: width of the tokens and of each stain's embedding.
        latents: tokens that summarise a stain; memory grows with patches times this.
        queries: the stains that ask; null lets every stain ask every other. With `[ihc]` the IHC tokens stand where
            the paper has genes: they ask the H&E patches, and IHC is embedded by its own summary.
        layers: layers of self-attention over the tokens, before they are pooled by gated attention.
        heads: attention heads of these layers; they divide `dim`.
        dropout: in these layers and on the embeddings.
        fusion: joins the embeddings; null joins them as `join` says.
        join: without a fusion, `mean` over the stains that a case has, or `concat` with zeros for an absent one.

    Source: MCAT (Chen et al., ICCV 2021), equation of the genomic-guided co-attention, its transformers and its
        pooling. Learned latents that summarise a set: Lee et al. 2019, arXiv:1810.00825 (pooling by attention).
    Departs: of MCAT, a stain's summary asks instead of gene embeddings; both ways unless `queries` says otherwise; own
        summary and answers share keys and values; a case may lack a stain; any number of stains, whose answers are
        pooled together; the head is ours.
    """

    order_free: ClassVar[bool] = True
    example_options: ClassVar[dict[str, object]] = {"dim": 16, "latents": 3, "layers": 1, "heads": 2}

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        dim: int = 256,
        latents: int = 16,
        queries: list[str] | None = None,
        layers: int = 2,
        heads: int = 8,
        dropout: float = 0.25,
        fusion: NestedFusion | None = None,
        join: How = "concat",
    ) -> None:
        check_counts("CrossAttention", {"dim": dim, "latents": latents, "heads": heads})
        check_shares("CrossAttention", {"dropout": dropout})
        _check(tokens, queries, dim, heads)
        super().__init__({name: TokenSpec(dim, "vector") for name in tokens}, spec, fusion=fusion, join=join)
        self.asking = tuple(tokens) if queries is None else tuple(queries)
        self.stains = nn.ModuleDict(
            {
                name: StainAttention(
                    token.dim,
                    dim,
                    latents=latents,
                    layers=layers,
                    heads=heads,
                    dropout=dropout,
                    asks=name in self.asking and len(tokens) > 1,
                )
                for name, token in tokens.items()
            }
        )

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding; `attention` holds the weight (T,) of every patch, 0 in absent rows."""
        bags = {name: readable_token(token) for name, token in tokens.items()}
        there = {name: token.present & (bags[name].lengths > 0) for name, token in tokens.items()}
        own = {name: self._summary(name, bag, there[name]) for name, bag in bags.items()}
        pooled, attention = {}, {}
        for name, bag in bags.items():
            sets = self._asked(name, bag, there, own)
            pooled[name] = Tokens(self._stain(name).embed(sets), there[name])
            attention[name] = bag.spread(_mean_weight(sets, bag.lengths), len(tokens[name].values))
        return self.joint(pooled, tokens, attention)

    def _summary(self, name: str, bag: Bag, there: Tensor) -> Answers:
        stain = self._stain(name)
        return stain.answers(bag, stain.latents.expand(len(there), -1, -1), there)

    def _asked(self, name: str, bag: Bag, there: dict[str, Tensor], own: dict[str, Answers]) -> list[Answers]:
        """The answers to every partner that a case has, and the own summary for cases without any."""
        sets, alone = [], there[name]
        for partner in self.asking:
            ask = self._stain(partner).ask
            if partner != name and ask is not None:
                queries = torch.where(there[partner][:, None, None], ask(own[partner].tokens), 0)  # (B, L, D)
                sets.append(self._stain(name).answers(bag, queries, there[name] & there[partner]))
                alone = alone & ~there[partner]
        return [replace(own[name], shown=alone), *sets]

    def _stain(self, name: str) -> StainAttention:
        stain = self.stains[name]
        assert isinstance(stain, StainAttention)
        return stain


def _score(values: Tensor, queries: Tensor) -> Tensor:
    """Patches (n, D) against queries (L, D); without gradients only a piece is in working precision at a time."""
    if torch.is_grad_enabled():
        return linear(values.to(queries.dtype), queries)
    return torch.cat([linear(rows.to(queries.dtype), queries) for rows in torch.split(values, ROWS)])  # (n, L)


def _mean_weight(sets: Sequence[Answers], lengths: Tensor) -> Tensor:
    """(T',) the mean over the sets of answers that a case has."""
    shown = torch.stack([answers.shown for answers in sets])  # (sets, B)
    share = shown / shown.sum(0).clamp(min=1)  # (sets, B)
    shares = torch.repeat_interleave(share, lengths, 1)  # (sets, T')
    weights = torch.stack([answers.weight for answers in sets])
    return (shares.to(weights.dtype) * weights).sum(0)


def _check(tokens: dict[str, TokenSpec], queries: list[str] | None, dim: int, heads: int) -> None:
    for name, token in tokens.items():
        if token.layout != "packed":
            raise RecipeError(f"CrossAttention asks patches, and {name} is a {token.layout}. Use an encoder for bags.")
    for name in queries or ():
        if name not in tokens:
            guess = did_you_mean(name, tokens)
            raise RecipeError(f"CrossAttention.queries: there is no stain {name!r}, only {', '.join(tokens)}.{guess}")
    if dim % heads:
        raise RecipeError(f"CrossAttention: {heads} heads do not divide dim, which is {dim}. Change one of them.")
