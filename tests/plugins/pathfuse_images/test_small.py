import pytest
import torch

from pathfuse.errors import RecipeError
from pathfuse_images.small import SmallConvNet


def test_every_convolution_halves_the_image_and_the_last_width_comes_out() -> None:
    net = SmallConvNet(3, widths=[4, 6]).eval()
    assert net.blocks(torch.zeros(1, 3, 32, 32)).shape == (1, 6, 8, 8)
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 6) and net.out_dim == 6


def test_a_position_of_the_last_map_sees_31_pixels() -> None:
    image = torch.full((1, 3, 95, 95), 0.5, requires_grad=True)
    maps = SmallConvNet(3).eval().blocks(2 * image - 1 + torch.rand(1, 3, 95, 95))
    maps[..., 3, 3].sum().backward()
    seen = image.grad.abs().sum((0, 1)) > 0
    assert seen.any(0).nonzero().flatten()[[0, -1]].diff().item() + 1 <= 31


@pytest.mark.parametrize("widths", [[], [8, 0]])
def test_a_width_below_one_is_refused(widths: list[int]) -> None:
    with pytest.raises(RecipeError, match="give 1 or more"):
        SmallConvNet(3, widths=widths)
