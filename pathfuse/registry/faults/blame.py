"""The plug-in in whose code an exception came up."""

from __future__ import annotations

from traceback import walk_tb

from pathfuse.registry.component import Component
from pathfuse.registry.table import components
from pathfuse.registry.used import AT_HOME


def blamed(error: BaseException) -> str:
    """A line on the foreign plug-in in which an exception came up; empty if it came up in none.

    Args:
        error: as it was caught, with its traceback.
    """
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(error.__traceback__)]
    foreign = [one for one in components() if one.distribution not in AT_HOME]
    for module in reversed(modules):
        own = [one for one in foreign if _module(one) == module]
        beside = [one for one in foreign if _module(one).partition(".")[0] == module.partition(".")[0]]
        for one in own or beside:
            check = one.name if own else one.distribution
            return f"error: it came up in {module} of {one.distribution}. `pathfuse plugins check {check}` may say why."
    return ""


def _module(component: Component) -> str:
    return component.target.partition(":")[0]
