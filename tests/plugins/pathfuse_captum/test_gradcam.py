from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from pathfuse.core import Encoder, Head, Model, Prediction
from pathfuse.errors import RecipeError
from pathfuse_captum.asking import untouched
from pathfuse_captum.gradcam import GradCAM, scale, tapped
from pathfuse_timm.backbone import TimmBackbone
from tests.explain.small import STAINS, ConvBackbone, LinearHead, MapBackbone, make_batch, make_model, make_spec

VIT = partial(TimmBackbone, name="test_vit", img_size=32)
REGISTERS = partial(TimmBackbone, name="test_vit", img_size=32, global_pool="avg")
SWIN = partial(TimmBackbone, name="swin_tiny_patch4_window7_224", img_size=64)
EVERY = ["single", "stack", "each", "shared"]


def by_hand(model, batch, target, layer):
    """Equations 1 and 2 of the paper, one case at a time, with nothing but autograd."""
    maps = []
    for row in range(len(batch)):
        kept = []
        hook = layer.layer.register_forward_hook(lambda module, inputs, output, kept=kept: kept.append(output))
        logits = model(batch.select(torch.tensor([row]))).logits
        hook.remove()
        (gradient,) = torch.autograd.grad(logits[0, target[row]], kept[0])
        cam = sum(gradient[0, k].mean() * kept[0][0, k] for k in range(kept[0].shape[1])).relu()
        big = functional.interpolate(cam[None, None], batch.image("he").shape[-2:], mode="bilinear")[0, 0]
        maps.append((big - big.min()) / (big.max() - big.min()) if big.max() > big.min() else torch.zeros_like(big))
    return torch.stack(maps).detach()


@pytest.mark.parametrize("classes", [[0, 1, 2], [3, 3, 0]])
def test_the_map_is_that_of_the_equations_case_by_case(classes):
    model, batch, target = make_model(), make_batch(), torch.tensor(classes)
    expected = by_hand(model, batch, target, model.encoder.cam_layers()["he"])
    assert expected.any()
    assert_close(GradCAM().explain(model, batch, target)["he"], expected)


def test_the_predicted_class_is_explained_unless_another_is_asked_for():
    model, batch = make_model(), make_batch()
    predicted = model(batch).logits.argmax(1)
    assert_close(GradCAM().explain(model, batch)["he"], GradCAM().explain(model, batch, predicted)["he"])
    other = GradCAM().explain(model, batch, (predicted + 1) % 4)["he"]
    assert not torch.allclose(other, GradCAM().explain(model, batch)["he"])


@pytest.mark.parametrize("encoder", EVERY)
@pytest.mark.parametrize("backbone", [ConvBackbone, MapBackbone, VIT], ids=["conv", "map", "vit"])
def test_every_stain_that_is_read_gets_a_map_of_its_images_size(encoder, backbone):
    model = make_model(encoder, backbone=backbone)
    maps = GradCAM(relu=False).explain(model, make_batch())
    assert set(maps) == set(model.reads)
    for cam in maps.values():
        assert cam.shape == (3, 32, 32)
        assert_close(cam.amin((1, 2)), torch.zeros(3))
        assert_close(cam.amax((1, 2)), torch.ones(3))


@pytest.mark.parametrize("backbone", [VIT, REGISTERS], ids=["token", "average"])
def test_a_transformer_with_either_pooling_gets_a_map_with_a_place_per_patch(backbone):
    spec, batch = make_spec(("he",), 64), make_batch(stains=("he",), size_px=64)
    model = make_model(spec=spec, backbone=backbone)
    cam = GradCAM(relu=False).explain(model, batch)["he"]
    # Bilinear enlargement from 4 x 4: along the edge the values are flat for half a patch.
    assert_close(cam[:, :8, 0], cam[:, :1, 0].expand(-1, 8))
    assert len(cam[0].unique()) > 4


def test_a_transformers_map_is_that_of_the_equations_on_its_patch_tokens():
    model, batch = make_model(spec=make_spec(("he",)), backbone=VIT), make_batch(stains=("he",))
    kept, target = [], torch.tensor([2, 0, 1])
    block = model.encoder.backbone.net.blocks[-1].norm1
    hook = block.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    logits = model(batch).logits
    hook.remove()
    (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), kept[0])
    prefix = model.encoder.backbone.net.num_prefix_tokens
    alpha = gradient[:, prefix:].mean(1, keepdim=True)  # (B, 1, D)
    cam = (alpha * kept[0][:, prefix:]).sum(2).relu().view(3, 1, 2, 2)
    big = scale(functional.interpolate(cam, (32, 32), mode="bilinear")[:, 0])
    assert big.any()
    assert_close(GradCAM().explain(model, batch, target)["he"], big.detach())


def test_a_channels_last_transformer_gets_a_map():
    model = make_model(spec=make_spec(("he",), 64), backbone=SWIN)
    cam = GradCAM(relu=False).explain(model, make_batch(stains=("he",), size_px=64))["he"]
    assert_close(cam.amax((1, 2)), torch.ones(3))


def test_a_shared_backbone_explains_each_stain_as_its_own_copy_would():
    shared, own = make_model("shared"), make_model("each")
    for network in own.encoder.backbones:
        network.load_state_dict(shared.encoder.backbones[0].state_dict())
    own.head.load_state_dict(shared.head.state_dict())
    batch = make_batch()
    expected, maps = GradCAM().explain(own, batch), GradCAM().explain(shared, batch)
    for name in STAINS:
        assert_close(maps[name], expected[name])


