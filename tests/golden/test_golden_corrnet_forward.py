"""Corr-A-Net's forward pass and both of its objectives against the reference vectors."""

import pytest
import torch

from pathfuse.core import weighted_total
from pathfuse_corranet.objective import CorrelationObjective, ReleasedObjective
from tests.golden.corrnet import config_of, corrnet, pair
from tests.golden.vectors import DTYPES, assert_near, golden

RUNS = ["released_train", "released_eval", "noattention_eval", "paper_eval"]


def options_of(arrays, run):
    config = config_of(arrays)
    if run.startswith("noattention"):
        return {**config["released"], "use_se": False}
    return config[run.split("_")[0]]


def views(prediction):
    return torch.cat([prediction.reconstructions["he"], prediction.reconstructions["ihc"]], 1)


@DTYPES
@pytest.mark.parametrize("run", RUNS)
def test_the_forward_pass_is_the_reference(run, dtype):
    arrays = golden("corrnet_forward")
    model = corrnet(arrays, options_of(arrays, run), dtype).train(run.endswith("train"))
    fused = model.fuse(pair(arrays, dtype))
    assert_near(fused.by_modality["he"], arrays[f"{run}/x_att"], dtype)
    assert_near(fused.by_modality["ihc"], arrays[f"{run}/y_att"], dtype)
    assert_near(fused.embedding, arrays[f"{run}/fused"], dtype)
    assert_near(views(model.head(fused)), arrays[f"{run}/z"], dtype)


@DTYPES
def test_an_absent_ihc_is_a_black_image(dtype):
    arrays = golden("corrnet_forward")
    model = corrnet(arrays, options_of(arrays, "released_eval"), dtype)
    fused = model.fuse(pair(arrays, dtype, ihc=False))
    assert_near(fused.embedding, arrays["released_he_only_eval/fused"], dtype)
    assert_near(views(model.head(fused)), arrays["released_he_only_eval/z"], dtype)


@DTYPES
@pytest.mark.parametrize("run", ["released_train", "released_eval", "noattention_eval"])
def test_the_released_objective_is_the_reference(run, dtype):
    arrays = golden("corrnet_forward")
    model = corrnet(arrays, options_of(arrays, run), dtype).train(run.endswith("train"))
    terms = ReleasedObjective().losses(model, pair(arrays, dtype)).terms
    total = weighted_total(terms, {**dict.fromkeys(terms, 1.0), "correlation": config_of(arrays)["lam"]})
    order = [total, terms["l1_joint"], terms["l1_he"], terms["l1_ihc"], -terms["correlation"]]
    assert_near(torch.stack(order), arrays[f"{run}/objective"], dtype)


@DTYPES
@pytest.mark.parametrize("share_rows", [True, False], ids=["shared rows", "stacked"])
def test_the_objective_of_the_paper_is_the_reference(share_rows, dtype):
    arrays = golden("corrnet_forward")
    config = config_of(arrays)
    model = corrnet(arrays, config["paper"], dtype)
    objective = CorrelationObjective(
        beta=config["beta"], correlation="channel", data_range=config["data_range"], share_rows=share_rows
    )
    outcome = objective.losses(model, pair(arrays, dtype))
    for term in ("joint", "from_he", "from_ihc"):
        assert_near(outcome.terms[term], arrays[f"paper_objective/{term}"], dtype)
    for figure in ("self_he", "self_ihc", "cross_he_to_ihc", "cross_ihc_to_he"):
        assert_near(outcome.metrics[figure], arrays[f"paper_objective/{figure}"], dtype)
    assert_near(-outcome.terms["correlation"], arrays["paper_objective/corr"], dtype)
    total = weighted_total(outcome.terms, {**dict.fromkeys(outcome.terms, 1.0), "correlation": config["lam"]})
    assert_near(total, arrays["paper_objective/total"], dtype)
