from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import AlexNet_Weights, alexnet

from pathfuse.core import weights_follow
from pathfuse.errors import RecipeError, WeightsError
from pathfuse.testing import parametrize_with_checks
from pathfuse_torchvision.alexnet import IMAGENET_MEAN, IMAGENET_STD, AlexNet


@parametrize_with_checks(AlexNet)
def test_it_keeps_the_contract(check):
    check()


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(3)
    return alexnet().eval()


@pytest.fixture(scope="module")
def file(net, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("alexnet") / "alexnet.pth"
    torch.save(net.state_dict(), path)
    return path


def normalised(images):
    return (images - torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)) / torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)


@torch.no_grad()
def test_it_is_torchvision_s_network_after_its_own_normalisation(net, file):
    images = torch.rand(2, 3, 96, 96)
    maps = net.avgpool(net.features(normalised(images))).flatten(1)
    for layer, end in (("conv", 0), ("fc6", 3), ("fc7", 6)):
        ours = AlexNet(3, weights=str(file), layer=layer).eval()
        wanted = net.classifier[:end](maps)
        assert ours.out_dim == wanted.shape[1] and torch.allclose(ours(images), wanted, atol=1e-5)


@torch.no_grad()
def test_stacked_stains_see_the_weights_once_per_stain(net, file):
    image = torch.rand(2, 3, 96, 96)
    one, two = (AlexNet(chans, weights=str(file), layer="conv").eval() for chans in (3, 6))
    # The same image twice: half the weights on each.
    assert torch.allclose(two(torch.cat([image, image], 1)), one(image), atol=1e-5)


@torch.no_grad()
def test_channels_that_are_no_colours_are_not_normalised(file):
    one, four = (AlexNet(chans, weights=str(file), layer="conv").eval() for chans in (3, 4))
    image = torch.rand(1, 3, 64, 64)
    shown = torch.cat([normalised(image), torch.zeros(1, 1, 64, 64)], 1)
    maps = four.features[0](shown) - four.features[0].bias.view(1, -1, 1, 1)
    wanted = one.features[0](normalised(image)) - one.features[0].bias.view(1, -1, 1, 1)
    assert torch.allclose(maps * 4 / 3, wanted, atol=1e-5)
    assert torch.equal((shown - four.mean) / four.std, shown)


def test_a_run_s_checkpoint_is_taken_for_its_backbone(file, tmp_path):
    ours = AlexNet(3, weights=str(file), layer="conv")
    state = {f"model.encoder.backbone.{key}": value for key, value in ours.state_dict().items()}
    torch.save({"state_dict": {**state, "model.head.classify.weight": torch.zeros(2, 9216)}}, tmp_path / "best.ckpt")
    again = AlexNet(3, weights=str(tmp_path / "best.ckpt"), layer="conv")
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in again.state_dict().items())


def test_weights_of_another_number_of_classes_are_taken_and_no_others(net, tmp_path):
    convolutions = {key: value for key, value in net.state_dict().items() if key.startswith("features.")}
    other = {**convolutions, "classifier.6.weight": torch.zeros(4, 4096), "classifier.6.bias": torch.zeros(4)}
    torch.save(other, tmp_path / "four.pth")
    taken = AlexNet(3, weights=str(tmp_path / "four.pth"), layer="conv")
    assert torch.equal(taken.features[3].weight, net.features[3].weight)
    part = {key: value for key, value in convolutions.items() if key != "features.3.weight"}
    torch.save(part, tmp_path / "part.pth")
    torch.save({**part, "features.3.weight": torch.zeros(2, 2)}, tmp_path / "shape.pth")
    torch.save({"net": nn.Linear(2, 2)}, tmp_path / "object.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name, reason in [
        ("part", "do not fit"),
        ("shape", "do not fit"),
        ("object", "cannot be read"),
        ("text", "cannot be read"),
        ("no", "no such file"),
    ]:
        with pytest.raises(WeightsError, match=reason):
            AlexNet(3, weights=str(tmp_path / f"{name}.pth"), layer="conv")
    with pytest.raises(WeightsError, match="do not fit"):  # the layer that is read out is not there
        AlexNet(3, weights=str(tmp_path / "four.pth"), layer="fc6")


def test_a_hub_that_does_not_answer_says_what_to_give_instead(monkeypatch):
    def refused(self, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr(AlexNet_Weights, "get_state_dict", refused)
    with pytest.raises(WeightsError, match=r"cannot be downloaded.*path of a local copy"):
        AlexNet(3, weights="hub", layer="conv")
    with weights_follow():
        AlexNet(3, weights="hub", layer="conv")


def test_random_weights_follow_the_seed():
    first, second = [torch.manual_seed(1) and AlexNet(3, layer="conv").state_dict() for _ in range(2)]
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert first["features.0.weight"].std() > 0


def test_small_images_and_unknown_layers_are_refused():
    AlexNet(3, layer="conv")(torch.rand(1, 3, 63, 63))
    with pytest.raises(RecipeError, match="from 63 px and got 62 x 80"):
        AlexNet(3, layer="conv")(torch.rand(1, 3, 62, 80))
    with pytest.raises(RecipeError, match="fc8"):
        AlexNet(3, layer="fc8")


def test_layer_groups_hold_every_parameter_once_from_the_input_on():
    net = AlexNet(3)
    groups = net.layer_groups()
    assert len(groups) == 7 and groups[0][0] is net.features[0].weight
    assert [id(p) for group in groups for p in group] == [id(p) for p in net.parameters()]
