import torch
from pathfuse_template.backbone import TinyBackbone
from pathfuse_template.encoder import TinyEncoder
from pathfuse_template.explainer import TinyGradient
from pathfuse_template.fusion import TinyFusion
from pathfuse_template.head import TinyHead

from pathfuse.testing import parametrize_with_checks


@parametrize_with_checks(TinyBackbone, TinyEncoder, TinyFusion, TinyHead, TinyGradient)
def test_it_keeps_the_contract(check):
    check()


def test_the_width_can_be_chosen():
    assert TinyBackbone(3, dim=64)(torch.rand(2, 3, 32, 32)).shape == (2, 64)
