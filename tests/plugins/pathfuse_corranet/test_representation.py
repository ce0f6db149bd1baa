import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pathfuse.core import stage_loader
from pathfuse.errors import RecipeError
from pathfuse_corranet.objective import CorrelationObjective
from pathfuse_corranet.representation import CorrelatedRepresentation, scale_per_case
from tests.plugins.pathfuse_corranet.cases import PAIR, THREE, batch_of, model_of, spec_of


def representation_of(model=None, spec=None, **options):
    model = model or model_of()
    with stage_loader({"stage:correlate": model}.__getitem__):
        return CorrelatedRepresentation(spec or spec_of(), checkpoint="stage:correlate", **options)


@pytest.mark.parametrize(("output", "channels"), [("hidden", 8), ("reconstruction", 6)])
def test_it_is_the_joint_map_scaled_per_case(output, channels):
    model, batch = model_of(), batch_of(ihc=(1,), he=(2,))
    images, present = representation_of(model, output=output)(batch)
    fused = model.eval().fuse(batch)
    maps = fused.embedding if output == "hidden" else torch.cat(list(model.head(fused).reconstructions.values()), 1)
    flat = maps.flatten(1)
    expected = (flat - flat.min(1, keepdim=True).values) / (
        flat.max(1, keepdim=True).values - flat.min(1, keepdim=True).values
    )
    assert_close(images, expected.view_as(maps))
    assert images.shape[1] == channels == representation_of(model, output=output).channels
    assert present.all()


def test_it_reads_h_and_e_alone_without_a_look_at_the_absent_ihc():
    representation = representation_of()
    batch = batch_of().keep("he")
    images, present = representation(batch)
    assert_close(representation(batch.fill("ihc", 1e3))[0], images)
    assert representation.reads == PAIR and present.all()
    assert not representation(batch.drop("he"))[1].any()


def test_it_stays_frozen_in_training_and_lets_gradients_through():
    representation = representation_of()
    classifier = nn.Sequential(representation).train()
    assert representation.training and not any(m.training for m in representation.model.modules())
    assert not any(p.requires_grad for p in classifier.parameters())
    before = {k: v.clone() for k, v in representation.state_dict().items()}
    batch = batch_of()
    batch.x["he"].requires_grad_()
    representation(batch)[0].sum().backward()
    assert batch.x["he"].grad.abs().sum() > 0
    assert_close(representation.state_dict(), before)


def test_the_outer_checkpoint_holds_the_frozen_weights():
    one, other = representation_of(model_of(seed=0)), representation_of(model_of(seed=5))
    CorrelationObjective().losses(one.model.train(), batch_of())  # moves the running statistics
    one.train()
    other.load_state_dict(one.state_dict())
    assert {k.split(".")[1] for k in one.state_dict()} == {"encoder", "fusion", "head"}
    assert_close(other(batch_of())[0], one(batch_of())[0])


def test_a_constant_map_becomes_zero_with_a_finite_gradient():
    maps = torch.full((2, 3, 4, 4), 0.3, requires_grad=True)
    scaled = scale_per_case(maps)
    scaled.sum().backward()
    assert scaled.abs().sum() == 0 and torch.isfinite(maps.grad).all()


def test_data_without_a_column_that_the_stage_read_is_refused():
    with pytest.raises(RecipeError, match="no column her2; add the column"):
        representation_of(model_of(THREE), spec_of(("he", "ki67")))
