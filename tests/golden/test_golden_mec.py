import numpy as np
import pytest
import torch

from pathfuse.evaluate.metrics.confidence import mean_effective_confidence
from pathfuse.evaluate.metrics.strata import BORDERS, layers
from pathfuse.runs.rows import Rows
from tests.golden.vectors import DTYPES, assert_near, golden

READINGS = {
    "signed": ("conf", {}),
    "signed_minmax_on_conf": ("conf", {"scale": "minmax"}),
    "signed_minmax_on_logits": ("conf_logit", {"scale": "minmax"}),
    "symmetric": ("conf", {"form": "symmetric"}),
    "constant_minmax": ("constant_conf", {"scale": "minmax"}),
}


@DTYPES
@pytest.mark.parametrize("name", READINGS)
def test_mean_effective_confidence(name, dtype):
    vectors = golden("mec")
    source, options = READINGS[name]
    got = mean_effective_confidence(
        torch.tensor(vectors["correct"]), torch.tensor(vectors[source], dtype=dtype), **options
    )
    assert_near(got, vectors[name], dtype)


def test_strata_of_confidence():
    vectors = golden("mec")
    correct, confidence = np.asarray(vectors["correct"], dtype=bool), np.asarray(vectors["conf"])
    assert tuple(vectors["thresholds"]) == BORDERS
    predicted = np.zeros(len(correct), dtype=np.int64)
    found = list(layers(Rows(np.eye(2)[predicted], predicted, (~correct).astype(np.int64), confidence)))
    assert [layer.n for layer in found] == list(vectors["stratum_n"])
    assert_near(np.array([layer.accuracy for layer in found]), vectors["stratum_accuracy"], torch.float64)
