"""What may not change the answer of the recipe on whole slides as thumbnails."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.recipes import compose, find_recipe
from pathfuse.training.plan import TrainingPlan

SPEC = DataSpec(
    tuple(ModalitySpec(stain, "image", 3, size_px=64) for stain in ("he", "ihc")), ("0", "low", "high"), (2, 2, 2)
)


@pytest.fixture(scope="module")
def model():
    plan = TrainingPlan.parse(compose([find_recipe("lowres_convnext")], ["demo"], []))
    plan.specs[plan.last] = SPEC
    return plan.task_of(plan.last).model.eval()


@pytest.fixture
def batch():
    torch.manual_seed(0)
    whole = Batch.of_images(SPEC, {stain: torch.rand(4, 3, 64, 64) for stain in ("he", "ihc")})
    return replace(whole, present={**whole.present, "ihc": torch.tensor([True, False, True, True])})


@torch.no_grad()
def test_cases_together_equal_cases_apart(model, batch):
    together = model(batch).logits
    for row in range(4):
        assert_close(model(batch.select(torch.tensor([row]))).logits[0], together[row], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("filler", [1e3, float("nan")])
def test_an_absent_thumbnail_is_not_read(model, batch, filler):
    assert_close(model(batch.fill("ihc", filler)).logits, model(batch).logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_order_of_cases_does_not_matter(model, batch):
    order = torch.tensor([2, 0, 3, 1])
    assert_close(model(batch.select(order)).logits, model(batch).logits[order], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_case_without_any_stain_is_said_and_leaves_the_others_alone(model, batch):
    none = replace(batch, present={**batch.present, "he": torch.tensor([True, False, True, True])})
    answer = model(none)
    assert answer.present.tolist() == [True, False, True, True]
    kept = torch.tensor([0, 2, 3])
    assert_close(answer.logits[kept], model(batch).logits[kept], atol=1e-5, rtol=0)
