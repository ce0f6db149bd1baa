import pytest
import torch
from torch.testing import assert_close

from benchmarks.looped_wsmcl import looped_contrast, loss_of
from pathfuse.core import (
    Bags,
    Batch,
    DataSpec,
    FusedSpec,
    ModalitySpec,
    Model,
    SupervisedObjective,
    Tokens,
    TokenSpec,
)
from pathfuse.errors import PathfuseError, RecipeError
from pathfuse_wsmcl.contrast import contrast_terms
from pathfuse_wsmcl.encoder import NystromEncoder
from pathfuse_wsmcl.heads import StainHeads
from pathfuse_wsmcl.macl import MACL
from pathfuse_wsmcl.selection import Groups, extremes
from pathfuse_wsmcl.tail import TailFusion

K = 4


def spec_of(classes=4, **widths):
    modalities = tuple(ModalitySpec(name, "features", width) for name, width in widths.items())
    return DataSpec(modalities, tuple(map(str, range(classes))), (1,) * classes)


def model_of(widths, head=None, macl=None, **encoder):
    torch.manual_seed(0)
    spec = spec_of(**widths)
    built = NystromEncoder(spec, **{"dropout": 0.0, **encoder})
    fusion = MACL(built.out, spec, **{"k": K, **(macl or {})})
    return Model(built, fusion, StainHeads(fusion.out, spec, **(head or {})), spec)


def batch_of(lengths, width=32, absent=(), dtype=torch.float32):
    """Bags of these lengths per stain; `absent` names (stain, case) whose payload is there but not present."""
    generator = torch.Generator().manual_seed(1)
    x, present = {}, {}
    for name, sizes in lengths.items():
        values = torch.randn(sum(sizes), width, generator=generator).to(dtype)
        x[name] = Bags(values, torch.tensor(sizes))
        present[name] = torch.tensor([size > 0 and (name, row) not in absent for row, size in enumerate(sizes)])
    cases = len(next(iter(lengths.values())))
    ids = tuple(f"c{row}" for row in range(cases))
    return Batch(x, present, torch.arange(cases) % 4, ids, ids)


def losses(model, batch):
    return SupervisedObjective().losses(model, batch).terms


def gradients(model, batch):
    model.zero_grad()
    sum(losses(model, batch).values()).backward()
    return {name: p.grad for name, p in model.named_parameters()}


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


def test_closed_form_equals_the_loop():
    rows = tuple(torch.randn(2 * K, 6, dtype=torch.float64) for _ in range(2))
    groups = Groups(torch.arange(K), torch.arange(K, 2 * K))
    scale = torch.tensor(9.0, dtype=torch.float64)
    assert_close(contrast_terms(rows, (groups, groups), scale).mean(), looped_contrast(*rows, K, scale))


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


def test_contrast_of_a_batch_is_the_mean_over_its_pairs():
    model = model_of({"he": 32, "ihc": 32})
    batch = batch_of({"he": [37, 9, 60], "ihc": [20, 45, 1]})
    apart = [losses(model, batch.select(torch.tensor([row])))["contrast"] for row in (0, 1)]
    assert_close(losses(model, batch)["contrast"], torch.stack(apart).mean(), atol=1e-5, rtol=1e-5)


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


@pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (2, 2), (K - 1, 2 * K), (0, 5), (5, 0)])
def test_small_bags_give_finite_losses_and_gradients(sizes):
    model = model_of({"he": 32, "ihc": 32})
    batch = batch_of({"he": [sizes[0], 11], "ihc": [sizes[1], 13]})
    terms = losses(model, batch)
    assert all(term.isfinite() for term in terms.values())
    assert all(g is None or g.isfinite().all() for g in gradients(model, batch).values())
    alone = losses(model, batch.select(torch.tensor([0])))["contrast"]
    assert (alone == 0) == (min(sizes) < 2)
    assert alone.requires_grad


def test_a_case_without_any_stain_counts_nowhere():
    model = model_of({"he": 32, "ihc": 32})
    batch = batch_of({"he": [0], "ihc": [0]})
    assert model(batch).present.tolist() == [False]
    assert all(term == 0 for term in losses(model, batch).values())


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
    assert not torch.equal(exact, released)
    assert_close(exact, released, rtol=0.2, atol=0)
    assert all(gradient.isfinite().all() for gradient in gradients(models[1], batch).values())


def test_norm_and_aggregator_are_shared_as_told():
    shared = model_of({"he": 32, "ihc": 32}, share_aggregator=True).encoder
    assert shared.layers["he"] is shared.layers["ihc"] and shared.norms["he"] is shared.norms["ihc"]
    own = model_of({"he": 32, "ihc": 32}, share_norm=False).encoder
    assert own.layers["he"] is not own.layers["ihc"] and own.norms["he"] is not own.norms["ihc"]


def test_released_overlap_takes_k_and_refuses_less():
    batch = batch_of({"he": [K + 1], "ihc": [2 * K]})
    released = model_of({"he": 32, "ihc": 32}, macl={"overlap": "released"})
    disjoint = model_of({"he": 32, "ihc": 32})
    assert losses(released, batch)["contrast"] != losses(disjoint, batch)["contrast"]
    with pytest.raises(PathfuseError, match=r"case c0 has 3 patches.*overlap: disjoint"):
        losses(released, batch_of({"he": [3], "ihc": [2 * K]}))


