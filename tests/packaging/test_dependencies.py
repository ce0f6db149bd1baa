"""What is imported is declared, what is declared is imported, and every lower bound says why."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from benchmarks.code.import_graph import python_files, statements
from tests.conftest import PROJECT_ROOT

KNOWN = packages_distributions()  # module to those who bring it
TEXT = (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
CONSTRAINTS = (PROJECT_ROOT / "constraints.txt").read_text(encoding="utf-8")
EXTRAS = (
    "excel",
    "ray",
    "register",
    "test",
    "torchmil",
    "transformers",
    "wsi",
)  # of which the framework imports something, where it is there
# Distributions that bring what is used without an import of their name.
WITHOUT_IMPORT = {
    "openslide-bin": "the library behind openslide",
    "torchmil": "imported by name, so that the message can say which extra is missing",
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    """The distributions of some requirements, without pathfuse's own extras."""
    found = {normal(re.split(r"[\[<>=!~ ;]", one)[0]) for one in requirements}
    return found - {"pathfuse"}


def imported(files: list[Path]) -> dict[str, set[str]]:
    """Distribution that is imported to the files that do; of a module that nobody installed, the module's name."""
    found: dict[str, set[str]] = {}
    for path in files:
        for module, _ in statements(path):
            top = module.split(".")[0]
            if top and top not in sys.stdlib_module_names and not top.startswith("pathfuse"):
                for distribution in KNOWN.get(top, [top]):
                    found.setdefault(normal(distribution), set()).add(path.relative_to(PROJECT_ROOT).as_posix())
    return found


CORE = names(PROJECT["dependencies"])
OPTIONAL = {name for extra in EXTRAS for name in names(PROJECT["optional-dependencies"][extra])}
FILES = python_files(PROJECT_ROOT)


def test_what_the_framework_and_its_plug_ins_import_is_declared() -> None:
    strange = {name: files for name, files in imported(FILES).items() if name not in CORE | OPTIONAL}
    assert not strange, "declare it in pyproject.toml with a lower bound and its reason"


def test_what_is_declared_is_imported() -> None:
    assert CORE | OPTIONAL >= set(WITHOUT_IMPORT)
    asked = {*imported(FILES), *WITHOUT_IMPORT, *names(PROJECT["optional-dependencies"]["test"])}
    assert CORE | OPTIONAL <= asked


def test_every_requirement_has_a_lower_bound_and_the_line_says_why() -> None:
    every = [*PROJECT["dependencies"], *(one for own in PROJECT["optional-dependencies"].values() for one in own)]
    lines = [line for line in TEXT.splitlines() if '"' in line]
    for requirement in every:
        if requirement.startswith("pathfuse["):
            continue
        version = re.search(r">=([\d.]+)", requirement)
        assert version, f"{requirement} has no lower bound"
        (line,) = {line.strip() for line in lines if f'"{requirement}"' in line and "requires" not in line}
        reason = line.partition("#")[2]
        release = ".".join(version[1].split(".")[:2])
        assert release in reason or "as above" in reason, f"{line} gives no reason"


def test_every_requirement_is_pinned_within_its_range() -> None:
    pinned = {normal(name): version for name, version in re.findall(r"^([\w.-]+)==(.+)$", CONSTRAINTS, re.MULTILINE)}
    every = [*PROJECT["dependencies"], *(one for own in PROJECT["optional-dependencies"].values() for one in own)]
    for requirement in every:
        bound = re.match(r"([\w.-]+)(?:\[.*?\])?>=([\d.]+)", requirement)
        if bound and not requirement.startswith("pathfuse["):
            assert normal(bound[1]) in pinned, f"{bound[1]} is not pinned in constraints.txt"
            assert numbers(pinned[normal(bound[1])]) >= numbers(bound[2])


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
