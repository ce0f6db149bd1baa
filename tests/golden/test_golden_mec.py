import pytest
import torch
from torch.testing import assert_close

from pathfuse.evaluate.metrics.mec import mean_effective_confidence, strata_accuracy, strata_sizes, stratum
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
    correct, confidence = torch.tensor(vectors["correct"]), torch.tensor(vectors["conf"])
    borders = tuple(float(border) for border in vectors["thresholds"])
    assert_close(stratum(confidence, borders), torch.tensor(vectors["stratum"]))
    assert_close(strata_sizes(confidence, borders), torch.tensor(vectors["stratum_n"]))
    assert_near(strata_accuracy(correct, confidence, borders), vectors["stratum_accuracy"], torch.float64)
