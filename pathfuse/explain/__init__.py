"""Where a model looked: pictures, and figures that say how far they can be believed."""

from pathfuse.explain.faithfulness import Drop, Masking, drop_in_accuracy
from pathfuse.explain.run import explain_cases
from pathfuse.explain.truth import TruthScore, truth_beside

__all__ = ["Drop", "Masking", "TruthScore", "drop_in_accuracy", "explain_cases", "truth_beside"]
