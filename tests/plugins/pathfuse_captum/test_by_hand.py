"""Every method of Captum against Captum called by hand, on a model of images and on one of bags."""

from dataclasses import replace

import captum.attr
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pathfuse.core import Bags, Batch, case_sums
from pathfuse.errors import RecipeError
from pathfuse_captum.attending import Attention, AttentionGradient, AttentionRollout
from pathfuse_captum.gradcam import GradCAM
from pathfuse_captum.gradients import InputXGradient, IntegratedGradients
from pathfuse_captum.guided import GuidedGradCAM
from pathfuse_captum.leaving_out import LeaveOut, Occlusion
from pathfuse_captum.shapley import StainShapley
from tests.explain import small_bags
from tests.explain.small import ConvBackbone, make_batch, make_model, make_spec

NEAR = {"rtol": 0, "atol": 1e-6}
TARGET = torch.tensor([2, 0, 1])


class OfImages(nn.Module):
    """A model of one stain as a function of its images."""

    def __init__(self, model, batch):
        super().__init__()
        self.model, self.batch = model, batch

    def forward(self, images):
        n = len(images)
        present = {m: p[:1].expand(n) for m, p in self.batch.present.items()}
        ids = ("x",) * n
        return self.model(Batch({"he": images}, present, torch.zeros(n, dtype=torch.long), ids, ids)).logits


@pytest.fixture(scope="module")
def images():
    model = make_model(spec=make_spec(("he",)))
    model.requires_grad_(False)
    batch = make_batch(stains=("he",))
    return model, batch, OfImages(model, batch), batch.image("he").clone().requires_grad_()


def test_input_times_gradient_of_images(images):
    model, batch, forward, x = images
    expected = captum.attr.InputXGradient(forward).attribute(x, target=TARGET).sum(1)
    assert_close(InputXGradient().explain(model, batch, TARGET)["he"], expected.detach(), **NEAR)


@pytest.mark.parametrize("baseline", [None, "glass", "mean", "absent"])
def test_integrated_gradients_of_images(images, baseline):
    model, batch, forward, x = images
    start = {"mean": x.mean((2, 3), keepdim=True).expand_as(x), "absent": torch.zeros_like(x)}
    expected = captum.attr.IntegratedGradients(forward).attribute(
        x.detach(), start.get(baseline, torch.ones_like(x)).detach(), target=TARGET, n_steps=7
    )
    own = IntegratedGradients(steps=7, baseline=baseline).explain(model, batch, TARGET)["he"]
    assert_close(own, expected.sum(1), **NEAR)


def test_occlusion_of_images(images):
    model, batch, forward, x = images
    expected = captum.attr.Occlusion(forward).attribute(
        x.detach(), (3, 8, 8), strides=(3, 4, 4), baselines=1.0, target=TARGET
    )
    own = Occlusion(window_px=8, stride_px=4).explain(model, batch, TARGET)["he"]
    assert_close(own, expected.sum(1), **NEAR)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_grad_cam_and_guided_grad_cam_of_images(images):
    model, batch, forward, x = images
    layer = model.encoder.backbone.body
    by_hand = captum.attr.GuidedGradCam(forward, layer).attribute(x, target=TARGET).sum(1)
    assert by_hand.any()
    assert_close(GuidedGradCAM().explain(model, batch, TARGET)["he"], by_hand.detach(), **NEAR)
    inner = captum.attr.LayerGradCam(forward, model.encoder.backbone.body[0]).attribute(
        x, TARGET, relu_attributions=True
    )
    big = nn.functional.interpolate(inner, (32, 32), mode="bilinear")[:, 0]
    low, high = big.amin((1, 2), keepdim=True), big.amax((1, 2), keepdim=True)
    named = GradCAM(layer="encoder.backbone.body.0").explain(model, batch, TARGET)["he"]
    assert_close(named, ((big - low) / (high - low)).detach(), **NEAR)


def bag_forward(model, batch, row, stain):
    """One stain of one case as a function of copies of its bag, every copy a case."""
    one = batch.select(torch.tensor([row]))

    def forward(values):
        whole = one.select(torch.zeros(len(values), dtype=torch.long))
        bags = replace(whole.x[stain], values=values.flatten(0, 1))
        return model(replace(whole, x={**whole.x, stain: bags})).logits

    return forward, one.x[stain].values[None].clone().requires_grad_()


@pytest.fixture(scope="module")
def bags():
    model = small_bags.make_model()
    model.requires_grad_(False)
    return model, small_bags.make_batch()


def split(scores, batch, stain="he"):
    return torch.split(scores, batch.x[stain].lengths.tolist())


