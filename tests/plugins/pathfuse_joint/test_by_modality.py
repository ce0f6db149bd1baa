"""An encoder per modality: written in a recipe, overridden key by key, and trained over bags and a table."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch.testing import assert_close

from pathfuse.core import DataSpec, ModalitySpec, Model
from pathfuse.errors import RecipeError
from pathfuse.inference.parsing.trust import trusted_imports
from pathfuse.registry import import_named_in
from pathfuse.testing import BAGS_AND_VECTOR, STAINS_AND_VECTOR, ReferenceBackbone, synthetic_batch
from pathfuse.training.stage import TrainingStage
from pathfuse_captum.gradcam import GradCAM
from pathfuse_heads.softmax import SoftmaxHead
from pathfuse_images.encoder import PerStainImageEncoder
from pathfuse_images.fusion import MeanFusion
from pathfuse_joint.by_modality import ByModality
from pathfuse_joint.vectors import VectorEncoder
from pathfuse_mil.encoder import BagEncoder

MODEL = """
encoder:
  class_path: ByModality
  init_args:
    encoders:
      he: {class_path: BagEncoder, init_args: {dim: 16, dropout: 0.1}}
      ihc: {class_path: BagEncoder, init_args: {dim: 16, dropout: 0.1}}
      clinical: {class_path: VectorEncoder, init_args: {dim: 16, hidden: 16}}
