from pathfuse_captum.gradcam import GradCAM

from pathfuse.testing import parametrize_with_checks


@parametrize_with_checks(GradCAM)
def test_it_keeps_the_contract(check):
    check()
