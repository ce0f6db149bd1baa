"""The head for ordered classes, such as the HER2 scores 0, 1+, 2+ and 3+."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec, Head, Prediction
from pathfuse.errors import RecipeError
from pathfuse.nn import at_least_float, check_counts, check_shares
from pathfuse_heads.features import case_features, feature_dim
from pathfuse_heads.layers import classifier
from pathfuse_heads.weighting import ClassWeight, Divisor, class_weights, counted_target, weighted_mean


class OrdinalHead(Head):
    """One score per case and rising borders between the classes: a higher score moves probability to higher classes.

    The probability of more than class k is a sigmoid of the score minus border k. The borders rise by construction, so
    these probabilities fall from class to class for every case. They start where the training counts put them. Its only
    loss term is `classification`. It learns no confidence.

    Args:
        fused: size of the joint embedding, given by the fusion block. Maps are averaged over their positions.
        spec: the data, for its classes and their training counts; the classes must be in their order.
        hidden: width of a layer between embedding and score; null goes straight to the score.
        dropout: part of the features that is dropped in training.
        class_weight: `inverse` weighs a class by 1 / its training cases, `none` weighs all cases alike.
        divisor: what the weighted sum is divided by: the sum of the `weights` or the number of `cases`.

    Source: McCullagh 1980, Regression Models for Ordinal Data, section 2 (proportional odds).
    Departs: the gaps between borders are softplus of free numbers, so no constraint is needed in training.
    """

    def __init__(
        self,
        fused: FusedSpec,
        spec: DataSpec,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        class_weight: ClassWeight = "inverse",
        divisor: Divisor = "weights",
    ) -> None:
        super().__init__()
        check_counts("OrdinalHead", {"hidden": hidden})
        check_shares("OrdinalHead", {"dropout": dropout})
        if len(spec.classes) < 2:
            raise RecipeError(
                f"OrdinalHead needs two classes or more; the data has {', '.join(spec.classes) or 'none'}."
            )
        self.score = classifier(feature_dim(fused, "OrdinalHead"), 1, hidden, dropout)
        self.steps = nn.Parameter(_first_steps(spec.class_counts))
        self.divisor: Divisor = divisor
        self.class_weight: Tensor
        # Known from spec.json, hence not in the checkpoint.
        self.register_buffer("class_weight", class_weights(spec.class_counts, class_weight), persistent=False)

    @property
    def borders(self) -> Tensor:
        """(C - 1,) rising."""
        return torch.cat([self.steps[:1], F.softplus(self.steps[1:])]).cumsum(0)

    def forward(self, fused: Fused) -> Prediction:
        """The prediction for B cases; its logits are the log probabilities, and `extra` holds the score."""
        score = self.score(case_features(fused)).squeeze(1)  # (B,)
        return Prediction(fused.present, logits=self._log_probability(score), extra={"ordinal_score": score})

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The term `classification`; cases with target -1 do not count."""
        assert prediction.logits is not None
        logits = at_least_float(prediction.logits)  # (B, C)
        target = counted_target(batch.target, prediction.present)  # (B,)
        loss = F.cross_entropy(logits, target.clamp(min=0), reduction="none")  # (B,)
        return {"classification": weighted_mean(loss, target, self.class_weight, self.divisor)}

    def _log_probability(self, score: Tensor) -> Tensor:
        """(B, C) log of the probability between two borders, without the difference of two nearly equal numbers.

        sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), and a - b is the gap between the borders.
        """
        above = score[:, None] - self.borders  # (B, C - 1)
        gap = F.softplus(self.steps[1:])  # (C - 2,)
        # No border below the first class nor above the last.
        inner = F.logsigmoid(above[:, :-1]) + F.logsigmoid(-above[:, 1:]) + _log_one_minus_exp(gap)
        return torch.cat([F.logsigmoid(-above[:, :1]), inner, F.logsigmoid(above[:, -1:])], dim=1)


def _log_one_minus_exp(gap: Tensor) -> Tensor:
    """log(1 - exp(-gap)) of positive numbers; a gap that rounds to 0 counts as the smallest normal number."""
    return torch.log(-torch.expm1(-gap.clamp(min=torch.finfo(gap.dtype).tiny)))


def _first_steps(counts: tuple[int, ...]) -> Tensor:
    """(C - 1,) first border and the inverse softplus of the gaps, from which a score of 0 gives the class frequencies.

    One case is added to each class, so that an absent one has a place between its neighbours.
    """
    smooth = torch.tensor(counts, dtype=torch.float64) + 1
    below = (smooth.cumsum(0) / smooth.sum())[:-1]  # (C - 1,)
    borders = torch.logit(below)
    gap = borders.diff()
    # softplus(x) = gap  <=>  x = gap + log(1 - exp(-gap))
    return torch.cat([borders[:1], gap + torch.log(-torch.expm1(-gap))]).to(torch.get_default_dtype())
