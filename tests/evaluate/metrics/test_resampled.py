import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, roc_auc_score

from pathfuse.errors import RecipeError
from pathfuse.evaluate.metrics.ranking import area, precision_area
from pathfuse.evaluate.metrics.standard import classification_metrics, metric_named, metric_names
from pathfuse.runs.rows import Rows

CLASSES = ("0", "1+", "2+", "3+")
SHARED = [
    *("accuracy", "balanced_accuracy", "mcc", "kappa_quadratic", "macro_f1", "weighted_f1", "auroc", "auprc"),
    *("auroc_weighted", "auroc/2+", "auprc/0", "mec"),
]


def rows(n=40, seed=0, classes=4, digits=1):
    """Few digits, so that scores tie often."""
    generator = np.random.default_rng(seed)
    prob = generator.dirichlet(np.ones(classes), n)
    target = np.concatenate([np.arange(classes), generator.integers(0, classes, n - classes)])
    return Rows(prob.round(digits), prob.argmax(1), target, generator.random(n))


def reference(own, repeats, classes=CLASSES):
    """The metric of the plain module with every case as often as its weight says."""
    index = np.repeat(np.arange(len(own)), repeats)
    prob = np.where(np.eye(own.prob.shape[1])[own.predicted] == 1, own.prob + 1e-9, own.prob)  # keeps ties of argmax
    parts = [torch.from_numpy(values[index]) for values in (prob, own.target, own.confidence)]
    return classification_metrics(*parts, classes)


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_repetitions(name, seed):
    own = rows(seed=seed, digits=6)
    weight = np.random.default_rng(seed).integers(0, 4, (5, len(own)))
    weight[:, :4] = 1  # every class occurs
    got = metric_named(name, CLASSES).scorer(own)(weight.astype(float))
    assert_allclose(got, [reference(own, repeats)[name] for repeats in weight], atol=1e-6)


def test_scores_that_depend_on_probabilities_equal_their_definition():
    own = rows(digits=6)
    ones = np.ones((1, len(own)))
    truth = np.eye(4)[own.target]
    value = {name: metric_named(name, CLASSES).scorer(own)(ones)[0] for name in ("brier", "log_loss", "ece")}
    assert value["brier"] == pytest.approx(((own.prob - truth) ** 2).sum(1).mean())
    assert value["log_loss"] == pytest.approx(-np.log(own.prob[truth == 1].clip(1e-7)).mean())
    sure = own.prob[np.arange(len(own)), own.predicted]
    expected = 0.0
    for index in range(15):
        inside = (sure > index / 15) & (sure <= (index + 1) / 15)
        if inside.any():
            correct = (own.predicted == own.target)[inside].mean()
            expected += inside.mean() * abs(correct - sure[inside].mean())
    assert value["ece"] == pytest.approx(expected)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=15))
def test_areas_with_ties_and_weights_equal_those_of_scikit_learn(cases):
    score, positive, weight = (np.array(values) for values in zip(*cases, strict=True))
    for kernel, peer in ((area, roc_auc_score), (precision_area, average_precision_score)):
        got = kernel(score.astype(float), positive)(weight[None].astype(float))[0]
        if 0 < (weight * positive).sum() < weight.sum():
            assert got == pytest.approx(peer(positive, score, sample_weight=weight))
        elif kernel is area:
            assert np.isnan(got)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(0, 39))
def test_a_case_of_weight_zero_is_not_read(seed, victim):
    own = rows(seed=seed, digits=6)
    weight = np.random.default_rng(seed).integers(0, 3, (3, len(own))).astype(float)
    weight[:, victim] = 0
    spoilt = Rows(*(values.copy() for values in (own.prob, own.predicted, own.target, own.confidence)))
    spoilt.prob[victim], spoilt.confidence[victim] = np.array([1, 0, 0, 0]), 1
    for name in metric_names(CLASSES):
        metric = metric_named(name, CLASSES)
        assert_allclose(metric.scorer(own)(weight), metric.scorer(spoilt)(weight), atol=1e-12)


def test_a_metric_of_an_absent_class_is_not_defined():
    own = rows(digits=6)
    weight = (own.target != 2)[None].astype(float)
    for name in ("auroc", "auprc", "auroc/2+"):
        assert np.isnan(metric_named(name, CLASSES).scorer(own)(weight)[0])
    for name in ("balanced_accuracy", "auroc_weighted", "auroc/0"):
        assert np.isfinite(metric_named(name, CLASSES).scorer(own)(weight)[0])


def test_an_unknown_metric_is_refused_with_the_choice():
    with pytest.raises(RecipeError, match=r"--metric auc is unknown.*balanced_accuracy"):
        metric_named("auc", CLASSES)