def test_input_times_gradient_of_bags(bags):
    model, batch = bags
    found = InputXGradient().explain(model, batch, TARGET)
    for row, stain in ((0, "he"), (0, "ihc"), (1, "he"), (2, "ihc")):
        forward, x = bag_forward(model, batch, row, stain)
        expected = captum.attr.InputXGradient(forward).attribute(x, target=int(TARGET[row]))[0].sum(1)
        assert_close(split(found[stain], batch, stain)[row], expected.detach(), **NEAR)


def test_integrated_gradients_of_bags(bags):
    model, batch = bags
    found = IntegratedGradients(steps=6).explain(model, batch, TARGET)["he"]
    forward, x = bag_forward(model, batch, 1, "he")  # a case of one stain
    start = x.mean(1, keepdim=True).expand_as(x).detach()
    expected = captum.attr.IntegratedGradients(forward).attribute(x.detach(), start, target=0, n_steps=6)[0].sum(1)
    assert expected.abs().max() > 1e-4
    assert_close(split(found, batch)[1], expected, **NEAR)


@pytest.mark.parametrize("groups", [3, 64])
def test_leaving_out_against_the_mean_patch_is_the_ablation_of_captum(bags, groups):
    model, batch = bags
    found = LeaveOut(groups=groups, baseline="mean").explain(model, batch, TARGET)["he"]
    forward, x = bag_forward(model, batch, 0, "he")
    count = x.shape[1]
    mask = (torch.arange(count) * min(groups, count) // count)[None, :, None].expand(1, count, small_bags.DIM)
    ablated = captum.attr.FeatureAblation(forward).attribute(
        x.detach(), baselines=x.mean(1, keepdim=True).expand_as(x).detach(), target=2, feature_mask=mask
    )
    assert_close(split(found, batch)[0], ablated[0, :, 0], **NEAR)


def test_a_patch_is_left_out_by_taking_it_from_the_bag(bags):
    model, batch = bags
    found = split(LeaveOut().explain(model, batch, TARGET)["he"], batch)[1]
    one = batch.select(torch.tensor([1]))
    whole, held = model(one).logits[0, 0], one.x["he"]
    for patch in range(2):
        other = Bags(
            held.values[[1 - patch]], torch.tensor([1]), held.slide[[1 - patch]], held.coords[[1 - patch]], held.slides
        )
        without = model(replace(one, x={**one.x, "he": other})).logits[0, 0]
        assert_close(found[patch], whole - without, **NEAR)


def test_shapley_values_of_two_stains_are_the_mean_of_both_orders(bags):
    model, batch = bags
    worth = case_sums(batch, StainShapley().explain(model, batch, TARGET))
    said = {
        key: model(batch.keep(*key)).logits.gather(1, TARGET[:, None])[:, 0]
        for key in ((), ("he",), ("ihc",), ("he", "ihc"))
    }
    he = (said[("he",)] - said[()] + said[("he", "ihc")] - said[("ihc",)]) / 2
    ihc = (said[("ihc",)] - said[()] + said[("he", "ihc")] - said[("he",)]) / 2
    assert_close(worth["he"], he, rtol=0, atol=1e-5)
    assert_close(worth["ihc"], ihc, rtol=0, atol=1e-5)
    assert worth["he"][2] == 0 and worth["ihc"][1] == 0


def test_attention_is_what_the_fusion_block_gives(bags):
    model, batch = bags
    expected = model.fuse(batch).attention
    for stain, weight in Attention().explain(model, batch).items():
        assert torch.equal(weight, expected[stain])


def test_the_gradient_of_attention_is_that_of_the_weighted_sum(bags):
    model, batch = bags
    one = batch.select(torch.tensor([1]))
    weight = model.fuse(one).attention["he"]
    values, head = model.encoder(one)["he"].values, model.head.layer
    slope = values @ head.weight[0]  # of one stain the joint embedding is the weighted sum
    expected = (weight * slope).clamp(min=0)
    assert_close(split(AttentionGradient().explain(model, batch, TARGET)["he"], batch)[1], expected, **NEAR)


def test_rollout_of_a_pool_is_its_attention(bags):
    model, batch = bags
    assert_close(AttentionRollout().explain(model, batch)["ihc"], model.fuse(batch).attention["ihc"], **NEAR)


def test_rollout_of_a_vision_transformer_is_the_product_of_its_matrices():
    from functools import partial

    from pathfuse_timm.backbone import TimmBackbone

    spec, batch = make_spec(("he",)), make_batch(stains=("he",))
    model = make_model(spec=spec, backbone=partial(TimmBackbone, name="test_vit", img_size=32, global_pool="token"))
    net = model.encoder.backbone.net
    kept = []
    for block in net.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda module, inputs, output: kept.append(output.detach()))
    model(batch)
    for block in net.blocks:
        block.attn.fused_attn = True
        block.attn.attn_drop._forward_hooks.clear()
    rolled = torch.eye(kept[0].shape[-1])
    for weight in kept:
        rolled = (torch.eye(weight.shape[-1]) + weight.mean(1)) / 2 @ rolled
    side = 32 // net.patch_embed.patch_size[0]
    places = rolled[:, 0, net.num_prefix_tokens :].view(3, 1, side, side)
    expected = nn.functional.interpolate(places, (32, 32), mode="bilinear")[:, 0]
    assert_close(AttentionRollout().explain(model, batch)["he"], expected, **NEAR)
    assert all(block.attn.fused_attn for block in net.blocks)
    gradient = AttentionGradient().explain(model, batch, TARGET)["he"]
    assert gradient.any() and (gradient >= 0).all()


