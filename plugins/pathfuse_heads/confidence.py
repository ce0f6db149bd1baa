"""The classification head that also learns how sure it is."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec, Head, Prediction
from pathfuse.nn import at_least_float, check_counts, check_shares
from pathfuse_heads.budget import next_factor, two_level_factor
from pathfuse_heads.features import case_features, feature_dim
from pathfuse_heads.hints import asking_price, cross_entropy, draw_hints, focal, hinted_confidence, hinted_probability
from pathfuse_heads.layers import classifier
from pathfuse_heads.weighting import ClassWeight, Divisor, class_weights, counted_target, weighted_mean

Rule = Literal["devries", "released"]
Task = Literal["cross_entropy", "focal"]


class ConfidenceHead(Head):
    """Class scores and a learned confidence, from the same features.

    In training the head may mix the truth into its prediction (a hint) and pays for it; the less it needs to, the more
    confident it is. Its loss terms are `classification` and `confidence`; the latter is already multiplied by a factor
    that follows `rule` and is kept in the checkpoint.

    Args:
        fused: size of the joint embedding, given by the fusion block. Maps are averaged over their positions.
        spec: the data, for its classes and their training counts.
        hidden: width of the layer between embedding and confidence.
        dropout: part of the features that is dropped in training.
        hint_probability: share of the training cases that may ask for a hint; 0 gives no hints, 1 gives all.
        budget: mean price of hints that the rule steers to; more asks more often.
        start: first factor of the confidence term.
        rule: how the factor changes: `devries` by one percent a step, `released` between two fixed levels.
        class_weight: `inverse` weighs a class by 1 / its training cases, `none` weighs all cases alike.
        divisor: what the weighted sum is divided by: the sum of the `weights` or the number of `cases`.
        task: loss of the hinted prediction.
        gamma: how fast `focal` fades for probable targets; other tasks ignore it.

    Source: Corr-A-Net (Dutta et al. 2025), eq. 5 to 8; DeVries & Taylor 2018, arXiv:1802.04865.
    Departs: hints go to a random half, as in DeVries' code; the Corr-A-Net text gives them to all cases.
    """

    def __init__(
        self,
        fused: FusedSpec,
        spec: DataSpec,
        *,
        hidden: int = 128,
        dropout: float = 0.0,
        hint_probability: float = 0.5,
        budget: float = 0.3,
        start: float = 0.1,
        rule: Rule = "devries",
        class_weight: ClassWeight = "inverse",
        divisor: Divisor = "weights",
        task: Task = "cross_entropy",
        gamma: float = 2.0,
    ) -> None:
        super().__init__()
        check_counts("ConfidenceHead", {"hidden": hidden})
        check_shares("ConfidenceHead", {"dropout": dropout, "hint_probability": hint_probability})
        dim = feature_dim(fused, "ConfidenceHead")
        self.classify = classifier(dim, len(spec.classes), None, dropout)
        self.trust = classifier(dim, 1, hidden, dropout)
        self.hint_probability = hint_probability
        self.budget = budget
        self.rule: Rule = rule
        self.divisor: Divisor = divisor
        self.task: Task = task
        self.gamma = gamma
        self.class_weight: Tensor
        self.factor: Tensor
        # Known from spec.json, hence not in the checkpoint; the factor is, so that a resumed run goes on with it.
        self.register_buffer("class_weight", class_weights(spec.class_counts, class_weight), persistent=False)
        self.register_buffer("factor", torch.tensor(start))

    def forward(self, fused: Fused) -> Prediction:
        """The prediction for B cases."""
        features = case_features(fused)  # (B, D)
        trust = self.trust(features).squeeze(1)  # (B,)
        return Prediction(
            fused.present, self.classify(features), confidence=trust.sigmoid(), extra={"confidence_logit": trust}
        )

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The terms `classification` and `confidence`; cases with target -1 do not count.

        In training mode hints are drawn and the factor moves on; in eval mode neither happens.
        """
        assert prediction.logits is not None
        target = counted_target(batch.target, prediction.present)  # (B,)
        logits, trust = at_least_float(prediction.logits), at_least_float(prediction.extra["confidence_logit"])
        confidence = trust.sigmoid()  # (B,)
        hinted = self._hinted(logits.softmax(1), confidence, target.clamp(min=0))  # (B, C)
        return {
            "classification": self._classification(hinted, target),
            "confidence": self._confidence(confidence, target),
        }

    def _hinted(self, probability: Tensor, confidence: Tensor, target: Tensor) -> Tensor:
        if not self.training:
            return probability
        may_ask = draw_hints(confidence, self.hint_probability)  # (B,)
        return hinted_probability(probability, hinted_confidence(confidence, may_ask), target)

    def _classification(self, probability: Tensor, target: Tensor) -> Tensor:
        known = target.clamp(min=0)
        loss = (
            cross_entropy(probability, known) if self.task == "cross_entropy" else focal(probability, known, self.gamma)
        )
        return weighted_mean(loss, target, self.class_weight, self.divisor)

    def _confidence(self, confidence: Tensor, target: Tensor) -> Tensor:
        ones = torch.ones_like(self.class_weight)
        spent = weighted_mean(asking_price(confidence), target, ones, "cases")
        paid = spent.detach()
        # A copy: the next line changes the buffer in place, and the backward pass still needs this value.
        factor = self.factor.clone() if self.rule == "devries" else two_level_factor(paid, self.budget)
        if self.training:
            following = next_factor(factor, paid, self.budget) if self.rule == "devries" else factor
            self.factor.copy_(torch.where((target >= 0).any(), following, self.factor))
        return factor.to(spent.dtype) * spent
