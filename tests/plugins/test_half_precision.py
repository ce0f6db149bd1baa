"""Bags in half precision, as feature files hold them, through every registered fusion block that takes bags."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import Bags, Batch, Model
from pathfuse.errors import RecipeError
from pathfuse.registry import FUSIONS
from pathfuse.testing import BAGS_AND_VECTOR, TWO_BAGS, synthetic_batch
from pathfuse_heads.softmax import SoftmaxHead
from pathfuse_joint.by_modality import ByModality
from pathfuse_joint.vectors import VectorEncoder
from pathfuse_mil.encoder import BagEncoder
from pathfuse_wsmcl.encoder import NystromEncoder

HALF = [torch.float16, torch.bfloat16]
OPTIONS = {
    "CrossAttention": {"dim": 16, "latents": 3, "layers": 1, "heads": 2, "dropout": 0.0},
    "TransMIL": {"dim": 16, "heads": 2, "landmarks": 4},
    "MACL": {"k": 4},
}
AVERAGING = ["MeanFusion", "ConcatFusion", "TailFusion", "MeanPool", "MACL"]
WITH_A_VECTOR = ["MeanFusion", "ConcatFusion", "TailFusion", "MeanPool", "MaxPool", "AttentionFusion", "ABMIL", "CLAM"]


def batch_of(dtype: torch.dtype, lengths: tuple[int, ...] = (300, 40, 7), spec=TWO_BAGS) -> Batch:
    """Features near 50, as far from zero as those of `feats_half`."""
    made = synthetic_batch(spec, 5, absent=True, lengths=lengths)
    for name, bags in made.x.items():
        if isinstance(bags, Bags):
            made = replace(made, x={**made.x, name: replace(bags, values=(bags.values + 50).to(dtype))})
    return made


def model_of(fusion: str, **options: object) -> Model:
    torch.manual_seed(0)
    encoder = NystromEncoder(TWO_BAGS, width=16, heads=2, landmarks=4) if fusion == "MACL" else BagEncoder(TWO_BAGS)
    block = FUSIONS.get(fusion)(encoder.out, TWO_BAGS, **{**OPTIONS.get(fusion, {}), **options})
    return Model(encoder, block, SoftmaxHead(block.out, TWO_BAGS), TWO_BAGS)


def losses(model: Model, batch: Batch) -> dict[str, torch.Tensor]:
    fused = model.fuse(batch)
    return {**model.fusion.loss(fused, batch), **model.head.loss(model.head(fused), batch)}


def takes_bags(fusion: str) -> bool:
    try:
        model_of(fusion)
    except RecipeError:
        return False
    return True


BLOCKS = [name for name in FUSIONS.names() if takes_bags(name)]


def test_only_the_block_for_maps_takes_no_bags():
    assert set(FUSIONS.names()) - set(BLOCKS) == {"SEAttention"}


@pytest.mark.parametrize("mixed", [False, True], ids=["full", "mixed"])
@pytest.mark.parametrize("dtype", HALF, ids=["float16", "bfloat16"])
@pytest.mark.parametrize("fusion", BLOCKS)
def test_a_step_is_finite_and_reaches_every_weight(fusion, dtype, mixed):
    model = model_of(fusion).train()
    with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
        terms = losses(model, batch_of(dtype))
    assert all(torch.isfinite(term) for term in terms.values())
    torch.stack([term.float() for term in terms.values()]).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name


@pytest.mark.parametrize("dtype", HALF, ids=["float16", "bfloat16"])
@pytest.mark.parametrize("fusion", BLOCKS)
def test_what_is_said_is_what_the_same_numbers_say_in_float64(fusion, dtype):
    model, batch = model_of(fusion).eval(), batch_of(dtype)
    exact = copy.deepcopy(model).double()
    wide = {name: replace(bags, values=bags.values.double()) for name, bags in batch.x.items()}
    with torch.no_grad():
        got, expected = model.fuse(batch), exact.fuse(replace(batch, x=wide))
    there = got.present
    size = float(expected.embedding[there].abs().max())
    assert_close(got.embedding[there].double(), expected.embedding[there], rtol=0, atol=1e-4 * size)


@pytest.mark.parametrize("dtype", HALF, ids=["float16", "bfloat16"])
@pytest.mark.parametrize("fusion", AVERAGING)
def test_the_mean_of_twenty_thousand_patches_is_their_mean(fusion, dtype):
    encoder = BagEncoder(TWO_BAGS)
    options = {"selection": "random"} if fusion == "MACL" else {}
    block = FUSIONS.get(fusion)(encoder.out, TWO_BAGS, **options).eval()
    batch = batch_of(dtype, (20_000, 3))
    bags = {name: replace(value, values=value.values + 2) for name, value in batch.x.items()}
    fused = block(encoder(replace(batch, x=bags)))
    for name, value in bags.items():
        for case, bag in enumerate(value.values.double().split(value.lengths.tolist())):
            if batch.present[name][case]:
                assert_close(fused.by_modality[name][case].double(), bag.mean(0), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", HALF, ids=["float16", "bfloat16"])
@pytest.mark.parametrize("fusion", WITH_A_VECTOR)
def test_a_vector_in_full_precision_joins_bags_in_half(fusion, dtype):
    encoders = {"he": BagEncoder, "ihc": BagEncoder, "clinical": lambda spec: VectorEncoder(spec, dim=12)}
    encoder = ByModality(BAGS_AND_VECTOR, encoders=encoders)
    block = FUSIONS.get(fusion)(encoder.out, BAGS_AND_VECTOR)
    model = Model(encoder, block, SoftmaxHead(block.out, BAGS_AND_VECTOR), BAGS_AND_VECTOR).train()
    terms = losses(model, batch_of(dtype, spec=BAGS_AND_VECTOR))
    torch.stack(list(terms.values())).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name
