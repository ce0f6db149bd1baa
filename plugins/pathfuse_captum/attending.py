"""Attention as an explanation: as it is, times its gradient, and rolled out through all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor

from pathfuse.core import AttentionStep, Bags, Batch, Explainer, Model
from pathfuse.core.spec import Kind
from pathfuse.errors import RecipeError
from pathfuse_captum.asking import class_scores, nothing, predicted, prepared, together, where_present
from pathfuse_captum.layers import enlarge

Answer = Callable[[dict[str, list[AttentionStep]], Tensor], dict[str, Tensor]]
WITH_ATTENTION = "a transformer of timm without windows, TransMIL or AttentionFusion"


class Attention(Explainer):
    """The weight that the fusion block gives to every patch of a bag; it is the same for every class.

    What it is depends on the block: a softmax over the patches of a stain (AttentionFusion, ABMIL, CLAM), what the
    class token pays to them (TransMIL), the attention they receive from all others (MACL). Compare patches within a
    case and stain, and not weights between recipes.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("patches", "features")
    per_class: ClassVar[bool] = False

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Weights (T,) of the patches of every stain."""
        with prepared(model, batch) as own, torch.no_grad():
            attention = model.fuse(own).attention
            found = {
                name: where_present(own, name, weight.detach().float())
                for name, weight in attention.items()
                if isinstance(bags := own.x.get(name), Bags) and weight.shape == bags.values.shape[:1]
            }
        if not found:
            raise RecipeError(
                f"Attention: {type(model.fusion).__name__} gives no weight to single patches, so there is nothing to "
                "show. Train with a fusion block that does, such as AttentionFusion, or name another explainer."
            )
        return found


class AttentionGradient(Explainer):
    """The attention of the last layer times the slope of the logit along it, where that speaks for the class.

    Source: Chefer et al. 2021, arXiv:2103.15679, equation 5, of the last layer: the mean over heads of what is
        positive.
    Departs: of TransMIL, whose attention is never made as a whole, the slope along an entry is that along the class
        token times the value of the patch, which is the same; the approximated attention may be negative.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("image", "patches", "features")
    attends: ClassVar[bool] = True

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores of every stain whose network attends."""

        def answer(steps: dict[str, list[AttentionStep]], score: Tensor) -> dict[str, Tensor]:
            last = {name: own[-1] for name, own in steps.items()}
            asked = [step.asked for step in last.values()]
            # What the score does not depend on has a slope of zero.
            slopes = torch.autograd.grad(score, asked, allow_unused=True, materialize_grads=True)
            found = zip(last.items(), slopes, strict=True)
            return {name: step.to_places(step.favours(slope)) for (name, step), slope in found}

        return _ask(type(self).__name__, model, batch, target, answer)


class AttentionRollout(Explainer):
    """What the output reads of every patch when attention is followed back through all layers.

    Every layer passes half of a token on and mixes half of it by attention, its heads averaged. It is the same for
    every class. Of TransMIL the convolutions between the layers are not followed.

    Source: Abnar and Zuidema 2020, arXiv:2005.00928, section 3; the attention of timm's transformers as timm's own
    AttentionExtract reads it.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("image", "patches", "features")
    per_class: ClassVar[bool] = False
    attends: ClassVar[bool] = True

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores of every stain whose network attends."""

        def answer(steps: dict[str, list[AttentionStep]], _: Tensor) -> dict[str, Tensor]:
            with torch.no_grad():
                return {name: rolled_out(own) for name, own in steps.items()}

        return _ask(type(self).__name__, model, batch, target, answer)


def rolled_out(steps: Sequence[AttentionStep]) -> Tensor:
    """The rollout at the places of the patches: what is read, followed back from the last layer to the first."""
    last = steps[-1]
    row = last.read.expand(last.factors[0].shape[0], -1)  # (N, n)
    for step in reversed(steps):
        passed = step.paid(row)
        row = passed if passed.shape != row.shape else (row + passed) / 2
    return last.to_places(row).clamp(min=0)  # an approximated attention may be negative


def _ask(name: str, model: Model, batch: Batch, target: Tensor | None, answer: Answer) -> dict[str, Tensor]:
    """Runs the model on cases that go together, and takes what it left of its attention to the places of patches."""
    parts: dict[str, list[Tensor]] = {}
    attends = False
    with prepared(model, batch) as own:
        classes = predicted(model, own, name) if target is None else target.detach().clone()
        for rows in together(model, own):
            some, chosen = _with_gradients(own.select(rows)), classes[rows.to(classes.device)]
            with _watched(model) as seen:
                scores = class_scores(model, some, name)
            left = {m: [*steps] for m, steps in seen.items() if m in some.x}
            steps = {m: some_steps for m, some_steps in left.items() if some_steps and some.present[m].any()}
            attends |= any(left.values())
            found = answer(steps, scores.gather(1, chosen[:, None]).sum()) if steps else {}
            for modality in left:
                value = some.x[modality]
                places = _at_size(found[modality], value) if modality in found else nothing(some, modality)
                parts.setdefault(modality, []).append(places)
        if not attends:
            raise RecipeError(
                f"{name}: {type(model.encoder).__name__} and {type(model.fusion).__name__} show no attention between "
                f"tokens. It needs {WITH_ATTENTION}."
            )
        return {m: where_present(own, m, torch.cat(p)).detach() for m, p in parts.items()}


def _with_gradients(batch: Batch) -> Batch:
    """The batch with inputs that ask for gradients, so that they reach layers whose weights are frozen."""
    x: dict[str, Tensor | Bags] = {}
    for name, value in batch.x.items():
        x[name] = value.map(_asks) if isinstance(value, Bags) else _asks(value)
    return Batch(x, batch.present, batch.target, batch.case_ids, batch.patient_ids, batch.index)


def _asks(values: Tensor) -> Tensor:
    return values.detach().clone().requires_grad_() if values.is_floating_point() else values


@contextmanager
def _watched(model: Model) -> Iterator[dict[str, list[AttentionStep]]]:
    """Attention of the encoder and, where that pools patches, of the fusion block."""
    with model.encoder.watched() as below, model.fusion.watched() as above:
        yield {**below, **above}


def _at_size(places: Tensor, value: Tensor | Bags) -> Tensor:
    return places if isinstance(value, Bags) else enlarge(places, value.shape[-2:])
