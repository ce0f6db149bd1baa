import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse_images.fusion import ConcatFusion, MeanFusion
from tests.explain.small import STAINS, ConvBackbone, make_batch, make_model, make_spec


def tokens_of(layout, stains=STAINS, present=((1, 1, 0), (1, 0, 0), (0, 1, 0)), dim=4):
    shape = {"vector": (3, dim), "map": (3, dim, 5, 5)}[layout]
    return {
        name: Tokens(torch.randn(shape), torch.tensor(here).bool()) for name, here in zip(stains, present, strict=False)
    }


def sizes(layout, stains=STAINS, dim=4):
    return {name: TokenSpec(dim, layout) for name in stains}


def noisy(tokens, value):
    filled = {}
    for name, token in tokens.items():
        values = token.values.clone()
        values[~token.present] = value
        filled[name] = Tokens(values, token.present)
    return filled


def test_the_mean_is_over_present_stains_as_in_a_loop():
    tokens = tokens_of("vector")
    fused = MeanFusion(sizes("vector"), make_spec())(tokens)
    for row in range(3):
        own = [token.values[row] for token in tokens.values() if token.present[row]]
        assert_close(fused.embedding[row], torch.stack(own).mean(0) if own else torch.zeros(4))
    assert fused.present.tolist() == [True, True, False]


def test_maps_are_pooled_or_kept():
    tokens = tokens_of("map")
    pooled = MeanFusion(sizes("map"), make_spec())
    kept = MeanFusion(sizes("map"), make_spec(), keep_map=True)
    assert (pooled.out.layout, kept.out.layout) == ("vector", "map")
    assert kept(tokens).embedding.shape == (3, 4, 5, 5)
    assert_close(kept(tokens).embedding.mean((2, 3)), pooled(tokens).embedding)


def test_a_bag_is_averaged_over_its_patches():
    lengths = torch.tensor([2, 0, 3])
    token = Tokens(torch.randn(5, 4), lengths > 0, lengths)
    fused = MeanFusion({"he": TokenSpec(4, "packed")}, make_spec())({"he": token})
    assert_close(fused.embedding[0], token.values[:2].mean(0))
    assert_close(fused.embedding[1], torch.zeros(4))
    assert_close(fused.embedding[2], token.values[2:].mean(0))


@pytest.mark.parametrize("layout", ["vector", "map"])
@pytest.mark.parametrize("fusion", [MeanFusion, ConcatFusion])
@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_absent_rows_are_not_read(fusion, layout, value):
    block, tokens = fusion(sizes(layout), make_spec()).eval(), tokens_of(layout)
    assert_close(block(noisy(tokens, value)).embedding, block(tokens).embedding)


@pytest.mark.parametrize("stains", [("he",), ("he", "ihc"), STAINS])
@pytest.mark.parametrize("fusion", [MeanFusion, ConcatFusion])
def test_any_number_of_stains_is_joined(fusion, stains):
    block = fusion(sizes("vector", stains), make_spec(stains))
    assert block(tokens_of("vector", stains)).embedding.shape == (3, block.out.dim)


def test_an_absent_stain_is_a_learned_vector_in_the_concatenation():
    block, tokens = ConcatFusion(sizes("vector"), make_spec(), dim=6), tokens_of("vector")
    with torch.no_grad():
        for position, vector in enumerate(block.absent):
            vector.fill_(position + 1.0)
    expected = torch.cat([tokens["he"].values[1], torch.full((4,), 2.0), tokens["ki67"].values[1]])
    assert_close(block(tokens).embedding[1], block.project(expected))
    block(tokens).embedding.sum().backward()
    assert all(vector.grad.abs().sum() > 0 for vector in block.absent)


def test_the_concatenation_takes_tokens_of_different_widths():
    tokens = {**tokens_of("vector", ("he",), dim=4), **tokens_of("map", ("ihc",), dim=7)}
    block = ConcatFusion({"he": TokenSpec(4, "vector"), "ihc": TokenSpec(7, "map")}, make_spec(("he", "ihc")), dim=5)
    assert block(tokens).embedding.shape == (3, 5)
    assert block.out.by_modality["ihc"] == TokenSpec(7, "vector")


def test_the_mean_refuses_tokens_of_different_widths():
    with pytest.raises(RecipeError, match="he 4, ihc 7"):
        MeanFusion({"he": TokenSpec(4, "vector"), "ihc": TokenSpec(7, "vector")}, make_spec())


def test_keeping_maps_needs_maps():
    with pytest.raises(RecipeError, match="global_pool: none"):
        MeanFusion(sizes("vector"), make_spec(), keep_map=True)


@pytest.mark.parametrize("encoder", ["each", "shared"])
def test_three_stains_train_from_images_to_logits(encoder):
    model = make_model(encoder, backbone=ConvBackbone).train()
    batch = make_batch({"ihc": [True, False, True], "ki67": [False, True, True]})
    torch.nn.functional.cross_entropy(model(batch).logits, batch.target).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.head.parameters())
    assert all(weight.grad is not None for weight in model.encoder.parameters())
