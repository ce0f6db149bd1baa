"""Recipes for one stain say in their first line how to give both, and that can be followed."""

from __future__ import annotations

import re

import pytest

from pathfuse.recipes import compose, find_recipe, recipe_files
from pathfuse.recipes.plain_yaml import read_yaml


def one_stain() -> list[str]:
    """The shipped recipes whose data or model names a single stain."""
    found = []
    for recipe in recipe_files():
        content = read_yaml(recipe.path)
        named = ((content.get("data") or {}).get("init_args") or {}).get("modalities")
        single = "class_path: Single" in recipe.path.read_text(encoding="utf-8")
        if "stages" not in content and (single if named is None else len(named) == 1):
            found.append(recipe.name)
    return found


def test_there_are_some() -> None:
    assert {"attention_mil", "he_only", "ihc_only", "lowres_convnext"} <= set(one_stain())


@pytest.mark.parametrize("name", one_stain())
def test_the_first_line_says_how_to_give_both(name: str) -> None:
    first = find_recipe(name).read_text(encoding="utf-8").partition("\n")[0]
    said = re.search(r"Both stains: (.+)\.$", first)
    assert said, first
    if said[1] == "he_ihc.yaml":
        assert find_recipe("he_ihc").is_file()
        return
    key, value = re.fullmatch(r"--([\w.]+) '(.+)'", said[1]).groups()  # type: ignore[union-attr]
    recipe = compose([find_recipe(name)], [], [(key, value)])
    assert recipe.overrides["train"] == ["--data.modalities=[he, ihc]"]
    assert "modalities" in recipe.stages["train"]["data"]["init_args"]
