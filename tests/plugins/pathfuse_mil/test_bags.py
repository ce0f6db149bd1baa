import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pathfuse.core import Backbone, Bags, Batch, DataSpec, FusedSpec, Fusion, ModalitySpec, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn.packed import segment_max, segment_mean, segment_softmax, segment_sum
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder, PatchEncoder
from pathfuse_mil.pool import MaxPool, MeanPool, MomentPool

POOLS = pytest.mark.parametrize("pool", [AttentionFusion, MeanPool, MaxPool])


def spec_of(kind="features", **widths):
    modalities = tuple(ModalitySpec(name, kind, width) for name, width in widths.items())
    return DataSpec(modalities, ("0", "1"), (1, 1))


def batch_of(lengths, width=6, seed=0, **absent):
    """Bags of these lengths per stain; `absent` names cases that lack a stain though their payload is there."""
    generator = torch.Generator().manual_seed(seed)
    x, present = {}, {}
    for name, sizes in lengths.items():
        x[name] = Bags(torch.randn(sum(sizes), width, generator=generator), torch.tensor(sizes))
        present[name] = torch.tensor([size > 0 and row not in absent.get(name, ()) for row, size in enumerate(sizes)])
    cases = len(next(iter(lengths.values())))
    ids = tuple(f"c{row}" for row in range(cases))
    return Batch(x, present, torch.zeros(cases, dtype=torch.long), ids, ids)


def built(pool, widths, **options):
    torch.manual_seed(0)
    spec = spec_of(**widths)
    encoder = BagEncoder(spec)
    return encoder, pool(encoder.out, spec, **options)


def test_segment_operations_equal_a_loop_over_bags():
    lengths = torch.tensor([3, 0, 1, 5])
    values, score = torch.randn(9, 4), torch.randn(9, 2) * 50
    weight = segment_softmax(score, lengths)
    total, mean, (highest, row) = (
        segment_sum(weight, values, lengths),
        segment_mean(values, lengths),
        segment_max(values, lengths),
    )
    for case, (bag, own) in enumerate(zip(values.split([3, 0, 1, 5]), score.split([3, 0, 1, 5]), strict=True)):
        assert_close(total[case], own.softmax(0).T @ bag)
        assert_close(mean[case], bag.mean(0) if len(bag) else torch.zeros(4))
        assert_close(highest[case], bag.amax(0) if len(bag) else torch.zeros(4))
        if len(bag):
            assert_close(values[row[case], torch.arange(4)], bag.amax(0))


def test_gradient_of_the_weighted_sum():
    lengths = torch.tensor([3, 0, 4])
    for branches in (1, 2):
        weight = torch.randn(7, branches, dtype=torch.float64, requires_grad=True)
        values = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda w, v: segment_sum(w, v, lengths), (weight, values))


def test_large_scores_stay_finite():
    weight = segment_softmax(torch.tensor([[1e4], [-1e4], [-3e38]]), torch.tensor([2, 1]))
    assert weight.flatten().tolist() == [1.0, 0.0, 1.0]


@POOLS
def test_order_of_patches_does_not_matter(pool):
    encoder, fusion = built(pool, {"he": 6, "ihc": 6})
    batch = batch_of({"he": [5, 2], "ihc": [1, 4]})
    order = torch.tensor([3, 0, 4, 1, 2, 6, 5])
    bags = batch.x["he"]
    shuffled = Batch(
        {**batch.x, "he": Bags(bags.values[order], bags.lengths)}, batch.present, batch.target, *[batch.case_ids] * 2
    )
    one, two = fusion(encoder(batch)), fusion(encoder(shuffled))
    assert_close(one.embedding, two.embedding, atol=1e-5, rtol=0)
    assert_close(one.attention["he"][order], two.attention["he"], atol=1e-5, rtol=0)


@POOLS
def test_cases_together_equal_cases_apart(pool):
    encoder, fusion = built(pool, {"he": 6, "ihc": 6}, join="concat")
    batch = batch_of({"he": [5, 0, 1, 2], "ihc": [1, 4, 0, 2]})
    together = fusion(encoder(batch)).embedding
    for row in range(4):
        alone = fusion(encoder(batch.select(torch.tensor([row])))).embedding
        assert_close(alone[0], together[row], atol=1e-5, rtol=0)


