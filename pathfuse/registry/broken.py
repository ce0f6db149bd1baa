"""Finds plug-ins that cannot be imported, without importing them: `pathfuse plugins` must answer at once.

A module that is not there, does not parse, or imports a package that is not installed is seen from its file. A module
that fails while it runs is not; `pathfuse fit --help` and `pathfuse plugins check NAME` import, and see that too.
"""

from __future__ import annotations

import ast
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from pathfuse.registry.table import Component


def trouble(component: Component) -> str | None:
    """One line on why a component cannot be used; None if nothing speaks against it."""
    if component.refused:
        return component.refused
    cause = _cause(component.target.partition(":")[0])
    return cause and (
        f"{component.name} of {component.distribution} cannot be imported ({cause}). "
        f"Repair or uninstall {component.distribution}."
    )


def _cause(module: str) -> str | None:
    spec = _spec(module)
    if spec is None:
        return f"no module named {module!r}"
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return str(error)
    except SyntaxError as error:
        return f"{error.msg}, line {error.lineno}"
    missing = (name for name in _imported(tree) if find_spec(name) is None)
    return next((f"no module named {name!r}" for name in missing), None)


def _spec(module: str) -> ModuleSpec | None:
    """The spec of a module; unlike importlib's own, it does not import the packages around it."""
    name, *rest = module.split(".")
    spec = find_spec(name)
    for part in rest:
        name = f"{name}.{part}"
        spec = spec and PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec


def _imported(tree: ast.Module) -> list[str]:
    """Packages that the top of a module needs; what it tries, or imports later, it can do without."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return [name.partition(".")[0] for name in names]
