"""The names that a recipe may use: pathfuse, installed plug-ins, a short allow-list. A recipe is a stranger's text.

The check is jsonargparse's own: the given path is refused before it is imported, and the canonical path of the object
after it, so a detour through a trusted module is caught too. Only the environment variable `PATHFUSE_TRUST` (module
names separated by commas) widens it; a recipe cannot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, isclass, signature

import jsonargparse
from jsonargparse import Namespace
from jsonargparse import _common as settings
from jsonargparse._util import import_object

from pathfuse.errors import RecipeError, TrustError
from pathfuse.registry import components

TRUSTED = (
    "pathfuse",
    "torch.optim",
    "torch.nn",
    "torchmetrics",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.strategies",
    "lightning.pytorch.profilers",
    "lightning.pytorch.cli.ReduceLROnPlateau",
)
VARIABLE = "PATHFUSE_TRUST"


def check_classes(config: object) -> None:
    """Refuses every function: in the place of a class, and as an option that calls it later.

    Trusted modules hold functions that write files or run commands, so a recipe may name classes with their options and
    nothing else that can be called. The defaults of a class are its own.

    Args:
        config: a parsed configuration; to be called within `trusted_imports`.

    Raises:
        TrustError: naming the first function.
        RecipeError: for `dict_kwargs`, which are handed on unread, of a class that has no use for them.
    """
    if callable(config) and not isinstance(config, Namespace):
        name = f"{getattr(config, '__module__', '')}.{getattr(config, '__qualname__', type(config).__name__)}"
        raise TrustError(f"{name} is code in the place of a value, and a recipe may only name classes with init_args.")
    defaults: dict[str, object] = {}
    if isinstance(config, Namespace) and isinstance(path := config.get("class_path"), str):
        kind = import_object(path)
        if not isclass(kind):
            raise TrustError(f"{path} is no class, and a recipe may only name classes.")
        parameters = signature(kind).parameters.values()
        defaults = {parameter.name: parameter.default for parameter in parameters}
        if config.get("dict_kwargs") and Parameter.VAR_KEYWORD not in {parameter.kind for parameter in parameters}:
            raise RecipeError(f"{path} has no option {next(iter(config['dict_kwargs']))!r}; use init_args.")
    if isinstance(config, Namespace | dict):
        named = vars(config) if isinstance(config, Namespace) else config
        if isinstance(named.get("init_args"), Namespace):
            options = vars(named["init_args"])
            config = [value for key, value in options.items() if value is not defaults.get(key, Parameter.empty)]
            config += [value for key, value in named.items() if key != "init_args"]
        else:
            config = list(named.values())
    if isinstance(config, list | tuple):
        for part in config:
            check_classes(part)


def refuse_named(config: object) -> None:
    """Refuses a class by its name alone, in a part of a recipe that is not parsed.

    Args:
        config: a part of a recipe, as plain data.

    Raises:
        TrustError: naming the first class that a recipe may not name.
    """
    if isinstance(config, Mapping):
        path = config.get("class_path")
        if isinstance(path, str) and "." in path and not _within(path, _allowed()):
            raise TrustError(not_allowed(path))
    for part in config.values() if isinstance(config, Mapping) else config if isinstance(config, list) else ():
        refuse_named(part)


def not_allowed(name: str) -> str:
    """A line about a class that a recipe may not name."""
    return (
        f"{name} may not be named in a recipe. Allowed are pathfuse, installed plug-ins, torch.optim, torch.nn, "
        "torchmetrics, and Lightning's callbacks, loggers, strategies and profilers; "
        f"{VARIABLE}=MODULE in the environment allows more."
    )


def plugin_packages() -> set[str]:
    """The packages that hold registered components: whoever installed a plug-in trusts all of it."""
    return {component.target.partition(":")[0].partition(".")[0] for component in components()}


def trusted_by_user(path: str) -> bool:
    """Whether `PATHFUSE_TRUST` names a class or a module above it."""
    return _within(path, _extra())


def _within(path: str, modules: list[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in modules)


def _allowed() -> list[str]:
    return [*TRUSTED, *plugin_packages(), *_extra()]


def _extra() -> list[str]:
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


@contextmanager
def trusted_imports() -> Iterator[None]:
    """Within the block a configuration can only name trusted classes, and only local files are read.

    The settings of jsonargparse are process-wide and can only be added to, so they are put back afterwards: a notebook
    that calls `pathfuse.load` keeps its own.
    """
    before = dict(settings.parsing_settings)
    jsonargparse.set_parsing_settings(
        config_read_mode_urls_enabled=False,
        config_read_mode_fsspec_enabled=False,
        instantiate_subclass_spec_in_any=False,
        import_path_denylist=["*"],
        import_path_allowlist=_allowed(),
    )
    try:
        yield
    finally:
        settings.parsing_settings.clear()
        settings.parsing_settings.update(before)
