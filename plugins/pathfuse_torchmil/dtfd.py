"""DTFD-MIL of torchmil: pseudo-bags, and a second attention over what they are distilled to."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from pathfuse.core import Batch, DataSpec, Fused, TokenSpec
from pathfuse.nn import How, NestedFusion, check_counts
from pathfuse_torchmil.bagwise import BagwiseFusion, OneBag
from pathfuse_torchmil.library import torchmil_class

Distil = Literal["afs", "max", "maxmin"]


class DTFDMIL(BagwiseFusion):
    """Splits a bag into pseudo-bags, pools each by attention, and pools what they are distilled to once more.

    Its loss term is `pseudo_bags`: cross-entropy of every pseudo-bag with the class of its case.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        hidden: width of the scoring layers.
        groups: pseudo-bags per bag; a smaller bag is split into single patches.
        distil: what a pseudo-bag hands on: its pooled vector (`afs`), its patch with the highest activation of the
            predicted class (`max`), or those with the highest and the lowest (`maxmin`).
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.

    Source: Zhang et al. 2022, arXiv:2203.12081; the attention pools of torchmil's `DTFDMIL`.
    Departs: one optimiser for both tiers, where the released code has two that differ in what is clipped. Of the
        released code, the activation is that of the predicted class, not of the last. Of torchmil, `max` and
        `maxmin` hand on one patch of a kind, where it hands on all of them; bags are split anew in training and, for
        evaluation, always alike: every `groups`-th patch; any number of classes; our heads.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        hidden: int = 128,
        groups: int = 4,
        distil: Distil = "afs",
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        check_counts("DTFDMIL", {"hidden": hidden, "groups": groups})
        dtfd = torchmil_class("models", "DTFDMIL")

        def network(dim: int) -> nn.Module:
            made: Any = dtfd((dim,), hidden, groups)
            del made.u_classifier
            made.classifier = nn.Linear(dim, len(spec.classes))
            return made  # type: ignore[no-any-return]

        super().__init__(tokens, spec, network, fusion, join)
        self.groups = groups
        self.distil = distil

    def pool_bag(self, network: nn.Module, bag: Tensor) -> OneBag:
        """The twice pooled vector, the weight of every patch in it, and the scores of the pseudo-bags."""
        return self.pool_parts(network, bag, self.split(len(bag), bag.device))

    def split(self, patches: int, device: torch.device) -> list[Tensor]:
        """The rows of every pseudo-bag: drawn in training, every `groups`-th patch in evaluation."""
        order = torch.randperm(patches, device=device) if self.training else torch.arange(patches, device=device)
        count = min(self.groups, patches)
        return [order[start::count] for start in range(count)]

    def pool_parts(self, network: Any, bag: Tensor, parts: list[Tensor]) -> OneBag:  # noqa: ANN401
        """As `pool_bag`, for pseudo-bags given by their rows."""
        pooled, weights = zip(*(self._attend(network.attention_pool, bag[rows]) for rows in parts), strict=True)
        logits = network.classifier(torch.stack(pooled))  # (groups, C)
        if self.distil == "afs":
            embedding, share = self._attend(network.u_attention_pool, torch.stack(pooled))  # (D,), (groups,)
            attention = torch.cat([weight * part for weight, part in zip(weights, share, strict=True)])
            # Rows back to where they stood.
            return OneBag(embedding, torch.zeros_like(attention).index_copy(0, torch.cat(parts), attention), logits)
        # In evaluation `parts` is a fixed split, in training a drawn one; either way the picks are rows of the bag.
        rows = torch.cat([self._picks(network, bag, part, own) for part, own in zip(parts, logits, strict=True)])
        embedding, share = self._attend(network.u_attention_pool, bag[rows])
        return OneBag(embedding, share.new_zeros(len(bag)).index_add(0, rows, share), logits)

    def _attend(self, pool: nn.Module, values: Tensor) -> tuple[Tensor, Tensor]:
        embedding, score = pool(values[None], return_att=True)  # (1, D), (1, n)
        return embedding[0], score[0].softmax(0)

    def _picks(self, network: Any, bag: Tensor, rows: Tensor, logits: Tensor) -> Tensor:  # noqa: ANN401
        activation = bag[rows].detach() @ network.classifier.weight[logits.argmax()].detach()  # (n,)
        picked = [activation.argmax()] if self.distil == "max" else [activation.argmax(), activation.argmin()]
        return rows[torch.stack(picked)]

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """The term `pseudo_bags`, and the terms of the nested fusion."""
        return {**super().loss(fused, batch), "pseudo_bags": self.row_cross_entropy(fused, batch)}
