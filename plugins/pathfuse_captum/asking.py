"""A model as Captum calls it: a function of plain tensors whose first dimension is cases, whatever the cases hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pathfuse.core import Bags, Batch, Model
from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class Asked:
    """Some cases that are asked about together.

    Images and vectors are asked about as a batch. Bags differ in length, so a case with bags is asked about alone, and
    its bag is a tensor (1, T, D) of which Captum makes copies.

    Attributes:
        model: in eval mode, its weights frozen.
        batch: the cases; what is absent holds zeros.
        names: the modalities of the inputs; one that none of these cases has is none of them.
    """

    model: Model
    batch: Batch
    names: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Images (B, C, H, W), vectors (B, D), one bag (1, T, D) or (1, T, C, H, W)."""
        values = [self.batch.x[name] for name in self.names]
        return tuple(value.values[None] if isinstance(value, Bags) else value for value in values)

    @property
    def sloped(self) -> tuple[Tensor, ...]:
        """The inputs, asking for gradients."""
        return tuple(value.detach().requires_grad_() for value in self.inputs)

    def of(self, *inputs: Tensor) -> Batch:
        """The batch of copies that these inputs are: S copies of B cases are S B cases, the first B of them first."""
        copies = len(inputs[0]) // len(self.batch)
        rows = torch.arange(len(self.batch)).repeat(copies)
        given = dict(zip(self.names, inputs, strict=True))
        # What is given is not copied first: of images that would cost as much as asking about them.
        kept = {m: v for m, v in self.batch.x.items() if m not in given or isinstance(v, Bags)}
        whole = replace(self.batch, x=kept).select(rows)
        x: dict[str, Tensor | Bags] = {}
        for name in self.batch.x:
            held = whole.x.get(name)
            if name in given:
                value = given[name]
                x[name] = replace(held, values=value.flatten(0, 1)) if isinstance(held, Bags) else value
            elif held is not None:
                x[name] = held
        return replace(whole, x=x)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The logits (S B, C)."""
        return class_scores(self.model, self.of(*inputs))


Answer = Callable[[Asked, Tensor], tuple[Tensor, ...]]


def ask(name: str, model: Model, batch: Batch, target: Tensor | None, answer: Answer) -> dict[str, Tensor]:
    """Scores of all cases, as an explainer gives them.

    Args:
        name: the explainer, for errors.
        model: the model; as before afterwards.
        batch: B cases.
        target: (B,) the class to explain; None explains the predicted one.
        answer: asks some cases about their classes, and answers with one tensor as large as each input.

    Raises:
        RecipeError: if the model does not classify.
    """
    parts: dict[str, list[Tensor]] = {}
    with prepared(model, batch) as own:
        classes = predicted(model, own, name) if target is None else target.detach().clone()
        for rows in together(model, own):
            some = own.select(rows)
            asked = Asked(model, some, tuple(m for m in model.reads if some.present[m].any() and _patches(some, m)))
            given = answer(asked, classes[rows.to(classes.device)]) if asked.names else ()
            found = dict(zip(asked.names, given, strict=True))
            for modality in model.reads:
                parts.setdefault(modality, []).append(
                    to_places(found[modality], some.x[modality]) if modality in found else nothing(some, modality)
                )
        scores = {m: torch.cat(own_parts) for m, own_parts in parts.items()}
        return {m: where_present(own, m, value).detach() for m, value in scores.items()}


def together(model: Model, batch: Batch) -> list[Tensor]:
    """The rows that can be asked about together: all, or one by one where there are bags."""
    if any(isinstance(batch.x[name], Bags) for name in model.reads):
        return [torch.tensor([row]) for row in range(len(batch))]
    return [torch.arange(len(batch))]


def _patches(batch: Batch, modality: str) -> bool:
    value = batch.x[modality]
    return not isinstance(value, Bags) or len(value.values) > 0


def to_places(scores: Tensor, value: Tensor | Bags) -> Tensor:
    """Scores of every number of an input, summed to its places."""
    if isinstance(value, Bags):
        return scores[0].flatten(1).sum(1)
    return scores.sum(1) if value.dim() == 4 else scores


def nothing(batch: Batch, modality: str) -> Tensor:
    """Scores of zero for every place of a modality."""
    value = batch.x[modality]
    if isinstance(value, Bags):
        return value.values.new_zeros(len(value.values))
    return value.new_zeros(len(value), *(value.shape[2:] if value.dim() == 4 else value.shape[1:]))


def where_present(batch: Batch, modality: str, scores: Tensor) -> Tensor:
    """The scores with zeros where the modality is absent."""
    value, present = batch.x[modality], batch.present[modality]
    rows = present[value.owner] if isinstance(value, Bags) else present
    return torch.where(rows.view(-1, *[1] * (scores.dim() - 1)), scores, 0.0)


@contextmanager
def prepared(model: Model, batch: Batch) -> Iterator[Batch]:
    """Within the block the model may be asked with gradients; yields a copy of the batch with zeros where absent."""
    with torch.inference_mode(False), torch.enable_grad(), untouched(model):
        # A copy, since tensors made in inference mode can never take part in a backward pass.
        own = batch.select(torch.arange(len(batch)))
        for name in own.modalities:
            own = own.fill(name, 0.0)
        yield own


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Within the block the model is in eval mode and its weights are frozen; afterwards all is as it was."""
    modes = {module: module.training for module in model.modules()}
    wanted = {weight: weight.requires_grad for weight in model.parameters()}
    try:
        model.eval()
        model.requires_grad_(False)  # not no_grad: gradients must still pass through to the layer
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for weight, flag in wanted.items():
            weight.requires_grad_(flag)


def class_scores(model: Model, batch: Batch, name: str = "explain") -> Tensor:
    """The logits (B, C).

    Raises:
        RecipeError: if the head does not classify.
    """
    logits = model(batch).logits
    if logits is None:
        raise RecipeError(f"{name}: {type(model.head).__name__} does not classify, so there is no class to explain.")
    scores: Tensor = logits
    return scores


def predicted(model: Model, batch: Batch, name: str = "explain") -> Tensor:
    """The class (B,) that the model predicts."""
    with torch.no_grad():
        return class_scores(model, batch, name).argmax(1)
