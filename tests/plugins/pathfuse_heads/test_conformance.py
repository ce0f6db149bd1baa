from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_heads.confidence import ConfidenceHead
from pathfuse_heads.softmax import SoftmaxHead


@parametrize_with_checks(
    SoftmaxHead,
    Example(SoftmaxHead, {"hidden": 6, "dropout": 0.2, "label_smoothing": 0.1, "divisor": "cases"}),
    ConfidenceHead,
    Example(ConfidenceHead, {"rule": "released", "task": "focal", "divisor": "cases", "class_weight": "none"}),
)
def test_it_keeps_the_contract(check):
    check()
