"""A composed recipe, parsed with what trains its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pathfuse.inference.plan import Plan
from pathfuse.inference.stage import Stage
from pathfuse.training.stage import TrainingStage


@dataclass
class TrainingPlan(Plan):
    """The stages of a recipe in the order of training, to be trained, validated or tested."""

    made_of: ClassVar[type[Stage]] = TrainingStage

    stages: Mapping[str, TrainingStage]
