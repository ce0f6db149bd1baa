import inspect
import json
from pathlib import Path

import pytest
import timm
import torch

from pathfuse.errors import PathfuseError, PluginError, RecipeError, WeightsError
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


def test_the_digest_tells_options_apart_that_no_tensor_shows() -> None:
    usual = load_encoder("timm:test_resnet", "random")
    largest = load_encoder("timm:test_resnet", "random", {"global_pool": "max"})
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(usual.net(images), largest.net(images))
    assert usual.digest != largest.digest
    default = inspect.signature(type(usual.net)).parameters["global_pool"].default
    assert load_encoder("timm:test_resnet", "random", {"global_pool": default}).digest == usual.digest


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


def test_a_registered_name_may_be_written_in_small_letters() -> None:
    large, small = (load_encoder(name, "random", {"layer": "conv"}) for name in ("AlexNet", "alexnet"))
    assert large.digest == small.digest and large.net.out_dim == 9216


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
