"""A new distribution on disk: source, recipes, metadata, README, tests and a CI file, from one skeleton."""

from __future__ import annotations

import ast
import keyword
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pathfuse.errors import PluginError, did_you_mean
from pathfuse.registry import API, components
from pathfuse.template.kinds import KINDS, Kind, short, snake

SKELETON = Path(__file__).parent / "skeleton"
WIDTH = 120  # of a line, as the generated pyproject.toml tells ruff
LONGEST = 80  # of a name, so that a line that holds one fits
FILES = {
    "pyproject.toml.j2": "pyproject.toml",
    "README.md.j2": "README.md",
    "contract.py.j2": "tests/test_contract.py",
    "workflow.yml.j2": ".github/workflows/test.yml",
    "gitignore.j2": ".gitignore",
}


@dataclass(frozen=True)
class Part:
    """One component of the new distribution.

    Attributes:
        kind: its slot.
        name: its class, and so its entry point and its word in a recipe.
    """

    kind: Kind
    name: str

    @property
    def recipe(self) -> str:
        """Name of its recipe; empty if the slot has none."""
        return snake(self.name) if self.kind.recipe.is_file() else ""

    @property
    def commands(self) -> list[str]:
        """What to try."""
        words = {"name": self.name, "short": short(self.name, self.kind.slot), "recipe": self.recipe}
        return [command.format(**words) for command in self.kind.commands]


def write_plugin(folder: Path, kinds: Sequence[str], names: Sequence[str] = ()) -> list[Path]:
    """Writes a distribution whose tests pass as it is; nothing is left of one that could not be finished.

    Args:
        folder: where; it may not be there yet, and its name becomes that of the package.
        kinds: a slot for each component.
        names: a class name for each of them; without any, folder and slot together.

    Returns:
        The files, in their order.

    Raises:
        PluginError: if the folder is there or cannot be written, or a name or kind will not do.
    """
    package = _package(folder)
    parts = _parts(package, kinds, names)
    if folder.exists():
        raise PluginError(f"{folder} exists already. Choose another folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pathfuse-") as building:
            _write(Path(building) / "new", package, parts)
            shutil.move(Path(building) / "new", folder)
    except OSError as error:
        why = error.strerror or str(error)
        raise PluginError(f"{folder} cannot be written ({why}). Choose another folder.") from error
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write(folder: Path, package: str, parts: Sequence[Part]) -> None:
    environment = Environment(  # plain text, no page: nothing has to be escaped
        loader=FileSystemLoader(SKELETON), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    facts = {"package": package, "distribution": package.replace("_", "-"), "parts": parts, "api": API,
             "imports": _imports(package, parts)}  # fmt: skip
    texts = {target: environment.get_template(name).render(facts) for name, target in FILES.items()}
    texts[f"{package}/__init__.py"] = '"""Components for pathfuse."""\n'
    for part in parts:
        texts[f"{package}/{part.kind.slot}.py"] = part.kind.named(part.kind.source.read_text("utf-8"), part.name)
        if part.recipe:
            recipe = part.kind.named(part.kind.recipe.read_text("utf-8"), part.name)
            texts[f"{package}/recipes/{part.recipe}.yaml"] = recipe
    for target, text in texts.items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _imports(package: str, parts: Sequence[Part]) -> list[str]:
    """What the tests import, in the order and within the width that ruff wants."""
    wanted = {f"{package}.{part.kind.slot}": part.name for part in parts}
    wanted |= {"pathfuse.cli": "main", "pathfuse.registry": "components", "pathfuse.testing": "parametrize_with_checks"}
    if not any(part.recipe for part in parts):
        del wanted["pathfuse.cli"]
    lines = [f"from {module} import {name}" for module, name in sorted(wanted.items())]
    return [line if len(line) <= WIDTH else line.replace("import ", "import (\n    ") + ",\n)" for line in lines]


def _package(folder: Path) -> str:
    name = folder.resolve().name
    package = name.lower().replace("-", "_")
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", package) or keyword.iskeyword(package):
        raise PluginError(f"{name!r} cannot name a package. Write letters, digits and underscores, such as lab_fusion.")
    if len(package) > LONGEST:
        raise PluginError(f"{name} is longer than {LONGEST} letters. Choose a shorter folder.")
    if find_spec(package) is not None:
        raise PluginError(f"a package {package!r} is installed already, and this one would hide it. Rename the folder.")
    return package


def _parts(package: str, kinds: Sequence[str], names: Sequence[str]) -> list[Part]:
    for kind in kinds:
        if kind not in KINDS:
            raise PluginError(f"--kind {kind} is no slot.{did_you_mean(kind, KINDS)} Write one of {', '.join(KINDS)}.")
    twice = next((kind for kind in kinds if list(kinds).count(kind) > 1), None)
    if not kinds or twice:
        problem = f"--kind names {twice} twice" if twice else f"--kind is missing: one of {', '.join(KINDS)}"
        raise PluginError(f"{problem}. Name each kind once.")
    again = next((name for name in names if list(names).count(name) > 1), None)
    if again:
        raise PluginError(f"--name gives {again} twice. Write another for each kind.")
    if names and len(names) != len(kinds):
        raise PluginError(f"--name has {len(names)} names for {len(kinds)} kinds. Write one for each, or none.")
    chosen = names or [_class_name(package, kind) for kind in kinds]
    return [Part(KINDS[kind], _free(name, kind)) for kind, name in zip(kinds, chosen, strict=True)]


def _class_name(package: str, slot: str) -> str:
    camel = "".join(word.title() for word in package.split("_"))
    return camel if camel.endswith(slot.title()) else camel + slot.title()


def _free(name: str, slot: str) -> str:
    """The name, if it can be that of a class and nobody has registered it."""
    if not re.fullmatch(r"[A-Z]\w*", name) or not name.isascii() or keyword.iskeyword(name):
        raise PluginError(f"--name {name} cannot name a class. Write it as LabFusion.")
    if len(name) > LONGEST:
        raise PluginError(f"--name {name} is longer than {LONGEST} letters. Choose a shorter one.")
    if name in _taken(KINDS[slot].source):
        raise PluginError(f"{name} is what the file of a {slot} imports or defines already. Choose another --name.")
    owner = next((one.distribution for one in components() if (one.slot, one.name) == (slot, name)), None)
    if owner is not None:
        raise PluginError(f"{name} is already registered as {slot} by {owner}. Choose another --name.")
    return name


def _taken(source: Path) -> set[str]:
    """The names that a module binds, apart from its component."""
    bound: set[str] = set()
    for node in ast.parse(source.read_text("utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.FunctionDef):
            bound.add(node.name)
        elif isinstance(node, ast.Assign):
            bound |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return bound
