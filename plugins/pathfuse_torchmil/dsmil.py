"""DSMIL of torchmil: a patch per class that decides, and attention by likeness to it."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from pathfuse.core import Batch, DataSpec, Fused, TokenSpec
from pathfuse.nn import How, NestedFusion, check_counts, check_shares
from pathfuse_torchmil.bagwise import BagwiseFusion, OneBag
from pathfuse_torchmil.library import torchmil_class


class DSMIL(BagwiseFusion):
    """Finds the critical patch of every class and weighs all patches by their likeness to it.

    The embedding has a vector per class side by side. Its loss term is `critical`: cross-entropy of the critical
    patches' own scores.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        hidden: width of the queries that are compared.
        nonlinear_query: two layers instead of one for the queries.
        nonlinear_value: a layer with ReLU on the patches that are summed; else they are summed as they are.
        dropout: before that layer.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.

    Source: Li et al. 2021, arXiv:2011.08939; torchmil's `DSMIL`.
    Departs: of torchmil, a critical patch per class, as in the paper, and our heads; classes exclude each other, so
        both losses are softmax cross-entropy; the prediction is that of the bag, not its mean with the critical
        patch's. `attention` is the mean over the classes.
    """

    order_free: ClassVar[bool] = True

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        hidden: int = 128,
        nonlinear_query: bool = True,
        nonlinear_value: bool = False,
        dropout: float = 0.0,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        check_counts("DSMIL", {"hidden": hidden})
        check_shares("DSMIL", {"dropout": dropout})
        dsmil = torchmil_class("models", "DSMIL")
        classes = len(spec.classes)

        def network(dim: int) -> nn.Module:
            made: Any = dsmil((dim,), hidden, nonlinear_query, nonlinear_value, dropout)
            # torchmil's forward takes any number of critical patches; only these two layers make it binary.
            made.inst_classifier = nn.Linear(dim, classes)
            made.bag_classifier = nn.Flatten(1)
            return made  # type: ignore[no-any-return]

        dims = {name: classes * token.dim for name, token in tokens.items()}
        super().__init__(tokens, spec, network, fusion, join, dims)

    def pool_bag(self, network: nn.Module, bag: Tensor) -> OneBag:
        """The weighted sums, the mean weight of every patch, and the highest score of every class."""
        embedding, weight, score = network(bag[None], return_att=True, return_inst_pred=True)
        weight, score = weight.view(len(bag), -1), score.view(len(bag), -1)  # (n, C)
        return OneBag(embedding.flatten(), weight.mean(1), score.amax(0, keepdim=True))

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """The term `critical`, and the terms of the nested fusion."""
        return {**super().loss(fused, batch), "critical": self.row_cross_entropy(fused, batch)}
