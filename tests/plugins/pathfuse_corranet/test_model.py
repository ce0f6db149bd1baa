"""Encoder, fusion and decoder together: what every component of a recipe promises."""

import pytest
import torch
from torch.testing import assert_close

from pathfuse.errors import RecipeError
from tests.plugins.pathfuse_corranet.cases import PAIR, THREE, batch_of, model_of, spec_of

POLICIES = pytest.mark.parametrize("missing", ["zero_input", "drop_branch"])


def everything(model, batch):
    fused = model.fuse(batch)
    return {"hidden": fused.embedding, **model.head(fused).reconstructions}


@POLICIES
@pytest.mark.parametrize("combine", ["mean", "sum", "concat"])
@pytest.mark.parametrize("training", [True, False])
def test_the_payload_of_an_absent_row_is_not_read(missing, combine, training):
    batch = batch_of(he=(2,), ihc=(0, 1))
    models = [model_of(encoder={"missing": missing}, fusion={"combine": combine}).train(training) for _ in range(3)]
    clean = everything(models[0], batch)
    assert_close(everything(models[1], batch.fill("he", 1e3).fill("ihc", 1e3)), clean)
    assert_close(everything(models[2], batch.fill("ihc", float("nan"))), clean)


@POLICIES
def test_rows_do_not_depend_on_each_other_in_eval_mode(missing):
    model = model_of(encoder={"missing": missing}).eval()
    batch = batch_of(ihc=(1, 3))
    order = torch.tensor([3, 1, 0, 2])
    together = everything(model, batch)
    assert_close(everything(model, batch.select(order)), {k: v[order] for k, v in together.items()})
    assert_close(everything(model, batch.select(order[:1])), {k: v[order[:1]] for k, v in together.items()})


def test_an_absent_stain_is_a_black_image():
    model, batch = model_of().eval(), batch_of()
    dropped = everything(model, batch.keep("he"))
    batch.x["ihc"].zero_()
    assert_close(everything(model, batch), dropped)


def test_a_dropped_branch_leaves_the_mean_and_the_batch_statistics_alone():
    batch = batch_of(ihc=(0, 1, 2, 3))
    model = model_of(encoder={"missing": "drop_branch"}).train()
    before = {k: v.clone() for k, v in model.encoder.branches["ihc"].state_dict().items()}
    fused = model.fuse(batch)
    assert_close(model.encoder.branches["ihc"].state_dict(), before)
    assert_close(fused.embedding, torch.relu(model.fusion.conv(fused.by_modality["he"])))


@pytest.mark.parametrize("dim", [8, 16, 32])
@pytest.mark.parametrize("use_se", [True, False])
@pytest.mark.parametrize("stains", [("he",), PAIR, THREE])
def test_any_number_of_stains_at_every_width(dim, use_se, stains):
    model = model_of(stains, encoder={"dim": dim}, fusion={"use_se": use_se}, dtype=torch.float32)
    batch = batch_of(stains, rows=2, dtype=torch.float32)
    out = everything(model, batch)
    assert out["hidden"].shape == (2, dim, 16, 16)
    assert {m: out[m].shape for m in stains} == {m: (2, 3, 16, 16) for m in stains}
    assert model.fusion.out.dim == dim and model.reads == stains


def test_without_attention_only_the_gates_are_missing():
    names = {use: {k for k, _ in model_of(fusion={"use_se": use}).named_parameters()} for use in (True, False)}
    assert names[False] < names[True]
    assert all(".gates." in name for name in names[True] - names[False])


# The released bottleneck has no unit at all at d = 8; ours has one per stain: 8 + 1 weights in, 8 out.
@pytest.mark.parametrize(("dim", "count"), [(8, 2382 + 2 * 17), (16, 8856), (32, 33962)])
def test_the_network_has_as_many_parameters_as_the_released_one(dim, count):
    assert sum(p.numel() for p in model_of(encoder={"dim": dim}).parameters()) == count


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_precision_gives_finite_maps_of_its_own(dtype):
    model = model_of(dtype=dtype)
    out = everything(model, batch_of(dtype=torch.float32))
    assert all(v.dtype == dtype and torch.isfinite(v).all() for v in out.values())


def test_autocast_agrees_with_float32():
    model, batch = model_of(dtype=torch.float32), batch_of(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        half = everything(model, batch)
    full = everything(model, batch)
    assert all(
        torch.nn.functional.cosine_similarity(half[k].float().flatten(), full[k].flatten(), 0) > 0.99 for k in full
    )


@pytest.mark.parametrize("decoders", ["per_view", "shared"])
def test_a_copy_of_the_state_is_the_same_model(decoders):
    batch = batch_of()
    model, other = (model_of(seed=seed, head={"decoders": decoders}) for seed in (0, 1))
    model.train()(batch)  # moves the running statistics, which a resumed run needs
    other.load_state_dict(model.state_dict())
    assert_close(everything(other.eval(), batch), everything(model.eval(), batch))


def test_a_sigmoid_output_stays_in_its_range():
    out = everything(model_of(head={"output_activation": "sigmoid"}), batch_of())
    assert 0 < out["he"].min() and out["he"].max() < 1


def test_a_width_that_cannot_be_quartered_is_refused():
    with pytest.raises(RecipeError, match=r"model\.encoder\.dim: 6 .* multiple of 4"):
        model_of(encoder={"dim": 6})


def test_bags_are_refused_with_the_next_step():
    from pathfuse.core import DataSpec, ModalitySpec
    from pathfuse_corranet.encoder import StainEncoder

    spec = DataSpec((ModalitySpec("he", "features", 512),), ("0", "1"), (1, 1))
    with pytest.raises(
        RecipeError,
        match="he comes as features, and this reads one image per case",
    ):
        StainEncoder(spec, stem="none")


def test_vectors_are_refused_by_the_fusion():
    from pathfuse.core import TokenSpec
    from pathfuse_corranet.fusion import SEAttention

    with pytest.raises(RecipeError, match="use StainEncoder"):
        SEAttention({"he": TokenSpec(8, "vector")}, spec_of(("he",)))
