from pathfuse_timm.backbone import TimmBackbone

from pathfuse.testing import Example, parametrize_with_checks


@parametrize_with_checks(TimmBackbone, Example(TimmBackbone, {"name": "test_vit", "img_size": 32}, size_px=32))
def test_it_keeps_the_contract(check):
    check()
