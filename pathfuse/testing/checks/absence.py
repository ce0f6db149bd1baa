"""Checks of absent stains."""

from __future__ import annotations

from typing import cast

import torch

from pathfuse.core import Objective
from pathfuse.testing.answer import assert_finite, assert_same, of_prediction
from pathfuse.testing.settings import settings_of
from pathfuse.testing.trial import Trial

LARGE = 1e3


def absent_rows_are_not_read(trial: Trial) -> None:
    """Large numbers or NaN in absent rows move no output, loss term or gradient, in eval and in training.

    In training too, because the statistics of a batch norm are an easy way to read them.
    """
    feed = trial.feed(absent=True)
    for training, when in ((False, ""), (True, " in training")):
        plain = trial.answer(feed, training=training)
        for value in (LARGE, float("nan")):
            got = trial.answer(feed.fill(value), training=training)
            assert_same(got, plain, f"when absent rows hold {value:g}{when}", 1e-6)
    subject = trial.build()
    answer = trial.ask(subject, feed.fill(float("nan")))
    parts = [part for part in answer.tensors().values() if part.requires_grad]
    if not parts:
        return
    torch.autograd.backward(torch.stack([part.sum() for part in parts]).sum())
    for name, weight in subject.named_parameters():
        broken = weight.grad is not None and not torch.isfinite(weight.grad).all()
        assert not broken, f"NaN in absent rows reaches the gradient of {name}: clear them with torch.where"


def one_stain_is_enough(trial: Trial) -> None:
    """Cases that have one stain only get finite outputs in eval and in training."""
    for name in trial.setting.spec.names:
        feed = trial.feed(only=name)
        assert_finite(trial.answer(feed), f"when {name} is the only stain")
        assert_finite(trial.answer(feed, training=True), f"in training when {name} is the only stain")


def nothing_present_is_said(trial: Trial) -> None:
    """A case without any stain comes out as not present."""
    answer = trial.answer(trial.feed(only=""))
    for name, present in answer.present.items():
        assert not present.any(), f"{name} is present in a case without any stain"


def three_stains_work(trial: Trial) -> None:
    """The component is built for three stains and answers; a fusion block may declare `exactly` instead."""
    named = {setting.name: setting for setting in settings_of(trial.example, 3)}
    three = trial.in_setting(named[trial.setting.name])
    assert_finite(three.answer(three.feed(absent=True)), "with three stains")


def the_model_is_shown_only_what_it_is_given(trial: Trial) -> None:
    """What the model predicts in a step does not depend on modalities that the recipe hides from it."""
    subject, whole = trial.build(), trial.feed().batch
    objective, model = cast(Objective, subject.component), subject.model
    assert model is not None
    for name in trial.setting.spec.names:
        shown = whole.keep(name)
        with torch.no_grad():
            got, plain = (objective.step(model, shown, other).prediction for other in (whole, shown))
        what = f"with what is hidden beside {name}: show the model `shown` alone"
        assert_same(of_prediction(got, shown.present), of_prediction(plain, shown.present), what, 1e-6)
