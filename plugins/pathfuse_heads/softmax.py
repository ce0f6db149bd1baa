"""The plain classification head."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec, Head, Prediction
from pathfuse.nn import at_least_float, check_counts, check_shares
from pathfuse_heads.features import case_features, feature_dim
from pathfuse_heads.layers import classifier
from pathfuse_heads.weighting import ClassWeight, Divisor, class_weights, counted_target, size


class SoftmaxHead(Head):
    """Class scores from the joint embedding, trained with cross-entropy.

    Its only loss term is `classification`. It learns no confidence; evaluation then takes the highest probability.

    Args:
        fused: size of the joint embedding, given by the fusion block. Maps are averaged over their positions.
        spec: the data, for its classes and their training counts.
        hidden: width of a layer between embedding and classes; null goes straight to the classes.
        dropout: part of the features that is dropped in training.
        class_weight: `inverse` weighs a class by 1 / its training cases, `none` weighs all cases alike.
        divisor: what the weighted sum is divided by: the sum of the `weights` or the number of `cases`.
        label_smoothing: part of the truth that is spread over all classes.

    Source: Corr-A-Net (Dutta et al. 2025), eq. 6, for the class weights.
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
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_counts("SoftmaxHead", {"hidden": hidden})
        check_shares("SoftmaxHead", {"dropout": dropout, "label_smoothing": label_smoothing})
        self.classify = classifier(feature_dim(fused, "SoftmaxHead"), len(spec.classes), hidden, dropout)
        self.divisor: Divisor = divisor
        self.label_smoothing = label_smoothing
        self.class_weight: Tensor
        # Known from spec.json, hence not in the checkpoint.
        self.register_buffer("class_weight", class_weights(spec.class_counts, class_weight), persistent=False)

    def forward(self, fused: Fused) -> Prediction:
        """The prediction for B cases."""
        return Prediction(fused.present, logits=self.classify(case_features(fused)))

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The term `classification`; cases with target -1 do not count."""
        assert prediction.logits is not None
        logits = at_least_float(prediction.logits)  # (B, C)
        target = counted_target(batch.target, prediction.present)  # (B,)
        weight = self.class_weight.to(logits.dtype)
        total = F.cross_entropy(
            logits, target, weight, ignore_index=-1, reduction="sum", label_smoothing=self.label_smoothing
        )
        return {"classification": total / size(target, weight, self.divisor)}
