"""Checks of explainers: sums that are promised, absent modalities, and models that say the same of everything."""

from __future__ import annotations

from typing import cast

import torch

from pathfuse.core import Bags, Batch, Explainer, Model, case_sums
from pathfuse.testing.trial import Trial

SUM_TOLERANCE = 0.05
"""Share of the largest difference by which sums may miss it: integrals are taken at a few points."""


def promised_sums_are_kept(trial: Trial) -> None:
    """Scores of an explainer that is `complete` sum to the logit of the class minus that of its baseline."""
    explainer, model, batch, target = _setting(trial)
    if not explainer.complete:
        return
    scores = explainer.explain(model, batch, target)
    sums = torch.stack(list(case_sums(batch, scores).values())).sum(0)  # (B,)
    with torch.no_grad():
        before, after = (_logit(model, own, target) for own in (explainer.baseline(_cleared(batch)), batch))
    expected = after - before
    missed = (sums - expected).abs().max()
    allowed = SUM_TOLERANCE * float(expected.abs().max()) + 1e-5
    assert missed <= allowed, f"the scores of a case miss the difference of its logits by {missed:.3g}"


def absent_modalities_get_nothing(trial: Trial) -> None:
    """Scores of a modality that a case lacks are 0."""
    explainer, model, batch, target = _setting(trial, absent=True)
    for name, scores in explainer.explain(model, batch, target).items():
        held, absent = batch.x[name], ~batch.present[name]
        rows = scores[absent[held.owner] if isinstance(held, Bags) else absent]
        assert not rows.any(), f"{name} has scores in cases that lack it"


def a_constant_model_gets_flat_scores(trial: Trial) -> None:
    """A model whose weights are all zero says the same of everything, and no place of a case is above another."""
    explainer, model, batch, target = _setting(trial)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    for name, scores in explainer.explain(model, batch, target).items():
        held = batch.x[name]
        cases = torch.split(scores, held.lengths.tolist()) if isinstance(held, Bags) else scores.unbind()
        for case in cases:
            spread = float(case.max() - case.min()) if case.numel() else 0.0
            assert spread <= 1e-6, f"scores of {name} differ by {spread:.3g} within a case of a constant model"


def the_random_state_is_left_alone(trial: Trial) -> None:
    """Explaining draws no number that somebody else would have got, also of a model in training mode."""
    explainer, model, batch, target = _setting(trial)
    model.train()
    before = torch.get_rng_state()
    explainer.explain(model, batch, target)
    assert torch.equal(before, torch.get_rng_state()), "explaining moves torch's random generator"
    assert model.training, "explaining leaves the model in another mode"


def _setting(trial: Trial, *, absent: bool = False) -> tuple[Explainer, Model, Batch, torch.Tensor]:
    subject, batch = trial.build(), trial.feed(absent=absent).batch
    assert subject.model is not None
    return cast(Explainer, subject.component), subject.model, batch, batch.target.clamp(min=0)


def _cleared(batch: Batch) -> Batch:
    for name in batch.modalities:
        batch = batch.fill(name, 0.0)
    return batch


def _logit(model: Model, batch: Batch, target: torch.Tensor) -> torch.Tensor:
    logits = model(batch).logits
    assert logits is not None
    chosen: torch.Tensor = logits.gather(1, target[:, None])[:, 0]
    return chosen