def test_stacked_stains_share_one_map():
    maps = GradCAM().explain(make_model("stack"), make_batch())
    assert_close(maps["he"], maps["ihc"])
    assert_close(maps["he"], maps["ki67"])


@pytest.mark.parametrize("encoder", EVERY)
def test_absent_stains_have_an_empty_map_and_their_payload_is_not_read(encoder):
    model = make_model(encoder)
    batch = make_batch({"he": [True, True, False], "ihc": [True, False, True]})
    maps = GradCAM(relu=False).explain(model, batch)
    noisy = GradCAM(relu=False).explain(model, batch.fill("he", 1e6).fill("ihc", float("nan")))
    for name, cam in maps.items():
        assert_close(cam.flatten(1).any(1), batch.present[name])
        assert_close(noisy[name], cam)


def test_cases_do_not_see_each_other():
    model, batch = make_model("each"), make_batch()
    whole = GradCAM().explain(model, batch)
    alone = GradCAM().explain(model, batch.select(torch.tensor([1])))
    for name in STAINS:
        assert_close(whole[name][1:2], alone[name])


def test_a_model_that_is_frozen_gets_the_same_map():
    batch, free = make_batch(), make_model()
    frozen = make_model(freeze=True)
    frozen.requires_grad_(False)
    assert_close(GradCAM().explain(frozen, batch)["he"], GradCAM().explain(free, batch)["he"])


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_maps_can_be_made_where_gradients_are_off(guard):
    model, batch = make_model(), make_batch()
    expected = GradCAM().explain(model, batch)["he"]
    with guard():
        inside = GradCAM().explain(model, make_batch())["he"]
    assert_close(inside.clone(), expected)


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_as_it_was_afterwards(training):
    model = make_model("each").train(training)
    model.encoder.backbones[0].requires_grad_(False)
    model.encoder.backbones[1].body[2].eval()
    flags = [weight.requires_grad for weight in model.parameters()]
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    GradCAM().explain(model, make_batch())
    assert [weight.requires_grad for weight in model.parameters()] == flags
    assert [module.training for module in model.modules()] == modes
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for name, value in model.state_dict().items():
        assert_close(value, state[name])


def test_the_model_is_as_it_was_after_an_error_too():
    model = make_model().train()
    with pytest.raises(ZeroDivisionError), untouched(model), tapped(model.encoder.cam_layers()["he"]):
        raise ZeroDivisionError
    assert model.training and all(weight.requires_grad for weight in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_tap_does_not_change_what_the_model_says():
    model, batch = make_model(spec=make_spec(("he",)), backbone=VIT), make_batch(stains=("he",))
    expected = model(batch).logits
    with tapped(model.encoder.cam_layers()["he"]):
        assert_close(model(batch).logits, expected)


def test_a_map_that_is_flat_becomes_zeros():
    flat = torch.full((1, 4, 4), 0.3)
    slope = torch.linspace(-1, 1, 16).view(1, 4, 4)
    scaled = scale(torch.cat([flat, slope]))
    assert not scaled[0].any()
    assert (float(scaled[1].min()), float(scaled[1].max())) == (0.0, 1.0)


class NoLayer(ConvBackbone):
    def cam_layer(self):
        return None


class Silent(Head):
    def forward(self, fused):
        return Prediction(fused.present)


def test_an_encoder_without_a_layer_is_one_line():
    with pytest.raises(RecipeError, match="ImageEncoder has no layer for class-activation maps"):
        GradCAM().explain(make_model(backbone=NoLayer), make_batch())


def test_a_head_that_does_not_classify_is_one_line():
    model = make_model()
    with pytest.raises(RecipeError, match="Silent does not classify"):
        GradCAM().explain(Model(model.encoder, model.fusion, Silent()), make_batch())


class Twice(Encoder):
    """Two tokens that read the same stain."""

    def __init__(self, encoders):
        super().__init__()
        self.parts = torch.nn.ModuleList(encoders)
        self.reads = ("he",)
        self.out = {f"he{n}": encoder.out["he"] for n, encoder in enumerate(encoders)}

    def forward(self, batch):
        return {f"he{n}": encoder(batch)["he"] for n, encoder in enumerate(self.parts)}

    def cam_layers(self):
        return {f"he{n}": replace(encoder.cam_layers()["he"]) for n, encoder in enumerate(self.parts)}


def test_two_tokens_of_one_stain_give_their_mean():
    spec, batch = make_spec(("he",)), make_batch(stains=("he",))
    one, two = make_model(spec=spec, seed=1), make_model(spec=spec, seed=2)
    encoder = Twice([one.encoder, two.encoder])
    model = Model(encoder, type(one.fusion)(encoder.out, spec), LinearHead(one.fusion.out, spec)).eval()
    target = torch.tensor([0, 1, 2])
    layers = encoder.cam_layers()
    parts = [by_hand(model, batch, target, layer) for layer in layers.values()]
    assert_close(GradCAM().explain(model, batch, target)["he"], scale(torch.stack(parts).mean(0)))


def test_a_map_of_one_cell_is_refused_and_not_drawn_as_noise():
    model = make_model(backbone=partial(TimmBackbone, name="test_resnet", weights="random"))
    with pytest.raises(RecipeError, match=r"GradCAM: the feature map of ImageEncoder has one cell for images of 32x32"):
        GradCAM().explain(model, make_batch())


@pytest.mark.parametrize("level", [1e-6, 1.0, 1e6])
def test_rounding_is_no_map_whatever_its_scale(level):
    noise = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not scale(level * (1 + 1e-7 * noise)).any()
    assert_close(scale(level * (1 + 1e-2 * noise)).amax((1, 2)), torch.ones(2))
