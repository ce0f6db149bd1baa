"""One component under check in one setting: how it is built, fed and asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from pathfuse.core import (
    Backbone,
    Bags,
    Encoder,
    Explainer,
    FusedSpec,
    Fusion,
    Head,
    ImageInput,
    Model,
    Objective,
    TokenSpec,
    stage_loader,
)
from pathfuse.testing.answer import Answer, of_fused, of_outcome, of_prediction, of_tokens
from pathfuse.testing.cohorts import given
from pathfuse.testing.example import Example
from pathfuse.testing.feed import Feed
from pathfuse.testing.settings import Setting
from pathfuse.testing.synthetic import BAG, synthetic_batch, synthetic_fused, synthetic_tokens

DIM = 16


class Subject(nn.Module):
    """The component, with the model around it where it needs one."""

    def __init__(self, component: object, model: Model | None = None) -> None:
        super().__init__()
        self.component = component
        self.model = model


class Trial:
    """Builds, feeds and asks one component in one setting.

    Args:
        example: the component and its options.
        setting: what it is built for.
    """

    def __init__(self, example: Example, setting: Setting) -> None:
        self.example = example
        self.setting = setting

    @property
    def slot(self) -> str:
        """The slot that the component fills."""
        return self.example.slot

    @property
    def bags(self) -> bool:
        """Whether the component is given bags."""
        return any(modality.in_bags for modality in self.setting.spec.modalities)

    def build(self, seed: int = 0, *, training: bool = False) -> Subject:
        """The component with seeded weights; the caller's random state stays as it is."""
        if self.slot == "data":
            with given(self.example) as who:
                return Subject(who.build())
        spec = self.setting.spec
        with torch.random.fork_rng(devices=[]), stage_loader(lambda _: self.example.surroundings(spec)):
            torch.manual_seed(seed)
            component = self.example.build(*self._sizes())
            model = self.example.surroundings(spec) if self.slot in ("objective", "explainer") else None
        return Subject(component, model).train(training)

    def feed(
        self, n: int = 5, seed: int = 0, *, absent: bool = False, lengths: Sequence[int] = BAG, only: str | None = None
    ) -> Feed:
        """Random cases.

        Args:
            n: how many.
            seed: same seed, same cases.
            absent: some stains of some cases are missing.
            lengths: sizes of bags.
            only: the one stain that is present; an empty string means none.
        """
        spec = self.setting.spec
        batch = synthetic_batch(spec, n, seed, absent=absent and self.slot != "backbone", lengths=lengths)
        if only is not None:
            batch = batch.keep(only)
        size = self.example.edge // 2
        if self.slot == "fusion":
            return Feed(batch, synthetic_tokens(self._token_specs(), batch, seed, size))
        if self.slot == "head":
            return Feed(batch, fused=synthetic_fused(self._fused_spec(), batch, seed, size))
        return Feed(batch)

    def ask(self, subject: Subject, feed: Feed) -> Answer:
        """Everything that the component says about some cases."""
        return _ASK[self.slot](subject, feed)

    def answer(self, feed: Feed, *, training: bool = False) -> Answer:
        """What a freshly built component says, in eval or training mode; random draws are the same every time."""
        subject = self.build(training=training)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.ask(subject, feed)

    def in_setting(self, setting: Setting) -> Trial:
        """The same component in another setting."""
        return Trial(self.example, setting)

    def _sizes(self) -> tuple[object, ...]:
        spec = self.setting.spec
        sizes: dict[str, tuple[object, ...]] = {
            "backbone": (spec.modalities[0].width,),
            "input": (spec,),
            "encoder": (spec,),
            "fusion": (self._token_specs(), spec),
            "head": (self._fused_spec(), spec),
        }
        return sizes.get(self.slot, ())

    def _token_specs(self) -> dict[str, TokenSpec]:
        layout = self.setting.layout
        return {
            modality.name: TokenSpec(DIM, "vector" if layout == "packed" and not modality.in_bags else layout)
            for modality in self.setting.spec.modalities
        }

    def _fused_spec(self) -> FusedSpec:
        return FusedSpec(DIM, self.setting.layout, self._token_specs())


def _backbone(subject: Subject, feed: Feed) -> Answer:
    images = feed.batch.image(feed.batch.modalities[0])
    answer = Answer()
    answer.add("features", cast(Backbone, subject.component)(images), torch.ones(len(images), dtype=torch.bool))
    return answer


def _input(subject: Subject, feed: Feed) -> Answer:
    images, present = cast(ImageInput, subject.component)(feed.batch)
    answer = Answer()
    answer.add("images", images, present)
    return answer


def _encoder(subject: Subject, feed: Feed) -> Answer:
    return of_tokens(cast(Encoder, subject.component)(feed.batch))


def _fusion(subject: Subject, feed: Feed) -> Answer:
    fusion = cast(Fusion, subject.component)
    fused = fusion(feed.tokens)
    answer = of_fused(fused, feed.tokens)
    answer.terms.update(fusion.loss(fused, feed.batch))
    return answer


def _head(subject: Subject, feed: Feed) -> Answer:
    head = cast(Head, subject.component)
    assert feed.fused is not None
    prediction = head(feed.fused)
    answer = of_prediction(prediction, feed.batch.present)
    answer.terms.update(head.loss(prediction, feed.batch))
    return answer


def _objective(subject: Subject, feed: Feed) -> Answer:
    assert subject.model is not None
    return of_outcome(cast(Objective, subject.component).losses(subject.model, feed.batch))


def _explainer(subject: Subject, feed: Feed) -> Answer:
    assert subject.model is not None
    target = feed.batch.target.clamp(min=0)
    with torch.enable_grad():
        maps = cast(Explainer, subject.component).explain(subject.model, feed.batch, target)
    answer = Answer()
    for name, values in maps.items():
        held, present = feed.batch.x[name], feed.batch.present[name]
        if isinstance(held, Bags):
            answer.add_packed(f"scores of {name}", values, held.lengths, present, name)
        else:
            answer.add(f"scores of {name}", values, present)
    return answer


_ASK = {
    "backbone": _backbone,
    "input": _input,
    "encoder": _encoder,
    "fusion": _fusion,
    "head": _head,
    "objective": _objective,
    "explainer": _explainer,
}
