import json

import pytest
import torch

from benchmarks.peers.looped_wsmcl import loss_of
from pathfuse.core import Bags, Batch, DataSpec, ModalitySpec, Model
from pathfuse_wsmcl.encoder import NystromEncoder
from pathfuse_wsmcl.heads import StainHeads
from pathfuse_wsmcl.macl import MACL
from pathfuse_wsmcl.selection import extremes
from tests.golden.vectors import DTYPES, assert_near, golden

FLOAT32 = 1e-4
STAINS = {"he": "HE", "ihc": "IHC"}


@pytest.fixture
def vectors():
    return golden("wsmcl_forward")


def state(vectors):
    """The stored parameters under our names."""
    own = {}
    for key, value in vectors.items():
        if not key.startswith("param/"):
            continue
        name = key.removeprefix("param/")
        for stain, theirs in STAINS.items():
            name = name.replace(f"{theirs}_FC.0", f"encoder.layers.{stain}.linear")
            name = name.replace(f"{theirs}_transformer.norm", f"encoder.layers.{stain}.norm")
            name = name.replace(f"{theirs}_transformer.attn", f"encoder.layers.{stain}.attention")
            name = name.replace(f"{theirs}_classifier.0", f"head.stains.{stain}")
        name = name.replace("res_conv", "value_conv").replace("logit_scale", "fusion.logit_scale")
        name = name.replace("MM_classifier.fc", "fusion.fusion.side_by_side")
        name = name.replace("MM_classifier.classifier.0", "fusion.fusion.mix")
        name = name.replace("MM_classifier.classifier.2", "head.joint")
        names = [f"encoder.norms.{stain}.{name[5:]}" for stain in STAINS] if name.startswith("norm.") else [name]
        own |= {each: torch.tensor(value) for each in names}
    return own


def model(vectors, dtype):
    config = json.loads(str(vectors["config"]))
    dim, classes = vectors["he"].shape[1], len(vectors["out/MM_logit"])
    spec = DataSpec(
        tuple(ModalitySpec(stain, "features", dim) for stain in STAINS),
        tuple(str(index) for index in range(classes)),
        (1,) * classes,
    )
    encoder = NystromEncoder(
        spec,
        heads=config["heads"],
        landmarks=config["landmarks"],
        inverse_steps=config["pinv_iterations"],
        kernel=config["value_conv_kernel"],
    )
    fusion = MACL(encoder.out, spec, k=int(vectors["k"]))
    built = Model(encoder, fusion, StainHeads(fusion.out, spec), spec).to(dtype)
    built.load_state_dict(state(vectors))
    for module in built.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = config["layernorm_eps"]
    return built.eval()


def batch(vectors, dtype):
    bags = {
        stain: Bags(torch.tensor(vectors[stain], dtype=dtype), torch.tensor([len(vectors[stain])])) for stain in STAINS
    }
    present = {stain: torch.tensor([True]) for stain in STAINS}
    return Batch(bags, present, torch.tensor([int(vectors["y"])]), ("case",), ("patient",))


@DTYPES
def test_scores_tokens_and_selected_patches(vectors, dtype):
    component, cases = model(vectors, dtype), batch(vectors, dtype)
    fused = component.fuse(cases)
    for stain, theirs in STAINS.items():
        assert_near(fused.attention[stain], vectors[f"out/{theirs}_A"], dtype, FLOAT32)
        assert_near(fused.by_modality[stain][0], vectors[f"out/{theirs}_token"], dtype, FLOAT32)
        for overlap in ("released", "disjoint"):
            groups = extremes(fused.attention[stain], int(vectors["k"]), overlap)
            assert groups.top.tolist() == vectors[f"out/{theirs}_top"].tolist()
            assert groups.bottom.tolist() == vectors[f"out/{theirs}_bottom"].tolist()


@DTYPES
def test_logits_of_every_head(vectors, dtype):
    prediction = model(vectors, dtype)(batch(vectors, dtype))
    assert_near(prediction.logits[0], vectors["out/MM_logit"], dtype, FLOAT32)
    for stain, theirs in STAINS.items():
        assert_near(prediction.modality_logits[stain][0], vectors[f"out/{theirs}_logit"], dtype, FLOAT32)


@DTYPES
def test_every_loss_term(vectors, dtype):
    component, cases = model(vectors, dtype), batch(vectors, dtype)
    fused = component.fuse(cases)
    terms = component.fusion.loss(fused, cases) | component.head.loss(component.head(fused), cases)
    stored = {"classification": "loss_mm", "classification_ihc": "loss_ihc", "kl": "kl", "contrast": "c_loss"}
    assert set(terms) == set(stored)
    for name, theirs in stored.items():
        assert_near(terms[name], vectors[f"loss/{theirs}"], dtype, FLOAT32)
    assert_near(sum(terms.values()), vectors["loss/total"], dtype, FLOAT32)


@DTYPES
def test_the_same_in_pieces(vectors, dtype, monkeypatch):
    monkeypatch.setattr("pathfuse_wsmcl.streaming.ROWS", 11)
    component = model(vectors, dtype)
    component.encoder.stream_above = 0
    with torch.no_grad():
        fused = component.fuse(batch(vectors, dtype))
    for stain, theirs in STAINS.items():
        assert_near(fused.attention[stain], vectors[f"out/{theirs}_A"], dtype, FLOAT32)
        assert_near(fused.by_modality[stain][0], vectors[f"out/{theirs}_token"], dtype, FLOAT32)


@DTYPES
@pytest.mark.parametrize("full_score", [False, True])
def test_the_transcription_of_the_benchmark(vectors, dtype, full_score):
    cases = batch(vectors, dtype)
    bags = {stain: bag.values for stain, bag in cases.x.items()}
    total, scores = loss_of(model(vectors, dtype), bags, cases.target, int(vectors["k"]), full_score=full_score)
    assert_near(total, vectors["loss/total"], dtype, FLOAT32)
    for stain, theirs in STAINS.items():
        assert_near(scores[stain], vectors[f"out/{theirs}_A"], dtype, FLOAT32)
