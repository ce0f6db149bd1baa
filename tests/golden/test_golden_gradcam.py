import pytest
import torch

from pathfuse_captum.gradcam import GradCAM, class_scores, enlarge, predicted, scale, tapped, token_map
from tests.golden.gradcam_net import golden_batch, golden_model
from tests.golden.vectors import DTYPES, assert_near, golden

RUNS = pytest.mark.parametrize("run", ["argmax", "mixed"])


def setting(dtype, run):
    z = golden("gradcam")
    model, batch = golden_model(z, dtype), golden_batch(z, dtype)
    return z, model, batch, model.encoder.cam_layers()["he"], torch.as_tensor(z[f"{run}/cls"])


@DTYPES
@RUNS
def test_the_activation_and_its_gradient_pass_through_the_tap(dtype, run):
    z, model, batch, layer, cls = setting(dtype, run)
    kept = []
    with tapped(layer) as tap:
        tap.register_forward_hook(lambda module, inputs, output: kept.append(output))
        scores = class_scores(model, batch)
    (gradient,) = torch.autograd.grad(scores.gather(1, cls[:, None]).sum(), kept[0])
    assert_near(scores, z[f"{run}/scores"], dtype)
    assert_near(kept[0], z[f"{run}/A"], dtype)
    assert_near(gradient, z[f"{run}/grad"], dtype)
    assert_near(gradient.mean((2, 3)), z[f"{run}/alpha"], dtype)


@DTYPES
@RUNS
def test_the_map_at_the_size_of_the_layer(dtype, run):
    z, model, batch, layer, cls = setting(dtype, run)
    assert_near(token_map(model, batch, layer, cls, relu=False), z[f"{run}/raw"], dtype)
    assert_near(token_map(model, batch, layer, cls, relu=True), z[f"{run}/cam"], dtype)


@DTYPES
@RUNS
def test_the_map_enlarged_and_scaled(dtype, run):
    z, model, batch, layer, cls = setting(dtype, run)
    up = enlarge(token_map(model, batch, layer, cls, relu=True), tuple(z["up_size"].tolist()))
    assert_near(up, z[f"{run}/up"], dtype)
    assert_near(scale(up), z[f"{run}/norm"], dtype)


@DTYPES
@RUNS
def test_the_explainer_gives_the_scaled_map_at_the_size_of_the_image(dtype, run):
    z, model, batch, _, cls = setting(dtype, run)
    cam = torch.as_tensor(z[f"{run}/cam"])
    expected = scale(enlarge(cam, batch.image("he").shape[-2:]))
    assert_near(GradCAM().explain(model, batch, cls)["he"], expected.numpy(), dtype)


@DTYPES
def test_the_predicted_class_is_the_default(dtype):
    _, model, batch, _, cls = setting(dtype, "argmax")
    assert predicted(model, batch).tolist() == cls.tolist()
    assert torch.equal(GradCAM().explain(model, batch)["he"], GradCAM().explain(model, batch, cls)["he"])
