"""`pathfuse plugins show` and `check`: one component, imported."""

from __future__ import annotations

import inspect
import sys

from pathfuse.errors import PluginError
from pathfuse.registry import Component, components, unknown


def show(name: str) -> int:
    """Prints what a component is for and its options, as its constructor documents them."""
    kind = _component(name).load()
    print(f"{kind.__module__}.{kind.__qualname__}\n\n{inspect.getdoc(kind) or ''}\n\nOptions:")
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty:
            print(f"  {parameter}")
    return 0


def check(name: str) -> int:
    """Runs the conformance checks on a component; the exit status is 1 if one fails."""
    from pathfuse.testing import run_checks, summary

    results = run_checks(_component(name).load())
    failed = [result for result in results if not result.passed]
    print(summary(results), file=sys.stderr if failed else sys.stdout)
    return 1 if failed else 0


def _component(name: str) -> Component:
    known = {component.name: component for component in components()}
    if name not in known:
        raise PluginError(unknown("no component", name, known))
    return known[name]
