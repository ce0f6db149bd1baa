"""The map between stains: what it predicts, what it learns from, and what its components are handed on as."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import Fused, FusedSpec, Model, stage_loader
from pathfuse.errors import RecipeError
from pathfuse.testing import TWO_BAGS, TWO_STAINS, Example, parametrize_with_checks, synthetic_batch
from pathfuse.testing.reference import tiny_model
from pathfuse_mil.encoder import BagEncoder
from pathfuse_mil.pool import MeanPool
from pathfuse_teach.ridge import Sums
from pathfuse_teach.stain_map import MappedStain, StainMapHead


def mapping(spec=TWO_BAGS, target="ihc", components=3):
    encoder = BagEncoder(spec, modalities=["he"])
    fusion = MeanPool(encoder.out, spec)
    return Model(encoder, fusion, StainMapHead(fusion.out, spec, target=target, components=components), spec)


@parametrize_with_checks(StainMapHead)
def test_the_head_keeps_the_contract(check):
    check()


@parametrize_with_checks(Example(MappedStain, {"checkpoint": "stage:map"}, model=mapping))
def test_the_encoder_keeps_the_contract(check):
    check()


def term(model, batch):
    return model.head.loss(model(batch), batch)["map"]


def test_the_term_is_the_squared_error_of_the_standardised_mean_and_deviation():
    model, batch = mapping().eval(), synthetic_batch(TWO_BAGS, 4)
    head = model.head
    head.centre.fill_(0.5)
    head.spread.fill_(2.0)
    bags = batch.x["ihc"]
    own = torch.split(bags.values, bags.lengths.tolist())
    summary = torch.stack([torch.cat([one.mean(0), one.std(0, correction=0)]) for one in own])
    assert_close(term(model, batch), (model(batch).extra["map"] - (summary - 0.5) / 2).square().mean())


def test_of_an_image_the_mean_colour_is_predicted():
    fused = FusedSpec(2, "vector")
    head = StainMapHead(fused, TWO_STAINS, target="ihc", components=9).eval()
    assert head.width == 3
    batch = synthetic_batch(TWO_STAINS, 4)
    prediction = head(Fused(torch.zeros(4, 2), torch.ones(4, dtype=torch.bool)))
    found = head.loss(prediction, batch)["map"]
    assert_close(found, (prediction.extra["map"] - batch.image("ihc").mean((2, 3))).square().mean())


def test_labels_are_not_looked_at_and_cases_without_a_pair_do_not_count():
    model, batch = mapping().eval(), synthetic_batch(TWO_BAGS, 4)
    bare = replace(batch, target=torch.full((4,), -1))
    assert_close(term(model, bare), term(model, batch))
    lone = replace(batch, present={**batch.present, "ihc": torch.tensor([True, False, False, True])})
    assert_close(term(model, lone), term(model, batch.select(torch.tensor([0, 3]))))
    assert term(model, batch.keep("he")) == 0


def test_what_the_target_holds_does_not_reach_the_prediction():
    model, batch = mapping().eval(), synthetic_batch(TWO_BAGS, 3)
    assert_close(model(batch).extra["map"], model(batch.keep("he")).extra["map"])


def paired(cases=40):
    """Bags of IHC whose patches are a linear map of those of H&E."""
    torch.manual_seed(0)
    batch = synthetic_batch(TWO_BAGS, cases)
    he = batch.x["he"]
    values = he.values @ torch.randn(TWO_BAGS["he"].width, TWO_BAGS["ihc"].width)
    there = {name: torch.ones(cases, dtype=torch.bool) for name in ("he", "ihc")}
    return replace(batch, x={"he": he, "ihc": replace(he, values=values)}, present=there)


def test_after_an_epoch_the_map_is_there_whatever_the_batches_were():
    batch, found = paired(), []
    for sizes in ([40], [7, 13, 20]):
        model = mapping(components=12).train()
        rows = torch.arange(40).split(sizes)
        for part in rows:
            term(model, batch.select(part))
        found.append(model.eval().head.encode.weight.clone())
        assert term(model, batch) < 0.6 < 0.9 < term(mapping().eval(), batch)
    assert_close(found[0], found[1], rtol=1e-3, atol=1e-5)


def test_the_next_epoch_begins_anew_and_validation_does_not_enter():
    model, batch = mapping().train(), paired()
    term(model, batch)
    first = model.eval().head.encode.weight.clone()
    term(model, batch.select(torch.arange(5)))
    assert model.eval().head.encode.weight.equal(first)
    term(model.train(), batch.select(torch.arange(20)))
    assert not model.eval().head.encode.weight.equal(first)


def test_a_checkpoint_has_the_solution():
    model, batch = mapping().train(), paired()
    term(model, batch)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert all(value.equal(state[name]) for name, value in model.eval().state_dict().items())


def test_the_ridge_solution_is_that_of_the_normal_equations():
    torch.manual_seed(1)
    source = torch.randn(60, 4).double() * torch.tensor([1.0, 5.0, 0.2, 3.0]).double() + 2
    target = (source - 2) @ torch.randn(4, 3).double() + 0.3 * torch.randn(60, 3).double()
    sums = Sums()
    for rows in torch.arange(60).split(17):
        sums.add(source[rows], target[rows])
    found = sums.solve(4, 2)
    x, y = ((own - own.mean(0)) / own.std(0, correction=0) for own in (source, target))
    assert_close(found.centre, target.mean(0))
    directions = torch.linalg.svd(y, full_matrices=False).Vh[:2].T
    assert_close(found.components.abs(), directions.abs())
    predicted = source @ found.weight.T + found.bias
    # Little noise and many cases: next to no ridge.
    best = x @ torch.linalg.lstsq(x, y @ found.components).solution
    assert_close(predicted, best, rtol=0.02, atol=0.02)
    assert_close(found.scale, predicted.square().mean().sqrt())


def test_where_nothing_is_shared_the_ridge_takes_the_map_away():
    torch.manual_seed(2)
    sums = Sums()
    sums.add(torch.randn(80, 30), torch.randn(80, 5))
    assert sums.solve(30, 2).scale < 0.2


def test_the_components_are_handed_on_frozen():
    model = mapping()
    with stage_loader(lambda _: model):
        encoder = MappedStain(TWO_BAGS, checkpoint="stage:map").train()
    batch = synthetic_batch(TWO_BAGS, 3)
    token = encoder(batch)["ihc_from_he"]
    assert token.values.shape == (3, 3) and not token.values.requires_grad and not model.training
    assert encoder.reads == ("he",)


def test_a_stage_that_maps_nothing_is_refused():
    with stage_loader(lambda _: tiny_model(TWO_STAINS)), pytest.raises(RecipeError, match="hands on"):
        MappedStain(TWO_BAGS, checkpoint="stage:teach")
