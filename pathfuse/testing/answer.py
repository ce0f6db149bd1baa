"""Answers of a component, laid out case by case so that they can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pathfuse.core import Fused, Outcome, Prediction, Tokens


@dataclass(frozen=True)
class Answer:
    """Named outputs of B cases.

    Attributes:
        rows: per output, one tensor per case; of packed outputs one entry per patch in it.
        present: per output, (B,) bool; the other rows mean nothing.
        packed: outputs with an entry per patch, to the stain that the patches belong to.
        terms: loss terms.
    """

    rows: dict[str, list[Tensor]] = field(default_factory=dict)
    present: dict[str, Tensor] = field(default_factory=dict)
    packed: dict[str, str] = field(default_factory=dict)
    terms: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, values: Tensor, present: Tensor) -> None:
        """An output with one row per case."""
        assert len(values) == len(present), f"{name} has {len(values)} rows, and there are {len(present)} cases"
        self.rows[name], self.present[name] = list(values.unbind()), present

    def add_packed(self, name: str, values: Tensor, lengths: Tensor, present: Tensor, stain: str) -> None:
        """An output with one row per patch."""
        self.rows[name], self.present[name] = list(torch.split(values, lengths.tolist())), present
        self.packed[name] = stain

    def real(self) -> dict[tuple[str, int], Tensor]:
        """Every output of every case that is present."""
        return {
            (name, row): value
            for name, values in self.rows.items()
            for row, value in enumerate(values)
            if self.present[name][row]
        }

    def tensors(self) -> dict[str, Tensor]:
        """Everything that can be compared: rows that are present, and loss terms."""
        named = {f"{name}[{row}]": value for (name, row), value in self.real().items()}
        return {**named, **{f"loss {name}": value for name, value in self.terms.items()}}


def of_tokens(tokens: dict[str, Tokens]) -> Answer:
    """The answer of an encoder."""
    answer = Answer()
    for name, token in tokens.items():
        if token.lengths is None:
            answer.add(f"token {name}", token.values, token.present)
            continue
        answer.add_packed(f"token {name}", token.values, token.lengths, token.present, name)
        if token.score is not None:
            answer.add_packed(f"score {name}", token.score, token.lengths, token.present, name)
    return answer


def of_fused(fused: Fused, tokens: dict[str, Tokens]) -> Answer:
    """The answer of a fusion block to some tokens."""
    answer = Answer()
    answer.add("embedding", fused.embedding, fused.present)
    for name, value in fused.by_modality.items():
        present = tokens[name].present & fused.present if name in tokens else fused.present
        answer.add(f"embedding of {name}", value, present)
    for name, weight in fused.attention.items():
        token = tokens.get(name)
        if token is not None and token.lengths is not None and weight.shape[0] == token.values.shape[0]:
            answer.add_packed(f"attention {name}", weight, token.lengths, token.present, name)
        else:
            answer.add(f"attention {name}", weight, fused.present if token is None else token.present)
    return answer


def of_prediction(prediction: Prediction, stains: dict[str, Tensor]) -> Answer:
    """The answer of a head; `stains` says which stains are present."""
    answer = Answer()
    if prediction.logits is not None:
        answer.add("logits", prediction.logits, prediction.present)
    if prediction.confidence is not None:
        answer.add("confidence", prediction.confidence, prediction.present)
    for name, logits in prediction.modality_logits.items():
        answer.add(f"logits of {name}", logits, prediction.present & stains.get(name, prediction.present))
    for name, view in prediction.reconstructions.items():
        answer.add(f"reconstruction of {name}", view, prediction.present)
    return answer


def of_outcome(outcome: Outcome) -> Answer:
    """The answer of an objective: its terms. What the model predicts is the model's affair."""
    return Answer(terms=outcome.terms)


def assert_same(got: Answer, expected: Answer, what: str, tolerance: float) -> None:
    """Fails, naming the output, where two answers differ by more than a share of the largest value."""
    ours, theirs = got.tensors(), expected.tensors()
    assert list(ours) == list(theirs), f"other outputs {what}: {sorted(set(ours) ^ set(theirs))}"
    for name, value in ours.items():
        assert value.shape == theirs[name].shape, f"{name} changes its shape {what}"
        if not value.numel():
            continue
        moved = (value.double() - theirs[name].double()).abs().max()
        allowed = tolerance * (theirs[name].double().abs().max() + 1e-3)
        assert not torch.isnan(moved), f"{name} holds NaN {what}"
        assert moved <= allowed, f"{name} moves by {moved:.3g} {what}"


def assert_finite(answer: Answer, what: str) -> None:
    """Fails, naming the output, where a row that is present holds NaN or infinity."""
    for name, value in answer.tensors().items():
        assert torch.isfinite(value).all(), f"{name} is not finite {what}"
