"""Weights of losses, compared with the loss terms of a step before anything is written."""

from __future__ import annotations

import torch

from pathfuse.core import Objective
from pathfuse.core.objective import check_outcome, weighted_total
from pathfuse.data.contract import CaseData
from pathfuse.errors import PathfuseError, PluginError
from pathfuse.inference.task import Task
from pathfuse.training.steady.refused import REFUSALS


def check_loss_terms(task: Task, data: CaseData) -> None:
    """Makes a step of two training cases that changes nothing, and compares its terms with the weights of the recipe.

    An objective that is prepared by its training is not looked at, and what else goes wrong is left to the first step
    of the training, which tells of it with its cases.

    Raises:
        RecipeError: if a term has no weight or a weight has no term.
        PluginError: if the objective returns something else than scalar terms.
    """
    if type(task.objective).prepare is not Objective.prepare or not len(data.cohort.table.where("train")):
        return
    trains = task.training
    task.eval()
    try:
        with torch.no_grad():
            batch = data.glimpse()
            outcome = task.objective.step(task.model, task.shown_in_training(batch), batch)
    except PluginError:
        raise
    except (*REFUSALS, PathfuseError):
        return
    finally:
        task.train(trains)
    check_outcome(task.objective, outcome)
    weighted_total(outcome.terms, task.loss_weights)
