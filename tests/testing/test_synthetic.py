import torch
from torch.testing import assert_close

from pathfuse.core import FusedSpec, TokenSpec
from pathfuse.testing import (
    THREE_STAINS,
    TWO_BAGS,
    TWO_STAINS,
    stains,
    synthetic_batch,
    synthetic_fused,
    synthetic_tokens,
    tiny_model,
)


def test_same_seed_same_batch():
    one, same, other = (synthetic_batch(TWO_STAINS, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(one.image("he"), same.image("he"))
    assert not torch.equal(one.image("he"), other.image("he"))


def test_stains_are_missing_in_turn_and_then_all():
    batch = synthetic_batch(THREE_STAINS, 6, absent=True)
    rows = torch.stack([batch.present[name] for name in THREE_STAINS.names], 1).int().tolist()
    assert rows == [[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]]


def test_bags_of_length_zero_are_absent():
    batch = synthetic_batch(TWO_BAGS, 2, lengths=(0, 3))
    assert batch.present["he"].tolist() == [False, True]
    assert batch.present["ihc"].tolist() == [True, False]
    assert len(batch.x["he"].values) == 3


def test_packed_tokens_are_as_long_as_the_bags_of_the_batch():
    batch = synthetic_batch(TWO_BAGS, 4)
    token = synthetic_tokens({"he": TokenSpec(6, "packed")}, batch)["he"]
    assert_close(token.lengths, batch.x["he"].lengths)
    assert token.values.shape == (int(token.lengths.sum()), 6)


def test_a_tiny_model_predicts_and_learns_from_a_batch():
    spec = stains(2, classes=3)
    batch = synthetic_batch(spec, 4)
    model = tiny_model(spec)
    prediction = model(batch)
    assert prediction.logits.shape == (4, 3)
    assert model.head.loss(prediction, batch)["classification"].requires_grad


def test_fused_is_present_where_any_stain_is():
    batch = synthetic_batch(TWO_STAINS, 4, absent=True)
    fused = synthetic_fused(FusedSpec(5, "map", {"he": TokenSpec(5, "map")}), batch, size=3)
    assert fused.embedding.shape == (4, 5, 3, 3)
    assert fused.present.tolist() == [True, True, True, False]
