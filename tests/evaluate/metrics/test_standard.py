import subprocess
import sys
from math import isnan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from pathfuse.evaluate.metrics.standard import classification_metrics

CLASSES = ("0", "1+", "2+", "3+")


def predictions(seed, n=60, classes=4):
    generator = torch.Generator().manual_seed(seed)
    prob = torch.randn(n, classes, generator=generator, dtype=torch.float64).softmax(1)
    return prob, torch.randint(classes, (n,), generator=generator), torch.rand(n, generator=generator)


def test_names_are_those_that_users_know():
    names = set(classification_metrics(*predictions(0), CLASSES))
    expected = "balanced_accuracy auroc auroc_weighted auroc/3+ auprc auprc/1+ mcc kappa_quadratic mec mec_constant"
    assert set(expected.split()) <= names
    assert {"confidence_high/n", "confidence_medium/accuracy", "confidence_low/auroc"} <= names


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed):
    prob, target, confidence = predictions(seed)
    got = classification_metrics(prob, target, confidence, CLASSES)
    true, predicted = target.numpy(), prob.argmax(1).numpy()
    expected = {
        "accuracy": reference.accuracy_score(true, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(true, predicted),
        "weighted_precision": reference.precision_score(true, predicted, average="weighted", zero_division=0),
        "weighted_recall": reference.recall_score(true, predicted, average="weighted", zero_division=0),
        "weighted_f1": reference.f1_score(true, predicted, average="weighted", zero_division=0),
        "macro_f1": reference.f1_score(true, predicted, average="macro", zero_division=0),
        "mcc": reference.matthews_corrcoef(true, predicted),
        "kappa_quadratic": reference.cohen_kappa_score(true, predicted, weights="quadratic"),
        "auroc": reference.roc_auc_score(true, prob.numpy(), multi_class="ovr", average="macro"),
        "auroc_weighted": reference.roc_auc_score(true, prob.numpy(), multi_class="ovr", average="weighted"),
    }
    assert {name: got[name] for name in expected} == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(
    classes=st.integers(2, 5),
    target=st.lists(st.integers(-1, 4), max_size=6),
    seed=st.integers(0, 5),
    learned=st.booleans(),
)
def test_any_small_set_gives_the_same_names_without_a_warning(classes, target, seed, learned):
    target = torch.tensor([min(label, classes - 1) for label in target], dtype=torch.long)
    prob, _, confidence = predictions(seed, len(target), classes)
    names = [str(index) for index in range(classes)]
    got = classification_metrics(prob, target, confidence if learned else None, names)
    full = classification_metrics(*predictions(0, 40, classes), names)
    assert list(got) == list(full)
    assert all(isinstance(value, float) for value in got.values())


def test_unlabelled_cases_are_left_out():
    prob, target, confidence = predictions(1)
    target[::3] = -1
    keep = target >= 0
    got = classification_metrics(prob, target, confidence, CLASSES)
    assert got == pytest.approx(
        classification_metrics(prob[keep], target[keep], confidence[keep], CLASSES), nan_ok=True
    )


def test_order_of_cases_does_not_matter():
    prob, target, confidence = predictions(2)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    got = classification_metrics(prob[order], target[order], confidence[order], CLASSES)
    assert got == pytest.approx(classification_metrics(prob, target, confidence, CLASSES), nan_ok=True)


def test_an_absent_class_is_nan_and_does_not_enter_the_balanced_accuracy():
    prob = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    got = classification_metrics(prob, torch.tensor([0, 1, 1]), None, ("a", "b", "c"))
    assert isnan(got["auroc/c"]) and isnan(got["auprc/c"]) and isnan(got["auroc"])
    assert got["balanced_accuracy"] == 0.75
    assert got["auroc_weighted"] == pytest.approx(1.0)


def test_a_predicted_class_without_cases_lowers_macro_f1_but_not_balanced_accuracy():
    prob = torch.eye(3)[[0, 1]]
    got = classification_metrics(prob, torch.tensor([0, 1]), None, ("a", "b", "c"))
    assert got["balanced_accuracy"] == 1
    assert got["macro_f1"] == pytest.approx(2 / 3)


def test_a_diverged_network_scores_nan():
    prob, target, _ = predictions(0)
    prob[3] = float("nan")
    got = classification_metrics(prob, target, None, CLASSES)
    assert isnan(got["balanced_accuracy"]) and isnan(got["auroc"]) and isnan(got["mec"])


def test_strata_hold_every_case_once_and_the_highest_probability_stands_in_for_confidence():
    prob, target, _ = predictions(4)
    got = classification_metrics(prob, target, None, CLASSES)
    assert sum(got[f"confidence_{name}/n"] for name in ("low", "medium", "high")) == len(target)
    correct = (prob.argmax(1) == target).double()
    assert got["mec"] == pytest.approx(float(((2 * correct - 1) * prob.amax(1)).mean()))
    assert got["mec_constant"] == pytest.approx(2 * got["accuracy"] - 1)


def test_bfloat16_probabilities_are_accepted():
    prob, target, confidence = predictions(5)
    got = classification_metrics(prob.bfloat16(), target, confidence.bfloat16(), CLASSES)
    assert np.isfinite(got["auroc"])


def test_importing_the_package_needs_no_lightning():
    code = (
        "import sys, pathfuse.evaluate.metrics.standard, pathfuse.evaluate.table; sys.exit('lightning' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
