import json
import pickle
import socket
import time

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch.testing import assert_close

from pathfuse.core import weights_follow
from pathfuse.errors import WeightsError
from pathfuse.nn import hub
from pathfuse_timm import weights
from pathfuse_timm.backbone import TimmBackbone

NAME = "test_resnet"


@pytest.fixture
def trained():
    torch.manual_seed(3)
    return timm.create_model(NAME, num_classes=7).eval()


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda repo, file: None)


@pytest.fixture
def forbidden_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def save(model, path):
    if path.suffix == ".safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    return str(path)


@pytest.mark.parametrize("file", ["model.safetensors", "model.pth"])
def test_a_file_gives_the_features_of_the_model_it_was_saved_from(trained, tmp_path, file, forbidden_network):
    backbone = TimmBackbone(3, name=NAME, weights=save(trained, tmp_path / file)).eval()
    images = torch.rand(2, 3, 32, 32)
    expected = trained.forward_head(trained.forward_features((images - backbone.mean) / backbone.std), pre_logits=True)
    assert_close(backbone(images), expected)
    assert backbone.size_px == timm.get_pretrained_cfg(NAME).input_size[-1]


def test_weights_of_three_channels_are_adapted_to_six(trained, tmp_path):
    path = save(trained, tmp_path / "model.pth")
    three, six = (TimmBackbone(channels, name=NAME, weights=path).eval() for channels in (3, 6))
    images = torch.rand(2, 3, 32, 32)
    assert_close(six(images.repeat(1, 2, 1, 1)), three(images), atol=1e-4, rtol=1e-4)


def test_a_folder_decides_the_network(trained, tmp_path, forbidden_network):
    save(trained, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": NAME, "num_classes": 7}))
    for reference in (str(tmp_path), f"local-dir:{tmp_path}"):
        backbone = TimmBackbone(3, name="resnet18", weights=reference)
        assert backbone.out_dim == trained.num_features
        assert_close(backbone.net.state_dict()["conv1.0.weight"], trained.state_dict()["conv1.0.weight"])


def test_weights_are_not_kept_twice(trained, tmp_path):
    backbone = TimmBackbone(3, name=NAME, weights=save(trained, tmp_path / "model.pth"))
    assert not any(isinstance(value, dict) and value for value in backbone.net.pretrained_cfg.values())


def test_weights_of_another_network_are_refused(trained, tmp_path):
    path = save(trained, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"do not fit test_efficientnet.*Missing key"):
        TimmBackbone(3, name="test_efficientnet", weights=path)


def test_a_missing_path_names_the_other_sources():
    with pytest.raises(WeightsError, match=r"no such file or folder. Correct the path, or use `hub` or `random`"):
        TimmBackbone(3, name=NAME, weights="weights/nowhere.pth")


def test_a_folder_without_a_description_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"needs config.json and model.safetensors"):
        TimmBackbone(3, name=NAME, weights=str(tmp_path))


class Payload:
    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("content", [b"", b"junk", b"junk" * 1000])
@pytest.mark.parametrize("file", ["a.pth", "a.safetensors"])
def test_a_damaged_file_is_one_line(tmp_path, content, file):
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
        TimmBackbone(3, name=NAME, weights=str(path))
    assert file in str(error.value) and "\n" not in str(error.value)


def test_a_hostile_file_runs_nothing(tmp_path):
    path, trace = tmp_path / "hostile.pth", tmp_path / "trace"
    payload = Payload()
    payload.path = str(trace)
    torch.save({"conv.weight": payload}, path)
    with pytest.raises(WeightsError, match="cannot be read as a state dict"):
        TimmBackbone(3, name=NAME, weights=str(path))
    path.write_bytes(pickle.dumps(payload))
    with pytest.raises(WeightsError):
        TimmBackbone(3, name=NAME, weights=str(path))
    assert not trace.exists()


def test_random_weights_never_touch_the_network(forbidden_network):
    TimmBackbone(3, name=NAME, weights="random")
    TimmBackbone(3, name=f"{NAME}.r160_in1k", weights="random")
    with pytest.raises(WeightsError, match="described on the hub only"):
        TimmBackbone(3, name="hf-hub:someone/something", weights="random")


@pytest.mark.parametrize("name", ["test_resnet", "hf-hub:someone/something"])
def test_without_network_the_hub_is_one_line_that_names_the_other_sources(monkeypatch, no_cache, name):
    def unreachable(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    with pytest.raises(WeightsError) as error:
        TimmBackbone(3, name=name, weights="hub")
    assert "path of a .safetensors or .pth file, or to `random`" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_server_that_hangs_does_not_hang_the_hub(monkeypatch, no_cache):
    # The bound in seconds is PATIENCE_S; the limit here only keeps a broken bound from hanging the tests.
    monkeypatch.setattr(hub, "PATIENCE_S", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(30))
    started = time.monotonic()
    with pytest.raises(WeightsError, match=r"TimeoutError: no answer in 0.2 s.*`random`"):
        TimmBackbone(3, name=NAME, weights="hub")
    assert time.monotonic() - started < 20


def test_the_wait_for_the_hub_stays_below_ten_seconds():
    assert hub.PATIENCE_S < 8


def test_a_cached_download_needs_no_network(monkeypatch, trained, tmp_path, forbidden_network):
    path = save(timm.create_model(NAME), tmp_path / "model.safetensors")
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda repo, file: path)
    backbone = TimmBackbone(3, name=NAME, weights="hub")
    saved = weights.read_state(tmp_path / "model.safetensors")
    assert_close(backbone.net.state_dict()["conv1.0.weight"], saved["conv1.0.weight"])


def test_a_network_without_published_weights_says_so():
    name = next(name for name in timm.list_models("resnet*") if not timm.list_pretrained(f"{name}.*"))
    with pytest.raises(WeightsError, match="nobody published weights"):
        TimmBackbone(3, name=name, weights="hub")


@pytest.mark.parametrize("status", [403, 407, 503])
def test_a_proxy_that_answers_instead_of_the_hub_is_no_network(monkeypatch, no_cache, status):
    class Session:
        def head(self, url, timeout):
            return type("Answer", (), {"status_code": status})()

    monkeypatch.setattr(hub, "get_session", Session)
    with pytest.raises(WeightsError, match=f"HTTP {status}"):
        TimmBackbone(3, name=NAME, weights="hub")


@pytest.mark.parametrize("reference", ["hub", "weights/of/another/machine.pth", "folder"])
def test_a_run_is_rebuilt_without_its_pretrained_weights(trained, tmp_path, reference, no_cache, forbidden_network):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": NAME, "num_classes": 7}))
    with weights_follow():
        rebuilt = TimmBackbone(3, name=NAME, weights=str(tmp_path) if reference == "folder" else reference)
    path = save(trained, tmp_path / "model.safetensors")
    rebuilt.load_state_dict(TimmBackbone(3, name=NAME, weights=path).state_dict())
