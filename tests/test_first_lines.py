"""The first line of a module names the thing: no question, and no riddle that begins like one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from benchmarks.code.import_graph import python_files

ROOT = Path(__file__).resolve().parents[1]
FILES = [*python_files(ROOT), *sorted((ROOT / "benchmarks").rglob("*.py")), *sorted((ROOT / ".ci").glob("*.py"))]
ASKS = re.compile(r"(What|Where|How|Which|Who|Whose|Whether|When|Why)\b")


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_begins_with_the_name_of_the_thing(path: Path) -> None:
    line = first_line(path)
    assert line, "say in one line what this module is"
    assert not line.endswith("?") and not ASKS.match(line)
