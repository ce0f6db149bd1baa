from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_timm.backbone import TimmBackbone


@parametrize_with_checks(TimmBackbone, Example(TimmBackbone, {"name": "test_vit", "img_size": 32}, size_px=32))
def test_it_keeps_the_contract(check):
    check()