def test_positives_of_one_group_are_half_of_the_terms():
    batch = batch_of({"he": [30], "ihc": [40]})
    both, top, bottom = (
        losses(model_of({"he": 32, "ihc": 32}, macl={"positives": positives}), batch)["contrast"]
        for positives in ("both", "top", "bottom")
    )
    assert_close((top + bottom) / 2, both)


def test_random_selection_draws_anew_and_needs_no_scores():
    model = model_of({"he": 32, "ihc": 32}, macl={"selection": "random"})
    batch = batch_of({"he": [30], "ihc": [40]})
    tokens = {m: Tokens(t.values, t.present, t.lengths) for m, t in model.encoder(batch).items()}
    first, second = (model.fusion.contrast(tokens, batch.case_ids) for _ in range(2))
    assert first != second
    with pytest.raises(RecipeError, match="no scores for he"):
        model_of({"he": 32, "ihc": 32}).fusion.contrast(tokens, batch.case_ids)


def test_learned_scale_is_clamped_when_asked():
    batch = batch_of({"he": [30], "ihc": [40]})
    free, clamped = (model_of({"he": 32, "ihc": 32}, macl={"max_scale": bound}) for bound in (None, 100.0))
    for model in (free, clamped):
        model.fusion.logit_scale.data.fill_(6.0)
    expected = model_of({"he": 32, "ihc": 32}, macl={"temperature": 0.01})
    assert_close(losses(clamped, batch)["contrast"], losses(expected, batch)["contrast"])
    assert losses(free, batch)["contrast"] != losses(clamped, batch)["contrast"]


def test_three_stains_are_contrasted_pair_by_pair():
    widths = {"he": 32, "ihc": 32, "pr": 32}
    model = model_of(widths)
    batch = batch_of({"he": [30, 12], "ihc": [20, 0], "pr": [25, 14]})
    assert set(losses(model, batch)) == {"contrast", "classification", "classification_ihc", "kl"}
    assert all(g.isfinite().all() for g in gradients(model, batch).values())


@pytest.mark.parametrize("parts", [["add"], ["multiply"], ["concatenate"], None])
def test_tail_fusion_leaves_an_absent_stain_out(parts):
    spec = {"he": TokenSpec(8, "vector"), "ihc": TokenSpec(8, "vector")}
    tail = TailFusion(spec, spec_of(he=8), parts=parts)
    he, here, gone = torch.randn(3, 8), torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    fused = tail({"he": Tokens(he, here), "ihc": Tokens(torch.full((3, 8), torch.nan), gone)})
    made = {"add": he, "multiply": he}
    if tail.side_by_side is not None:
        made["concatenate"] = tail.side_by_side(torch.cat([he, torch.zeros_like(he)], 1))
    expected = torch.nn.functional.gelu(tail.mix(torch.cat([made[part] for part in tail.parts], 1)))
    assert_close(fused.embedding, expected)


def test_a_case_with_one_stain_is_scored_by_that_stain():
    model = model_of({"he": 32, "ihc": 32})
    batch = batch_of({"he": [20, 30, 9], "ihc": [15, 0, 12]}, absent={("he", 2)})
    prediction = model(batch)
    assert_close(prediction.logits[0], prediction.extra["joint"][0])
    assert_close(prediction.logits[1], prediction.modality_logits["he"][1])
    assert_close(prediction.logits[2], prediction.modality_logits["ihc"][2])
    joint = model_of({"he": 32, "ihc": 32}, head={"alone": "joint"})(batch)
    assert_close(joint.logits, joint.extra["joint"])


def test_losses_count_only_cases_they_are_about():
    model = model_of({"he": 32, "ihc": 32}, head={"own_loss": ["ihc", "he"]})
    batch = batch_of({"he": [20, 30, 0], "ihc": [15, 0, 12]})
    terms, prediction = losses(model, batch), model(batch)
    cross_entropy = torch.nn.functional.cross_entropy
    own, target = prediction.modality_logits, batch.target
    assert_close(terms["classification"], cross_entropy(prediction.logits[:1], target[:1]))
    assert_close(terms["classification_he"], cross_entropy(own["he"][:2], target[:2]))
    assert_close(terms["classification_ihc"], cross_entropy(own["ihc"][[0, 2]], target[[0, 2]]))
    p, q = own["ihc"][0].softmax(0), own["he"][0].softmax(0)
    assert_close(terms["kl"], (p * (p / q).log()).sum())
    unknown = Batch(batch.x, batch.present, torch.full((3,), -1), batch.case_ids, batch.case_ids)
    assert losses(model, unknown)["classification"] == 0


@pytest.mark.parametrize("detach", [False, True])
def test_teacher_is_pulled_unless_detached(detach):
    model = model_of({"he": 32, "ihc": 32}, head={"detach_teacher": detach})
    losses(model, batch_of({"he": [20], "ihc": [15]}))["kl"].backward()
    assert model.head.stains["he"].weight.grad.abs().sum() > 0
    assert (model.head.stains["ihc"].weight.grad is None) == detach


def test_numerals_far_apart_keep_the_divergence_finite():
    head = StainHeads(
        FusedSpec(2, "vector", by_modality={"he": TokenSpec(2, "vector"), "ihc": TokenSpec(2, "vector")}), spec_of()
    )
    one, two = torch.tensor([[400.0, 0.0]]), torch.tensor([[0.0, 400.0]])
    assert head._kl(one, two, torch.tensor([True])) == 400


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
