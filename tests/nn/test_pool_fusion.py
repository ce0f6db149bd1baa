"""A block of a plug-in author: bags are pooled as it says, vectors join them, and a nested block may join all."""

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import Pooled, PoolFusion, segment_max
from pathfuse.testing import BAGS_AND_VECTOR, ReferenceFusion

SIZES = {"he": TokenSpec(3, "packed"), "ihc": TokenSpec(3, "packed"), "clinical": TokenSpec(3, "vector")}


class Highest(PoolFusion):
    """The maximum, with a third feature that counts the patches."""

    def pool(self, name, bag):
        highest, _ = segment_max(bag.values, bag.lengths)
        return Pooled(highest, extra={f"{name}/patches": bag.lengths})


def tokens():
    present = {"he": [True, True, False], "ihc": [True, False, False], "clinical": [True, True, True]}
    there = {name: torch.tensor(flags) for name, flags in present.items()}
    return {
        "he": Tokens(torch.arange(18.0).view(6, 3), there["he"], torch.tensor([2, 3, 1])),
        "ihc": Tokens(-torch.arange(9.0).view(3, 3), there["ihc"], torch.tensor([1, 2, 0])),
        "clinical": Tokens(torch.full((3, 3), 100.0), there["clinical"]),
    }


def test_a_vector_is_averaged_with_the_pooled_bags_that_a_case_has():
    fused = Highest(SIZES, BAGS_AND_VECTOR)(tokens())
    he, ihc = torch.tensor([3.0, 4, 5]), torch.tensor([0.0, -1, -2])
    assert_close(fused.embedding[0], (he + ihc + 100) / 3)
    assert_close(fused.embedding[1], (torch.tensor([12.0, 13, 14]) + 100) / 2)
    assert_close(fused.embedding[2], torch.full((3,), 100.0))
    assert fused.present.all() and fused.attention == {}
    assert fused.extra["ihc/patches"].tolist() == [1, 0, 0]
    assert fused.by_modality["he"][2].eq(0).all()


def test_side_by_side_the_widths_may_differ():
    sizes = {**SIZES, "clinical": TokenSpec(5, "vector")}
    fusion = Highest(sizes, BAGS_AND_VECTOR, join="concat")
    assert fusion.out.dim == 11 and fusion.out.by_modality["clinical"].dim == 5
    with pytest.raises(RecipeError, match=r"Highest: the modalities differ in width .*clinical 5.*join: concat"):
        Highest(sizes, BAGS_AND_VECTOR)


def test_a_nested_block_gets_one_vector_of_everything():
    fusion = Highest(SIZES, BAGS_AND_VECTOR, fusion=ReferenceFusion)
    plain = Highest(SIZES, BAGS_AND_VECTOR)(tokens())
    fused = fusion(tokens())
    assert_close(fused.embedding, fusion.fusion.mix(plain.embedding))
    assert set(fused.by_modality) == set(SIZES) and "he/patches" in fused.extra


@pytest.mark.parametrize(
    ("layouts", "message"),
    [({"he": "map", "ihc": "packed"}, "he is a map"), ({"he": "vector", "ihc": "vector"}, "he is a vector")],
)
def test_maps_and_data_without_bags_are_refused(layouts, message):
    with pytest.raises(RecipeError, match=f"Highest pools bags, and {message}"):
        Highest({name: TokenSpec(3, layout) for name, layout in layouts.items()}, BAGS_AND_VECTOR)
