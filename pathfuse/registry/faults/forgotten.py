"""Classes in the source of an installed plug-in that no entry point names."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from pathfuse.registry.metadata import OWN, every

BASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "backbone": ("Backbone",),
        "input": ("ImageInput",),
        "encoder": ("Encoder",),
        "fusion": ("Fusion",),
        "head": ("Head",),
        "objective": ("Objective",),
        "explainer": ("Explainer",),
        "data": ("CaseData", "SampleData"),
        "metric": ("Metric",),
        "reader": ("SlideReader",),
        "tissue": ("Tissue",),
        "normaliser": ("Normaliser",),
        "store": ("Store",),
        "registration": ("Registration",),
    }
)
"""Per slot, how the classes are called of which its components are subclasses; asking for it imports none of them."""


def forgotten(name: str) -> str:
    """One line on a class of an installed plug-in that no entry point names; empty if there is none.

    Sources are parsed, and nothing is imported.

    Args:
        name: of the class.
    """
    foreign = [one for one in every() if one.owner != OWN]
    packages = {one.entry.value.partition(":")[0].partition(".")[0] for one in foreign}
    for package in sorted(packages):
        for file, module in _sources(package):
            if slot := _slot(_bases_in(file, name)):
                return (
                    f"{name} is a class of {module}, which names it in no entry point. Add it to pyproject.toml under "
                    f'[project.entry-points."pathfuse.{slot}"] as {name} = "{module}:{name}", and install it again.'
                )
    return ""


def _slot(bases: set[str]) -> str:
    ends = ((slot, end) for slot, known in BASES.items() for end in known)
    return next((slot for slot, end in ends if any(base.endswith(end) for base in bases)), "")


def _sources(package: str) -> Iterator[tuple[Path, str]]:
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return
    if spec and spec.origin and not spec.submodule_search_locations:
        yield Path(spec.origin), package
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(place).rglob("*.py")):
            parts = file.relative_to(place).with_suffix("").parts
            yield file, ".".join((package, *(part for part in parts if part != "__init__")))


def _bases_in(file: Path, name: str) -> set[str]:
    """Names of the bases of a class in a file; none if it is not there."""
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text) if f"class {name}" in text else None
    except (OSError, UnicodeDecodeError, SyntaxError):
        return set()
    for node in tree.body if tree else []:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
    return set()
