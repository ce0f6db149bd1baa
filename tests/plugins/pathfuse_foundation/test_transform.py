import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close
from torchvision import transforms

from pathfuse_foundation.table import rows
from pathfuse_foundation.transform import resize_and_crop
from tests.plugins.pathfuse_foundation.tiny import small_encoder

PILLOW = {"bilinear": transforms.InterpolationMode.BILINEAR, "bicubic": transforms.InterpolationMode.BICUBIC}


def picture(height, width, seed=0):
    """Smooth colour with grain, as bytes (H, W, 3)."""
    draw = np.random.default_rng(seed)
    rows_, columns = np.mgrid[:height, :width]
    waves = np.stack([np.sin(rows_ / 9 + c) + np.cos(columns / (7 + c)) for c in range(3)], axis=-1)
    return np.clip(128 + 40 * waves + draw.normal(0, 12, waves.shape), 0, 255).astype(np.uint8)


def as_tensor(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def weights_1d(size_in, size_out, interpolation):
    """Resampling as a matrix (out, in): the kernel stretched by the reduction, cut at the edges, summing to one."""
    scale = size_in / size_out
    support = {"bilinear": 1.0, "bicubic": 2.0}[interpolation]
    stretch = max(scale, 1.0)
    matrix = np.zeros((size_out, size_in))
    for out in range(size_out):
        centre = (out + 0.5) * scale
        for position in range(size_in):
            distance = abs((position + 0.5 - centre) / stretch)
            if distance < support:
                matrix[out, position] = _kernel(distance, interpolation)
        matrix[out] /= matrix[out].sum()
    return matrix


def resampled(pixels, matrix):
    """Columns, then rows."""
    return np.tensordot(matrix, (matrix @ pixels), axes=(1, 0)).clip(0, 1)


def _kernel(d, interpolation):
    if interpolation == "bilinear":
        return 1 - d
    a = -0.5  # Keys 1981
    return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d < 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a


@pytest.mark.parametrize("name", ["uni", "virchow", "gigapath", "lunit_vits8"])
@pytest.mark.parametrize("edge", [256, 200])
def test_the_transform_is_that_of_a_matrix_by_hand(name, edge):
    row = rows()[name]
    pixels = picture(edge, edge)
    matrix = weights_1d(edge, row.resize_px, row.interpolation)
    resized = resampled(pixels / 255, matrix)
    margin = (row.resize_px - row.input_px) // 2
    expected = resized[margin : margin + row.input_px, margin : margin + row.input_px].transpose(2, 0, 1)
    found = resize_and_crop(
        as_tensor(pixels), resize_px=row.resize_px, crop_px=row.input_px, interpolation=row.interpolation
    )
    assert found.shape == (1, 3, 224, 224)
    assert_close(found[0].double(), torch.from_numpy(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["uni", "virchow", "gigapath", "lunit_vits8"])
@pytest.mark.parametrize("shape", [(256, 256), (300, 260), (257, 511)])
def test_the_transform_is_that_of_pillow_up_to_its_rounding(name, shape):
    row = rows()[name]
    pixels = picture(*shape)
    theirs = transforms.Compose([
        transforms.Resize(row.resize_px, interpolation=PILLOW[row.interpolation]),
        transforms.CenterCrop(row.input_px),
        transforms.ToTensor(),
    ])(Image.fromarray(pixels))  # fmt: skip
    found = resize_and_crop(
        as_tensor(pixels), resize_px=row.resize_px, crop_px=row.input_px, interpolation=row.interpolation
    )
    # Pillow rounds after each of its two passes.
    assert (found[0] - theirs).abs().max() <= 1.5 / 255


def test_an_image_of_the_right_size_is_left_alone():
    images = torch.rand(2, 3, 224, 224)
    assert torch.equal(resize_and_crop(images, resize_px=224, crop_px=224, interpolation="bicubic"), images)


def test_nothing_leaves_the_range_of_an_image():
    edges = (torch.arange(256) // 32 % 2).float().expand(1, 3, 256, 256)
    found = resize_and_crop(edges, resize_px=224, crop_px=224, interpolation="bicubic")
    assert found.min() == 0 and found.max() == 1


def test_half_precision_keeps_its_type():
    images = torch.rand(1, 3, 64, 64).bfloat16()
    assert resize_and_crop(images, resize_px=32, crop_px=32, interpolation="bilinear").dtype == torch.bfloat16


def test_an_encoder_resizes_normalises_and_then_computes():
    net = small_encoder("h_optimus_0")(3).eval()
    seen = []
    net.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pixels = picture(100, 100)
    net(as_tensor(pixels))
    matrix = weights_1d(100, 56, "bicubic")
    resized = resampled(pixels / 255, matrix)
    expected = (resized - np.array([0.707223, 0.578729, 0.703617])) / np.array([0.211883, 0.230117, 0.177517])
    assert_close(seen[0][0].double(), torch.from_numpy(expected.transpose(2, 0, 1)), atol=1e-4, rtol=0)
