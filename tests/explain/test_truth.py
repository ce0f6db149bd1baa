import math

import numpy as np
import pytest
from PIL import Image

from pathfuse.explain.faith.truth import auc_of, mean_score, random_map, truth_beside

TRUTH = np.zeros((16, 16), dtype=bool)
TRUTH[:, :8] = True


def test_a_map_that_is_the_truth_scores_one_and_its_reverse_zero():
    assert auc_of(TRUTH.astype(float), TRUTH) == 1
    assert auc_of(1.0 - TRUTH, TRUTH) == 0


def test_a_flat_map_scores_chance():
    assert auc_of(np.full((16, 16), 0.3), TRUTH) == 0.5


def test_the_score_is_the_chance_that_a_true_place_is_above_a_false_one():
    rng = np.random.default_rng(0)
    values, truth = rng.integers(0, 5, (6, 6)).astype(float), rng.random((6, 6)) > 0.6
    pairs = [(a > b) + 0.5 * (a == b) for a in values[truth] for b in values[~truth]]
    assert auc_of(values, truth) == pytest.approx(np.mean(pairs))


def test_a_coarse_map_is_enlarged_to_the_truth():
    assert auc_of(np.array([[1.0, 0.0], [1.0, 0.0]]), TRUTH) == 1


@pytest.mark.parametrize("value", [True, False])
def test_a_mask_of_one_value_cannot_be_scored(value):
    assert auc_of(np.eye(4), np.full((4, 4), value)) is None


def test_random_maps_follow_the_case_and_the_seed_alone():
    assert np.array_equal(random_map("case1", 0), random_map("case1", 0))
    assert not np.array_equal(random_map("case1", 0), random_map("case2", 0))
    assert not np.array_equal(random_map("case1", 0), random_map("case1", 1))


def test_random_maps_score_chance_on_average():
    scores = [auc_of(random_map(f"case{number}", 0), TRUTH) for number in range(200)]
    assert abs(np.mean(scores) - 0.5) < 0.03


def test_the_score_is_the_mean_over_cases():
    score = mean_score([(0.9, 0.4), (0.7, 0.6)])
    assert (score.auc, score.random_auc, score.cases) == (pytest.approx(0.8), 0.5, 2)
    assert math.isnan(mean_score([]).auc)


@pytest.mark.parametrize("beside", ["cases.csv", ""])
def test_masks_lie_beside_the_case_table(tmp_path, beside):
    (tmp_path / "truth" / "nuclei").mkdir(parents=True)
    (tmp_path / "cases.csv").write_text("")
    Image.fromarray(TRUTH.astype(np.uint8) * 255).save(tmp_path / "truth" / "nuclei" / "a.png")
    truth = truth_beside(tmp_path / beside)
    np.testing.assert_array_equal(truth("a", "he"), TRUTH)
    assert truth("b", "he") is None and truth("a", "ihc") is None and truth("a", "ki67") is None


def test_a_cohort_without_masks_has_no_truth(tmp_path):
    assert truth_beside(tmp_path / "cases.csv") is None
