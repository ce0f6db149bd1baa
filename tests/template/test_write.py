"""A new plug-in of every kind: complete, under its own names, and its tests pass as they are."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import pathfuse
from pathfuse.cli import main
from pathfuse.errors import PluginError
from pathfuse.registry import REGISTRIES
from pathfuse.template import KINDS, write_plugin
from pathfuse.testing.example import SLOTS
from tests.template.distribution import install

RUFF = Path(sys.executable).with_name("ruff")


def python(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=1200
    )


def test_every_slot_of_the_registry_has_its_kind() -> None:
    assert list(KINDS) == [registry.slot for registry in REGISTRIES] and set(KINDS) == set(SLOTS)


def test_the_tests_of_every_kind_pass_as_generated(tmp_path: Path) -> None:
    folder = tmp_path / "lab_all"
    write_plugin(folder, list(KINDS))
    install(folder)
    done = python("-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", folder=folder)
    assert done.returncode == 0, done.stdout
    count = re.search(r"(\d+) passed", done.stdout)
    assert count and int(count[1]) > 150 and "skipped" not in done.stdout


@pytest.mark.parametrize("slot", KINDS)
def test_a_distribution_of_one_kind_is_complete_and_speaks_of_itself_alone(slot: str, tmp_path: Path) -> None:
    folder = tmp_path / f"lab-{slot}"
    files = {path.relative_to(folder).as_posix() for path in write_plugin(folder, [slot])}
    package, name = f"lab_{slot}", f"Lab{slot.title()}"
    recipes = {f"{package}/recipes/{package}.yaml"} if KINDS[slot].recipe.is_file() else set()
    code = {f"{package}/__init__.py", f"{package}/{slot}.py", "tests/test_contract.py"}
    assert files == {"pyproject.toml", "README.md", ".gitignore", ".github/workflows/test.yml", *code, *recipes}
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"lab-{slot}" and project["entry-points"]["pathfuse.api"] == {"1.0": package}
    assert project["entry-points"][f"pathfuse.{slot}"] == {name: f"{package}.{slot}:{name}"}
    assert ("pathfuse.recipes" in project["entry-points"]) == bool(recipes) == bool(KINDS[slot].small)
    classes = [node.name for node in ast.parse((folder / package / f"{slot}.py").read_text()).body
               if isinstance(node, ast.ClassDef)]  # fmt: skip
    assert name in classes
    for file in files:
        text = (folder / file).read_text()
        assert not re.search(r"Tiny|tiny_|tinyformat|\{%|(?<!\$)\{\{", text), file
        assert text.endswith("\n") and not text.endswith("\n\n"), file
    assert yaml.safe_load((folder / ".github/workflows/test.yml").read_text())["jobs"]["test"]["steps"]
    for recipe in recipes:
        assert name in (folder / recipe).read_text()


@pytest.mark.skipif(not RUFF.exists(), reason="ruff is not installed: make lint brings it")
@pytest.mark.parametrize("folder", ["lab", "x" * 68, "Import-LAB-2", "pathfuse_lab"])
def test_generated_files_are_as_ruff_wants_them_whatever_they_are_called(folder: str, tmp_path: Path) -> None:
    write_plugin(tmp_path / folder, list(KINDS))
    for kind in KINDS:
        write_plugin(tmp_path / kind / folder, [kind])
    for words in (["check"], ["format", "--check"]):  # each by the pyproject.toml beside it
        done = subprocess.run([RUFF, *words, "--no-cache", tmp_path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed: make lint brings it")
def test_generated_components_are_typed_as_their_pyproject_asks(tmp_path: Path) -> None:
    folder = tmp_path / "lab_typed"
    write_plugin(folder, list(KINDS))
    roots = os.pathsep.join(str(Path(pathfuse.__file__).parents[1] / name) for name in ("", "plugins"))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent"],
        cwd=folder, env={**os.environ, "MYPYPATH": roots}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_names_may_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["plugins", "new", str(tmp_path / "lab"), "--kind", "store, metric", "--name", "TsvStore, KappaAt2Plus"]
    assert main(line) == 0
    assert f"{tmp_path}/lab/lab/metric.py" in capsys.readouterr().out
    assert 'source_format, suffixes = "tsv"' in (tmp_path / "lab" / "lab" / "store.py").read_text()
    assert 'key = "kappa_at2_plus"' in (tmp_path / "lab" / "lab" / "metric.py").read_text()
    assert "select_by: kappa_at2_plus" in (tmp_path / "lab" / "lab" / "recipes" / "kappa_at2_plus.yaml").read_text()


@pytest.mark.parametrize(
    ("folder", "kinds", "names", "reason"),
    [
        ("lab", ["fusoin"], [], r"--kind fusoin is no slot\. Did you mean fusion\? Write one of backbone, "),
        ("lab", [], [], r"--kind is missing: one of backbone, .*Name each kind once"),
        ("lab", ["head", "head"], [], "--kind names head twice"),
        ("lab", ["head"], ["A", "B"], "--name has 2 names for 1 kinds"),
        ("lab", ["head"], ["lab head"], "cannot name a class"),
        ("lab", ["head", "fusion"], ["Lab", "Lab"], "--name gives Lab twice"),
        ("lab", ["head"], ["L" * 81], "is longer than 80 letters"),
        ("lab", ["head"], ["RecipeError"], "RecipeError is what the file of a head imports or defines already"),
        ("fusion", ["fusion"], [], r"Fusion is what the file of a fusion imports .* Choose another --name"),
        ("x" * 81, ["head"], [], "is longer than 80 letters. Choose a shorter folder"),
        ("lab-", ["head"], [], "'lab-' cannot name a package"),
        ("lab.head", ["head"], [], r"'lab\.head' cannot name a package"),
        ("", ["head"], [], "exists already|cannot name a package"),
        ("lab", ["fusion"], ["MeanFusion"], "MeanFusion is already registered as fusion by pathfuse"),
        ("3lab", ["head"], [], "'3lab' cannot name a package"),
        ("class", ["head"], [], "'class' cannot name a package"),
        ("torch", ["head"], [], "a package 'torch' is installed already"),
        ("there", ["head"], [], "there exists already"),
    ],
)
def test_what_will_not_do_is_one_line_and_leaves_nothing(
    folder: str, kinds: list[str], names: list[str], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(PluginError, match=reason):
        write_plugin(tmp_path / folder, kinds, names)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PluginError, match=r"lab cannot be written \(.*\)\. Choose another folder"):
        write_plugin(tmp_path / "file" / "lab", ["head"])
