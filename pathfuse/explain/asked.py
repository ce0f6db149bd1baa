"""The class of every case that is explained, and its logits beside those of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pathfuse.core import Batch, DataSpec, Explainer, Model, Prediction
from pathfuse.errors import RecipeError, did_you_mean

PREDICTED, LABEL = "predicted", "label"
AGREES = 1e-5
"""Largest difference of probabilities that is left to rounding."""


def chosen_classes(target: str, batch: Batch, logits: Tensor, classes: Sequence[str]) -> Tensor:
    """The class (B,) that is explained of every case.

    Args:
        target: `predicted`, `label`, or the name of a class. Cases without a label are explained as predicted.
        batch: B cases.
        logits: (B, C).
        classes: label names in the order of the class indices.

    Raises:
        RecipeError: if it is none of these.
    """
    predicted = logits.argmax(1)
    if target == PREDICTED:
        return predicted
    if target == LABEL:
        label = batch.target.to(predicted.device)
        return torch.where(label >= 0, label, predicted)
    return torch.full_like(predicted, class_index(target, classes))


def class_index(target: str, classes: Sequence[str]) -> int:
    """The position of a class.

    Raises:
        RecipeError: if there is none of that name.
    """
    if target in classes:
        return list(classes).index(target)
    guess = did_you_mean(target, [PREDICTED, LABEL, *classes])
    raise RecipeError(
        f"--target {target!r} is no class of this run.{guess} Write predicted, label, or one of {', '.join(classes)}."
    )


def logits_of(model: Model, said: Prediction) -> Tensor:
    """The logits (B, C) of a prediction.

    Raises:
        RecipeError: if the head does not classify.
    """
    if said.logits is None:
        raise RecipeError(f"explain: {type(model.head).__name__} does not classify, so there is no class to explain.")
    scores: Tensor = said.logits
    return scores


def refuse_what_it_cannot_read(name: str, explainer: Explainer, spec: DataSpec, reads: Sequence[str]) -> None:
    """Refuses an explainer that gives no score of anything that the model reads.

    Raises:
        RecipeError: if it is one.
    """
    words = {
        "image": "single images",
        "patches": "bags of patches",
        "features": "bags of features",
        "vector": "vectors",
    }
    kinds = {spec[modality].kind for modality in reads}
    stains = {kind for kind in kinds if kind != "vector"} or kinds
    if not stains & set(explainer.takes):
        takes = " and ".join(words[kind] for kind in explainer.takes)
        given = " and ".join(sorted(words[kind] for kind in stains))
        other = (
            "Attention, LeaveOut or IntegratedGradients" if "features" in stains else "GradCAM or IntegratedGradients"
        )
        raise RecipeError(f"--explainer {name} explains {takes}, and this run reads {given}. Choose {other}.")


class Agreement:
    """The largest difference between what is explained and what the run's own evaluation wrote.

    Args:
        known: per case, the stains it was predicted from and its class probabilities.
    """

    def __init__(self, known: Mapping[tuple[str, frozenset[str]], Sequence[float]]) -> None:
        self.known = known
        self.cases = 0
        self.largest = 0.0

    def add(self, batch: Batch, logits: Tensor, reads: Sequence[str]) -> None:
        """Compares the cases of a batch that the evaluation knows, predicted from the same stains."""
        probability = logits.double().softmax(1).cpu()
        for row, case_id in enumerate(batch.case_ids):
            stains = frozenset(m for m in reads if bool(batch.present[m][row]))
            written = self.known.get((case_id, stains))
            if written is not None:
                difference = (probability[row] - torch.tensor(written, dtype=torch.float64)).abs().max()
                self.cases, self.largest = self.cases + 1, max(self.largest, float(difference))

    def note(self) -> list[str]:
        """One line where they differ by more than rounding."""
        if self.largest <= AGREES:
            return []
        return [
            f"What is explained is not what the run's evaluation wrote: a probability differs by {self.largest:.2g}. "
            "Were options or files changed since the test?"
        ]
