import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from pathfuse.core import Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_images.fusion import ConcatFusion
from pathfuse_mil import cross as cross_module
from pathfuse_mil.cross import CrossAttention
from tests.plugins.pathfuse_mil.test_bags import spec_of

WIDTHS = {"he": 6, "ihc": 5}


@parametrize_with_checks(
    CrossAttention,
    Example(CrossAttention, {"queries": ["ihc"], "join": "mean", "dim": 16, "latents": 2, "heads": 4}),
    Example(CrossAttention, {"layers": 0, "dim": 16, "latents": 1, "heads": 1, "fusion": ConcatFusion}),
)
def test_it_keeps_the_contract(check):
    check()


def fusion_of(widths=WIDTHS, **options):
    torch.manual_seed(0)
    tokens = {name: TokenSpec(width, "packed") for name, width in widths.items()}
    return CrossAttention(tokens, spec_of(**widths), **{"dim": 8, "latents": 3, "heads": 2, **options}).double().eval()


def tokens_of(lengths, seed=0, **absent):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: Tokens(
            torch.randn(sum(sizes), WIDTHS[name], generator=generator, dtype=torch.float64),
            torch.tensor([row not in absent.get(name, ()) for row in range(len(sizes))]),
            torch.tensor(sizes),
        )
        for name, sizes in lengths.items()
    }


def attend(stain, queries, patches):
    """Attention as the paper writes it, with keys and values of every patch."""
    return F.scaled_dot_product_attention(queries[None], stain.key(patches)[None], stain.value(patches)[None])[0]


def embedded(stain, sets):
    refined = []
    for tokens in sets:
        for layer in stain.layers:
            tokens = layer(tokens[None])[0]
        refined.append(tokens)
    tokens = torch.cat(refined)
    return stain.out((stain.pool(tokens).softmax(0) * tokens).sum(0))


@pytest.mark.parametrize("queries", [None, ["ihc"], ["he"]])
def test_it_equals_a_loop_over_cases_with_whole_keys_and_values(queries):
    fusion = fusion_of(queries=queries)
    tokens = tokens_of({"he": [4, 3, 5], "ihc": [2, 6, 1]}, ihc=[1], he=[2])
    fused = fusion(tokens)
    bags = {name: token.values.split(token.lengths.tolist()) for name, token in tokens.items()}
    for case in range(3):
        here = [name for name in WIDTHS if tokens[name].present[case]]
        own = {name: attend(fusion.stains[name], fusion.stains[name].latents, bags[name][case]) for name in here}
        for name in WIDTHS:
            if name not in here:
                assert fused.by_modality[name][case].eq(0).all()
                continue
            stain, patches = fusion.stains[name], bags[name][case]
            asking = [p for p in here if p != name and p in (queries or WIDTHS)]
            answers = [attend(stain, fusion.stains[p].ask(own[p]), patches) for p in asking]
            assert_close(fused.by_modality[name][case], embedded(stain, answers or [own[name]]))
    assert_close(fused.embedding, torch.cat(list(fused.by_modality.values()), 1))


def test_a_case_with_one_stain_is_embedded_as_if_there_were_no_other():
    both, alone = fusion_of(), fusion_of({"he": 6})
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if "he" in k and "ask" not in k})
    tokens = tokens_of({"he": [4, 3], "ihc": [2, 6]}, ihc=[0, 1])
    assert_close(both(tokens).by_modality["he"], alone({"he": tokens["he"]}).embedding)


def test_only_the_stains_that_are_asked_depend_on_the_others():
    fusion = fusion_of(queries=["ihc"])
    tokens = tokens_of({"he": [4, 3], "ihc": [2, 6]})
    other = tokens_of({"he": [4, 3], "ihc": [2, 6]}, seed=1)
    changed_he = fusion({**tokens, "he": other["he"]}).by_modality
    changed_ihc = fusion({**tokens, "ihc": other["ihc"]}).by_modality
    plain = fusion(tokens).by_modality
    assert_close(changed_he["ihc"], plain["ihc"])
    assert (changed_ihc["he"] - plain["he"]).abs().amax(1).gt(1e-6).all()


def test_three_stains_answer_every_partner_that_is_there():
    widths = {"he": 6, "ihc": 5, "ki67": 6}
    torch.manual_seed(0)
    spec = {name: TokenSpec(width, "packed") for name, width in widths.items()}
    fusion = CrossAttention(spec, spec_of(**widths), dim=8, latents=3, heads=2).double().eval()
    tokens = tokens_of({"he": [4], "ihc": [2]})
    tokens["ki67"] = Tokens(torch.randn(3, 6, dtype=torch.float64), torch.tensor([True]), torch.tensor([3]))
    everything = fusion(tokens).by_modality["he"]
    tokens["ki67"] = Tokens(tokens["ki67"].values, torch.tensor([False]), torch.tensor([3]))
    two = fusion(tokens).by_modality["he"]
    own = {name: attend(fusion.stains[name], fusion.stains[name].latents, tokens[name].values) for name in widths}
    answers = [attend(fusion.stains["he"], fusion.stains[p].ask(own[p]), tokens["he"].values) for p in ("ihc", "ki67")]
    assert_close(everything[0], embedded(fusion.stains["he"], answers))
    assert_close(two[0], embedded(fusion.stains["he"], answers[:1]))


def test_attention_of_a_present_stain_sums_to_one():
    tokens = tokens_of({"he": [4, 3, 5], "ihc": [2, 6, 1]}, ihc=[1], he=[2])
    attention = fusion_of()(tokens).attention["he"]
    assert_close(torch.stack([part.sum() for part in attention.split([4, 3, 5])]), torch.tensor([1.0, 1, 0]).double())


def test_half_precision_in_pieces_equals_the_full_form(monkeypatch):
    fusion = fusion_of().float()
    tokens = tokens_of({"he": [40, 9], "ihc": [5, 33]})
    half = {name: Tokens(token.values.half(), token.present, token.lengths) for name, token in tokens.items()}
    full = {name: Tokens(token.values.float(), token.present, token.lengths) for name, token in half.items()}
    expected = fusion(full).embedding
    monkeypatch.setattr(cross_module, "ROWS", 7)
    monkeypatch.setattr("pathfuse.nn.packed.ROWS", 7)
    with torch.no_grad():
        assert_close(fusion(half).embedding, expected, atol=1e-5, rtol=0)


def test_bags_whose_products_would_fill_the_memory_are_answered():
    patches = 400_000  # patches times patches would be 640 GB
    fusion = fusion_of({"he": 6, "ihc": 6}, latents=2, layers=0).float()
    token = Tokens(torch.randn(patches, 6), torch.tensor([True]), torch.tensor([patches]))
    with torch.no_grad():
        assert fusion({"he": token, "ihc": token}).embedding.isfinite().all()


def test_what_cannot_be_built_is_refused_with_the_next_step():
    packed = {"he": TokenSpec(6, "packed"), "ihc": TokenSpec(6, "packed")}
    with pytest.raises(RecipeError, match="Use an encoder for bags"):
        CrossAttention({"he": TokenSpec(6, "vector")}, spec_of(he=6))
    with pytest.raises(RecipeError, match="Did you mean ihc"):
        CrossAttention(packed, spec_of(he=6, ihc=6), queries=["ihk"])
    with pytest.raises(RecipeError, match="4 heads do not divide dim, which is 10"):
        CrossAttention(packed, spec_of(he=6, ihc=6), dim=10, heads=4)
