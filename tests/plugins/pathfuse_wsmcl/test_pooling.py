"""Scores that decide: patches pooled by a learned weight."""

import torch
from torch.testing import assert_close

from tests.plugins.pathfuse_wsmcl.models import batch_of, gradients, losses, model_of

ATTENDED = {"pool": "attended", "hidden": 8}


def made():
    return model_of({"he": 32, "ihc": 32}, macl=ATTENDED)


def test_a_case_is_the_sum_of_its_patches_weighed_by_their_scores():
    model, batch = made().eval(), batch_of({"he": [6, 9], "ihc": [5, 0]})
    tokens = model.encoder(batch)
    fused = model.fusion(tokens)
    values, score = tokens["he"].values[6:], fused.attention["he"][6:]
    assert_close(fused.by_modality["he"][1], (score.softmax(0)[:, None] * values).sum(0))
    assert (fused.by_modality["ihc"][1] == 0).all()


def test_the_scores_carry_gradient_from_the_label():
    found = gradients(made(), batch_of({"he": [20, 30], "ihc": [15, 12]}))
    for stain in ("he", "ihc"):
        assert found[f"fusion.pools.{stain}.score.0.weight"].abs().sum() > 0


def test_the_contrast_takes_the_patches_that_are_weighed_most():
    model, batch = made(), batch_of({"he": [20], "ihc": [15]})
    fused = model.fuse(batch)
    assert all(torch.equal(fused.tokens[name].score, fused.attention[name]) for name in ("he", "ihc"))
    assert torch.isfinite(losses(model, batch)["contrast"])
