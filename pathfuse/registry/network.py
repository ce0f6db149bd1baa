"""Libraries by which a component could reach the network, read off its source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pathfuse.registry.component import Component
from pathfuse.registry.metadata import OWN

LIBRARIES = (
    "aiohttp", "boto3", "fsspec", "ftplib", "gdown", "http.client", "httpx", "huggingface_hub", "requests", "socket",
    "timm", "torch.hub", "transformers", "urllib.request", "urllib3", "wandb",
)  # fmt: skip
_OURS = {"pathfuse.nn.hub": "huggingface_hub"}


def network_of(component: Component) -> tuple[str, ...]:
    """Libraries that its module, or what that imports of the same package, can reach the network with.

    They are named because they are imported somewhere, also within a function. Whether they are called is not known.
    """
    module = component.target.partition(":")[0]
    return tuple(sorted({found for name in _reached(module) for found in _libraries(name)}))


def _reached(module: str) -> set[str]:
    """A module and those of its package that it stands on; of pathfuse itself, the module alone."""
    package, waiting, seen = module.partition(".")[0], [module], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if package != OWN:
            waiting += [one for one in _imports(name) if one.partition(".")[0] == package]
    return seen


def _libraries(module: str) -> Iterator[str]:
    for name in _imports(module):
        yield from (_OURS[own] for own in _OURS if name == own or name.startswith(f"{own}."))
        yield from (known for known in LIBRARIES if name == known or name.startswith(f"{known}."))


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Every dotted name that a module imports; of `from a import b` both `a` and `a.b`. Nothing if it has no source."""
    path = _file(module)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8")) if path is not None else None
    except (OSError, UnicodeDecodeError, SyntaxError):
        return ()
    package = module.split(".") if path is not None and path.name == "__init__.py" else module.split(".")[:-1]
    found: list[str] = []
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(found)


def _file(module: str) -> Path | None:
    """The source of a module, found from the folder of its package, which is not imported."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    place = Path(spec.origin).parent.joinpath(*rest)
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)
