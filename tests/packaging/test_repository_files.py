"""The files by which a repository is cited, reported to and contributed to."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import PROJECT_ROOT

PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FORMS = sorted(path for path in (PROJECT_ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def read(path: str | Path) -> str:
    return (PROJECT_ROOT / path).read_text(encoding="utf-8")


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_for_issues_asks_questions_that_each_have_a_label(path: Path) -> None:
    form = yaml.safe_load(read(path))
    assert form["name"] and form["description"]
    asked = [one for one in form["body"] if one["type"] != "markdown"]
    assert asked and all(one["id"] and one["attributes"]["label"] for one in asked)


def test_hooks_name_programs_of_the_environment_and_targets_of_make() -> None:
    config = yaml.safe_load(read(".pre-commit-config.yaml"))
    (local,) = config["repos"]
    assert local["repo"] == "local", "a hook from elsewhere would be fetched at commit time"
    makefile = read("Makefile")
    for hook in local["hooks"]:
        program, *rest = hook["entry"].split()
        assert program == ".venv/bin/ruff" or (program == "make" and f"\n{rest[0]}:" in makefile)


def test_what_is_said_to_hold_us_to_security_is_there() -> None:
    assert "tests/security" in read("SECURITY.md") and (PROJECT_ROOT / "tests" / "security").is_dir()


def test_the_commands_of_a_contributor_are_targets_of_make() -> None:
    makefile, page = read("Makefile"), read("CONTRIBUTING.md")
    for target in ("demo", "test", "lint", "hooks", "matrix", "docs", "bench"):
        assert f"\n{target}:" in makefile
        assert f"make {target}" in page + read("README.md")


def test_no_file_of_the_repository_is_one_that_git_ignores() -> None:
    if not (PROJECT_ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    # ruff and the wheel leave out what is ignored, tracked or not.
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    found = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert found == ""
