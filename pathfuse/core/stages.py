"""The way in which a component gets the model of a stage that was trained before it.

A recipe names it (`checkpoint: "stage:correlate"`). Whoever builds components says how such a name becomes a model;
plug-ins only ask, so they need to know nothing of run folders or Lightning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pathfuse.core.model import Model
from pathfuse.errors import RecipeError

_weights_follow: ContextVar[bool] = ContextVar("weights_follow", default=False)
_loader: ContextVar[Callable[[str], Model] | None] = ContextVar("stage_loader", default=None)


@contextmanager
def stage_loader(load: Callable[[str], Model]) -> Iterator[None]:
    """Within the block, `stage_model(name)` answers with `load(name)`."""
    token = _loader.set(load)
    try:
        yield
    finally:
        _loader.reset(token)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Within the block, components are built to be filled from a checkpoint at once."""
    token = _weights_follow.set(True)
    try:
        yield
    finally:
        _weights_follow.reset(token)


def skips_pretrained() -> bool:
    """Whether a component that is being built need not look for pretrained weights: a checkpoint follows."""
    return _weights_follow.get()


def stage_model(reference: str) -> Model:
    """The model behind `stage:NAME`, an earlier stage of the recipe.

    All stages are built before the first one trains, so the model that is returned is untrained yet. It is filled where
    it stands before the stage that asked for it trains: keep it whole, as a submodule. Where a component keeps only a
    part of it, or nothing, its stage is built a second time, then with a trained model. So never keep the whole and
    also compute something from its weights in the constructor.

    Raises:
        RecipeError: if nobody here can resolve references, which is the case outside of a recipe.
    """
    load = _loader.get()
    if load is None:
        raise RecipeError(
            f"{reference!r} can only be resolved inside a recipe or by pathfuse.load; pass a model instead"
        )
    return load(reference)
