import sys

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import FusedSpec, Fusion, TokenSpec
from pathfuse.errors import PluginError, RecipeError
from pathfuse_torchmil.abmil import ABMIL
from pathfuse_torchmil.clam import CLAM
from pathfuse_torchmil.dsmil import DSMIL
from pathfuse_torchmil.dtfd import DTFDMIL
from pathfuse_torchmil.transmil import TransMIL
from tests.plugins.pathfuse_torchmil.small import batch_of, fusion_of, spec_of, token_of

KINDS = pytest.mark.parametrize("kind", [ABMIL, CLAM, DSMIL, DTFDMIL, TransMIL])


def options_of(kind):
    return {"dim": 8, "heads": 2, "landmarks": 4} if kind is TransMIL else {"hidden": 4}


@KINDS
def test_a_stain_that_is_alone_is_the_embedding(kind):
    fusion = fusion_of(kind, stains=("he", "ihc"), **options_of(kind)).eval()
    he, ihc = token_of([4, 3], [True, True]), token_of([2, 5], [True, False], seed=1)
    fused = fusion({"he": he, "ihc": ihc})
    assert_close(fused.embedding[1], fused.by_modality["he"][1])
    assert_close(fused.embedding[0], (fused.by_modality["he"][0] + fused.by_modality["ihc"][0]) / 2)
    assert fused.by_modality["ihc"][1].eq(0).all() and fused.attention["ihc"][2:].eq(0).all()
    assert fused.attention["ihc"].shape == (7,)
    assert_close(fused.attention["he"][:4].sum(), torch.tensor(1.0, dtype=torch.float64))


@KINDS
def test_a_loss_term_without_a_labelled_case_is_zero_and_attached(kind):
    fusion = fusion_of(kind, stains=("he", "ihc"), **options_of(kind))
    tokens = {"he": token_of([4, 3]), "ihc": token_of([0, 5], [False, False], seed=1)}
    terms = fusion.loss(fusion(tokens), batch_of([-1, -1]))
    assert set(terms) == {CLAM: {"instance"}, DSMIL: {"critical"}, DTFDMIL: {"pseudo_bags"}}.get(kind, set())
    assert all(term == 0 and term.requires_grad for term in terms.values())


@KINDS
def test_half_precision_features_are_read(kind):
    torch.manual_seed(0)
    fusion = kind({"he": TokenSpec(6, "packed")}, spec_of(he=6), **options_of(kind)).eval()
    token = token_of([4, 3])
    half = type(token)(token.values.half(), token.present, token.lengths)
    full = type(token)(half.values.float(), token.present, token.lengths)
    assert_close(fusion({"he": half}).embedding, fusion({"he": full}).embedding)


def test_a_nested_fusion_gets_one_vector_per_stain():
    class Sum(Fusion):
        def __init__(self, tokens, spec):
            super().__init__()
            self.out = FusedSpec(tokens["he"].dim, "vector", tokens)

        def forward(self, tokens):
            from pathfuse.core import Fused

            return Fused(tokens["he"].values + tokens["ihc"].values, tokens["he"].present)

        def loss(self, fused, batch):
            return {"own": torch.ones(())}

    fusion = fusion_of(CLAM, stains=("he", "ihc"), fusion=Sum, hidden=4)
    fused = fusion({"he": token_of([4, 3]), "ihc": token_of([2, 5], seed=1)})
    assert_close(fused.embedding, fused.by_modality["he"] + fused.by_modality["ihc"])
    assert set(fusion.loss(fused, batch_of([0, 1]))) == {"own", "instance"}


def test_what_cannot_be_built_is_refused_with_the_next_step():
    vector, narrow = {"he": TokenSpec(6, "vector")}, {"he": TokenSpec(6, "packed"), "ihc": TokenSpec(4, "packed")}
    with pytest.raises(RecipeError, match="Use an encoder for bags"):
        ABMIL(vector, spec_of(he=6))
    with pytest.raises(RecipeError, match="join: concat"):
        ABMIL(narrow, spec_of(he=6, ihc=4))
    assert ABMIL(narrow, spec_of(he=6, ihc=4), join="concat").out.dim == 10
    for kind, option in ((CLAM, {"k": 0}), (DTFDMIL, {"groups": 0}), (TransMIL, {"dim": 8, "heads": 3})):
        with pytest.raises(RecipeError, match="or more"):
            kind({"he": TokenSpec(6, "packed")}, spec_of(he=6), **option)


@pytest.mark.parametrize("module", ["torchmil.nn", "einops"])
def test_without_torchmil_the_error_names_the_extra(module, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchmil"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PluginError, match=r"pip install 'pathfuse\[torchmil\]'"):
        ABMIL({"he": TokenSpec(6, "packed")}, spec_of(he=6))
