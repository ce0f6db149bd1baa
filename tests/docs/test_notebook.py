"""The notebook of ten cells runs, cell by cell, in one session."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT_ROOT

NOTEBOOK = PROJECT_ROOT / "docs" / "notebook.ipynb"


def cells() -> list[str]:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


def run_cell(text: str, session: dict[str, Any]) -> Any:
    """What a notebook shows of a cell: its last expression."""
    tree = ast.parse(text)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), session)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), session) if isinstance(last, ast.Expr) else None


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PATHFUSE_RUN", raising=False)
    session: dict[str, Any] = {}
    shown = [run_cell(text, session) for text in cells()]
    assert len(shown) == 10
    assert shown[1] == Path("runs/two_stains") and shown[2][0] == ("he", "ihc")
    assert len(shown[4]) == 2 and "<table>" in shown[4]._repr_html_()
    assert shown[5][0].sum(1) == pytest.approx([1, 1])
    assert shown[6]["given"] == "he" and (tmp_path / "alone.csv").is_file()
    assert shown[7][0] == 2
    assert all((tmp_path / "maps" / name).is_file() for own in shown[8].values() for name in own.values())
    assert [len(table) for table in shown[9]] == [1, 2]
