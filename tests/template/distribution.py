"""A generated plug-in as pip would lay it down: its package, and metadata made of its pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path


def install(source: Path, api: str | None = "1.0", name: str | None = None, version: str | None = None) -> None:
    """Puts the metadata of a distribution beside its package; `source` then goes onto the path."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    called, release = name or project["name"], version or project["version"]
    groups = {**project["entry-points"], "pathfuse.api": {} if api is None else {api: source.name}}
    info = source / f"{called.replace('-', '_')}-{release}.dist-info"
    info.mkdir()
    facts = f"Name: {called}\nVersion: {release}\nLicense-Expression: {project['license']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\n{facts}", encoding="utf-8")
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in own.items()) for group, own in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
