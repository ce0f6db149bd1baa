import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pathfuse

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def of_the_page() -> list[str]:
    table = PAGE.partition("| name | what it is |")[2].partition("\n## ")[0]
    return [
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]


def of_type_checkers() -> dict[str, str]:
    """Name to module of the imports that only type checkers run."""
    tree = ast.parse((ROOT / "pathfuse" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in found for alias in node.names}


def test_the_page_lists_exactly_the_public_names() -> None:
    assert sorted(of_the_page()) == sorted(pathfuse.__all__) == sorted(set(of_the_page()))


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    homes = {name: module for module, names in pathfuse._HOME.items() for name in names}
    assert of_type_checkers() == homes
    assert sorted([*homes, "__version__"]) == sorted(pathfuse.__all__)


@pytest.mark.parametrize("name", pathfuse.__all__)
def test_a_public_name_is_there_documented_and_shown_by_dir(name: str) -> None:
    found = getattr(pathfuse, name)
    assert name in dir(pathfuse)
    assert found.__doc__
    if name in of_type_checkers():
        module = import_module(of_type_checkers()[name])
        assert found is getattr(module, name)


def test_a_name_that_is_not_there_is_an_error_that_offers_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"module 'pathfuse' has no attribute 'laod'\. Did you mean load\?"):
        pathfuse.laod  # type: ignore[attr-defined] # noqa: B018


def test_importing_pathfuse_and_listing_its_names_imports_nothing_heavy() -> None:
    code = (
        "import sys, pathfuse; dir(pathfuse); pathfuse.__version__; pathfuse.PathfuseError; "
        "from pathfuse import errors; "
        "print(sorted({'torch', 'numpy', 'lightning', 'pytest'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
