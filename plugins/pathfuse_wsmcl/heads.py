"""One head for all stains together and one per stain, with a stain that teaches the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec, Head, Prediction
from pathfuse.errors import RecipeError, did_you_mean
from pathfuse.nn import at_least_float, check_shares, cleared


class StainHeads(Head):
    """Scores a case from all its stains together, and from each stain alone.

    Loss terms: `classification`, cross-entropy of the joint logits over cases with at least two stains;
    `classification_<stain>`, cross-entropy of a stain's own logits, for the stains in `own_loss`; `kl`, how far each
    other stain's distribution is from the teacher's, over cases that have both, labelled ones unless `kl_on` says all.

    Args:
        fused: sizes of the joint embedding and of each stain's own.
        spec: sizes of the data.
        teacher: the stain that the others learn from, for its name in the data.
        own_loss: stains whose own logits learn from the label; null is the teacher alone, as published: H&E then learns
            from the teacher only. A stain without a label of its own learns nothing from cases that lack the teacher.
        kl_on: `labelled` cases alone, or `all` that have both stains: unlabelled pairs are then kept in training.
        detach_teacher: keep the term `kl` from pulling the teacher towards its pupils.
        alone: what scores a case with a single stain: that stain's `own` logits or the `joint` ones, which then also
            learn from such cases.
        dropout: part of the features that is dropped in training.

    Source: WSMCL (Shi et al., Comput Med Imaging Graph 121:102502, 2025), losses of section 2.3.
    Departs: any number of stains and classes; masked by presence.
    """

    def __init__(
        self,
        fused: FusedSpec,
        spec: DataSpec,
        *,
        teacher: str = "ihc",
        own_loss: list[str] | None = None,
        kl_on: Literal["labelled", "all"] = "labelled",
        detach_teacher: bool = False,
        alone: Literal["own", "joint"] = "own",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_shares("StainHeads", {"dropout": dropout})
        stains = tuple(fused.by_modality)
        _check(fused, stains, [teacher, *(own_loss or [])])
        self.teacher = teacher
        self.own_loss = [teacher] if own_loss is None else own_loss
        self.kl_on = kl_on
        self.detach_teacher = detach_teacher
        self.alone = alone
        self.pupils = [stain for stain in stains if stain != teacher]
        classes = len(spec.classes)
        self.dropout = nn.Dropout(dropout)
        self.joint = nn.Linear(fused.dim, classes)
        self.stains = nn.ModuleDict({stain: nn.Linear(fused.by_modality[stain].dim, classes) for stain in stains})

    @classmethod
    def learns_from_all(cls, options: Mapping[str, object]) -> bool:
        """With `kl_on: all`, unlabelled pairs teach too."""
        return options.get("kl_on") == "all"

    def forward(self, fused: Fused) -> Prediction:
        """Joint logits where a case has several stains, else those of its only stain."""
        present = {stain: fused.tokens[stain].present for stain in self.stains}
        own = {
            stain: self._logits(head, fused.by_modality[stain], present[stain]) for stain, head in self.stains.items()
        }
        joint = self._logits(self.joint, fused.embedding, fused.present)
        counts = torch.stack(list(present.values()))  # (stains, B)
        logits = joint
        if self.alone == "own":
            only = counts & (counts.sum(0) == 1)  # (stains, B)
            for alone, mine in zip(only, own.values(), strict=True):
                logits = torch.where(alone[:, None], mine, logits)
        several = fused.present if self.alone == "joint" else counts.sum(0) >= 2
        extra = {"joint": joint, "several": several, **{f"present_{stain}": there for stain, there in present.items()}}
        return Prediction(fused.present, logits, modality_logits=own, extra=extra)

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The terms named above; each is 0 in a batch without a case that it is about."""
        extra, own = prediction.extra, prediction.modality_logits
        terms = {"classification": _cross_entropy(extra["joint"], batch.target, extra["several"])}
        for stain in self.own_loss:
            terms[f"classification_{stain}"] = _cross_entropy(own[stain], batch.target, extra[f"present_{stain}"])
        if self.pupils:
            known = extra[f"present_{self.teacher}"]
            if self.kl_on == "labelled":
                # It needs no label, but a case without one counts in no loss unless one asks for it.
                known = known & (batch.target >= 0)
            taught = [
                self._kl(own[self.teacher], own[pupil], known & extra[f"present_{pupil}"]) for pupil in self.pupils
            ]
            terms["kl"] = torch.stack(taught).mean()
        return terms

    def _logits(self, head: nn.Module, features: Tensor, present: Tensor) -> Tensor:
        # Zeros where there is nothing: a NaN there would reach the weights through 0 * NaN.
        assert isinstance(head, nn.Linear)
        features = cleared(features, present).to(head.weight.dtype)
        logits: Tensor = head(self.dropout(features))
        return logits

    def _kl(self, teacher: Tensor, pupil: Tensor, both: Tensor) -> Tensor:
        """KL(teacher || pupil), mean over the cases that have both."""
        target = teacher.detach() if self.detach_teacher else teacher
        one, two = (at_least_float(logits).log_softmax(1) for logits in (target, pupil))
        return _mean_over((one.exp() * (one - two)).sum(1), both)


def _cross_entropy(logits: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    known = counts & (target >= 0)
    return _mean_over(F.cross_entropy(at_least_float(logits), target.clamp(min=0), reduction="none"), known)


def _mean_over(loss: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts, loss, 0).sum() / counts.sum().clamp(min=1)


def _check(fused: FusedSpec, stains: tuple[str, ...], named: list[str]) -> None:
    for stain in named:
        if stain not in stains:
            guess = did_you_mean(stain, stains)
            raise RecipeError(f"StainHeads: the fusion block gives no {stain!r}, only {', '.join(stains)}.{guess}")
    shapes = {fused.layout, *(token.layout for token in fused.by_modality.values())}
    if shapes != {"vector"}:
        raise RecipeError("StainHeads scores vectors, and the fusion block returns maps. Choose one that pools.")
