import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import DataSpec, ModalitySpec
from pathfuse.errors import RecipeError
from pathfuse_images.inputs import Single, Stack
from tests.explain.small import make_batch, make_spec


def test_single_returns_the_stain_with_zeros_where_it_is_absent():
    batch = make_batch({"ihc": [True, False, True]}).fill("ihc", float("nan"))
    images, present = Single(make_spec(), modality="ihc")(batch)
    assert present.tolist() == [True, False, True]
    assert_close(images[0], batch.image("ihc")[0])
    assert not images[1].any()


def test_stack_joins_channels_in_the_order_of_the_recipe():
    batch = make_batch()
    stack = Stack(make_spec(), modalities=["ki67", "he"])
    images, _ = stack(batch)
    assert stack.channels == images.shape[1] == 6
    assert stack.reads == ("ki67", "he")
    assert_close(images, torch.cat([batch.image("ki67"), batch.image("he")], dim=1))


def test_stack_is_present_where_any_stain_is_and_zero_where_one_is_not():
    batch = make_batch({"he": [True, False, False], "ihc": [False, True, False], "ki67": [False] * 3})
    images, present = Stack(make_spec())(batch)
    assert present.tolist() == [True, True, False]
    assert_close(images[0, :3], batch.image("he")[0])
    assert not images[0, 3:].any() and not images[2].any()


def test_an_unknown_stain_is_guessed():
    with pytest.raises(RecipeError, match=r"no modality 'hee', only he, ihc, ki67. Did you mean he?"):
        Single(make_spec(), modality="hee")


def test_bags_are_refused():
    spec = DataSpec((ModalitySpec("he", "features", 8),), ("0", "1"), (1, 1))
    with pytest.raises(RecipeError, match="he comes as features"):
        Single(spec)


def test_stacked_stains_must_have_one_size():
    spec = DataSpec((ModalitySpec("he", "image", 3, 32), ModalitySpec("ihc", "image", 3, 64)), ("0", "1"), (1, 1))
    with pytest.raises(RecipeError, match="he 32 px, ihc 64 px"):
        Stack(spec)
