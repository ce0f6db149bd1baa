import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.code.code_size import code_lines, functions, repeated_runs
from benchmarks.code.import_graph import (
    arrows,
    circles,
    folder_sizes,
    imported,
    module_graph,
    python_files,
    room_graph,
)
from benchmarks.code.structure import figures, table

ROOT = Path(__file__).resolve().parents[3]
LONG = "def long():\n" + "    x = 1\n" * 45
BRANCHED = "def branched(x):\n" + "".join(f"    if x == {n}:\n        return {n}\n" for n in range(11))
SAID = "".join(f"value_{n} = {n}\n" for n in range(7))
TREE = {
    "pathfuse/__init__.py": '"""The door."""\n',
    "pathfuse/errors.py": '"""Errors.\n\nOf two lines."""\n\n\nclass Wrong(Exception):  # of a user\n    pass\n',
    "pathfuse/core/__init__.py": "from pathfuse.core.batch import Batch\nfrom . import spec\n",
    "pathfuse/core/batch.py": "from __future__ import annotations\n\nfrom pathfuse import errors\n\nclass Batch: ...\n",
    "pathfuse/core/spec.py": (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from ..data.load import load\n" + SAID
    ),
    "pathfuse/data/__init__.py": "",
    "pathfuse/data/load.py": "def load():\n    import pathfuse.core.spec\n\n    return pathfuse.core.spec\n" + SAID,
    "plugins/pathfuse_own/own.py": "from pathfuse.core import Batch\n\n" + LONG + "\n\n" + BRANCHED,
    "plugins/other/not_ours.py": LONG,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_every_import_is_an_arrow_also_for_typing_inside_functions_and_relative(tree: Path) -> None:
    assert module_graph(tree) == {
        "pathfuse": set(),
        "pathfuse.errors": set(),
        "pathfuse.core": {"pathfuse.core.batch", "pathfuse.core.spec"},
        "pathfuse.core.batch": {"pathfuse.errors"},
        "pathfuse.core.spec": {"pathfuse.data.load"},
        "pathfuse.data": set(),
        "pathfuse.data.load": {"pathfuse.core.spec"},
    }
    assert arrows(module_graph(tree)) == 5


def test_rooms_are_the_folders_and_files_below_the_framework(tree: Path) -> None:
    rooms = room_graph(module_graph(tree))
    assert rooms == {"__init__": set(), "errors": set(), "core": {"errors", "data"}, "data": {"core"}}


def test_a_circle_is_found_with_all_that_are_in_it() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}, "g": set[str]()}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]


def test_circles_of_modules_and_of_rooms_are_found(tree: Path) -> None:
    assert circles(module_graph(tree)) == [["pathfuse.core.spec", "pathfuse.data.load"]]
    assert circles(room_graph(module_graph(tree))) == [["core", "data"]]


def test_names_that_are_imported_at_the_top_only_leave_out_the_rest(tree: Path) -> None:
    path = tree / "pathfuse/data/load.py"
    assert imported(path) == {"pathfuse.core.spec"} and imported(path, top_only=True) == set()


def test_files_are_counted_by_folder_without_the_init(tree: Path) -> None:
    assert folder_sizes(tree) == {"pathfuse/core": 2, "pathfuse": 1, "pathfuse/data": 1}
    assert [path.name for path in python_files(tree)][-1] == "own.py"


def test_comments_docstrings_and_blank_lines_are_no_code(tree: Path) -> None:
    assert code_lines(tree / "pathfuse/errors.py") == [(6, "class Wrong(Exception):"), (7, "pass")]


def test_a_hash_in_a_string_is_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "text.py"
    path.write_text('title = "# pathfuse"  # what a page begins with\nnext  =  """\n# inside\n"""\n')
    assert [line for _, line in code_lines(path)][1:] == ['next = """', "# inside", '"""']
    assert code_lines(path)[0][1].startswith('title = "# pathfuse"')


def test_lines_and_branches_of_functions_are_counted(tree: Path) -> None:
    found = {one.name: (one.lines, one.complexity) for one in functions(tree / "plugins/pathfuse_own/own.py")}
    assert found == {"long": (46, 1), "branched": (23, 12)}


def test_runs_of_lines_that_stand_in_two_files_are_found_once_per_place(tree: Path) -> None:
    repeated = repeated_runs([tree / "pathfuse/core/spec.py", tree / "pathfuse/data/load.py"])
    assert len(repeated) == 2
    assert repeated[tuple(f"value_{n} = {n}" for n in range(6))] == [
        (tree / "pathfuse/core/spec.py", 5),
        (tree / "pathfuse/data/load.py", 5),
    ]


def test_the_figures_of_a_tree_are_those_that_one_counts_by_hand(tree: Path) -> None:
    found = figures(tree)
    expected = {
        "files": 8,
        "lines of the largest file": 73,
        "folders of the framework": 3,
        "files of its largest folder": 2,
        "its folders of more than 16 files": 0,
        "arrows between rooms": 3,
        "modules in circles": 2,
        "rooms in circles": 2,
        "functions": 3,
        "functions of more than 40 lines": 1,
        "functions above complexity 10": 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_before_and_after_stand_side_by_side_with_the_change() -> None:
    assert table({"files": 90, "circles": 0, "rooms": 3}, {"files": 1200, "circles": 0, "rooms": 0}).splitlines() == [
        "|  | before | after | change |",
        "| --- | --: | --: | --: |",
        "| files | 1,200 | 90 | -1,110 (-92%) |",
        "| circles | 0 | 0 | 0 |",
        "| rooms | 0 | 3 | +3 |",
    ]
    assert table({"files": 90}).splitlines()[0] == "|  | now |"


def test_the_command_prints_the_table_and_names_what_is_behind_it(tree: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.code.structure", str(tree), "--against", str(tree), "--names"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "| files | 8 | 8 | 0 |" in said
    assert "circle of rooms: core, data" in said
    assert "plugins/pathfuse_own/own.py:3 long: 46 lines, complexity 1" in said
    assert "said 2 times: value_0 = 0 ... (pathfuse/core/spec.py:5, pathfuse/data/load.py:5)" in said
    missing = subprocess.run([*command[:3], str(tree / "pathfuse")], cwd=ROOT, capture_output=True, text=True)
    assert missing.returncode == 2 and "has no folder pathfuse. Name a checkout." in missing.stderr
