"""The examples of the gallery name what is there: recipes, keys, commands and options. `make docs` runs them."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.cli.text import COMMANDS, details_of
from pathfuse.inference.model import as_word
from pathfuse.recipes import compose, find_recipe
from pathfuse.training.plan import TrainingPlan
from tests.conftest import PROJECT_ROOT

EXAMPLES = sorted((PROJECT_ROOT / "docs" / "gallery").glob("*.py"))
OF_FIT = ("cases", "stores", "label", "folds", "out", "layers", "resume", "quiet")
ASKED = (
    "clinical_column", "compare_recipes", "confidence", "heat_maps", "missing_stain", "own_backbone", "own_data_module",
    "resolution", "study_on_ray", "trident_features", "tutorial", "two_slides",
)  # fmt: skip
examples = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)


def calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    """Calls of a function or method of that name, in their order."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in sorted(found, key=lambda call: call.lineno):
        if (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) == name:
            yield node


def words_of(node: ast.expr, named: dict[str, ast.expr]) -> list[str]:
    """The words of a command, with lists that have a name; what is only known when it runs is left empty."""
    if isinstance(node, ast.BinOp):
        return words_of(node.left, named) + words_of(node.right, named)
    if isinstance(node, ast.Starred) and isinstance(node.value, ast.Name):
        return words_of(named[node.value.id], named)
    if isinstance(node, ast.List):
        return [word for item in node.elts for word in words_of(item, named)]
    return [node.value if isinstance(node, ast.Constant) else ""]


def test_every_question_has_an_example() -> None:
    assert tuple(example.stem for example in EXAMPLES) == ASKED


@examples
def test_an_example_says_what_it_asks_and_how_long_it_takes_and_ends_in_a_picture(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    title, underline, _, question, *_ = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert len(underline) == len(title) and question
    seconds = re.search(r"^Runs in about (\d+) seconds\.$", text, re.MULTILINE)
    assert seconds and int(seconds[1]) < 180
    assert "plt.subplots(" in text or re.search(r"\.(svg|png)\"\)", text)


@examples
def test_recipes_and_keys_of_an_example_exist(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    tree = ast.parse(example.read_text(encoding="utf-8"))
    define_classes(tree, f"classes_of_{example.stem}")
    for call in calls(tree, "write_text"):
        if isinstance(call.args[0], ast.Constant) and isinstance(call.func, ast.Attribute):
            Path(call.func.value.args[0].value).write_text(call.args[0].value)
    for call in calls(tree, "fit"):
        said = {key.arg: ast.literal_eval(key.value) for key in call.keywords if key.arg not in OF_FIT}
        layers = [ast.literal_eval(key.value) for key in call.keywords if key.arg == "layers"]
        options = [(str(key).replace("__", "."), as_word(value)) for key, value in said.items()]
        TrainingPlan.parse(compose([find_recipe(ast.literal_eval(call.args[0]))], layers[0] if layers else [], options))


def define_classes(tree: ast.Module, name: str) -> None:
    kept = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)]
    module = sys.modules.setdefault(name, types.ModuleType(name))
    exec(compile(ast.Module(kept, []), name, "exec"), vars(module))


@examples
def test_commands_of_an_example_exist(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree = ast.parse(example.read_text(encoding="utf-8"))
    lists = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)]
    named = {target.id: node.value for node in lists for target in node.targets if isinstance(target, ast.Name)}
    for command, *words in (words_of(call.args[0], named) for call in calls(tree, "main")):
        assert command in COMMANDS
        if command == "fit":
            assert main(["fit", *words, "--print_config"]) == 0
        for option in (word for word in words if word.startswith("--") and "." not in word):
            assert re.search(rf"{re.escape(option)}\b", details_of(command)), f"{command} {option}"
        if command == "study":
            file, text = next((call.func.value.args[0].value, call.args[0].value) for call in calls(tree, "write_text"))
            Path(file).parent.mkdir()
            Path(file).write_text(text)
            at = words.index("--cases") if "--cases" in words else len(words)  # a cohort that an earlier block writes
            assert main([command, *words[:at], *words[at + 2 :], "--dry-run"]) == 0
