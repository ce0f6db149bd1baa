"""The yardstick of the benchmark is the network of the golden vectors, and of the components."""

import torch
from torch.testing import assert_close

from benchmarks.peers import plain_corrnet
from pathfuse.core import weighted_total
from pathfuse_corranet.objective import CorrelationObjective
from tests.golden.corrnet import config_of, corrnet, pair
from tests.golden.vectors import DTYPES, assert_near, golden
from tests.plugins.pathfuse_corranet.cases import batch_of, model_of


@DTYPES
def test_the_plain_network_is_the_golden_one(dtype):
    arrays = golden("corrnet_forward")
    config = config_of(arrays)
    plain = plain_corrnet.load(corrnet(arrays, config["paper"], dtype))
    batch = pair(arrays, dtype)
    _, h_x, h_y = plain(batch.x["he"], batch.x["ihc"])
    assert_near(h_x, arrays["paper_eval/x_att"], dtype)
    assert_near(h_y, arrays["paper_eval/y_att"], dtype)
    total = plain_corrnet.loss(plain, batch.x["he"], batch.x["ihc"], beta=config["beta"], lam=config["lam"])
    assert_near(total, arrays["paper_objective/total"], dtype)


def test_a_training_step_of_the_components_is_that_of_the_plain_form():
    model, batch = model_of().train(), batch_of()
    plain = plain_corrnet.load(model)
    expected = plain_corrnet.loss(plain, batch.x["he"], batch.x["ihc"])
    expected.backward()
    terms = CorrelationObjective(correlation="channel").losses(model, batch).terms
    total = weighted_total(terms, dict.fromkeys(terms, 1.0) | {"correlation": 1.5})
    total.backward()
    assert_close(total, expected)
    assert_close(model.fusion.conv.weight.grad, plain.conv.weight.grad)
    for m in ("he", "ihc"):
        first = model.encoder.branches[m].convs[0].weight.grad
        assert_close(first, plain.encoders[m].convs[0].weight.grad)
        assert torch.count_nonzero(first) > 0
