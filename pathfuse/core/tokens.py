"""Tokens, fused embeddings and predictions: the results of encoders, fusion blocks and heads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Layout = Literal["vector", "map", "packed"]


@dataclass(frozen=True)
class TokenSpec:
    """Size of one token stream.

    Attributes:
        dim: features D.
        layout: vector (B, D), map (B, D, H, W) or packed (T, D).
        source_dim: channels of what the stream was made from, for heads that rebuild it; None if that is the image.
    """

    dim: int
    layout: Layout
    source_dim: int | None = None


@dataclass(frozen=True)
class Tokens:
    """What an encoder makes of one modality, or of several read together.

    Attributes:
        values: (B, D) vector, (B, D, H, W) map or packed (T, D).
        present: (B,) bool; rows that are False hold any payload and may not be read.
        lengths: (B,) long for packed values, else None.
        score: (T,) importance of each packed patch, or None.
    """

    values: Tensor
    present: Tensor
    lengths: Tensor | None = None
    score: Tensor | None = None


@dataclass(frozen=True)
class FusedSpec:
    """Size of what a fusion block returns.

    Attributes:
        dim: features of the joint embedding.
        layout: `vector` (B, D) or `map` (B, D, H, W).
        by_modality: size of each token's own embedding, for heads that look at one modality.
    """

    dim: int
    layout: Layout
    by_modality: dict[str, TokenSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class Fused:
    """One case, all modalities together.

    Attributes:
        embedding: (B, D) or (B, D, H, W).
        present: (B,) bool, False where the case has nothing to predict from.
        by_modality: each token's embedding before it was joined; its presence is in `tokens`.
        tokens: the tokens that were joined.
        attention: per token, (T,) or (B, D) weights that say what the block looked at.
        extra: anything the block's own loss needs.
    """

    embedding: Tensor
    present: Tensor
    by_modality: dict[str, Tensor] = field(default_factory=dict)
    tokens: dict[str, Tokens] = field(default_factory=dict)
    attention: dict[str, Tensor] = field(default_factory=dict)
    extra: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """What a head says about B cases.

    Attributes:
        present: (B,) bool, False where there was nothing to predict from; those rows are not read.
        logits: (B, C) whose softmax is the class distribution; None for a head that does not classify.
        confidence: (B,) learned confidence in [0, 1]; None where the head learns none.
        modality_logits: per token, (B, C) logits from that modality alone.
        reconstructions: per modality, the decoded view (B, C, H, W).
        extra: further outputs that the head's own loss needs.
    """

    present: Tensor
    logits: Tensor | None = None
    confidence: Tensor | None = None
    modality_logits: dict[str, Tensor] = field(default_factory=dict)
    reconstructions: dict[str, Tensor] = field(default_factory=dict)
    extra: dict[str, Tensor] = field(default_factory=dict)
