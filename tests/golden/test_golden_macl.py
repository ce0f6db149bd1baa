import pytest
import torch

from benchmarks.peers.looped_wsmcl import looped_contrast
from pathfuse.core import DataSpec, Tokens, TokenSpec
from pathfuse_wsmcl.contrast import contrast_terms
from pathfuse_wsmcl.macl import MACL
from pathfuse_wsmcl.selection import Groups, extremes
from tests.golden.vectors import DTYPES, assert_near, golden

STAINS = ("he", "ihc")


@pytest.fixture
def vectors():
    return golden("macl")


def as_tokens(rows, k):
    """A bag whose scores put its rows in the order they already have, with rows between that no group takes."""
    middle = torch.full((3, rows.shape[1]), 7.0, dtype=rows.dtype)
    values = torch.cat([rows[:k], middle, rows[k:]])
    score = torch.arange(len(values), 0, -1, dtype=rows.dtype)
    return Tokens(values, torch.tensor([True]), torch.tensor([len(values)]), score)


def component(vectors, dtype, k):
    dim = vectors["F_he"].shape[1]
    macl = MACL({stain: TokenSpec(dim, "packed") for stain in STAINS}, DataSpec((), ("0", "1"), (1, 1)), k=k).to(dtype)
    macl.logit_scale.data.fill_(float(vectors["logit_scale"]))
    return macl


@DTYPES
def test_loss_and_gradients_of_the_component(vectors, dtype):
    k = int(vectors["k"])
    macl = component(vectors, dtype, k)
    rows = {stain: torch.tensor(vectors[f"F_{stain}"], dtype=dtype, requires_grad=True) for stain in STAINS}
    loss = macl.contrast({stain: as_tokens(each, k) for stain, each in rows.items()}, ("case",))
    loss.backward()
    assert_near(loss, vectors["loss"], dtype)
    for stain in STAINS:
        assert_near(rows[stain].grad, vectors[f"grad_F_{stain}"], dtype)
    assert_near(macl.logit_scale.grad, vectors["grad_logit_scale"], dtype)


@DTYPES
def test_each_of_the_four_terms(vectors, dtype):
    k = int(vectors["k"])
    rows = tuple(torch.tensor(vectors[f"F_{stain}"], dtype=dtype) for stain in STAINS)
    groups = Groups(torch.arange(k), torch.arange(k, 2 * k))
    scale = torch.tensor(float(vectors["logit_scale"]), dtype=dtype).exp()
    assert_near(contrast_terms(rows, (groups, groups), scale), vectors["terms"], dtype)


@DTYPES
def test_the_loop_of_the_benchmark(vectors, dtype):
    rows = (torch.tensor(vectors[f"F_{stain}"], dtype=dtype) for stain in STAINS)
    scale = torch.tensor(float(vectors["logit_scale"]), dtype=dtype).exp()
    assert_near(looped_contrast(*rows, int(vectors["k"]), scale), vectors["loss"], dtype)


@DTYPES
def test_groups_of_unequal_sizes(vectors, dtype):
    parts = {
        stain: [torch.tensor(vectors[f"unequal/{end}_{stain}"], dtype=dtype) for end in ("top", "bot")]
        for stain in STAINS
    }
    rows = tuple(torch.cat(parts[stain]) for stain in STAINS)
    groups = tuple(
        Groups(torch.arange(len(top)), torch.arange(len(top), len(top) + len(bottom)))
        for top, bottom in (parts[stain] for stain in STAINS)
    )
    scale = torch.tensor(float(vectors["logit_scale"]), dtype=dtype).exp()
    assert_near(contrast_terms(rows, groups, scale).mean(), vectors["unequal/loss"], dtype)


@pytest.mark.parametrize("small", ["", "small_"])
@pytest.mark.parametrize("overlap", ["released", "disjoint"])
def test_selected_patches(vectors, small, overlap):
    groups = extremes(torch.tensor(vectors[f"select/{small}scores"]), int(vectors["select/k"]), overlap)
    assert groups.top.tolist() == vectors[f"select/{small}{overlap}_top"].tolist()
    assert groups.bottom.tolist() == vectors[f"select/{small}{overlap}_bottom"].tolist()
