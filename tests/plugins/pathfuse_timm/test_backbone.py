import pytest
import timm
import torch
from torch.testing import assert_close

from pathfuse.errors import RecipeError
from pathfuse_timm.backbone import TimmBackbone

VIT = {"name": "vit_tiny_patch16_224", "img_size": 32}
CONV = {"name": "test_resnet"}


@pytest.mark.parametrize("options", [CONV, VIT, {"name": "test_efficientnet"}], ids=lambda options: options["name"])
@pytest.mark.parametrize("in_chans", [3, 6, 16])
def test_images_become_vectors_of_the_promised_width(options, in_chans):
    backbone = TimmBackbone(in_chans, **options).eval()
    assert backbone.layout == "vector"
    assert backbone(torch.rand(2, in_chans, 32, 32)).shape == (2, backbone.out_dim)


@pytest.mark.parametrize("options", [CONV, VIT], ids=lambda options: options["name"])
def test_without_pooling_images_become_maps(options):
    backbone = TimmBackbone(3, global_pool="none", **options).eval()
    assert backbone.layout == "map"
    features = backbone(torch.rand(2, 3, 64, 32))
    assert features.shape == (2, backbone.out_dim, *features.shape[2:])
    assert features.shape[2] == 2 * features.shape[3]


def test_three_channels_are_normalised_as_in_training():
    backbone = TimmBackbone(3, name="resnet18").eval()
    images = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(timm.get_pretrained_cfg("resnet18").to_dict()[key]) for key in ("mean", "std"))
    assert_close(backbone(images), backbone.net((images - mean.view(3, 1, 1)) / std.view(3, 1, 1)))


def test_stacked_stains_repeat_the_statistics_and_other_channels_are_taken_as_they_are():
    three, six, four = (TimmBackbone(channels, **CONV) for channels in (3, 6, 4))
    assert_close(six.mean, three.mean.repeat(1, 2, 1, 1))
    assert_close(six.std, three.std.repeat(1, 2, 1, 1))
    assert_close(four.mean, torch.zeros(1, 4, 1, 1))
    assert_close(four.std, torch.ones(1, 4, 1, 1))


def test_a_transformer_takes_other_sizes_than_it_was_built_for():
    backbone = TimmBackbone(3, **VIT).eval()
    assert backbone.size_px is None
    assert backbone(torch.rand(1, 3, 48, 64)).shape == (1, 192)


def test_a_network_of_one_size_says_so():
    backbone = TimmBackbone(3, name="mixer_s32_224", img_size=64)
    assert backbone.size_px == 64
    with pytest.raises(RecipeError, match=r"built for images of 64 px and got 32 x 32. Set img_size: 32"):
        backbone(torch.rand(1, 3, 32, 32))


def test_the_map_of_a_conv_net_is_what_is_pooled():
    backbone = TimmBackbone(3, **CONV).eval()
    layer = backbone.cam_layer()
    seen = []
    handle = layer.layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    features = backbone(torch.rand(2, 3, 64, 64))
    handle.remove()
    assert not layer.on_input
    assert_close(layer.to_map(seen[0]).mean((2, 3)), features)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_medium_patch16_reg4_gap_256"])
@pytest.mark.parametrize("size", [(32, 32), (32, 64)])
def test_the_map_of_a_transformer_has_one_place_per_patch(name, size):
    backbone = TimmBackbone(3, name=name, img_size=32).eval()
    layer = backbone.cam_layer()
    seen = []
    handle = layer.layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    backbone(torch.rand(2, 3, *size))
    handle.remove()
    mapped = layer.to_map(seen[0])
    assert layer.on_input and layer.layer is backbone.net.blocks[-1].norm1
    assert mapped.shape == (2, backbone.out_dim, size[0] // 16, size[1] // 16)
    prefix = backbone.net.num_prefix_tokens
    columns = size[1] // 16
    assert_close(mapped[:, :, 1, 0], seen[0][:, prefix + columns])  # the first patch of the second row


def test_the_map_of_a_channels_last_network_has_its_channels_first():
    backbone = TimmBackbone(3, name="swin_tiny_patch4_window7_224", img_size=64, global_pool="none").eval()
    assert backbone(torch.rand(1, 3, 64, 64)).shape == (1, 768, 2, 2)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"name": "resnext50_32x4"}, "Did you mean resnext50_32x4d?"),
        ({"name": "resnet18.imagenet"}, "resnet18 has no weights tagged 'imagenet'. Its tags: a1_in1k"),
        ({"name": "test_resnet", "img_size": 32}, "test_resnet takes no img_size. Remove that line."),
        ({"name": "vgg11", "drop_path_rate": 0.1}, "vgg11 takes no drop_path_rate"),
        ({"name": "test_resnet", "global_pool": "token"}, "cannot build test_resnet with these options"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_next_step(options, line):
    with pytest.raises(RecipeError) as error:
        TimmBackbone(3, **options)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_dropout_is_for_training_only():
    backbone = TimmBackbone(3, name="test_resnet", drop_rate=0.5)
    images = torch.rand(4, 3, 32, 32)
    assert not torch.equal(backbone(images), backbone(images))
    backbone.eval()
    assert_close(backbone(images), backbone(images))
