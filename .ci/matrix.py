"""The tests in one environment per Python and extra, so that the core is proven without extras.

`make matrix`, or `python .ci/matrix.py [--python 3.12 ...] [--extra core ...] [TEST ...]`. Environments are made in
build/matrix with the pins of constraints.txt; extra `lowest` takes the lower bounds of pyproject.toml instead, on the
oldest Python. A Python that is not on this machine is skipped, and said to be.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
CORE, LOWEST, ALL = "core", "lowest", "test"
EXTRAS = (CORE, "excel", "ray", "register", "torchmil", "transformers", "wsi", ALL, LOWEST)
_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[.*?\])?\s*>=\s*(?P<version>[0-9][0-9A-Za-z.]*)")


class Cell(NamedTuple):
    """One environment: a version of Python and an extra."""

    python: str
    extra: str


def cells(pythons: Sequence[str] = PYTHONS, extras: Sequence[str] = EXTRAS) -> list[Cell]:
    """The environments; the lowest versions have wheels for the oldest Python only."""
    return [Cell(p, e) for p in pythons for e in extras if e != LOWEST or p == PYTHONS[0]]


def lowest(project: dict[str, Any]) -> list[str]:
    """A line of constraints for every lower bound of the project table, the extras' among them."""
    wanted = [*project["dependencies"], *(one for own in project["optional-dependencies"].values() for one in own)]
    found = {match["name"]: match["version"] for one in wanted if (match := _BOUND.match(one))}
    return [f"{name}=={version}" for name, version in sorted(found.items(), key=lambda item: item[0].lower())]


def requirements(project: dict[str, Any], extra: str) -> list[str]:
    """What pip installs: pathfuse with the extra, and the tools of the tests without the extras that these bring."""
    tools = [one for one in project["optional-dependencies"][ALL] if not one.startswith("pathfuse[")]
    own = "" if extra in (CORE, LOWEST) else f"[{extra}]"
    return [f".{own}", *tools]


def interpreter(python: str) -> str | None:
    """A Python of that version on this machine."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    return shutil.which(f"python{python}")


def run_cell(cell: Cell, found: str, project: dict[str, Any], tests: Sequence[str]) -> str:
    """Makes the environment, runs the tests in it, and says how that went."""
    home = ROOT / "build" / "matrix" / f"{cell.python}-{cell.extra}"
    pins = ROOT / "constraints.txt"
    if cell.extra == LOWEST:
        pins = ROOT / "build" / "matrix" / "lowest.txt"
        pins.parent.mkdir(parents=True, exist_ok=True)
        pins.write_text("\n".join(lowest(project)) + "\n", encoding="utf-8")
    python = str(home / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", str(pins)]
    # Old libraries beside newer ones of theirs warn of what is long repaired.
    warnings = ["-W", "default"] if cell.extra == LOWEST else []
    steps = [
        ("make", [found, "-m", "venv", "--clear", str(home)]),
        ("install", [*install, *requirements(project, cell.extra)]),
        ("tests", [python, "-m", "pytest", "-q", *warnings, *tests]),
    ]
    for name, command in steps:
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return f"FAILED in step {name!r}"
    return "passed"


def main() -> int:
    """Runs the chosen environments and prints a line for each; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", choices=PYTHONS, help="repeated; all")
    parser.add_argument("--extra", action="append", choices=EXTRAS, help="repeated; all")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be run")
    parser.add_argument("tests", nargs="*", default=["tests"], metavar="TEST", help="files and folders (tests)")
    chosen = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    results = {}
    for cell in cells(chosen.python or PYTHONS, chosen.extra or EXTRAS):
        found = interpreter(cell.python)
        if found is None:
            results[cell] = f"skipped: this machine has no python{cell.python}"
        elif chosen.dry_run:
            results[cell] = f"would be run with {found}"
        else:
            results[cell] = run_cell(cell, found, project, chosen.tests)
    for cell, result in results.items():
        print(f"Python {cell.python}, {cell.extra:<8} {result}")
    return any(result.startswith("FAILED") for result in results.values())


if __name__ == "__main__":
    sys.exit(main())