fusion: {class_path: AttentionFusion, init_args: {hidden: 16, gated: true, fusion: {class_path: ConcatFusion}}}
head: {class_path: SoftmaxHead, init_args: {class_weight: inverse, divisor: cases}}
loss_weights: {classification: 1.0}
modality_dropout: {he: 0.1, ihc: 0.3, clinical: 0.2}
"""
SPEC = DataSpec(
    (ModalitySpec("he", "features", 6), ModalitySpec("ihc", "features", 4), ModalitySpec("clinical", "vector", 3)),
    ("0", "1"),
    (8, 8),
)


def parsed(words: list[str], model: str = MODEL) -> TrainingStage:
    import_named_in(model + " PairedBags " + " ".join(words))
    config = {"data": {"class_path": "PairedBags"}, "model": yaml.safe_load(model)}
    with trusted_imports():
        return TrainingStage("fit", config, words)


def task_of(words: list[str]):
    return parsed(words).make_task(SPEC, lambda name: None)


def test_a_recipe_writes_the_encoders_and_the_resolved_one_builds_the_same_model():
    first = parsed([])
    resolved = first.dump()["model"]
    encoders = resolved["encoder"]["init_args"]["encoders"]
    assert {name: made["class_path"].rsplit(".", 1)[1] for name, made in encoders.items()} == {
        "he": "BagEncoder",
        "ihc": "BagEncoder",
        "clinical": "VectorEncoder",
    }
    again = parsed([], yaml.safe_dump(resolved))
    assert again.dump()["model"] == resolved
    one, two = (cli.make_task(SPEC, lambda name: None).model for cli in (first, again))
    assert one.reads == ("he", "ihc", "clinical")
    for (name, weight), (other, same) in zip(one.named_parameters(), two.named_parameters(), strict=True):
        assert name == other and torch.equal(weight, same)


@pytest.mark.parametrize("key", ["encoders.he.init_args.dim", "init_args.encoders.he.init_args.dim", "encoders.he.dim"])
def test_one_option_of_one_encoder_is_overridden_and_the_others_stay(key):
    out = task_of([f"--model.encoder.{key}=32"]).model.encoder.out
    assert {name: (token.dim, token.layout) for name, token in out.items()} == {
        "he": (32, "packed"),
        "ihc": (16, "packed"),
        "clinical": (16, "vector"),
    }


def test_a_modality_is_left_out_by_naming_the_others():
    words = ["--model.encoder.encoders={he: BagEncoder, clinical: {class_path: VectorEncoder, init_args: {dim: 6}}}"]
    words += ["--model.modality_dropout=null"]
    assert task_of(words).model.reads == ("he", "clinical")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.encoder.encoders={hee: BagEncoder}"], "no modality 'hee', only he, ihc, clinical. Did you mean he"),
        (["--model.encoder.encoders={}"], "ByModality.encoders is empty; name an encoder for he, ihc, clinical"),
        (["--model.encoder.encoders={clinical: BagEncoder}"], "clinical comes as vector.*Use VectorEncoder"),
        (["--model.encoder.encoders.he.dimm=3"], "'dimm' is no option there. Did you mean dim"),
    ],
)
def test_what_cannot_be_built_is_one_line(words, message):
    with pytest.raises(RecipeError, match=message) as caught:
        task_of(words)
    assert "\n" not in str(caught.value)


def labelled(n: int, seed: int):
    """Cases whose class is in the first clinical column, and noise in the bags."""
    batch = synthetic_batch(SPEC, n, seed, absent=True)
    sign = batch.vector("clinical")[:, 0] > 0
    batch.target.copy_(sign.long())
    return batch


def test_training_on_bags_and_a_table_learns_what_the_table_says():
    task = task_of([])
    optimizer = torch.optim.Adam(task.model.parameters(), 1e-2)
    torch.manual_seed(0)
    for step in range(60):
        prediction_loss = _loss(task.model.train(), labelled(32, step))
        optimizer.zero_grad()
        prediction_loss.backward()
        optimizer.step()
    test = labelled(200, 1000)
    with torch.no_grad():
        right = task.model.eval()(test).logits.argmax(1) == test.target
        without = task.model(test.drop("clinical")).logits.argmax(1) == test.target
    told = test.present["clinical"]
    assert right[told].float().mean() > 0.9
    some = told & (test.present["he"] | test.present["ihc"])
    assert without[some].float().mean() < 0.7


def _loss(model, batch):
    fused = model.fuse(batch)
    (term,) = model.head.loss(model.head(fused), batch).values()
    return term


def test_every_token_is_that_of_its_encoder_alone():
    batch = synthetic_batch(BAGS_AND_VECTOR, absent=True)
    encoder = ByModality(BAGS_AND_VECTOR, encoders={"clinical": VectorEncoder, "he": BagEncoder}).eval()
    tokens = encoder(batch)
    assert list(tokens) == list(encoder.reads) == ["he", "clinical"]
    assert torch.equal(tokens["he"].values, batch.bags("he")[0].values)
    assert_close(tokens["clinical"].values, encoder.encoders["clinical"](batch)["clinical"].values)


def test_two_encoders_that_make_the_same_token_are_refused():
    class Both(VectorEncoder):
        def __init__(self, spec):
            super().__init__(spec)
            self.out = {"joint": self.out.popitem()[1]}

    spec = DataSpec(tuple(ModalitySpec(name, "vector", 2) for name in ("a", "b")), ("0", "1"), (1, 1))
    with pytest.raises(RecipeError, match="both make a token called joint"):
        ByModality(spec, encoders={"a": Both, "b": Both})


def test_maps_are_made_of_images_that_stand_beside_a_table():
    def images(spec):
        return PerStainImageEncoder(spec, backbone=lambda channels: ReferenceBackbone(channels))

    encoders = {"he": images, "ihc": images, "clinical": lambda spec: VectorEncoder(spec, dim=8)}
    encoder = ByModality(STAINS_AND_VECTOR, encoders=encoders)
    fusion = MeanFusion(encoder.out, STAINS_AND_VECTOR)
    model = Model(encoder, fusion, SoftmaxHead(fusion.out, STAINS_AND_VECTOR), STAINS_AND_VECTOR).eval()
    maps = GradCAM().explain(model, synthetic_batch(STAINS_AND_VECTOR, absent=True))
    assert {name: tuple(values.shape) for name, values in maps.items()} == {"he": (5, 32, 32), "ihc": (5, 32, 32)}


@pytest.mark.parametrize(("others", "taken"), [("IntegratedGradients", "IntegratedGradients"), (None, None)])
def test_it_is_explained_by_what_all_its_encoders_ask_for(others: str | None, taken: str | None) -> None:
    def asks(explainer: str | None):
        def make(spec: DataSpec) -> BagEncoder:
            encoder = BagEncoder(spec, dim=4)
            encoder.explained_by = explainer
            return encoder

        return make

    encoder = ByModality(SPEC, encoders={"he": asks("IntegratedGradients"), "ihc": asks(others)})
    assert encoder.explained_by == taken
