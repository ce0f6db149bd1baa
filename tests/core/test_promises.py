"""A component that returns other sizes than it promised is named in one line, also in a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pathfuse.cli import main
from pathfuse.core import Fused, FusedSpec, Model, Prediction, TokenSpec
from pathfuse.core.promises import check_out
from pathfuse.errors import PluginError
from pathfuse.registry import FUSIONS
from pathfuse.testing import TWO_STAINS, ReferenceEncoder, ReferenceFusion, ReferenceHead, synthetic_batch
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
    with pytest.raises(PluginError, match="SaysNothing does not set `out` in its constructor"):
        check_out(SaysNothing(sizes, TWO_STAINS))


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
