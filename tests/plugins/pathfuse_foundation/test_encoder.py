import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pathfuse.errors import RecipeError
from pathfuse.registry import BACKBONES
from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_foundation.table import rows
from tests.plugins.pathfuse_foundation.tiny import (
    DIM,
    SmallUni2,
    SmallVirchow2,
    shaken,
    small_encoder,
    small_row,
    tokens_by_hand,
)

TIMM = [name for name, row in rows().items() if row.library == "timm"]
OTHERS = [name for name, row in rows().items() if row.library == "transformers"]


def normalised(net, images):
    return ((images - net.mean) / net.std).double().numpy()


@pytest.mark.parametrize("name", TIMM)
def test_every_network_of_timm_is_the_one_of_its_paper_and_pools_as_published(name):
    net = small_encoder(name)(3)
    shaken(net.network)
    row, edge = net.row, net.row.input_px
    images = torch.rand(2, 3, edge, edge, generator=torch.Generator().manual_seed(1))
    net.double()
    net.resize = False
    found = net(images.double())
    for image, vector in zip(normalised(net, images.double()), found, strict=True):
        tokens = tokens_by_hand(net.network.net.state_dict(), image, patch=net.network.patch_px)
        prefix = 1 + int(row.arguments.get("reg_tokens", 4 if "reg4" in row.network else 0))
        expected = tokens[0]
        if row.pooling == "cls+mean":
            expected = np.concatenate([tokens[0], tokens[prefix:].mean(0)])
        assert_close(vector.detach(), torch.from_numpy(expected), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_every_network_of_transformers_pools_its_own_tokens(name):
    transformers = pytest.importorskip("transformers")
    net = small_encoder(name)(3)
    shaken(net.network)
    row, edge = net.row, net.row.input_px
    images = torch.rand(2, 3, edge, edge)
    own = net.network.net
    assert isinstance(own, getattr(transformers, row.network))
    answer = own(pixel_values=(images - net.mean) / net.std)
    tokens = answer.last_hidden_state
    expected = {
        "cls": lambda: tokens[:, 0],
        "cls+mean": lambda: torch.cat([tokens[:, 0], tokens[:, 1:].sum(1) / (tokens.shape[1] - 1)], 1),
        "projection": lambda: answer.image_embeds,
    }[row.pooling]()
    assert_close(net(images), expected, atol=1e-6, rtol=1e-6)


def test_a_phikon_of_transformers_is_the_transformer_of_the_paper():
    """ViTModel under timm's names, against numpy: query, key and value become one matrix."""
    pytest.importorskip("transformers")
    net = small_encoder("phikon")(3)
    shaken(net.network)
    state, w = {}, net.network.net.state_dict()
    plain = {
        "cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings",
        "norm.weight": "layernorm.weight", "norm.bias": "layernorm.bias",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    }  # fmt: skip
    state |= {ours: w[theirs] for ours, theirs in plain.items()}
    for block in range(2):
        at, own = f"blocks.{block}.", f"layers.{block}."
        for kind in ("weight", "bias"):
            qkv = [w[f"{own}attention.{part}_proj.{kind}"] for part in "qkv"]
            state[f"{at}attn.qkv.{kind}"] = torch.cat(qkv)
            state[f"{at}attn.proj.{kind}"] = w[f"{own}attention.o_proj.{kind}"]
            state[f"{at}norm1.{kind}"] = w[f"{own}layernorm_before.{kind}"]
            state[f"{at}norm2.{kind}"] = w[f"{own}layernorm_after.{kind}"]
            state[f"{at}mlp.fc1.{kind}"] = w[f"{own}mlp.fc1.{kind}"]
            state[f"{at}mlp.fc2.{kind}"] = w[f"{own}mlp.fc2.{kind}"]
    images = torch.rand(1, 3, 64, 64)
    tokens = tokens_by_hand(state, normalised(net, images)[0], patch=16)
    assert_close(net(images)[0].double(), torch.from_numpy(tokens[0]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["virchow2", "uni2_h", "uni"])
def test_under_autocast_the_network_computes_in_the_lower_type_and_says_nearly_the_same(name, kind):
    torch.manual_seed(0)
    net = small_encoder(name)(3).eval()
    images = torch.rand(2, 3, 80, 80)
    seen = set()
    net.network.net.blocks[0].attn.qkv.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    exact = net(images)
    assert seen == {torch.float32}
    with torch.autocast("cpu", kind):
        inside = net(images)
    assert seen == {torch.float32, kind}
    assert not torch.equal(inside.float(), exact)
    assert_close(inside.float(), exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", ["virchow2", "uni2_h", "kaiko_vits16", "phikon_v2", "plip"])
def test_the_map_holds_the_patch_tokens_in_their_places(name):
    if name in OTHERS:
        pytest.importorskip("transformers")
    net = small_encoder(name)(3, pooled=False)
    shaken(net.network)
    edge, patch = net.row.input_px, net.network.patch_px
    images = torch.rand(1, 3, edge, edge)
    tokens = net.network((images - net.mean) / net.std)
    prefix = tokens.shape[1] - 16
    assert prefix == {"virchow2": 5, "uni2_h": 9}.get(name, 1)
    mapped = net(images)
    assert mapped.shape == (1, DIM, 4, 4) and net.out_dim == DIM
    assert_close(mapped[0, :, 1, 2], tokens[0, prefix + 6])
    wide = small_encoder(name)(3, pooled=False, resize=False)
    assert wide(torch.rand(1, 3, 2 * patch, 6 * patch)).shape == (1, DIM, 2, 6)


def test_the_layer_for_maps_is_what_enters_the_last_attention():
    net = small_encoder("virchow2")(3).eval()
    layer = net.cam_layer()
    seen = []
    layer.layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net(torch.rand(2, 3, 90, 90))
    assert layer.on_input and layer.layer is net.network.net.blocks[-1].norm1
    assert layer.to_map(seen[0]).shape == (2, DIM, 4, 4)
    net(torch.rand(2, 3, 90, 70))
    with pytest.raises(RecipeError, match=r"virchow2: a map of 90 x 70 images would lack their margins"):
        layer.to_map(seen[1])


def test_a_transform_with_a_margin_gives_no_map_unless_images_are_taken_as_they_are():
    kind = small_encoder("gigapath")
    assert kind(3).cam_layer() is None
    assert kind(3, resize=False).cam_layer() is not None
    with pytest.raises(RecipeError, match=r"gigapath: its transform cuts off a margin.*Set resize: false"):
        kind(3, pooled=False)


def test_layer_groups_run_from_the_embedding_to_the_last_norm_and_miss_nothing():
    for name in ("uni2_h", *(OTHERS[:1])):
        net = small_encoder(name)(3)
        groups = net.layer_groups()
        assert len(groups) == 4
        assert sorted(map(id, (p for group in groups for p in group))) == sorted(map(id, net.parameters()))
        names = {id(parameter): key for key, parameter in net.named_parameters()}
        assert any("embed" in names[id(p)] for p in groups[0])
        assert all("norm" in names[id(p)] for p in groups[-1])


@pytest.mark.parametrize(
    ("options", "images", "line"),
    [
        ({"resize": False}, (1, 3, 60, 60), r"images of 60 x 60 px do not divide into patches of 14 px. Use 56 px"),
        ({"resize": False}, (1, 3, 8, 8), r"Use 14 px"),
    ],
)
def test_an_image_that_does_not_fit_is_one_line(options, images, line):
    with pytest.raises(RecipeError, match=line):
        small_encoder("virchow")(3, **options)(torch.rand(images))


def test_stacked_stains_are_refused_with_the_way_out():
    with pytest.raises(RecipeError, match=r"uni takes images of 3 channels and got 6.*PerStainImageEncoder"):
        small_encoder("uni")(6)


def test_the_documentation_of_an_encoder_names_its_source_and_its_traps():
    kind = small_encoder("gigapath")
    assert "patch is 16 px although the timm name says 14" in kind.__doc__
    assert "Source: Xu et al. 2024, doi:10.1038/s41586-024-07441-w." in kind.__doc__
    assert small_row("gigapath").arguments["patch_size"] == 16


@parametrize_with_checks(
    Example(BACKBONES.get("kaiko_vits16"), {"resize": False}, size_px=32),
    Example(SmallVirchow2, size_px=32),
    Example(SmallUni2, {"pooled": False}, size_px=56),
)
def test_they_keep_the_contract(check):
    check()