@POOLS
@pytest.mark.parametrize("dim", [None, 3])
def test_absent_payload_is_not_read(pool, dim):
    torch.manual_seed(0)
    spec = spec_of(he=6, ihc=6)
    encoder = BagEncoder(spec, dim=dim)
    fusion = pool(encoder.out, spec)
    batch = batch_of({"he": [5, 3], "ihc": [2, 4]}, ihc=[0])
    for filler in (1e30, float("nan")):
        filled = batch.fill("ihc", filler)
        one, two = fusion(encoder(batch)), fusion(encoder(filled))
        assert_close(one.embedding, two.embedding)
        assert two.attention["ihc"][:2].tolist() == [0, 0]
        assert len(two.attention["ihc"]) == 6
        if list(fusion.parameters()) or dim:
            two.embedding.sum().backward()
            gradients = [p.grad for p in [*encoder.parameters(), *fusion.parameters()] if p.grad is not None]
            assert gradients and all(gradient.isfinite().all() for gradient in gradients)


@POOLS
def test_attention_of_a_present_case_sums_to_one(pool):
    encoder, fusion = built(pool, {"he": 6})
    attention = fusion(encoder(batch_of({"he": [5, 0, 1]}))).attention["he"]
    assert_close(attention[:5].sum(), torch.tensor(1.0))
    assert_close(attention[5], torch.tensor(1.0))


@POOLS
def test_a_case_without_any_stain_is_absent_and_zero(pool):
    encoder, fusion = built(pool, {"he": 6, "ihc": 6})
    fused = fusion(encoder(batch_of({"he": [2, 0], "ihc": [1, 0]})))
    assert fused.present.tolist() == [True, False]
    assert fused.embedding[1].eq(0).all()


def test_mean_join_leaves_an_absent_stain_out():
    encoder, fusion = built(MeanPool, {"he": 6, "ihc": 6})
    batch = batch_of({"he": [4], "ihc": [3]}, ihc=[0])
    assert_close(fusion(encoder(batch)).embedding[0], batch.x["he"].values.mean(0))


def test_nested_fusion_gets_one_vector_per_stain_and_keeps_its_loss():
    class Sum(Fusion):
        def __init__(self, tokens, spec):
            super().__init__()
            self.out = FusedSpec(tokens["he"].dim, "vector", by_modality=tokens)

        def forward(self, tokens):
            from pathfuse.core import Fused

            return Fused(sum(t.values for t in tokens.values()), tokens["he"].present, extra={"seen": torch.ones(())})

        def loss(self, fused, batch):
            return {"own": fused.extra["seen"]}

    encoder, fusion = built(MeanPool, {"he": 6, "ihc": 6}, fusion=Sum)
    batch = batch_of({"he": [4], "ihc": [3]})
    fused = fusion(encoder(batch))
    assert_close(fused.embedding[0], batch.x["he"].values.mean(0) + batch.x["ihc"].values.mean(0))
    assert fusion.loss(fused, batch) == {"own": torch.ones(())}
    assert fusion.out.by_modality == {"he": TokenSpec(6, "vector"), "ihc": TokenSpec(6, "vector")}


def test_branches_stand_side_by_side():
    encoder, fusion = built(AttentionFusion, {"he": 6}, branches=3, gated=True)
    assert fusion.out.dim == 18
    assert fusion(encoder(batch_of({"he": [5]}))).embedding.shape == (1, 18)


@pytest.mark.parametrize("dim", [None, 5])
def test_half_precision_in_pieces_equals_the_full_form(dim, monkeypatch):
    torch.manual_seed(0)
    spec = spec_of(he=6)
    encoder = BagEncoder(spec, dim=dim)
    fusion = AttentionFusion(encoder.out, spec, gated=True)
    whole = batch_of({"he": [40, 9]})
    half = Bags(whole.x["he"].values.half(), whole.x["he"].lengths)
    full = Batch({"he": Bags(half.values.float(), half.lengths)}, whole.present, whole.target, *[whole.case_ids] * 2)
    expected = fusion(encoder(full)).embedding
    for module in ("pathfuse_mil.one_pass", "pathfuse.nn.rectify"):
        monkeypatch.setattr(f"{module}.BLOCK", 7)
    with torch.no_grad():
        got = fusion(encoder(Batch({"he": half}, whole.present, whole.target, *[whole.case_ids] * 2))).embedding
    assert_close(got, expected, atol=1e-5, rtol=0)