def test_rollout_of_transmil_is_the_product_of_torchmils_matrices():
    pytest.importorskip("torchmil", reason="needs pathfuse[torchmil]")
    from functools import partial

    from pathfuse_torchmil.transmil import TransMIL

    model = small_bags.make_model(partial(TransMIL, dim=16, heads=2, landmarks=4))
    batch = small_bags.make_batch()
    one = batch.select(torch.tensor([1]))
    network = model.fusion.networks["he"]
    kept = []
    for layer in network.layers:
        layer.att_module.register_forward_pre_hook(lambda module, inputs: kept.append((module, inputs[0].detach())))
    model(one)
    for layer in network.layers:
        layer.att_module._forward_pre_hooks.clear()
    rolled = None
    for module, x in kept:
        weight = module(x, return_att=True)[1].mean(1)[0].detach()
        step = (torch.eye(len(weight)) + weight) / 2
        rolled = step if rolled is None else step @ rolled
    expected = rolled[0, 1:3].clamp(min=0)
    own = split(AttentionRollout().explain(model, batch)["he"], batch)[1]
    assert torch.corrcoef(torch.stack([own, expected]))[0, 1] > 0.99


def test_the_gradient_of_transmils_attention_is_that_along_the_whole_matrix():
    """The last layer is made anew with its attention as one matrix, of which autograd takes the gradient."""
    pytest.importorskip("torchmil", reason="needs pathfuse[torchmil]")
    from functools import partial

    from pathfuse_torchmil.transmil import TransMIL

    model = small_bags.make_model(partial(TransMIL, dim=16, heads=2, landmarks=4))
    batch = small_bags.make_batch()
    one = batch.select(torch.tensor([0]))
    patches = int(one.x["he"].lengths[0])
    kept = []

    def whole(module, inputs, output):
        x = inputs[0]
        padded = nn.functional.pad(x, (0, 0, -x.shape[1] % module.n_landmarks, 0))
        value = module.qkv_nn(padded).chunk(3, -1)[2].unflatten(2, (module.n_heads, -1)).transpose(1, 2)
        with torch.no_grad():
            matrix = module.forward(x, return_att=True)[1]  # without padding, whose values are zeros
        kept.append(matrix.requires_grad_())
        mixed = (matrix @ value[:, :, -x.shape[1] :]).transpose(1, 2).flatten(2)
        assert_close(mixed, output, rtol=0, atol=1e-5)
        return mixed

    handle = model.fusion.networks["he"].layers[-1].att_module.register_forward_hook(whole)
    score = model(one).logits[0, 2]
    handle.remove()
    (slope,) = torch.autograd.grad(score, kept[0])
    expected = (kept[0] * slope).clamp(min=0).mean(1)[0, 0, 1 : 1 + patches].detach()
    found = split(AttentionGradient().explain(model, one, torch.tensor([2]))["he"], one)[0]
    assert found.any() and (found >= 0).all()
    assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_an_unknown_layer_is_one_line_with_a_guess(images):
    model, batch, *_ = images
    with pytest.raises(
        RecipeError, match=r"no layer 'encoder.backbone.bodi'. Did you mean encoder.backbone.body\?"
    ) as error:
        GradCAM(layer="encoder.backbone.bodi").explain(model, batch)
    assert "\n" not in str(error.value)
    with pytest.raises(RecipeError, match="gives a tensor of 2 dimensions"):
        GradCAM(layer="head.layer").explain(model, batch)


def test_glass_of_features_is_one_line(bags):
    with pytest.raises(RecipeError, match="baseline glass is a white image, and he holds features"):
        IntegratedGradients(baseline="glass").explain(*bags)


def test_a_model_without_attention_is_one_line(images):
    model, batch, *_ = images
    with pytest.raises(RecipeError, match="AttentionRollout: ImageEncoder and MeanFusion show no attention"):
        AttentionRollout().explain(model, batch)


def test_guided_scores_need_the_layer_to_belong_to_a_stain():
    model = make_model("each", backbone=ConvBackbone)
    named = GradCAM(layer="encoder.backbones.1.body.0").explain(model, make_batch())
    assert set(named) == {"ihc"}
