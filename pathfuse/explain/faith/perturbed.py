"""Infidelity and sensitivity of an explainer, as Captum measures them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pathfuse.core import Bags, Batch, Explainer, Model

NOISE = 0.1
"""Deviation of the noise that infidelity adds, in units of the input."""
RADIUS = 0.02
DRAWS = 4


def infidelity_and_sensitivity(
    model: Model, case: Batch, modality: str, explainer: Explainer, target: int, seed: int
) -> tuple[float, float]:
    """How badly scores foretell the change of the logit under noise, and how far small noise can move the scores.

    Scores are scaled to a largest size of 1 for the sensitivity, and by Captum's best factor for the infidelity, so
    that explainers of any scale can be compared.

    Args:
        model: the model in eval mode.
        case: one case.
        modality: the stain that is disturbed.
        explainer: gives the scores.
        target: the class.
        seed: of the noise.

    Source: Yeh et al. 2019, arXiv:1901.09392; Captum's infidelity (normalised) and sensitivity_max.
    """
    from captum.metrics import infidelity, sensitivity_max  # type: ignore[import-untyped]  # with pyplot, a second

    held = case.x[modality]
    values = held.values if isinstance(held, Bags) else held
    chosen = torch.tensor([target], device=values.device)

    def with_values(own: Tensor) -> Batch:
        return replace(case, x={**case.x, modality: replace(held, values=own[0]) if isinstance(held, Bags) else own})

    def logits(own: Tensor) -> Tensor:
        found = [model(with_values(one[None])).logits for one in own]
        return torch.cat([one for one in found if one is not None])

    def scores(own: tuple[Tensor, ...] | Tensor) -> tuple[Tensor, ...]:
        inputs = own if isinstance(own, Tensor) else own[0]
        rows = [explainer.explain(model, with_values(one[None]), chosen)[modality] for one in inputs]
        found = torch.stack([row if isinstance(held, Bags) else row[0] for row in rows])
        return (found / found.abs().amax().clamp(min=1e-12),)

    def noise(own: tuple[Tensor, ...] | Tensor) -> tuple[Tensor, Tensor]:
        inputs = own if isinstance(own, Tensor) else own[0]
        drawn = NOISE * torch.randn_like(inputs)
        return drawn, inputs - drawn

    inputs = values[None] if isinstance(held, Bags) else values
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        given = _as_inputs(scores(inputs)[0], inputs)
        wrong = infidelity(logits, noise, inputs, given, target=target, n_perturb_samples=DRAWS, normalize=True)
        moved = sensitivity_max(scores, inputs, perturb_radius=RADIUS, n_perturb_samples=DRAWS)
    return float(wrong.mean()), float(moved.mean())


def _as_inputs(scores: Tensor, inputs: Tensor) -> Tensor:
    """Scores of places shared out evenly among the channels or features of each."""
    if inputs.dim() == 2:
        return scores
    missing = inputs.dim() - scores.dim()
    # Images have their channels before the places, patches after them.
    shape = (scores.shape[0], 1, *scores.shape[1:]) if inputs.dim() == 4 else (*scores.shape, *[1] * missing)
    count = inputs[0].numel() / max(1, scores[0].numel())
    return (scores.view(shape) / count).expand_as(inputs).contiguous()
