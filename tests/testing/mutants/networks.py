"""Wrong backbones, inputs, encoders and objectives, each of which breaks one rule."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from pathfuse.core import Outcome, SupervisedObjective
from pathfuse.errors import RecipeError
from pathfuse.testing import ReferenceBackbone, ReferenceEncoder, ReferenceInput


class OneFeatureTooFew(ReferenceBackbone):
    def forward(self, images):
        return super().forward(images)[:, 1:]


class UnusedLayer(ReferenceBackbone):
    def __init__(self, in_chans):
        super().__init__(in_chans)
        self.spare = nn.Linear(2, 2)


class CentresTheBatch(ReferenceBackbone):
    def forward(self, images):
        features = super().forward(images)
        return features - features.mean(0)


class SinglesOnly(ReferenceBackbone):
    def forward(self, images):
        return super().forward(images).float()


class AddsNoise(ReferenceBackbone):
    def forward(self, images):
        return super().forward(images) + 0.0 * torch.rand(1)


class CountsItsCalls(ReferenceBackbone):
    calls = 0

    def forward(self, images):
        self.calls += not self.training
        return super().forward(images) + self.calls


class HoldsALambda(ReferenceBackbone):
    def __init__(self, in_chans):
        super().__init__(in_chans)
        self.act = lambda value: value


class KeepsItsScaleApart(ReferenceBackbone):
    scale = 1.0

    def forward(self, images):
        if self.training:
            self.scale *= 1.5
        return self.scale * super().forward(images)


class AnotherNumberOfChannels(ReferenceInput):
    def __init__(self, spec):
        super().__init__(spec)
        self.channels += 1


class AddsAnAbsentStain(ReferenceInput):
    def forward(self, batch):
        images, present = super().forward(batch)
        stains = [value for value in batch.x.values() if isinstance(value, torch.Tensor) and value.dim() == 4]
        return images + 1e-2 * stains[-1], present


class SaysAllIsThere(ReferenceInput):
    def forward(self, batch):
        images, present = super().forward(batch)
        return images, torch.ones_like(present)


class ComparesWithTheBatch(ReferenceInput):
    def forward(self, batch):
        images, present = super().forward(batch)
        return torch.where(present.view(-1, 1, 1, 1), images - 0.1 * images.mean(0), 0.0), present


class TwoStainsOnly(ReferenceInput):
    def __init__(self, spec):
        super().__init__(spec)
        if len([one for one in spec.modalities if one.kind == "image"]) != 2:
            raise RecipeError("TwoStainsOnly: takes two stains. Leave the others out.")


class NeedsItsStain(ReferenceInput):
    def forward(self, batch):
        if batch.present.keys() - {self.name} and not batch.present[self.name].any() and any(
            there.any() for there in batch.present.values()
        ):  # fmt: skip
            raise ValueError("min() of an empty tensor")
        return super().forward(batch)


class NarrowTokens(ReferenceEncoder):
    def forward(self, batch):
        return {name: replace(token, values=token.values[:, 1:]) for name, token in super().forward(batch).items()}


class TokensOfAbsentStains(ReferenceEncoder):
    def forward(self, batch):
        tokens = super().forward(batch)
        return {name: replace(token, present=torch.ones_like(token.present)) for name, token in tokens.items()}


class CentresItsTokens(ReferenceEncoder):
    def forward(self, batch):
        tokens = super().forward(batch)
        return {name: replace(token, values=token.values - token.values.mean(0)) for name, token in tokens.items()}


class TermOfEveryCase(SupervisedObjective):
    def losses(self, model, batch):
        outcome = super().losses(model, batch)
        return Outcome({name: term.expand(2) for name, term in outcome.terms.items()}, outcome.prediction)


class GrowsWithEveryStep(SupervisedObjective):
    scale = 1.0

    def losses(self, model, batch):
        outcome = super().losses(model, batch)
        if self.training:
            self.scale *= 1.5
        return Outcome({name: self.scale * term for name, term in outcome.terms.items()}, outcome.prediction)


class DrawsOne(SupervisedObjective):
    def losses(self, model, batch):
        torch.rand(1)
        return super().losses(model, batch)


EXACTLY = {
    OneFeatureTooFew: "outputs_have_the_promised_shapes",
    UnusedLayer: "every_parameter_gets_a_gradient",
    CentresTheBatch: "cases_are_independent",
    SinglesOnly: "number_types_work",
    AddsNoise: "eval_leaves_global_state_alone",
    CountsItsCalls: "eval_is_deterministic",
    HoldsALambda: "copies_answer_alike",
    KeepsItsScaleApart: "state_dict_round_trips",
    AnotherNumberOfChannels: "outputs_have_the_promised_shapes",
    AddsAnAbsentStain: "absent_rows_are_not_read",
    SaysAllIsThere: "nothing_present_is_said",
    ComparesWithTheBatch: "cases_are_independent",
    TwoStainsOnly: "three_stains_work",
    NeedsItsStain: "one_stain_is_enough",
    NarrowTokens: "outputs_have_the_promised_shapes",
    TokensOfAbsentStains: "nothing_present_is_said",
    CentresItsTokens: "cases_are_independent",
    TermOfEveryCase: "loss_terms_are_scalars",
    GrowsWithEveryStep: "state_dict_round_trips",
    DrawsOne: "eval_leaves_global_state_alone",
}
WITH_OTHERS = {
    CountsItsCalls: {"copies_answer_alike", "state_dict_round_trips"},
    TokensOfAbsentStains: {"absent_rows_are_not_read"},
    SaysAllIsThere: {"absent_rows_are_not_read"},
    TermOfEveryCase: {"every_parameter_gets_a_gradient"},
}
"""What cannot be broken alone."""
