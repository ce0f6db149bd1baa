from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import (
    Batch,
    FusedSpec,
    TokenSpec,
)
from pathfuse_wsmcl.heads import StainHeads
from tests.plugins.pathfuse_wsmcl.models import batch_of, losses, model_of, spec_of


def test_a_case_without_any_stain_counts_nowhere():
    model = model_of({"he": 32, "ihc": 32})
    batch = batch_of({"he": [0], "ihc": [0]})
    assert model(batch).present.tolist() == [False]
    assert all(term == 0 for term in losses(model, batch).values())


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


def test_the_teacher_speaks_on_unlabelled_pairs_where_it_is_asked_to():
    batch = batch_of({"he": [20, 30], "ihc": [15, 12]})
    bare = replace(batch, target=torch.tensor([-1, -1]))
    terms = losses(model_of({"he": 32, "ihc": 32}, head={"kl_on": "all"}), bare)
    assert terms["classification"] == 0 and terms["kl"] > 0
    assert_close(terms["kl"], losses(model_of({"he": 32, "ihc": 32}), batch)["kl"])
    assert losses(model_of({"he": 32, "ihc": 32}), bare)["kl"] == 0


def test_unlabelled_pairs_stay_in_training_only_then():
    assert StainHeads.learns_from_all({"kl_on": "all"})
    assert not StainHeads.learns_from_all({}) and not StainHeads.learns_from_all({"kl_on": "labelled"})
