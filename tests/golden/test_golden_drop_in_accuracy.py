import pytest
import torch

from pathfuse.explain.faith.drop import Masking, drop_in_accuracy, masked
from pathfuse_captum.gradcam import GradCAM
from tests.golden.gradcam_net import golden_batch, golden_model
from tests.golden.vectors import DTYPES, assert_near, golden

MASKS = {"soft": Masking("soft"), "hard50": Masking("hard", threshold=0.5), "top25": Masking("top", share=0.25)}
EVERY = pytest.mark.parametrize("mask", MASKS)


def logits(z, dtype, mask):
    """Class scores on whole images, and on images masked with the stored map."""
    model, batch = golden_model(z, dtype), golden_batch(z, dtype)
    maps = {"he": torch.as_tensor(z["cam01"])}
    with torch.no_grad():
        return model(batch).logits, model(masked(batch, maps, MASKS[mask])).logits


def test_the_map_of_the_predicted_class():
    z = golden("drop_in_accuracy")
    model, batch = golden_model(z, torch.float64), golden_batch(z, torch.float64)
    assert model(batch).logits.argmax(1).tolist() == z["pred"].tolist()
    assert_near(GradCAM().explain(model, batch)["he"], z["cam01"], torch.float64)


@DTYPES
@EVERY
def test_predictions_and_accuracies(dtype, mask):
    z = golden("drop_in_accuracy")
    full, hidden = logits(z, dtype, mask)
    drop = drop_in_accuracy(full, hidden, torch.as_tensor(z["y"]))
    assert full.argmax(1).tolist() == z["pred"].tolist()
    assert hidden.argmax(1).tolist() == z[f"{mask}/pred_masked"].tolist()
    assert_near(drop.accuracy, z[f"{mask}/acc_full"], torch.float64)
    assert_near(drop.accuracy_masked, z[f"{mask}/acc_masked"], torch.float64)


@EVERY
def test_drops(mask):
    z = golden("drop_in_accuracy")
    drop = drop_in_accuracy(*logits(z, torch.float64, mask), torch.as_tensor(z["y"]))
    for figure in ("points", "relative", "average_drop"):
        assert_near(getattr(drop, figure), z[f"{mask}/{figure}"], torch.float64)


@EVERY
def test_drops_with_the_explainers_own_map(mask):
    z = golden("drop_in_accuracy")
    model, batch = golden_model(z, torch.float64), golden_batch(z, torch.float64)
    maps = GradCAM().explain(model, batch)
    with torch.no_grad():
        hidden = model(masked(batch, maps, MASKS[mask])).logits
        drop = drop_in_accuracy(model(batch).logits, hidden, batch.target)
    assert_near(drop.average_drop, z[f"{mask}/average_drop"], torch.float64)
