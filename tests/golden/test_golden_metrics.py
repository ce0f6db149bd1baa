import numpy as np
import pytest
import torch

from pathfuse.evaluate.her2 import regroup, regroup_target
from pathfuse.evaluate.metrics.counted import confusion_matrix
from pathfuse.evaluate.metrics.ranking import auroc
from pathfuse.evaluate.metrics.standard import classification_metrics
from tests.golden.vectors import assert_near, golden

SCALARS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "weighted_precision": "weighted_precision",
    "weighted_recall": "weighted_recall",
    "weighted_f1": "weighted_f1",
    "macro_f1": "macro_f1",
    "mcc": "mcc",
    "auc_macro": "auroc",
    "ap_macro": "auprc",
}


@pytest.fixture
def vectors():
    return golden("metrics")


@pytest.fixture
def metrics(vectors):
    classes = [str(index) for index in range(vectors["prob"].shape[1])]
    return classification_metrics(torch.tensor(vectors["prob"]), torch.tensor(vectors["y"]), None, classes)


@pytest.mark.parametrize("name", SCALARS)
def test_scalar_metrics(vectors, metrics, name):
    assert_near(metrics[SCALARS[name]], vectors[name], torch.float64)


@pytest.mark.parametrize(("name", "ours"), [("auc", "auroc"), ("ap", "auprc")])
def test_metrics_per_class(vectors, metrics, name, ours):
    per_class = np.array([metrics[f"{ours}/{index}"] for index in range(len(vectors[name]))])
    assert_near(per_class, vectors[name], torch.float64)


def test_prediction_and_confusion(vectors):
    prob, target = torch.tensor(vectors["prob"]), torch.tensor(vectors["y"])
    predicted = prob.argmax(1)
    assert np.array_equal(predicted.numpy(), vectors["pred"])
    assert np.array_equal(confusion_matrix(predicted, target, prob.shape[1]).numpy(), vectors["confusion"])


def test_three_groups_from_four_classes(vectors):
    if "merge_4_to_3" not in vectors:
        pytest.skip("these vectors have no 4 classes to merge")
    groups = vectors["merge_4_to_3"].tolist()
    merged = regroup(torch.tensor(vectors["prob"]), groups)
    target = regroup_target(torch.tensor(vectors["y"]), groups)
    assert_near(merged, vectors["merged_prob"], torch.float64)
    assert np.array_equal(merged.argmax(1).numpy(), vectors["merged_pred"])
    assert np.array_equal(target.numpy(), vectors["merged_y"])
    assert_near(np.array(auroc(merged.numpy(), target.numpy())), vectors["merged_auc"], torch.float64)
