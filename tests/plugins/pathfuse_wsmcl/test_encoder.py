import pytest
import torch
from torch.testing import assert_close

from benchmarks.peers.looped_wsmcl import loss_of
from pathfuse.core import (
    Bags,
    Batch,
    FusedSpec,
    TokenSpec,
)
from pathfuse.errors import RecipeError
from pathfuse_wsmcl.encoder import NystromEncoder
from pathfuse_wsmcl.heads import StainHeads
from pathfuse_wsmcl.macl import MACL
from pathfuse_wsmcl.selection import extremes
from pathfuse_wsmcl.tail import TailFusion
from tests.plugins.pathfuse_wsmcl.models import K, batch_of, gradients, losses, model_of, spec_of


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_loss_and_gradient_equals_the_equations_written_out(dtype):
    model = model_of({"he": 32, "ihc": 32}).to(dtype)
    batch = batch_of({"he": [41], "ihc": [29]}, dtype=dtype)
    expected, scores = loss_of(model, {m: bag.values for m, bag in batch.x.items()}, batch.target, K, full_score=True)
    expected.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert_close(sum(losses(model, batch).values()), expected)
    for name, gradient in gradients(model, batch).items():
        assert_close(gradient, wanted[name], rtol=1e-3 if dtype == torch.float32 else 1e-7, atol=1e-5)
    for stain, token in model.encoder(batch).items():
        assert_close(token.score, scores[stain])


@pytest.mark.parametrize("width", [12, 32, 384])
def test_cases_together_equal_cases_apart(width):
    model = model_of({"he": width, "ihc": width}).eval()
    batch = batch_of({"he": [37, 2, 60], "ihc": [20, 45, 1]}, width)
    together, fused = model(batch), model.fuse(batch)
    for row in range(3):
        one = batch.select(torch.tensor([row]))
        assert_close(model(one).logits[0], together.logits[row], atol=1e-5, rtol=0)
        bag = slice(*batch.x["he"].offsets[row : row + 2].tolist())
        assert_close(model.fuse(one).attention["he"], fused.attention["he"][bag], atol=1e-5, rtol=0)


def test_order_of_patches_matters_only_through_landmarks_and_convolution():
    # One landmark per patch and no convolution: nothing is left that knows the order.
    model = model_of({"he": 32, "ihc": 32}, landmarks=20, kernel=0, inverse_steps=20).eval().double()
    batch = batch_of({"he": [20], "ihc": [20]}, dtype=torch.float64)
    order = torch.randperm(20)
    bags = batch.x["he"]
    shuffled = Batch(
        {**batch.x, "he": Bags(bags.values[order], bags.lengths)}, batch.present, batch.target, *[batch.case_ids] * 2
    )
    one, two = model.fuse(batch), model.fuse(shuffled)
    assert_close(two.attention["he"], one.attention["he"][order])
    assert_close(model(shuffled).logits, model(batch).logits)
    assert_close(losses(model, shuffled)["contrast"], losses(model, batch)["contrast"])


def test_two_slides_of_a_case_are_one_bag():
    model = model_of({"he": 32, "ihc": 32}).eval()
    batch = batch_of({"he": [20], "ihc": [9]})
    bags = batch.x["he"]
    split = Bags(bags.values, bags.lengths, slide=(torch.arange(20) > 7).long())
    again = Batch({**batch.x, "he": split}, batch.present, batch.target, batch.case_ids, batch.case_ids)
    assert_close(model(again).logits, model(batch).logits)


@pytest.mark.parametrize("filler", [1e30, float("nan")])
@pytest.mark.parametrize("stream_above", [0, 8192])
def test_absent_payload_is_not_read(filler, stream_above):
    model = model_of({"he": 32, "ihc": 32}, stream_above=stream_above)
    batch = batch_of({"he": [20, 30, 0], "ihc": [15, 9, 12]}, absent={("ihc", 0), ("he", 1)})
    filled = batch.fill("ihc", filler).fill("he", filler)
    assert_close(model(filled).logits, model(batch).logits)
    with torch.no_grad():
        assert_close(model(filled).logits, model(batch).logits)
    for name, term in losses(model, batch).items():
        assert_close(losses(model, filled)[name], term)
    assert all(g is None or g.isfinite().all() for g in gradients(model, filled).values())


