"""The import graph of a checkout, read off its syntax trees; imports for typing and inside functions count."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

FRAMEWORK = "pathfuse"
Graph = Mapping[str, Set[str]]


def python_files(root: Path) -> list[Path]:
    """The files of the framework and of its plug-ins, sorted."""
    return sorted([*(root / FRAMEWORK).rglob("*.py"), *(root / "plugins").glob("pathfuse_*/**/*.py")])


def statements(path: Path, name: str = "", *, top_only: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Every module that a file imports, by absolute name, and the names that it takes from it.

    Args:
        path: the file.
        name: what the file is imported as, which relative imports need.
        top_only: whether imports for typing and inside functions are left out.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = (name if path.name == "__init__.py" else name.rpartition(".")[0]).split(".")
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            yield ".".join([*above, *([node.module] if node.module else [])]), [alias.name for alias in node.names]


def imported(path: Path, *, top_only: bool = False) -> set[str]:
    """What a file imports, by absolute name: of `from a import b` both `a` and `a.b`."""
    found = list(statements(path, top_only=top_only))
    return {module for module, _ in found} | {f"{module}.{name}" for module, names in found for name in names}


def module_graph(root: Path) -> dict[str, set[str]]:
    """Every module of the framework to those that it imports; a package is its `__init__`.

    That Python runs the packages above a module first is no arrow here: nobody wrote it.
    """
    files = {_name(path, root): path for path in sorted((root / FRAMEWORK).rglob("*.py"))}
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for module, taken in statements(path, name):
            # `from pathfuse.core import tokens` asks for the module, not for what the package says of itself.
            inside = {f"{module}.{one}" for one in taken} & files.keys()
            graph[name] |= inside
            if module in files and (not taken or len(inside) < len(set(taken))):
                graph[name].add(module)
        graph[name].discard(name)
    return graph


def room_of(module: str) -> str:
    """The room of a module: the folder, or else the file, right below the framework."""
    return module.split(".")[1] if "." in module else "__init__"


def room_graph(modules: Graph) -> dict[str, set[str]]:
    """Every room to the other rooms that it imports."""
    rooms: dict[str, set[str]] = {room_of(module): set() for module in modules}
    for module, others in modules.items():
        rooms[room_of(module)] |= {room_of(other) for other in others} - {room_of(module)}
    return rooms


def circles(graph: Graph) -> list[list[str]]:
    """The groups of nodes in which each reaches every other, largest first."""
    reach = {node: _reached(node, graph) for node in graph}
    found = {
        tuple(sorted(other for other in reach[node] if node in reach.get(other, ()))) for node in graph if graph[node]
    }
    return sorted((list(group) for group in found if len(group) > 1), key=lambda group: (-len(group), group))


def arrows(graph: Graph) -> int:
    """How many pairs of nodes there are of which the first imports the second."""
    return sum(len(others) for others in graph.values())


def folder_sizes(root: Path) -> dict[str, int]:
    """Python files beside `__init__` per folder of the framework, largest first."""
    sizes: dict[str, int] = {}
    for path in sorted((root / FRAMEWORK).rglob("*.py")):
        folder = path.parent.relative_to(root).as_posix()
        sizes[folder] = sizes.get(folder, 0) + (path.name != "__init__.py")
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _reached(start: str, graph: Graph) -> set[str]:
    seen: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        node = ahead.pop()
        if node not in seen:
            seen.add(node)
            ahead += graph.get(node, ())
    return seen
