"""Attributions by gradients at the input: input times gradient, and integrated gradients."""

from __future__ import annotations

from typing import ClassVar

from captum.attr import InputXGradient as OfCaptum  # type: ignore[import-untyped]
from captum.attr import IntegratedGradients as IntegratedOfCaptum
from torch import Tensor

from pathfuse.core import Batch, Explainer, Model
from pathfuse.core.spec import Kind
from pathfuse.errors import RecipeError
from pathfuse_captum.asking import Asked, ask
from pathfuse_captum.baselines import Baseline, baseline_batch

EVERYTHING: tuple[Kind, ...] = ("image", "patches", "features", "vector")


class InputXGradient(Explainer):
    """Every number of the input times the slope of the logit there, summed over channels or features.

    Source: Shrikumar et al. 2016, arXiv:1605.01713; Captum's InputXGradient on the logits.
    """

    takes: ClassVar[tuple[Kind, ...]] = EVERYTHING
    signed: ClassVar[bool] = True

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores of every modality that the model reads."""

        def answer(asked: Asked, classes: Tensor) -> tuple[Tensor, ...]:
            found: tuple[Tensor, ...] = OfCaptum(asked).attribute(asked.sloped, target=classes)
            return found

        return ask(type(self).__name__, model, batch, target, answer)


class IntegratedGradients(Explainer):
    """The slope of the logit, averaged along the straight line from a baseline, times the way.

    The scores of a case sum to the logit of the class minus that of the baseline, up to the error of `steps`.

    Args:
        steps: points on the line, each a pass forward and backward.
        baseline: `glass` is a white image or patch; `mean` the mean colour, or the mean patch of the bag; `absent`
            zeros, which stand for an absent stain. null is glass for images and patches, mean for features. Columns of
            a vector start at the means of the training part.

    Source: Sundararajan et al. 2017, arXiv:1703.01365, equation 1; Captum's IntegratedGradients on the logits.
    """

    takes: ClassVar[tuple[Kind, ...]] = EVERYTHING
    signed: ClassVar[bool] = True
    complete: ClassVar[bool] = True
    example_options: ClassVar[dict[str, object]] = {"steps": 10}
    example_size_px: ClassVar[int] = 16

    def __init__(self, *, steps: int = 32, baseline: Baseline | None = None) -> None:
        if steps < 1:
            raise RecipeError(f"IntegratedGradients.steps is {steps}; one is the least.")
        self.steps = steps
        self.against = baseline

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores of every modality that the model reads."""

        def answer(asked: Asked, classes: Tensor) -> tuple[Tensor, ...]:
            start = Asked(asked.model, self.baseline(asked.batch), asked.names).inputs
            found: tuple[Tensor, ...] = IntegratedOfCaptum(asked).attribute(
                asked.inputs, start, target=classes, n_steps=self.steps, internal_batch_size=len(asked.batch)
            )
            return found

        return ask(type(self).__name__, model, batch, target, answer)

    def baseline(self, batch: Batch) -> Batch:
        """The cases that the line starts from."""
        return baseline_batch(batch, self.against, type(self).__name__)