class Tiny(Backbone):
    def __init__(self, in_chans):
        super().__init__()
        self.in_chans, self.out_dim = in_chans, 4
        self.conv = nn.Conv2d(in_chans, 4, 3)

    def forward(self, images):
        return self.conv(images).mean((2, 3))


def patches(lengths, **absent):
    x = {name: Bags(torch.rand(sum(sizes), 3, 8, 8), torch.tensor(sizes)) for name, sizes in lengths.items()}
    present = {n: torch.tensor([r not in absent.get(n, ()) for r in range(len(s))]) for n, s in lengths.items()}
    return Batch(x, present, torch.zeros(2, dtype=torch.long), ("a", "b"), ("a", "b"))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("share", [False, True])
def test_patches_are_trained_end_to_end(share, recompute):
    torch.manual_seed(0)
    spec = spec_of("patches", he=3, ihc=3)
    encoder = PatchEncoder(spec, backbone=Tiny, share=share, dim=16, patches_at_once=2, recompute=recompute)
    fusion = AttentionFusion(encoder.out, spec)
    batch = patches({"he": [3, 2], "ihc": [1, 0]})
    fusion(encoder(batch)).embedding.pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.backbones.parameters())
    assert len(encoder.backbones) == (1 if share else 2)


def test_frozen_network_learns_nothing_and_stays_in_eval():
    spec = spec_of("patches", he=3)
    encoder = PatchEncoder(spec, backbone=Tiny, freeze=True).train()
    tokens = encoder(patches({"he": [3, 2]}))
    assert not tokens["he"].values.requires_grad
    assert not encoder.backbones[0].training


def test_absent_patches_do_not_reach_the_network():
    spec = spec_of("patches", he=3)
    encoder = PatchEncoder(spec, backbone=Tiny)
    batch = patches({"he": [3, 2]}, he=[0]).fill("he", float("nan"))
    tokens = encoder(batch)["he"]
    tokens.values.sum().backward()
    assert tokens.values[:3].eq(0).all() and tokens.values[3:].isfinite().all()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    assert encoder(patches({"he": [3, 2]}, he=[0, 1]))["he"].values.shape == (5, 4)


def test_wrong_kinds_are_refused_with_the_next_step():
    with pytest.raises(RecipeError, match="Use PatchEncoder"):
        BagEncoder(spec_of("patches", he=3))
    with pytest.raises(RecipeError, match="Did you mean ihc"):
        BagEncoder(spec_of(ihc=3), modalities=["ihk"])
    with pytest.raises(RecipeError, match="Use an encoder for bags"):
        MeanPool({"he": TokenSpec(3, "vector")}, spec_of(he=3))
    with pytest.raises(RecipeError, match="join: concat"):
        MeanPool({"he": TokenSpec(3, "packed"), "ihc": TokenSpec(4, "packed")}, spec_of(he=3, ihc=4))


def test_two_slides_of_a_case_are_one_bag():
    encoder, fusion = built(AttentionFusion, {"he": 6})
    batch = batch_of({"he": [5]})
    bags = batch.x["he"]
    split = Bags(bags.values, bags.lengths, slide=torch.tensor([0, 0, 1, 1, 1]))
    again = Batch({"he": split}, batch.present, batch.target, batch.case_ids, batch.case_ids)
    assert_close(fusion(encoder(batch)).embedding, fusion(encoder(again)).embedding)


def test_attention_fusion_reads_plain_tokens_of_any_encoder():
    fusion = AttentionFusion({"a": TokenSpec(3, "packed")}, spec_of(he=3))
    token = Tokens(torch.randn(4, 3), torch.tensor([True, False]), torch.tensor([3, 1]))
    assert fusion({"a": token}).present.tolist() == [True, False]


def test_moments_are_the_mean_and_the_deviation_of_the_patches_that_are_there():
    values = torch.tensor([[1.0, 5.0], [3.0, 5.0], [9.0, 9.0], [2.0, 4.0]])
    token = Tokens(values, torch.tensor([True, False, True]), torch.tensor([2, 1, 1]))
    spec = DataSpec((ModalitySpec("he", "features", 2),), ("0", "1"), (1, 1))
    fused = MomentPool({"he": TokenSpec(2, "packed")}, spec)({"he": token})
    assert_close(fused.embedding, torch.tensor([[2.0, 5.0, 1.0, 1e-6], [0, 0, 0, 0], [2.0, 4.0, 1e-6, 1e-6]]))
