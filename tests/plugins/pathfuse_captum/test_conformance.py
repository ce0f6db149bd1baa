from pathfuse.testing import parametrize_with_checks
from pathfuse_captum.gradcam import GradCAM


@parametrize_with_checks(GradCAM)
def test_it_keeps_the_contract(check):
    check()
