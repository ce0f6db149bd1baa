"""What the maps know of the pair: by hand, and where there is nothing to know."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pathfuse_corranet.dab import dab, spearman
from pathfuse_corranet.figures import grey
from pathfuse_corranet.objective import CorrelationObjective
from pathfuse_corranet.pairing import retrieval, strangers
from tests.plugins.pathfuse_corranet.cases import batch_of, model_of

PATIENTS = ("a", "a", "b", "c")


def metrics_of(model, batch, **options):
    return CorrelationObjective(**options).eval().losses(model, batch).metrics


def test_strangers_are_of_another_patient():
    assert strangers(PATIENTS).tolist() == [2, 2, 3, 0]


def test_a_stranger_s_stain_is_compared_by_hand():
    model, batch = model_of().eval(), replace(batch_of(), patient_ids=PATIENTS)
    found = metrics_of(model, batch)
    hidden = model.fuse(batch.keep("he")).embedding.detach().mean(1).flatten(1).numpy()
    images = grey(batch.x["ihc"]).flatten(1).numpy()
    for name, others in (("mean_correlation_from_he", range(4)), ("mean_correlation_from_he_shuffled", (2, 2, 3, 0))):
        expected = np.mean([np.corrcoef(hidden[row], images[other])[0, 1] for row, other in enumerate(others)])
        assert float(found[name]) == pytest.approx(expected, abs=1e-5)


def test_the_partner_is_found_where_maps_agree_and_by_chance_where_all_are_the_same():
    torch.manual_seed(0)
    maps = torch.randn(6, 4, 3, 3)
    patients = [str(row) for row in range(6)]
    found = retrieval(maps, 2 * maps + 1, patients)
    assert found["retrieval_rank1"].eq(1).all() and found["retrieval_mrr"].eq(1).all()
    assert_close(found["retrieval_chance"], torch.full((6,), 1 / 6))
    blind = retrieval(torch.ones_like(maps), maps, patients)
    assert_close(blind["retrieval_rank1"], torch.full((6,), 1 / 6))
    rolled = retrieval(maps, maps.roll(1, 0), patients)
    assert rolled["retrieval_rank1"].eq(0).all() and rolled["retrieval_mrr"].mean() < 0.6


def test_ranks_are_those_of_a_loop_over_other_patients():
    torch.manual_seed(1)
    he, ihc = torch.randn(4, 2, 3, 3), torch.randn(4, 2, 3, 3)
    q, c = (values.flatten(1).numpy() - values.flatten(1).numpy().mean(0) for values in (he, ihc))
    ranks = []
    for row in range(4):
        own = np.dot(q[row], c[row]) / np.linalg.norm(c[row])
        others = [other for other in range(4) if PATIENTS[other] != PATIENTS[row]]
        ranks.append(1 + sum(np.dot(q[row], c[other]) / np.linalg.norm(c[other]) > own for other in others))
    found = retrieval(he, ihc, PATIENTS)
    assert found["retrieval_rank1"].tolist() == [float(rank == 1) for rank in ranks]
    assert found["retrieval_mrr"].tolist() == pytest.approx([1 / rank for rank in ranks])
    assert found["retrieval_chance"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 4, 1 / 4])


def test_dead_channels_are_counted():
    model, batch = model_of().eval(), batch_of()
    model.fusion.conv.bias.data.fill_(10.0)
    before = metrics_of(model, batch)["dead_channels"]
    model.fusion.conv.weight.data[:3] = 0
    model.fusion.conv.bias.data[:3] = -1.0
    assert before == 0 and metrics_of(model, batch)["dead_channels"] == 3


@pytest.mark.parametrize("batch", [batch_of(ihc=(0, 1, 2, 3)), replace(batch_of(), patient_ids=("a",) * 4)])
def test_without_two_pairs_there_are_only_dead_channels(batch):
    found = metrics_of(model_of().eval(), batch)
    assert "dead_channels" in found and not [name for name in found if "retrieval" in name or "shuffled" in name]


def test_pairs_that_stand_among_lone_cases_keep_their_rows():
    model = model_of().eval()
    batch = replace(batch_of(ihc=(1,)), patient_ids=("a", "b", "c", "d"))
    pairs = batch.select(torch.tensor([0, 2, 3]))
    whole, alone = metrics_of(model, batch), metrics_of(model, pairs)
    for name in ("mean_correlation_from_he_shuffled", "retrieval_mrr_from_he"):
        assert_close(whole[name], alone[name], atol=1e-5, rtol=1e-5)


def test_they_are_not_computed_in_training():
    found = CorrelationObjective().train().losses(model_of(), batch_of()).metrics
    assert "dead_channels" not in found


def test_grey_images_are_what_needs_no_network():
    model, batch = model_of().eval(), replace(batch_of(), patient_ids=PATIENTS)
    he, ihc = (grey(batch.x[stain]).flatten(1).numpy() for stain in ("he", "ihc"))
    found = metrics_of(model, batch)
    expected = np.mean([np.corrcoef(one, other)[0, 1] for one, other in zip(he, ihc, strict=True)])
    assert float(found["mean_correlation_from_he_grey"]) == pytest.approx(expected, abs=1e-5)


def test_pooled_retrieval_knows_no_place():
    model, batch = model_of().eval(), replace(batch_of(), patient_ids=("a", "b", "c", "d"))
    found = CorrelationObjective().eval().by_case(model, batch)
    maps = model.fuse(batch).by_modality
    expected = retrieval(maps["he"].mean((2, 3)), maps["ihc"].mean((2, 3)), "abcd")["retrieval_mrr"]
    assert_close(found["retrieval_pooled_mrr_from_he"].float(), expected)
    assert_close(found["retrieval_pooled_mrr"], found["retrieval_pooled_mrr_from_he"])


def test_what_is_logged_is_the_mean_over_the_cases_of_the_part():
    model = model_of().eval()
    batch = replace(batch_of(ihc=(1,)), patient_ids=("a", "b", "c", "d"))
    objective = CorrelationObjective().eval()
    by_case, logged = objective.by_case(model, batch), metrics_of(model, batch)
    assert "dab_from_he" in by_case and by_case["mean_correlation_from_he"].isnan().tolist() == [
        False,
        True,
        False,
        False,
    ]
    for name, values in by_case.items():
        assert_close(values.nanmean().float(), logged[name])


def test_brown_is_the_dab_of_two_stains_mixed_by_hand():
    amounts = torch.tensor([[0.2, 0.0], [0.2, 0.4], [0.1, 0.8]])
    absorbed = torch.tensor([[0.650, 0.704, 0.286], [0.268, 0.570, 0.776]])
    absorbed = absorbed / torch.linalg.vector_norm(absorbed, dim=1, keepdim=True)
    images = (10 ** -(amounts @ absorbed))[:, :, None, None].expand(3, 3, 2, 2)
    assert_close(dab(images).float(), amounts[:, 1], atol=1e-5, rtol=1e-5)


def test_ranks_of_dab_and_score_are_correlated_with_ties_in_the_middle():
    from scipy.stats import spearmanr

    brown, score = torch.tensor([0.1, 0.3, 0.3, 0.9, 0.2]), torch.tensor([0, 1, 1, 3, 2])
    assert float(spearman(brown, score)) == pytest.approx(spearmanr(brown, score).statistic)
    assert spearman(brown, torch.ones(5)).isnan()
