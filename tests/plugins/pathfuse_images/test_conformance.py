from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_images.encoder import ImageEncoder, PerStainImageEncoder
from pathfuse_images.fusion import ConcatFusion, MeanFusion
from pathfuse_images.inputs import Single, Stack
from pathfuse_images.small import SmallConvNet


@parametrize_with_checks(
    Single,
    Stack,
    ImageEncoder,
    PerStainImageEncoder,
    Example(PerStainImageEncoder, {"share": True}),
    MeanFusion,
    Example(MeanFusion, {"keep_map": True}),
    ConcatFusion,
    SmallConvNet,
)
def test_it_keeps_the_contract(check):
    check()
