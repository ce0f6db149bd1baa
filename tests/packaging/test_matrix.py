"""The environments of `make matrix` and of the workflow are the same, and cover what pyproject.toml promises."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from types import ModuleType

import pytest
import yaml

from tests.conftest import PROJECT_ROOT

PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOW = yaml.safe_load((PROJECT_ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix", PROJECT_ROOT / ".ci" / "matrix.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_extra_has_an_environment_of_its_own(matrix: ModuleType) -> None:
    for_users = set(PROJECT["optional-dependencies"]) - {"test", "lint", "hooks", "bench", "docs"}
    assert set(matrix.EXTRAS) == for_users | {"core", "lowest", "test"}
    assert PROJECT["requires-python"] == f">={matrix.PYTHONS[0]}"


def test_the_workflow_runs_the_same_environments(matrix: ModuleType) -> None:
    wanted = WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]
    found = {(python, extra) for python in wanted["python"] for extra in wanted["extra"]}
    found |= {(one["python"], one["extra"]) for one in wanted["include"]}
    assert found == set(matrix.cells())
    assert len(matrix.cells()) == 25


def test_every_make_target_of_the_workflow_exists() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    steps = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]
    targets = [step.removeprefix("make ") for step in steps if step.startswith("make ")]
    assert sorted(targets) == ["docs", "lint"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_core_is_installed_without_any_extra(matrix: ModuleType) -> None:
    core = matrix.requirements(PROJECT, "core")
    assert core[0] == "." and not [one for one in core if "pathfuse[" in one or "ray" in one]
    assert matrix.requirements(PROJECT, "lowest") == core
    assert matrix.requirements(PROJECT, "ray") == [".[ray]", *core[1:]]


def test_the_lowest_versions_are_the_lower_bounds_of_all_requirements(matrix: ModuleType) -> None:
    project = {
        "dependencies": ["numpy>=1.26", "jsonargparse[signatures]>=4.52,<5"],
        "optional-dependencies": {"wsi": ["openslide-bin>=4.0.0.6"], "test": ["pathfuse[wsi]"]},
    }
    assert matrix.lowest(project) == ["jsonargparse==4.52", "numpy==1.26", "openslide-bin==4.0.0.6"]
    assert {"torch==2.6", "ray==2.40", "scipy==1.11.2"} <= set(matrix.lowest(PROJECT))


def test_a_python_that_is_absent_is_skipped_and_said_to_be(matrix: ModuleType, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["matrix", "--extra", "core", "--dry-run"])
    assert matrix.main() == 0
    lines = capsys.readouterr().out.splitlines()
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python, line in zip(matrix.PYTHONS, lines, strict=True):
        assert (f"would be run with {sys.executable}" if python == own else f"has no python{python}") in line


def test_a_step_that_fails_is_named_and_the_status_is_1(matrix: ModuleType, monkeypatch, capsys) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own not in matrix.PYTHONS:
        pytest.skip(f"Python {own} has no place in the matrix")
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1 if "pip" in command else 0)

    monkeypatch.setattr(matrix.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["matrix", "--python", own, "--extra", "ray", "tests/core"])
    assert matrix.main() == 1
    assert f"Python {own}, ray      FAILED in step 'install'" in capsys.readouterr().out
    assert len(commands) == 2 and ".[ray]" in commands[1]
