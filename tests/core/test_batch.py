"""Batches and bags: selecting, joining and hiding leave every other case alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.core import Bags, Batch, DataSpec, ModalitySpec, SlideInfo

SPEC = DataSpec((ModalitySpec("he", "image", 3, 8), ModalitySpec("ihc", "image", 3, 8)), ("0", "1"), (2, 2))
LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=5)


def bags(lengths: list[int], first: int = 0) -> Bags:
    """Every patch is its own number, and its place is twice that."""
    values = first + torch.arange(sum(lengths), dtype=torch.float32)[:, None]
    slides = tuple((SlideInfo(f"s{first + case}"),) for case in range(len(lengths)))
    return Bags(values, torch.tensor(lengths), torch.zeros(len(values), dtype=torch.long), (2 * values).long(), slides)


def batch(lengths: list[int], first: int = 0, index: bool = True) -> Batch:
    count = len(lengths)
    images = first + torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(count, 3, 2, 2)
    present = {"he": torch.ones(count, dtype=torch.bool), "bag": torch.tensor(lengths) > 0}
    ids = tuple(f"c{first + row}" for row in range(count))
    place = torch.arange(count) if index else None
    return Batch({"he": images, "bag": bags(lengths, first)}, present, torch.arange(count) % 2, ids, ids, place)


def bag_list(packed: Bags) -> list[list[float]]:
    ends = packed.offsets.tolist()
    return [packed.values[a:b, 0].tolist() for a, b in pairwise(ends)]


@given(LENGTHS, st.data())
def test_selecting_bags_is_picking_from_a_list(lengths: list[int], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    packed = bags(lengths)
    picked = packed.select(torch.tensor(rows, dtype=torch.long))
    assert bag_list(picked) == [bag_list(packed)[row] for row in rows]
    assert picked.coords is not None and torch.equal(picked.coords, (2 * picked.values).long())
    assert picked.slides == tuple(packed.slides[row] for row in rows)
    assert int(picked.lengths.sum()) == len(picked.values) == len(picked.owner)


@given(LENGTHS, LENGTHS)
def test_joining_batches_is_joining_lists(first: list[int], second: list[int]) -> None:
    a, b = batch(first), batch(second, first=100)
    both = Batch.cat([a, b])
    assert len(both) == len(first) + len(second) and both.case_ids == a.case_ids + b.case_ids
    assert bag_list(both.x["bag"]) == bag_list(a.x["bag"]) + bag_list(b.x["bag"])
    back = both.select(torch.arange(len(first)))
    assert torch.equal(back.image("he"), a.image("he")) and bag_list(back.x["bag"]) == bag_list(a.x["bag"])
    assert back.case_ids == a.case_ids and torch.equal(back.target, a.target)


def test_an_index_that_only_some_batches_have_is_dropped() -> None:
    assert Batch.cat([batch([1]), batch([1], index=False)]).index is None
    assert Batch.cat([batch([1, 2]), batch([1])]).index is not None


@given(LENGTHS)
def test_the_owner_of_every_patch_is_its_case(lengths: list[int]) -> None:
    assert bags(lengths).owner.tolist() == [case for case, length in enumerate(lengths) for _ in range(length)]


def test_keeping_and_dropping_hide_and_change_nothing_else() -> None:
    whole = batch([2, 0, 1])
    kept, dropped = whole.keep("bag"), whole.drop("he")
    for hidden in (kept, dropped):
        assert not hidden.present["he"].any() and hidden.present["bag"].tolist() == [True, False, True]
        assert hidden.x is whole.x and hidden.modalities == ("he", "bag")
    assert whole.present["he"].all()
    assert not any(row.any() for row in whole.keep().present.values())
    assert all(torch.equal(whole.drop().present[m], whole.present[m]) for m in whole.modalities)


def test_filling_touches_absent_rows_only() -> None:
    whole = batch([2, 1])
    hidden = Batch(whole.x, {**whole.present, "bag": torch.tensor([False, True])}, *[
        whole.target, whole.case_ids, whole.patient_ids,
    ])  # fmt: skip
    assert bag_list(hidden.fill("bag", 7.0).x["bag"]) == [[7.0, 7.0], [2.0]]
    assert bag_list(hidden.x["bag"]) == [[0.0, 1.0], [2.0]]
    assert torch.equal(hidden.fill("he", 7.0).image("he"), hidden.image("he"))
    assert (hidden.drop("he").fill("he", 7.0).image("he") == 7).all()


def test_images_are_asked_for_by_name() -> None:
    with pytest.raises(TypeError, match="bag holds bags"):
        batch([1]).image("bag")


def test_a_batch_of_images_marks_the_rest_absent() -> None:
    made = Batch.of_images(SPEC, {"he": torch.rand(3, 3, 8, 8)})
    assert made.modalities == ("he", "ihc") and len(made) == 3
    assert made.present["he"].all() and not made.present["ihc"].any()
    assert made.target.tolist() == [-1, -1, -1] and made.image("ihc").shape == (3, 3, 8, 8)


@pytest.mark.parametrize("images", [{}, {"mri": 1}, {"he": 1, "ihc": 2}, {"he": 1, "mri": 1}], ids=str)
def test_a_batch_of_other_images_is_refused(images: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="give images of he, ihc"):
        Batch.of_images(SPEC, {name: torch.zeros(count, 3, 8, 8) for name, count in images.items()})


def test_a_batch_moves_as_a_whole() -> None:
    moved = batch([2, 1]).to("meta")
    tensors = [moved.image("he"), moved.x["bag"].values, moved.x["bag"].lengths, moved.x["bag"].slide, moved.target]
    assert {tensor.device.type for tensor in [*tensors, *moved.present.values(), moved.index]} == {"meta"}


TABLE = DataSpec(
    (*SPEC.modalities, ModalitySpec("bag", "features", 5), ModalitySpec("clinical", "vector", 4)), ("0", "1"), (2, 2)
)


def with_vectors(count: int, first: int = 0) -> Batch:
    plain = batch([2] * count, first)
    vectors = first + torch.arange(count, dtype=torch.float32)[:, None].expand(count, 4)
    present = torch.arange(count) % 2 == 0
    return replace(plain, x={**plain.x, "clinical": vectors}, present={**plain.present, "clinical": present})


def test_vectors_are_selected_joined_and_moved_with_their_cases() -> None:
    both = Batch.cat([with_vectors(3), with_vectors(2, first=10)])
    assert both.vector("clinical")[:, 0].tolist() == [0, 1, 2, 10, 11]
    assert both.present["clinical"].tolist() == [True, False, True, True, False]
    picked = both.select(torch.tensor([4, 0, 0]))
    assert picked.vector("clinical")[:, 3].tolist() == [11, 0, 0]
    assert picked.present["clinical"].tolist() == [False, True, True]
    moved = both.to("meta")
    assert moved.vector("clinical").is_meta and moved.present["clinical"].is_meta


def test_absent_vectors_are_filled_and_the_rest_stays() -> None:
    made = with_vectors(3)
    assert made.fill("clinical", -7.0).vector("clinical")[:, 0].tolist() == [0, -7, 2]
    gone = made.drop("clinical")
    assert not gone.present["clinical"].any() and gone.present["he"].all()
    assert gone.fill("clinical", -7.0).vector("clinical").eq(-7).all()


@pytest.mark.parametrize(
    ("asked", "modality", "message"),
    [
        ("image", "clinical", "clinical holds one vector per case, and this component reads one image"),
        ("image", "bag", "bag holds bags, and this component reads one image"),
        ("vector", "he", "he holds one image per case, and this component reads one vector"),
        ("vector", "bag", "bag holds bags, and this component reads one vector"),
        ("bags", "clinical", "clinical holds one vector per case, and this component reads bags"),
    ],
)
def test_a_modality_of_another_kind_is_named(asked: str, modality: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        getattr(with_vectors(2), asked)(modality)


def test_bags_come_with_the_cases_that_have_a_patch() -> None:
    made = batch([2, 0, 1])
    held, there = replace(made, present={**made.present, "bag": torch.tensor([True, True, False])}).bags("bag")
    assert held is made.x["bag"] and there.tolist() == [True, False, False]


@pytest.mark.parametrize("given_name", ["he", "clinical"])
def test_a_batch_of_what_is_at_hand_has_every_kind(given_name: str) -> None:
    value = {"he": torch.rand(3, 3, 8, 8), "clinical": torch.rand(3, 4)}[given_name]
    made = Batch.of_images(TABLE, {given_name: value})
    assert {name: bool(there.all()) for name, there in made.present.items()} == {
        name: name == given_name for name in TABLE.names
    }
    assert made.image("ihc").shape == (3, 3, 8, 8) and made.vector("clinical").shape == (3, 4)
    assert made.bags("bag")[0].values.shape == (0, 5) and made.bags("bag")[0].lengths.tolist() == [0, 0, 0]
