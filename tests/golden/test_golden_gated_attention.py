import pytest
import torch

from pathfuse.core import DataSpec, Tokens, TokenSpec
from pathfuse.nn.packed import segment_softmax
from pathfuse_mil.attention import AttentionFusion
from tests.golden.vectors import DTYPES, assert_near, golden

VARIANTS = pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])


@pytest.fixture
def vectors():
    return golden("gated_attention")


def component(vectors, dtype, gated):
    (hidden, dim), branches = vectors["V"].shape, len(vectors["w"])
    fusion = AttentionFusion(
        {"he": TokenSpec(dim, "packed")},
        DataSpec((), ("0", "1"), (1, 1)),
        hidden=hidden,
        gated=gated,
        branches=branches,
    ).to(dtype)
    attention = fusion.attentions["he"]
    state = {"value.weight": "V", "value.bias": "bV", "weight.weight": "w", "weight.bias": "bw"}
    state |= {"gate.weight": "U", "gate.bias": "bU"} if gated else {}
    attention.load_state_dict({name: torch.tensor(vectors[key]) for name, key in state.items()})
    return fusion


def fused(fusion, values):
    token = Tokens(values, torch.tensor([True]), torch.tensor([len(values)]))
    return fusion({"he": token})


@DTYPES
@VARIANTS
def test_scores_weights_embedding_and_logits(vectors, dtype, gated):
    name = "gated" if gated else "plain"
    fusion, values = component(vectors, dtype, gated), torch.tensor(vectors["H"], dtype=dtype)
    assert_near(fusion.attentions["he"](values).T, vectors[f"{name}/raw"], dtype)
    weights = segment_softmax(fusion.attentions["he"](values), torch.tensor([len(values)]))
    assert_near(weights.T, vectors[f"{name}/A"], dtype)
    result = fused(fusion, values)
    assert_near(result.attention["he"], vectors[f"{name}/A"].mean(0), dtype)
    assert_near(result.embedding.view(vectors[f"{name}/Z"].shape), vectors[f"{name}/Z"], dtype)
    logits = result.embedding[0] @ torch.tensor(vectors["Wc"], dtype=dtype).T + torch.tensor(vectors["bc"], dtype=dtype)
    assert_near(logits, vectors[f"{name}/logits"], dtype)


@DTYPES
@VARIANTS
def test_a_masked_tile_is_a_tile_that_is_not_in_the_bag(vectors, dtype, gated):
    name = "gated" if gated else "plain"
    mask = torch.tensor(vectors["mask"])
    result = fused(component(vectors, dtype, gated), torch.tensor(vectors["H"], dtype=dtype)[mask])
    weights = torch.zeros(len(mask), dtype=dtype)
    weights[mask] = result.attention["he"].detach()
    assert_near(weights, vectors[f"{name}/A_masked"].mean(0), dtype)
    assert_near(result.embedding.view(vectors[f"{name}/Z_masked"].shape), vectors[f"{name}/Z_masked"], dtype)
