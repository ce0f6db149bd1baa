"""Wrong explainers, each of which breaks one rule."""

from __future__ import annotations

import torch

from pathfuse.template.parts.explainer import TinyExplainer


class FavoursTheMiddle(TinyExplainer):
    def explain(self, model, batch, target=None):
        found = super().explain(model, batch, target)
        return {name: torch.where(own.any(), own, self.middle(own)) for name, own in found.items()}

    def middle(self, own):
        line = torch.linspace(-1, 1, own.shape[-1])
        return (1 - line.abs()).expand_as(own)


class MapsWhatIsAbsent(TinyExplainer):
    def explain(self, model, batch, target=None):
        found = super().explain(model, batch, target)
        return {name: own + (~batch.present[name]).view(-1, 1, 1) for name, own in found.items()}


class PromisesASum(TinyExplainer):
    complete = True

    def baseline(self, batch):
        return batch


class BreaksTiesByChance(TinyExplainer):
    def explain(self, model, batch, target=None):
        found = super().explain(model, batch, target)
        return {name: own + 0 * torch.rand(own.shape) for name, own in found.items()}


EXACTLY = {
    FavoursTheMiddle: "a_constant_model_gets_flat_scores",
    MapsWhatIsAbsent: "absent_modalities_get_nothing",
    PromisesASum: "promised_sums_are_kept",
    BreaksTiesByChance: "the_random_state_is_left_alone",
}
WITH_OTHERS = {
    FavoursTheMiddle: {"absent_modalities_get_nothing"},
    BreaksTiesByChance: {"eval_leaves_global_state_alone"},
}
"""What cannot be broken alone."""
