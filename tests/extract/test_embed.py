import numpy as np
import pytest
import torch

from pathfuse.errors import RecipeError, RunError
from pathfuse.extract.embed import Embedder, choose_device
from pathfuse.extract.encoders import load_encoder

PATCHES = np.random.default_rng(0).integers(0, 256, (23, 64, 64, 3), dtype=np.uint8)


def embedder(name: str = "timm:test_resnet", **options: object) -> Embedder:
    return Embedder(load_encoder(name, "random").net, torch.device("cpu"), 64, **options)


@pytest.mark.parametrize("batch", [1, 5, 23, 64])
@pytest.mark.parametrize("part", [1, 4, 16, 23])
def test_features_do_not_depend_on_how_patches_arrive(batch: int, part: int) -> None:
    network = embedder(batch_size=batch)
    parts = [PATCHES[start : start + part] for start in range(0, len(PATCHES), part)]
    rows = list(network.features(iter(parts)))
    assert [len(row) for row in rows] == [len(chunk) for chunk in torch.arange(23).split(batch)]
    with torch.no_grad():
        images = torch.from_numpy(PATCHES).permute(0, 3, 1, 2).float() / 255
        wanted = load_encoder("timm:test_resnet", "random").net(images)
    assert torch.allclose(torch.cat(rows), wanted, atol=1e-5)


def test_no_patches_give_no_features() -> None:
    assert list(embedder().features(iter([]))) == []


def test_autocast_is_close_and_comes_back_as_float32() -> None:
    exact, cast = (torch.cat(list(embedder(autocast=kind).features(iter([PATCHES])))) for kind in ("none", "bf16"))
    assert cast.dtype == torch.float32 and not torch.equal(exact, cast)
    assert torch.nn.functional.cosine_similarity(exact, cast).min() > 0.99


def test_a_network_of_another_size_is_refused_before_slides_are_read() -> None:
    network = Embedder(load_encoder("timm:mixer_s32_224", "random").net, torch.device("cpu"), 64)
    with pytest.raises(RecipeError, match=r"--encoder\.img_size 64 or --patch-px 224"):
        network.probe()


def test_patches_too_small_for_a_network_are_refused() -> None:
    network = Embedder(load_encoder("AlexNet", "random", {"layer": "conv"}).net, torch.device("cpu"), 16)
    with pytest.raises(RecipeError, match="--patch-px"):
        network.probe()


def test_a_device_that_is_not_there_is_refused() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(RunError, match="--device"):
        choose_device("abacus")
