"""A component that returns other sizes than it promised is named in one line, also in a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pathfuse.cli import main
from pathfuse.core import (
    Explainer,
    Fused,
    FusedSpec,
    Metric,
    Model,
    Prediction,
    SupervisedObjective,
    TokenSpec,
)
from pathfuse.core.explainer import check_scores
from pathfuse.core.objective import check_outcome
from pathfuse.core.promises import check_set
from pathfuse.errors import PluginError
from pathfuse.evaluate.metrics.measures import Measures
from pathfuse.registry import FUSIONS
from pathfuse.testing import (
    TWO_STAINS,
    ReferenceBackbone,
    ReferenceEncoder,
    ReferenceFusion,
    ReferenceHead,
    ReferenceInput,
    synthetic_batch,
)
from pathfuse_images.encoder import ImageEncoder
from pathfuse_images.fusion import MeanFusion


class RenamesTokens(ReferenceEncoder):
    def forward(self, batch):
        return {f"{name}_2": token for name, token in super().forward(batch).items()}


class NarrowTokens(ReferenceEncoder):
    def forward(self, batch):
        return {name: replace(token, values=token.values[:, 1:]) for name, token in super().forward(batch).items()}


class SaysAnotherWidth(ReferenceFusion):
    def __init__(self, tokens, spec):
        super().__init__(tokens, spec)
        self.out = FusedSpec(self.out.dim + 1, self.out.layout, self.out.by_modality)


class LosesCases(ReferenceFusion):
    def forward(self, tokens):
        fused = super().forward(tokens)
        return Fused(fused.embedding[:1], fused.present, fused.by_modality, tokens)


class OneScoreTooMany(ReferenceHead):
    def forward(self, fused):
        prediction = super().forward(fused)
        return Prediction(fused.present, nn.functional.pad(prediction.logits, (0, 1)))


class TensorsForTokens(ReferenceEncoder):
    def forward(self, batch):
        return {name: token.values for name, token in super().forward(batch).items()}


class ATupleForFused(ReferenceFusion):
    def forward(self, tokens):
        fused = super().forward(tokens)
        return fused.embedding, fused.present


class ScoresAlone(ReferenceHead):
    def forward(self, fused):
        return super().forward(fused).logits


class SaysNothing(ReferenceFusion):
    def __init__(self, tokens, spec):
        super().__init__(tokens, spec)
        del self.out


def model(encoder=ReferenceEncoder, fusion=ReferenceFusion, head=ReferenceHead):
    first = encoder(TWO_STAINS)
    second = fusion(first.out, TWO_STAINS)
    return Model(first, second, head(second.out, TWO_STAINS), TWO_STAINS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"encoder": RenamesTokens}, "RenamesTokens returns the tokens he_2, ihc_2, and its `out` says he, ihc"),
        ({"encoder": NarrowTokens}, r"NarrowTokens returns a token 'he' of \(3, \d+.*\), and promised \(3, \d+"),
        ({"fusion": SaysAnotherWidth}, r"SaysAnotherWidth returns an embedding of \(3, .*\), and promised \(3, "),
        ({"fusion": LosesCases}, r"LosesCases returns an embedding of \(1, .*\), and promised \(3, "),
        ({"encoder": TensorsForTokens}, r"TensorsForTokens returns a dict of Tensor, and has to return Tokens by name"),
        ({"fusion": ATupleForFused}, r"ATupleForFused returns a tuple, and has to return Fused"),
        ({"head": ScoresAlone}, r"ScoresAlone returns a Tensor, and has to return a Prediction"),
        ({"head": OneScoreTooMany}, r"OneScoreTooMany returns scores of \(3, 5\), and promised \(3, 4\)"),
    ],
)
def test_it_is_named_with_both_sizes_and_the_cure(wrong, said):
    batch = synthetic_batch(TWO_STAINS, 3)
    with torch.no_grad(), pytest.raises(PluginError, match=said) as caught:
        model(**wrong)(batch)
    assert str(caught.value).endswith("Correct `out` or `forward`; `pathfuse plugins check "
                                      f"{next(iter(wrong.values())).__name__}` shows more.")  # fmt: skip


def test_a_component_that_does_not_say_what_it_returns_is_named():
    sizes = ReferenceEncoder(TWO_STAINS).out
    with pytest.raises(PluginError, match="SaysNothing does not set out, which every Fusion has to"):
        check_set(SaysNothing(sizes, TWO_STAINS))


class ImagesAlone(ReferenceInput):
    def forward(self, batch):
        return super().forward(batch)[0]


class OneChannelLess(ReferenceInput):
    def forward(self, batch):
        images, present = super().forward(batch)
        return images[:, 1:], present


class NarrowFeatures(ReferenceBackbone):
    def forward(self, images):
        return super().forward(images)[:, 1:]


class SaysNoWidth(ReferenceBackbone):
    def __init__(self, in_chans):
        super().__init__(in_chans)
        del self.out_dim


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"input": ImagesAlone}, "ImagesAlone returns a Tensor, and has to return the images and their presence"),
        (
            {"input": OneChannelLess},
            r"returns images of \(3, 2, .* and promised \(3, 3, height, width\)\. Correct `channels`",
        ),
        ({"backbone": NarrowFeatures}, r"NarrowFeatures returns features of .* and promised .* `out_dim` or `forward`"),
        ({"backbone": SaysNoWidth}, "SaysNoWidth does not set out_dim, which every Backbone has to"),
    ],
)
def test_parts_of_an_image_encoder_are_named_themselves(wrong, said):
    parts = {"backbone": ReferenceBackbone, "input": ReferenceInput, **wrong}
    with pytest.raises(PluginError, match=said):
        ImageEncoder(TWO_STAINS, **parts)(synthetic_batch(TWO_STAINS, 3))


class TermsOfEveryCase(ReferenceHead):
    def loss(self, prediction, batch):
        return {"classification": prediction.logits.sum(1)}


class ATermAlone(ReferenceHead):
    def loss(self, prediction, batch):
        return prediction.logits.sum()


class TermsForAnOutcome(SupervisedObjective):
    def losses(self, model, batch):
        return super().losses(model, batch).terms


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"head": TermsOfEveryCase}, r"TermsOfEveryCase returns a loss term 'classification' of \(3,\), and has to"),
        ({"head": ATermAlone}, "ATermAlone returns a Tensor for loss terms, and has to return scalars by name"),
    ],
)
def test_loss_terms_are_scalars_by_name(wrong, said):
    with pytest.raises(PluginError, match=said):
        SupervisedObjective().losses(model(**wrong), synthetic_batch(TWO_STAINS, 3))


def test_an_objective_returns_an_outcome():
    wrong = TermsForAnOutcome()
    with pytest.raises(PluginError, match="TermsForAnOutcome returns a dict, and has to return an Outcome"):
        check_outcome(wrong, wrong.losses(model(), synthetic_batch(TWO_STAINS, 3)))


def test_an_outcome_logs_numbers():
    whole = model()
    outcome = SupervisedObjective().losses(whole, synthetic_batch(TWO_STAINS, 3))
    check_outcome(whole, replace(outcome, metrics={"share": 0.5, "mean": torch.zeros(1)}))
    with pytest.raises(PluginError, match=r"returns a metric 'map' of \(3,\), and has to return one number"):
        check_outcome(whole, replace(outcome, metrics={"map": torch.zeros(3)}))


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (torch.zeros(3, 32, 32), "Looks returns a Tensor, and has to return scores by modality"),
        ({"xhe": torch.zeros(3, 32, 32)}, "Looks returns scores of 'xhe', and there is he, ihc"),
        ({"he": torch.zeros(3, 3, 32, 32)}, r"of 'he' of \(3, 3, 32, 32\), and has to return \(3, 32, 32\)"),
    ],
)
def test_an_explainer_scores_places_of_modalities_that_there_are(scores, said):
    class Looks(Explainer):
        def explain(self, model, batch, target=None):
            return scores

    with pytest.raises(PluginError, match=said):
        check_scores(Looks(), scores, synthetic_batch(TWO_STAINS, 3))


class EveryCase(Metric):
    key = "every_case"

    def measure(self, prob, target, confidence, classes):
        return target


class Nameless(Metric):
    def measure(self, prob, target, confidence, classes):
        return 0.0


def test_a_metric_is_one_number_with_a_name():
    with pytest.raises(PluginError, match=r"EveryCase returns a Tensor of \(2,\), and has to return one number"):
        EveryCase()(torch.eye(2), torch.tensor([0, 1]))
    with pytest.raises(PluginError, match="Nameless does not set key, which every Metric has to"):
        Measures.of([Nameless()], "loss", None, ("0", "1"))


class StartsNothing(SupervisedObjective):
    def __init__(self):
        self.power = 2.0


def test_a_constructor_that_does_not_call_that_of_its_base_is_named():
    with pytest.raises(PluginError, match=r"StartsNothing does not call super\(\).__init__\(\) in its constructor"):
        check_set(StartsNothing())


def test_packed_tokens_may_have_any_number_of_patches_and_maps_any_size():
    sound = model()
    sound.encoder.out = {name: TokenSpec(spec.dim, spec.layout) for name, spec in sound.encoder.out.items()}
    assert sound(synthetic_batch(TWO_STAINS, 3)).logits.shape == (3, 4)


class TooWide(MeanFusion):
    """As a notebook would define it, and its `out` is wrong."""

    def __init__(self, tokens, spec):
        super().__init__(tokens, spec)
        self.out = FusedSpec(self.out.dim + 1, self.out.layout, self.out.by_modality)


def test_a_run_ends_in_that_line(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FUSIONS.register(TooWide)
    words = ["--predict.model.fusion=TooWide", "--correlate.trainer.max_epochs=1", "--out", str(tmp_path / "run")]
    assert main(["fit", "--recipe", str(small), *words]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: TooWide returns an embedding of") and last.endswith("shows more.")
