"""Finds plug-ins that cannot be imported, without importing them: `pathfuse plugins` must answer at once.

A module that is not there, does not parse, or imports a package that is not installed is seen from its file. A module
that fails while it runs is not; `pathfuse fit --help` and `pathfuse plugins check NAME` import, and see that too.
"""

from __future__ import annotations

import ast
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from pathfuse.registry.component import Component


def trouble(component: Component) -> str | None:
    """One line on why a component cannot be used; None if nothing speaks against it."""
    if component.refused:
        return component.refused
    module, _, name = component.target.partition(":")
    cause = _cause(module, name)
    return cause and (
        f"{component.name} of {component.distribution} cannot be imported ({cause}). "
        f"Repair or uninstall {component.distribution}."
    )


def _cause(module: str, name: str) -> str | None:
    try:
        spec = _spec(module)
    except (ImportError, ValueError, AttributeError) as error:  # one broken package hides no other
        return f"{type(error).__name__}: {error}"
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
    missing = (package for package in _imported(tree) if find_spec(package) is None)
    absent = None if _may_define(tree, name) else f"{module} has no {name!r}"
    return next((f"no module named {package!r}" for package in missing), absent)


def _may_define(tree: ast.Module, name: str) -> bool:
    """Whether a module may hold a name, as far as its text tells."""
    # Classes may be made by code, as those of a table of networks are.
    nodes = list(ast.walk(tree))
    made = any(isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("globals", "setattr") for node in nodes)
    return made or any({name, "*", "__getattr__"} & _bound(node) for node in nodes)


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement or target binds."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()


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
