from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_captum.attending import Attention, AttentionGradient, AttentionRollout
from pathfuse_captum.gradcam import GradCAM
from pathfuse_captum.gradients import InputXGradient, IntegratedGradients
from pathfuse_captum.guided import GuidedGradCAM
from pathfuse_captum.leaving_out import LeaveOut, Occlusion
from pathfuse_captum.shapley import StainShapley


@parametrize_with_checks(
    Attention,
    AttentionGradient,
    AttentionRollout,
    GradCAM,
    GuidedGradCAM,
    InputXGradient,
    IntegratedGradients,
    LeaveOut,
    Example(LeaveOut, {"groups": 2, "baseline": "mean"}),
    Occlusion,
    StainShapley,
)
def test_conformance(check):
    check()
