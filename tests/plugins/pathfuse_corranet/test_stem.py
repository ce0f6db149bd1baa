import socket
import time
import urllib.error
import urllib.request

import pytest
import torch
from torch.testing import assert_close
from torchvision.models import resnet50

from pathfuse.errors import RecipeError, WeightsError
from pathfuse_corranet import stem as stems
from pathfuse_corranet.objective import CorrelationObjective
from pathfuse_corranet.stem import ResNetStem
from tests.plugins.pathfuse_corranet.cases import PAIR, batch_of, model_of, spec_of

STEM = {"stem": "resnet50", "weights": "random"}


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(3)
    net = resnet50(weights=None)
    net.bn1.running_mean.uniform_(-1, 1)
    net.bn1.running_var.uniform_(0.5, 2)
    return net.eval()


def test_a_state_dict_makes_the_first_block_of_resnet50_at_full_resolution(resnet, tmp_path):
    torch.save(resnet.state_dict(), tmp_path / "resnet50.pth")
    stem = ResNetStem(str(tmp_path / "resnet50.pth"))
    images = torch.rand(2, 3, 16, 16)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    stock = torch.relu(resnet.bn1(resnet.conv1(scaled)))
    assert stem(images).shape == (2, 64, 16, 16)
    assert_close(stem(images)[:, :, ::2, ::2], stock, rtol=1e-4, atol=1e-5)


def test_the_stem_never_trains():
    model, batch = model_of(encoder=STEM), batch_of()
    before = {k: v.clone() for k, v in model.encoder.stem.state_dict().items()}
    outcome = CorrelationObjective().losses(model.train(), batch)
    outcome.terms["joint"].backward()
    assert all(p.grad is None for p in model.encoder.stem.parameters())
    assert_close(model.encoder.stem.state_dict(), before)
    assert model.encoder.branches["he"].convs[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("absent", [{}, {"ihc": (0, 2)}])
def test_shared_rows_are_the_stacked_batch_behind_a_stem(absent):
    outcomes = []
    for share_rows in (True, False):
        model = model_of(encoder=STEM).train()
        outcomes.append(CorrelationObjective(share_rows=share_rows).losses(model, batch_of(**absent)))
    assert_close(outcomes[0].terms, outcomes[1].terms)
    assert outcomes[0].prediction.reconstructions["he"].shape == (4, 64, 16, 16)


def test_the_data_range_of_features_is_that_of_the_present_rows():
    model, batch = model_of(encoder=STEM).eval(), batch_of(ihc=(0,))
    features = model.encoder.sources(batch)
    spans = {m: features[m][batch.present[m]] for m in PAIR}
    objective = CorrelationObjective()
    got = objective._ranges(model, batch, features)
    assert got == {m: pytest.approx((v.max() - v.min()).item()) for m, v in spans.items()}
    assert CorrelationObjective(data_range=2.0)._ranges(model, batch, features) == {"he": 2.0, "ihc": 2.0}


def test_an_absent_row_is_the_stem_of_a_black_image():
    model, batch = model_of(encoder=STEM).eval(), batch_of(ihc=(1,))
    got = model.encoder.sources(batch.fill("ihc", 1e3))["ihc"]
    assert_close(got[1:2], model.encoder.blank(batch.x["ihc"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"not a checkpoint", "is not a state dict"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, r"has no bn1\."),
        ([1, 2], "holds no state dict"),
    ],
)
def test_weights_that_do_not_fit_end_in_one_line(content, message, tmp_path):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=message) as caught:
        ResNetStem(str(path))
    assert "\n" not in str(caught.value) and "hub" in str(caught.value) and "random" in str(caught.value)


def test_a_resnet_of_other_widths_ends_in_one_line(resnet, tmp_path):
    torch.save({**resnet.state_dict(), "conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path / "grey.pth")
    with pytest.raises(WeightsError, match="another shape"):
        ResNetStem(str(tmp_path / "grey.pth"))


def offline(monkeypatch, tmp_path, answer):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", answer)


def test_hub_without_network_names_the_other_two(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

    offline(monkeypatch, tmp_path, refuse)
    with pytest.raises(
        WeightsError, match=r"hub needs the network.*path of a ResNet-50 state dict, or use random"
    ) as caught:
        ResNetStem("hub")
    assert "\n" not in str(caught.value)


def test_hub_does_not_wait_for_a_network_that_swallows_everything(monkeypatch, tmp_path):
    released = []

    def swallow(*_, **__):
        while not released:
            time.sleep(0.01)
        raise urllib.error.URLError("too late")

    offline(monkeypatch, tmp_path, swallow)
    monkeypatch.setattr(stems, "_PATIENCE_S", 0.05)
    with pytest.raises(WeightsError, match="cannot be reached"):
        ResNetStem("hub")
    released.append(True)
    assert stems._PATIENCE_S < 10


def test_hub_takes_the_file_that_is_already_there(resnet, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("asked the network")

    offline(monkeypatch, tmp_path, refuse)
    name = stems.ResNet50_Weights.IMAGENET1K_V2.url.rsplit("/", 1)[1]
    (tmp_path / "checkpoints").mkdir()
    torch.save(resnet.state_dict(), tmp_path / "checkpoints" / name)
    assert_close(ResNetStem("hub").conv1.weight, resnet.conv1.weight.detach(), check_stride=False)


def test_only_hub_asks_the_network(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("asked the network")

    offline(monkeypatch, tmp_path, refuse)
    assert ResNetStem("random").out_dim == 64


def test_a_stem_needs_three_channels():
    from pathfuse_corranet.encoder import StainEncoder

    with pytest.raises(RecipeError, match="he has 1; use none"):
        StainEncoder(spec_of(width=1), stem="resnet50", weights="random")
