"""Laws of laying recipes over each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.errors import RecipeError
from pathfuse.recipes import compose, find_recipe, recipe_files
from pathfuse.recipes.compose import ONLY_STAGE, forget_replaced, merge, sort_overrides, split_stages

KEYS = st.sampled_from(["a", "b", "c"])
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.text("xy", max_size=2)
    | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(KEYS, PLAIN, max_size=3)


def leaves(config: object, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    if not isinstance(config, dict) or not config:
        return {place: config}
    return {key: value for name, inner in config.items() for key, value in leaves(inner, (*place, name)).items()}


@given(MAPPINGS)
def test_nothing_laid_on_changes_nothing(config: dict[str, Any]) -> None:
    assert merge(config, {}) == config == merge({}, config)


@given(MAPPINGS)
def test_laying_a_recipe_on_itself_changes_nothing(config: dict[str, Any]) -> None:
    assert merge(config, config) == config


@given(MAPPINGS, MAPPINGS)
def test_every_leaf_of_the_later_recipe_wins(base: dict[str, Any], over: dict[str, Any]) -> None:
    merged = leaves(merge(base, over))
    for place, value in leaves(over).items():
        if value != {}:
            assert merged[place] == value
    for place, value in merged.items():
        assert value in (leaves(over).get(place, object()), leaves(base).get(place, object())) or place == ()


@given(MAPPINGS, MAPPINGS)
def test_merging_leaves_its_arguments_alone_and_shares_nothing(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = yaml.safe_dump([base, over])
    merged = merge(base, over)

    def wreck(block: object) -> None:
        if isinstance(block, dict):
            for inner in block.values():
                wreck(inner)
            block["wrecked"] = True
        elif isinstance(block, list):
            block.append("wrecked")

    wreck(merged)
    assert yaml.safe_dump([base, over]) == before


@given(st.lists(st.dictionaries(KEYS, st.dictionaries(KEYS, st.integers()), max_size=3), min_size=3, max_size=3))
def test_laying_on_is_associative_where_mappings_stay_mappings(parts: list[dict[str, Any]]) -> None:
    a, b, c = parts
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


def test_another_class_drops_the_options_of_the_one_it_replaces() -> None:
    base = {"head": {"class_path": "A", "init_args": {"x": 1}}}
    assert merge(base, {"head": {"class_path": "B"}}) == {"head": {"class_path": "B"}}
    assert merge(base, {"head": {"class_path": "A", "init_args": {"y": 2}}})["head"]["init_args"] == {"x": 1, "y": 2}
    assert merge(base, {"head": {"init_args": {"x": 3}}})["head"] == {"class_path": "A", "init_args": {"x": 3}}


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("--model.head=B", False),
        ("--model.head=A", True),
        ("--model.head.class_path=B", False),
        ("--model.head.x=3", True),
        ("--model.other=B", True),
        ('--model.head={"class_path": "A"}', True),
    ],
)
def test_a_word_that_names_another_class_drops_the_options_too(word: str, left: bool) -> None:
    config = {"model": {"head": {"class_path": "A", "init_args": {"x": 1}}}}
    forget_replaced(config, [word])
    assert ("head" in config["model"]) == left


@given(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, unique=True), st.integers(0, 9))
def test_shared_keys_reach_every_stage_and_own_keys_one(names: list[str], seed: int) -> None:
    stages = {name: {"trainer": {"max_epochs": number}} for number, name in enumerate(names)}
    split = split_stages({"seed": seed, "trainer": {"devices": 1}, "stages": stages}, "x")
    assert list(split) == names
    for number, name in enumerate(names):
        assert split[name] == {"seed": seed, "trainer": {"devices": 1, "max_epochs": number}}


def test_a_recipe_of_one_stage_needs_no_stages_key() -> None:
    assert split_stages({"seed": 3, "model": {"x": 1}}, "x") == {ONLY_STAGE: {"seed": 3, "model": {"x": 1}}}


@given(st.permutations([("cohort.cases", "X"), ("seed", "3"), ("one.model.x", "1"), ("two.trainer.y", "2")]))
def test_overrides_go_to_their_stage_in_the_order_they_were_written(options: list[tuple[str, str]]) -> None:
    words = sort_overrides(options, ["one", "two"])
    order = [key for key, _ in options]
    for stage, own in (("one", "one.model.x"), ("two", "two.trainer.y")):
        expected = [key.removeprefix(f"{stage}.") for key in order if key in ("cohort.cases", "seed", own)]
        assert [word.removeprefix("--").partition("=")[0] for word in words[stage]] == expected


@pytest.mark.parametrize("key", ["model.x", "optimizer", "optimizer.lr", "lr_scheduler"])
def test_an_override_without_its_stage_is_refused_with_the_names(key: str) -> None:
    with pytest.raises(RecipeError, match=rf"--one\.{key} or --two\.{key}"):
        sort_overrides([(key, "1")], ["one", "two"])
    assert sort_overrides([(key, "1")], ["one"]) == {"one": [f"--{key}=1"]}


SOURCES = st.sampled_from([None, "", "X"])


@settings(max_examples=60)
@given(
    in_recipe=st.dictionaries(st.sampled_from(["stores", "cases"]), st.none() | st.just("X")),
    in_stage=st.dictionaries(st.sampled_from(["stores", "cases"]), st.none() | st.just("X")),
    word=st.none()
    | st.sampled_from(
        [("cohort.cases", "X"), ("cohort.stores", "X"), ("two.cohort.cases", "X"), ("cohort.cases", "null")]
    ),
)
def test_the_demo_layer_applies_itself_if_and_only_if_there_is_no_source(
    tmp_path_factory: pytest.TempPathFactory, in_recipe: dict[str, Any], in_stage: dict[str, Any], word: Any
) -> None:
    path = tmp_path_factory.mktemp("demo") / "x.yaml"
    config = {
        "cohort": in_recipe,
        "data": {"class_path": "PairedPatches"},
        "stages": {"one": {"seed": 1}, "two": {"cohort": in_stage}},
        "layers": {"demo": {"seed": 99}, "other": {"seed": 98}},
    }
    path.write_text(yaml.safe_dump(config))
    recipe = compose([path], [], [word] if word else [])
    has_source = "X" in (*in_recipe.values(), *in_stage.values(), word and word[1])
    assert recipe.layers == (() if has_source else ("demo",))
    assert (recipe.stages["two"].get("seed") == 99) != has_source
    assert bool(recipe.notes) != has_source


def write(folder: Path, name: str, **config: object) -> Path:
    (folder / name).write_text(yaml.safe_dump(config))
    return folder / name


def test_later_recipes_and_layers_win(tmp_path: Path) -> None:
    source = {"cases": "X"}
    first = write(tmp_path, "a.yaml", cohort=source, seed=1, model={"x": 1, "y": 1}, layers={"big": {"seed": 5}})
    second = write(tmp_path, "b.yaml", seed=2, model={"y": 2})
    assert compose([first, second], [], []).stages[ONLY_STAGE] == {
        "cohort": source,
        "seed": 2,
        "model": {"x": 1, "y": 2},
    }
    assert compose([second, first], [], []).stages[ONLY_STAGE]["seed"] == 1
    assert compose([first, second], ["big"], []).stages[ONLY_STAGE]["seed"] == 5
    assert compose([first, second], [], []).name == "b"


def test_an_unknown_layer_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", seed=1, layers={"demo": {}, "big": {}})
    with pytest.raises(RecipeError, match="has no layer 'bug'; it has big, demo"):
        compose([path], ["bug"], [])


class TestFind:
    def test_a_file_comes_before_a_name_and_a_folder_before_a_package(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "mine"
        folder.mkdir()
        mine = write(folder, "corranet.yaml", seed=1)
        shipped = find_recipe("corranet")
        assert shipped != mine and find_recipe("corranet.yaml") == shipped
        monkeypatch.setenv("PATHFUSE_RECIPES", str(folder))
        assert find_recipe("corranet") == mine
        assert find_recipe("pathfuse:corranet") == shipped
        monkeypatch.chdir(tmp_path)
        here = write(tmp_path, "corranet.yaml", seed=2)
        assert find_recipe("corranet.yaml").resolve() == here

    def test_the_title_is_the_first_comment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "x.yaml").write_text("# What it is.\n# More.\nseed: 1\n")
        (tmp_path / "y.yaml").write_text("seed: 1\n")
        monkeypatch.setenv("PATHFUSE_RECIPES", str(tmp_path))
        titles = {recipe.name: recipe.title for recipe in recipe_files()}
        assert titles["x"] == "What it is." and titles["y"] == ""

    def test_a_wrong_name_gets_a_guess(self) -> None:
        with pytest.raises(RecipeError, match="Did you mean corranet"):
            find_recipe("coranet")
