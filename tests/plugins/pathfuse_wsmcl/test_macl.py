import pytest
import torch
from torch.testing import assert_close

from benchmarks.peers.looped_wsmcl import looped_contrast
from pathfuse.core import (
    Tokens,
)
from pathfuse.errors import PathfuseError, RecipeError
from pathfuse_wsmcl.contrast import contrast_terms
from pathfuse_wsmcl.selection import Groups
from tests.plugins.pathfuse_wsmcl.models import K, batch_of, gradients, losses, model_of


def test_closed_form_equals_the_loop():
    rows = tuple(torch.randn(2 * K, 6, dtype=torch.float64) for _ in range(2))
    groups = Groups(torch.arange(K), torch.arange(K, 2 * K))
    scale = torch.tensor(9.0, dtype=torch.float64)
    assert_close(contrast_terms(rows, (groups, groups), scale).mean(), looped_contrast(*rows, K, scale))


def test_the_contrast_does_not_say_which_end_of_the_scores_is_the_signal():
    rows = tuple(torch.randn(2 * K, 6, dtype=torch.float64) for _ in range(2))
    top, bottom = torch.arange(K), torch.arange(K, 2 * K)
    scale = torch.tensor(9.0, dtype=torch.float64)
    as_scored = contrast_terms(rows, (Groups(top, bottom), Groups(top, bottom)), scale).mean()
    upside_down = contrast_terms(rows, (Groups(bottom, top), Groups(bottom, top)), scale).mean()
    one_only = contrast_terms(rows, (Groups(bottom, top), Groups(top, bottom)), scale).mean()
    assert_close(upside_down, as_scored)
    assert abs(one_only - as_scored) > 1e-6


def test_contrast_of_a_batch_is_the_mean_over_its_pairs():
    model = model_of({"he": 32, "ihc": 32})
    batch = batch_of({"he": [37, 9, 60], "ihc": [20, 45, 1]})
    apart = [losses(model, batch.select(torch.tensor([row])))["contrast"] for row in (0, 1)]
    assert_close(losses(model, batch)["contrast"], torch.stack(apart).mean(), atol=1e-5, rtol=1e-5)


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
