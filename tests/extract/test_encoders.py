import json
from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torchvision.models import alexnet

from pathfuse.errors import PathfuseError, PluginError, RecipeError, WeightsError
from pathfuse.extract.alexnet import IMAGENET_MEAN, IMAGENET_STD, AlexNet
from pathfuse.extract.encoders import load_encoder
from tests.extract.small import QuadrantMeans


def test_an_encoder_without_weights_is_an_error_that_names_the_ways() -> None:
    for name in ("timm:test_resnet", "QuadrantMeans", "AlexNet"):
        with pytest.raises(WeightsError, match=r"no weights.*hub.*random"):
            load_encoder(name, None)


def test_random_weights_are_the_same_in_every_run_and_change_no_random_state() -> None:
    state = torch.get_rng_state()
    first, second = (load_encoder("timm:test_resnet", "random") for _ in range(2))
    assert first.random and first.digest == second.digest
    assert torch.equal(torch.get_rng_state(), state)


def test_the_digest_tells_weights_and_options_apart(tmp_path: Path) -> None:
    net = timm.create_model("test_resnet", num_classes=0)
    torch.save(net.state_dict(), tmp_path / "a.pth")
    digests = [
        load_encoder("timm:test_resnet", "random").digest,
        load_encoder("timm:test_resnet", str(tmp_path / "a.pth")).digest,
        load_encoder("timm:test_vit", "random").digest,
        load_encoder("QuadrantMeans", "own").digest,
        load_encoder("QuadrantMeans", "own", {"scale": 2.0}).digest,
    ]
    assert len(set(digests)) == 5
    assert load_encoder("timm:test_resnet", str(tmp_path / "a.pth")).digest == digests[1]


def test_a_local_folder_brings_its_weights_and_its_name(tmp_path: Path) -> None:
    net = timm.create_model("test_resnet", num_classes=0)
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    config = {"architecture": "test_resnet", "num_classes": 0, "pretrained_cfg": net.pretrained_cfg}
    (tmp_path / "config.json").write_text(json.dumps(config, default=str))
    encoder = load_encoder(f"local-dir:{tmp_path}", None)
    images = torch.rand(2, 3, 64, 64)
    assert not encoder.random
    mean, std = (torch.tensor(net.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        assert torch.allclose(encoder.net(images), net.eval()((images - mean) / std), atol=1e-5)
    with pytest.raises(WeightsError, match="no such folder"):
        load_encoder("local-dir:/nowhere", None)
    with pytest.raises(WeightsError, match="Leave out --weights"):
        load_encoder(f"local-dir:{tmp_path}", "hub")


def test_alexnet_gives_fc7_after_its_own_normalisation(tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = alexnet().eval()
    torch.save(net.state_dict(), tmp_path / "alexnet.pth")
    ours = load_encoder("AlexNet", str(tmp_path / "alexnet.pth")).net
    images = torch.rand(2, 3, 96, 96)
    normal = (images - torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)) / torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    with torch.no_grad():
        wanted = net.classifier[:6](net.avgpool(net.features(normal)).flatten(1))
        assert ours.out_dim == 4096 and torch.allclose(ours(images), wanted, atol=1e-5)
        conv = AlexNet(3, layer="conv")
        assert conv(images).shape == (2, conv.out_dim)


def test_alexnet_takes_weights_of_another_number_of_classes_and_no_others(tmp_path: Path) -> None:
    torch.save(alexnet(num_classes=4).state_dict(), tmp_path / "four.pth")
    AlexNet(3, weights=str(tmp_path / "four.pth"))
    state = alexnet().state_dict()
    del state["features.3.weight"]
    torch.save(state, tmp_path / "part.pth")
    torch.save({"net": nn.Linear(2, 2)}, tmp_path / "object.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name, reason in [
        ("part", "do not fit"),
        ("object", "cannot be read"),
        ("text", "cannot be read"),
        ("no", "no such"),
    ]:
        with pytest.raises(WeightsError, match=reason):
            AlexNet(3, weights=str(tmp_path / f"{name}.pth"))
    with pytest.raises(RecipeError, match="3 channels"):
        AlexNet(6)


def test_a_backbone_of_somebody_else_takes_a_state_dict_strictly(tmp_path: Path) -> None:
    torch.save(QuadrantMeans(3, scale=5.0).state_dict(), tmp_path / "five.pth")
    encoder = load_encoder("QuadrantMeans", str(tmp_path / "five.pth"))
    assert encoder.net.state_dict()["weight"].unique().tolist() == [5]
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    for weights, reason in [("other.pth", "do not fit"), ("absent.pth", "no such file")]:
        with pytest.raises(WeightsError, match=reason):
            load_encoder("QuadrantMeans", str(tmp_path / weights))
    with pytest.raises(WeightsError, match="no hub"):
        load_encoder("QuadrantMeans", "hub")


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(PluginError, match="QuadrantMeans"):
        load_encoder("QuadrantMean", "own")
    with pytest.raises(RecipeError, match="takes no option 'depth'"):
        load_encoder("QuadrantMeans", "own", {"depth": 3})
    with pytest.raises(PathfuseError, match="resnet18"):
        load_encoder("timm:resnet_18", "random")
    with pytest.raises(RecipeError, match="returns maps"):
        load_encoder("timm:test_resnet", "random", {"global_pool": "none"})
