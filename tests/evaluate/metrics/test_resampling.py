import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.evaluate.metrics.resampling import bootstrap, observed, percentile_interval, permutation_p, statistic
from pathfuse.evaluate.metrics.standard import metric_named
from pathfuse.runs.rows import Rows
from tests.evaluate.loops import patient_interval

CLASSES = ("a", "b")
ACCURACY, AUC = metric_named("accuracy", CLASSES), metric_named("auroc", CLASSES)


def model(n=60, seed=0, skill=1.0):
    generator = np.random.default_rng(seed)
    target = np.arange(n) % 2
    p = 1 / (1 + np.exp(-(skill * (2 * target - 1) + generator.normal(size=n))))
    prob = np.stack([1 - p, p], axis=1)
    return Rows(prob, prob.argmax(1), target, prob.max(1))


def test_the_interval_is_that_of_the_plain_loop_over_patients():
    own, owner = model(90), np.arange(90) // 3
    drawn = bootstrap({"x": statistic(ACCURACY, [own])}, owner, draws=400, seed=5)["x"]
    right = own.predicted == own.target
    patients = [f"p{number:02d}" for number in owner]
    loop = patient_interval(lambda rows: float(right[rows].mean()), patients, draws=400, seed=5)
    assert percentile_interval(drawn) == pytest.approx(loop)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    def draw(seed):
        return bootstrap({0: statistic(AUC, [model()])}, np.arange(60), draws=300, seed=seed)[0]

    assert (draw(1) == draw(1)).all() and (draw(1) != draw(2)).any()


def test_every_patient_is_drawn_whole_and_cohorts_keep_their_size():
    owner = np.array([0, 0, 1, 2, 2, 2])

    def spy(weight):
        assert (weight[:, 0] == weight[:, 1]).all() and (weight[:, 3] == weight[:, 5]).all()
        assert (weight[:, [0, 2, 3]].sum(1) == 3).all()
        return weight[:, 0]

    assert bootstrap({0: spy}, owner, draws=600, seed=0)[0].mean() == pytest.approx(1, abs=0.15)


def test_passes_are_averaged():
    one, two = model(seed=1), model(seed=2)
    both = observed(statistic(AUC, [one, two]), 60)
    assert both == pytest.approx((observed(statistic(AUC, [one]), 60) + observed(statistic(AUC, [two]), 60)) / 2)


def test_a_model_beside_itself_has_p_one_and_a_perfect_one_beside_chance_has_the_smallest():
    good, bad = model(skill=9), model(skill=0)
    for metric in (ACCURACY, AUC):
        assert permutation_p(metric, [good], [good], np.arange(60), draws=99, seed=0) == 1
        assert permutation_p(metric, [good], [bad], np.arange(60), draws=99, seed=0) == 0.01


def right_and_wrong(only_first, only_second, both, neither):
    """Two models by how many cases each of them gets right."""
    cells = [((0, 1), only_first), ((1, 0), only_second), ((0, 0), both), ((1, 1), neither)]
    pairs = np.array([pair for pair, times in cells for _ in range(times)])
    n = len(pairs)
    return [Rows(np.full((n, 2), 0.5), pairs[:, k], np.zeros(n, dtype=np.int64), np.ones(n)) for k in (0, 1)], n


@pytest.mark.parametrize(
    ("table", "mid_p"),
    [
        ((1, 7, 1, 12), 0.0391),  # Fagerland, Lydersen, Laake 2013: airway hyper-responsiveness (Bentur et al. 2009)
        ((1, 5, 3, 3), 2 * (1 + 6 / 2) / 2**6),  # six discordant cases, one or none the other way, one half
        ((3, 3, 4, 0), 1 - 20 / 2**6 / 2),  # as many on both sides
    ],
)
def test_the_permutation_test_of_accuracy_is_the_mid_p_test_of_mcnemar(table, mid_p):
    (first, second), n = right_and_wrong(*table)
    p = permutation_p(ACCURACY, [first], [second], np.arange(n), draws=40_000, seed=0)
    assert p == pytest.approx(mid_p, abs=0.006)


def test_a_smaller_p_than_the_number_of_exchanges_allows_is_never_given():
    (first, second), n = right_and_wrong(0, 200, 0, 0)
    assert permutation_p(ACCURACY, [first], [second], np.arange(n), draws=199, seed=0) == 1 / 200


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_swapping_the_runs_leaves_p_alone(seed):
    one, two = model(seed=seed, skill=1.5), model(seed=seed + 1)
    p, back = (
        permutation_p(AUC, [first], [second], np.arange(60), draws=199, seed=3)
        for first, second in ((one, two), (two, one))
    )
    assert p == back


def test_a_monotone_change_of_the_scores_leaves_the_test_of_the_area_alone():
    one, two = model(seed=1), model(seed=2)
    squeezed = Rows(two.prob**3, two.predicted, two.target, two.confidence)
    p, other = (permutation_p(AUC, [one], [second], np.arange(60), draws=199, seed=0) for second in (two, squeezed))
    assert p == other


def test_over_a_hundred_label_permutations_the_interval_covers_one_half_in_at_least_ninety():
    own, owner = model(120, skill=1), np.arange(120)
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        shuffled = Rows(own.prob, own.predicted, generator.permutation(own.target), own.confidence)
        low, high = percentile_interval(bootstrap({0: statistic(AUC, [shuffled])}, owner, draws=400, seed=0)[0])
        covered += low <= 0.5 <= high
    assert 90 <= covered < 100
