"""CLAM of torchmil: attention pooling, and classifiers of the patches that the attention picks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import Batch, DataSpec, Fused, TokenSpec
from pathfuse.nn import How, NestedFusion, check_counts
from pathfuse_torchmil.bagwise import BagwiseFusion, OneBag
from pathfuse_torchmil.library import torchmil_class

InstanceLoss = Literal["svm", "cross_entropy"]


class CLAM(BagwiseFusion):
    """Attention pooling whose most and least attended patches also train a classifier of patches per class.

    Its loss term is `instance`: the k most attended patches of a case are positive and the k least attended negative
    for the classifier of the case's class; for those of the other classes the most attended are negative. At
    prediction it costs nothing.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        hidden: width of the scoring layer.
        gated: multiply the score by a sigmoid gate.
        k: patches of either kind; a smaller bag gives what it has.
        instance_loss: of the patches, `svm` is the smooth top-1 margin of the paper.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.

    Source: Lu et al. 2021, arXiv:2004.09666; torchmil's `CLAM_SB`.
    Departs: of torchmil, any number of classes, with the mean over their classifiers as in the paper, where torchmil
        adds those of two classes; the mean over cases; our heads. Its `SmoothTop1SVM` compares every patch
        with the label of every other, so the margin here is our own. One attention for all classes (CLAM-SB).
    """

    order_free: ClassVar[bool] = True

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        hidden: int = 256,
        gated: bool = True,
        k: int = 8,
        instance_loss: InstanceLoss = "svm",
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        check_counts("CLAM", {"hidden": hidden, "k": k})
        clam = torchmil_class("models", "CLAM_SB")

        def network(dim: int) -> nn.Module:
            made: Any = clam((dim,), att_dim=hidden, gated=gated, k_sample=k)
            del made.classifier
            made.inst_classifiers = nn.ModuleList([nn.Linear(dim, 2) for _ in spec.classes])
            made.inst_loss_fn = SmoothMargin() if instance_loss == "svm" else CrossEntropy()
            return made  # type: ignore[no-any-return]

        super().__init__(tokens, spec, network, fusion, join)
        self.k = k

    def pool_bag(self, network: nn.Module, bag: Tensor) -> OneBag:
        """The weighted sum over the patches, their weights, and their scores."""
        embedding, score = network.get_submodule("pool")(bag[None], return_att=True)  # (1, D), (1, n)
        return OneBag(embedding[0], score[0].softmax(0), score[0, :, None])

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """The term `instance`, and the terms of the nested fusion."""
        losses = [loss for name in self.networks for loss in self._case_losses(name, fused, batch.target)]
        mean = torch.stack(losses).mean() if losses else fused.embedding.sum() * 0
        return {**super().loss(fused, batch), "instance": mean}

    def _case_losses(self, name: str, fused: Fused, target: Tensor) -> list[Tensor]:
        network: Any = self.networks[name]
        token = fused.tokens[name]
        if f"{name}/rows" not in fused.extra:
            return []
        assert token.lengths is not None
        bags = torch.split(token.values, token.lengths.tolist())
        owner, score = fused.extra[f"{name}/owner"], fused.extra[f"{name}/rows"][:, 0].detach()
        dtype = next(network.parameters()).dtype
        losses = []
        for case in torch.bincount(owner).nonzero().flatten().tolist():
            label = int(target[case])
            if label < 0:
                continue
            bag, attention = bags[case].to(dtype), score[owner == case]
            terms = [
                (network.inst_eval if label == index else network.inst_eval_out)(attention, bag, classifier)[0]
                for index, classifier in enumerate(network.inst_classifiers)
            ]
            # torchmil computes them in float32 whatever it is given.
            losses.append(torch.stack(terms).mean().to(torch.promote_types(dtype, torch.float32)))
        return losses


class SmoothMargin(nn.Module):
    """log sum exp over classes of the margin violated, at temperature and margin 1.

    Source: Berrada et al. 2018, arXiv:1802.07595, top-1.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The mean over logits (n, C); `target` is (n, 1), as torchmil gives it."""
        own = target.long()
        margin = torch.ones_like(logits).scatter(1, own, 0.0)  # (n, C)
        return (logits + margin - logits.gather(1, own)).logsumexp(1).mean()


class CrossEntropy(nn.Module):
    """Cross-entropy for targets (n, 1), as torchmil gives them."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The mean over logits (n, C)."""
        return F.cross_entropy(logits, target[:, 0].long())
