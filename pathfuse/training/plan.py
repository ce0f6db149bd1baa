"""A composed recipe, parsed with what trains its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pathfuse.errors import RecipeError
from pathfuse.inference.plan import Plan, keep_random_state
from pathfuse.inference.stage import Stage
from pathfuse.training.stage import TrainingStage
from pathfuse.training.steady.loss_terms import check_loss_terms


@dataclass
class TrainingPlan(Plan):
    """The stages of a recipe in the order of training, to be trained, validated or tested."""

    made_of: ClassVar[type[Stage]] = TrainingStage

    stages: Mapping[str, TrainingStage]

    def check_loss_terms(self, stage: str) -> None:
        """Compares the weights of a stage's losses with the terms of a step, whose draws are taken back.

        Raises:
            RecipeError: if a term has no weight or a weight has no term.
        """
        task = self.task_of(stage)
        try:
            with keep_random_state():
                check_loss_terms(task, self.data_of(stage))
        except RecipeError as error:
            raise RecipeError(f"stage {stage}: {error}") from error
