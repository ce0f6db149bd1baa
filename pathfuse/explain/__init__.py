"""Explanations: pictures of the places where a model looked, and figures that say how far to believe them."""

from pathfuse.explain.asked import Agreement, class_index, refuse_what_it_cannot_read
from pathfuse.explain.faith.drop import Drop, Masking, drop_in_accuracy
from pathfuse.explain.faith.measured import Faithfulness
from pathfuse.explain.faith.patch_truth import PatchTruth, patch_truth_beside
from pathfuse.explain.faith.truth import TruthScore, truth_beside
from pathfuse.explain.run import Wanted, explain_cases

__all__ = [
    "Agreement",
    "Drop",
    "Faithfulness",
    "Masking",
    "PatchTruth",
    "TruthScore",
    "Wanted",
    "class_index",
    "drop_in_accuracy",
    "explain_cases",
    "patch_truth_beside",
    "refuse_what_it_cannot_read",
    "truth_beside",
]
