"""Attention pooling of torchmil."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from pathfuse.core import DataSpec, TokenSpec
from pathfuse.nn import How, NestedFusion, check_counts
from pathfuse_torchmil.bagwise import BagwiseFusion, OneBag
from pathfuse_torchmil.library import torchmil_class

Activation = Literal["tanh", "relu", "gelu"]


class ABMIL(BagwiseFusion):
    """A learned weight for every patch: ABMIL as torchmil has it, for any number of classes and modalities.

    `AttentionFusion` is the same without torchmil, for all bags at once, and faster.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        hidden: width of the scoring layer.
        gated: multiply the score by a sigmoid gate.
        activation: of the scoring layer.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.

    Source: Ilse et al. 2018, arXiv:1802.04712; torchmil's `AttentionPool`.
    Departs: of torchmil's ABMIL, our heads instead of one binary logit.
    """

    order_free: ClassVar[bool] = True

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        hidden: int = 128,
        gated: bool = False,
        activation: Activation = "tanh",
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        check_counts("ABMIL", {"hidden": hidden})
        attention_pool = torchmil_class("nn", "AttentionPool")
        super().__init__(tokens, spec, lambda dim: attention_pool(dim, hidden, activation, gated), fusion, join)

    def pool_bag(self, network: nn.Module, bag: Tensor) -> OneBag:
        """The weighted sum over the patches, and their weights."""
        embedding, score = network(bag[None], return_att=True)  # (1, D), (1, n)
        return OneBag(embedding[0], score[0].softmax(0))
