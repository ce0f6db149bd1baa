"""Explanations: pictures of the places where a model looked, and figures that say how far to believe them."""

from pathfuse.explain.bags import explain_bags
from pathfuse.explain.faithfulness import Drop, Masking, drop_in_accuracy
from pathfuse.explain.patch_truth import PatchTruth, patch_truth_beside
from pathfuse.explain.run import explain_cases
from pathfuse.explain.truth import TruthScore, truth_beside

__all__ = [
    "Drop",
    "Masking",
    "PatchTruth",
    "TruthScore",
    "drop_in_accuracy",
    "explain_bags",
    "explain_cases",
    "patch_truth_beside",
    "truth_beside",
]