@pytest.mark.parametrize("score", ["received", "mean_token"])
def test_in_pieces_equals_the_full_form(score, monkeypatch):
    monkeypatch.setattr("pathfuse_wsmcl.streaming.ROWS", 13)
    model = model_of({"he": 32, "ihc": 32}, score=score).eval()
    batch = batch_of({"he": [100, 45], "ihc": [64, 3]})
    full = model.fuse(batch)
    model.encoder.stream_above = 0
    with torch.no_grad():
        pieces = model.fuse(batch)
    for stain in ("he", "ihc"):
        assert_close(pieces.tokens[stain].values, full.tokens[stain].values, atol=1e-5, rtol=0)
        assert_close(pieces.attention[stain], full.attention[stain], atol=1e-5, rtol=0)


@pytest.mark.parametrize("score", ["received", "mean_token"])
@pytest.mark.parametrize("sizes", [[30], [30, 2], [30, 0, 5]])
def test_scores_choose_and_carry_no_gradient(score, sizes):
    tokens = model_of({"he": 32, "ihc": 32}, score=score).encoder(batch_of({"he": sizes, "ihc": sizes}))
    assert all(token.values.requires_grad and not token.score.requires_grad for token in tokens.values())


def test_half_precision_features_are_read():
    model = model_of({"he": 32, "ihc": 32}).eval()
    batch = batch_of({"he": [30], "ihc": [20]})
    half = {m: Bags(bag.values.half(), bag.lengths) for m, bag in batch.x.items()}
    wide = {m: Bags(bag.values.float(), bag.lengths) for m, bag in half.items()}
    one, two = (Batch(x, batch.present, batch.target, batch.case_ids, batch.case_ids) for x in (half, wide))
    assert_close(model(one).logits, model(two).logits)
    model.encoder.stream_above = 0
    with torch.no_grad():
        assert_close(model(one).logits, model(two).logits, atol=1e-5, rtol=0)


def test_mixed_precision_selects_the_same_patches_and_gives_near_gradients():
    model = model_of({"he": 64, "ihc": 64}, macl={"k": 40})
    batch = batch_of({"he": [400], "ihc": [300]}, 64)
    exact = gradients(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        terms = losses(model, batch)
        scores = {m: token.score for m, token in model.encoder(batch).items()}
    model.zero_grad()
    sum(terms.values()).backward()
    for name, parameter in model.named_parameters():
        difference = (parameter.grad - exact[name]).norm() / exact[name].norm()
        assert difference < 0.1, name
    for stain, token in model.encoder(batch).items():
        for one, two in zip(extremes(token.score, 40), extremes(scores[stain], 40), strict=True):
            assert set(one.tolist()) == set(two.tolist())


def test_released_scores_under_mixed_precision_are_not_exact():
    models = [model_of({"he": 64, "ihc": 64}, exact_score=exact) for exact in (True, False)]
    batch = batch_of({"he": [400], "ihc": [300]}, 64)
    with torch.autocast("cpu", torch.bfloat16):
        exact, released = (model.encoder(batch)["he"].score.float() for model in models)
        total = sum(losses(models[1], batch).values())
    total.backward()
    assert not torch.equal(exact, released)
    assert_close(exact, released, rtol=0.2, atol=0)
    assert all(parameter.grad.isfinite().all() for parameter in models[1].parameters())


def test_norm_and_aggregator_are_shared_as_told():
    shared = model_of({"he": 32, "ihc": 32}, share_aggregator=True).encoder
    assert shared.layers["he"] is shared.layers["ihc"] and shared.norms["he"] is shared.norms["ihc"]
    own = model_of({"he": 32, "ihc": 32}, share_norm=False).encoder
    assert own.layers["he"] is not own.layers["ihc"] and own.norms["he"] is not own.norms["ihc"]


def test_what_does_not_fit_is_refused_with_the_next_step():
    with pytest.raises(RecipeError, match="share_norm needs stains of one width, got he 32, ihc 64"):
        NystromEncoder(spec_of(he=32, ihc=64))
    assert NystromEncoder(spec_of(he=32, ihc=64), width=16).out["ihc"].dim == 16
    with pytest.raises(RecipeError, match="odd"):
        NystromEncoder(spec_of(he=32), kernel=4)
    with pytest.raises(RecipeError, match="Did you mean ihc"):
        NystromEncoder(spec_of(he=32, ihc=32), modalities=["icc"])
    with pytest.raises(RecipeError, match="contrasts patches"):
        MACL({"he": TokenSpec(8, "vector")}, spec_of(he=8))
    with pytest.raises(RecipeError, match="differ in width"):
        TailFusion({"he": TokenSpec(8, "vector"), "ihc": TokenSpec(9, "vector")}, spec_of(he=8))
    with pytest.raises(RecipeError, match="gives no 'ihc'"):
        StainHeads(FusedSpec(8, "vector", by_modality={"he": TokenSpec(8, "vector")}), spec_of(he=8))
