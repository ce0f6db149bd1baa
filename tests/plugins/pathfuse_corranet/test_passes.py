"""The pass without repeats is the stacked one: same losses, gradients and buffers."""

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import weighted_total
from pathfuse_corranet.objective import CorrelationObjective
from pathfuse_corranet.passes import JOINT, rows_of, shareable, stacked
from tests.plugins.pathfuse_corranet.cases import PAIR, THREE, batch_of, model_of


def step(model, batch, **options):
    outcome = CorrelationObjective(**options).losses(model, batch)
    total = weighted_total(outcome.terms, dict.fromkeys(outcome.terms, 1.0) | {"correlation": 1.5})
    total.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return total.detach(), outcome, gradients


CASES = {
    "all stains": (PAIR, {}, {}),
    "some stains": (PAIR, {"ihc": (0, 2), "he": (3,)}, {}),
    "no ihc at all": (PAIR, {"ihc": (0, 1, 2, 3)}, {}),
    "three stains": (THREE, {"her2": (0,), "ki67": (0, 1)}, {}),
    "one stain": (("he",), {}, {}),
    "sum": (PAIR, {"ihc": (1,)}, {"combine": "sum"}),
    "concat": (THREE, {"ki67": (1,)}, {"combine": "concat"}),
    "no gate": (PAIR, {}, {"use_se": False}),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES)
def test_shared_rows_are_the_stacked_batch(case, training):
    stains, absent, fusion = CASES[case]
    batch = batch_of(stains, **absent)
    models = {share: model_of(stains, fusion=fusion).train(training) for share in (True, False)}
    assert shareable(models[True], batch)
    loss, outcome, gradients = step(models[True], batch, share_rows=True)
    expected, reference, wanted = step(models[False], batch, share_rows=False)
    assert_close(loss, expected)
    assert_close(outcome.terms, reference.terms)
    assert_close(outcome.metrics, reference.metrics)
    assert_close(gradients, wanted, rtol=1e-6, atol=1e-10)
    assert_close(models[True].state_dict(), models[False].state_dict())
    assert_close(outcome.prediction.reconstructions, reference.prediction.reconstructions)


def test_shared_rows_agree_in_float32():
    batch = batch_of(size=32, dtype=torch.float32)
    models = [model_of(dtype=torch.float32).train() for _ in range(2)]
    loss, _, gradients = step(models[0], batch, share_rows=True)
    expected, _, wanted = step(models[1], batch, share_rows=False)
    assert abs(loss - expected) < 1e-4
    # Correlation over a batch of four divides by small deviations; in float64 the two are equal, as above.
    assert_close(gradients, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("absent", [{}, {"ihc": (0, 2)}])
def test_a_dropped_branch_takes_the_stacked_batch(absent):
    model, batch = model_of(encoder={"missing": "drop_branch"}).train(), batch_of(**absent)
    assert not shareable(model, batch)
    _, _, gradients = step(model, batch)
    assert all(g is not None and torch.isfinite(g).all() for g in gradients.values())


def test_a_pass_from_one_stain_takes_the_rows_that_have_it():
    batch = batch_of(ihc=(0, 2))
    passes = stacked(model_of(), batch, rows_of(batch, PAIR, alone=True))
    rows = {name: run.rows.tolist() for name, run in passes.by_name.items()}
    assert rows == {JOINT: [0, 1, 2, 3], "from_he": [0, 1, 2, 3], "from_ihc": [1, 3]}


def test_an_encoder_of_somebody_else_takes_the_stacked_batch():
    model, batch = model_of(), batch_of()

    class Other(type(model.encoder)):
        pass

    model.encoder.__class__ = Other
    assert not shareable(model, batch)
    assert_close(step(model, batch)[0], step(model_of(), batch)[0])
