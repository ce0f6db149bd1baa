"""The sum of losses, references to stages, and the sizes on disk."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.core import (
    Column,
    DataSpec,
    ModalitySpec,
    skips_pretrained,
    stage_loader,
    stage_model,
    weighted_total,
    weights_follow,
)
from pathfuse.errors import RecipeError

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SIZES = st.none() | st.integers(1, 5000)
NUMBERS = st.builds(Column, NAMES, st.just("number"), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
CATEGORIES = st.builds(Column, NAMES, st.just("category"), categories=st.lists(NAMES, unique=True).map(tuple))
MODALITIES = st.builds(
    ModalitySpec,
    NAMES,
    st.sampled_from(["image", "patches", "features", "vector"]),
    st.integers(1, 4096),
    SIZES,
    st.none() | st.floats(0.01, 100),
    st.lists(NUMBERS | CATEGORIES, max_size=4).map(tuple),
)


@given(st.lists(MODALITIES, max_size=3), st.lists(st.tuples(NAMES, st.integers(0, 99)), max_size=4))
def test_sizes_survive_the_disk(modalities: list[ModalitySpec], classes: list[tuple[str, int]]) -> None:
    spec = DataSpec(tuple(modalities), tuple(c for c, _ in classes), tuple(n for _, n in classes))
    assert DataSpec.from_json(spec.to_json()) == spec


def test_a_column_says_how_many_entries_it_takes() -> None:
    columns = (Column("age", "number", 61.5, 11.0), Column("grade", "category", categories=("1", "2", "3")))
    assert [column.width for column in columns] == [2, 3]


def test_what_has_no_columns_is_written_without_the_word() -> None:
    table = ModalitySpec("clinical", "vector", 2, columns=(Column("age", "number", 61.5, 11.0),))
    spec = DataSpec((ModalitySpec("he", "features", 8), table), ("0",), (1,))
    he, clinical = json.loads(spec.to_json())["modalities"]
    assert list(he) == ["name", "kind", "width", "size_px", "mpp"]
    assert clinical["columns"] == [{"name": "age", "kind": "number", "mean": 61.5, "deviation": 11.0, "categories": []}]


def test_bags_and_what_a_case_has_one_of_are_told_apart() -> None:
    kinds = {kind: ModalitySpec("m", kind, 3).in_bags for kind in ("image", "patches", "features", "vector")}
    assert kinds == {"image": False, "patches": True, "features": True, "vector": False}


def test_an_unknown_modality_is_named_with_those_there_are() -> None:
    spec = DataSpec((ModalitySpec("he", "image", 3),), ("0",), (1,))
    assert spec["he"].width == 3 and spec.names == ("he",)
    with pytest.raises(KeyError, match=r"'mri'; it has he"):
        spec["mri"]


TERMS = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1)


@given(TERMS)
def test_the_total_is_the_sum_of_weight_times_term(pairs: dict[str, tuple[int, int]]) -> None:
    terms = {name: torch.tensor(float(term), requires_grad=True) for name, (term, _) in pairs.items()}
    weights = {name: float(weight) for name, (_, weight) in reversed(pairs.items())}
    total = weighted_total(terms, weights)
    assert float(total.detach()) == sum(term * weight for term, weight in pairs.values())
    total.backward()
    assert {name: float(term.grad) for name, term in terms.items()} == weights


def test_a_weight_and_a_term_need_each_other() -> None:
    one = torch.tensor(1.0)
    with pytest.raises(RecipeError, match=r"no weight for b\. The terms of this recipe are a, b"):
        weighted_total({"a": one, "b": one}, {"a": 1.0})
    with pytest.raises(RecipeError, match="no loss term is called c"):
        weighted_total({"a": one}, {"a": 1.0, "c": 1.0})
    with pytest.raises(RecipeError, match="neither head, fusion block nor objective gives a loss term"):
        weighted_total({}, {"a": 1.0})


def test_a_stage_is_resolved_within_the_innermost_loader() -> None:
    with pytest.raises(RecipeError, match="inside a recipe"):
        stage_model("stage:a")
    with stage_loader(lambda name: f"outer {name}"):  # type: ignore[arg-type, return-value]
        with stage_loader(lambda name: f"inner {name}"):  # type: ignore[arg-type, return-value]
            assert stage_model("stage:a") == "inner stage:a"
        assert stage_model("stage:a") == "outer stage:a"
    with pytest.raises(RecipeError):
        stage_model("stage:a")


def test_pretrained_weights_are_skipped_only_within_the_block() -> None:
    assert not skips_pretrained()
    with pytest.raises(ValueError), weights_follow():
        assert skips_pretrained()
        raise ValueError
    assert not skips_pretrained()
