"""Numbers that no bag component can be built with are one line, not an error of torch or torchmil."""

import pytest

from pathfuse.core import DataSpec, FusedSpec, ModalitySpec, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.registry import ENCODERS, FUSIONS, HEADS

SPEC = DataSpec((ModalitySpec("he", "features", 8), ModalitySpec("ihc", "features", 8)), ("0", "1"), (1, 1))
TOKENS = {"he": TokenSpec(8, "packed"), "ihc": TokenSpec(8, "packed")}
VECTORS = {name: TokenSpec(8, "vector") for name in TOKENS}

ENCODER_OPTIONS = [
    ("BagEncoder", {"dim": -4}),
    ("BagEncoder", {"dropout": 1.5}),
    ("NystromEncoder", {"width": 0}),
    ("NystromEncoder", {"heads": 0}),
    ("NystromEncoder", {"landmarks": -3}),
    ("NystromEncoder", {"inverse_steps": 0}),
    ("NystromEncoder", {"dropout": 2.0}),
    ("NystromEncoder", {"kernel": -3}),
    ("NystromEncoder", {"modalities": ["ihc", "ihc"]}),
    ("BagEncoder", {"modalities": ["he", "ihc", "he"]}),
    ("PatchEncoder", {"patches_at_once": 0}),
    ("PatchEncoder", {"dim": 0}),
    ("PatchEncoder", {"modalities": ["he", "he"]}),
]
FUSION_OPTIONS = [
    ("AttentionFusion", {"hidden": 0}),
    ("AttentionFusion", {"branches": 0}),
    ("CrossAttention", {"dim": 0}),
    ("CrossAttention", {"latents": 0}),
    ("CrossAttention", {"heads": 0}),
    ("CrossAttention", {"dropout": -1.0}),
    ("MACL", {"k": 0}),
    ("MACL", {"max_scale": 0.0}),
    ("ABMIL", {"hidden": 0}),
    ("CLAM", {"hidden": 0}),
    ("CLAM", {"k": 0}),
    ("DSMIL", {"hidden": 0}),
    ("DSMIL", {"dropout": 1.2}),
    ("DTFDMIL", {"hidden": 0}),
    ("DTFDMIL", {"groups": 0}),
    ("TransMIL", {"heads": 0}),
    ("TransMIL", {"landmarks": 0}),
]


@pytest.mark.parametrize(("name", "options"), ENCODER_OPTIONS)
def test_an_encoder_refuses_it_by_name(name, options):
    with pytest.raises(RecipeError, match=f"{name}.*{next(iter(options))}"):
        ENCODERS.get(name)(SPEC, **({"backbone": None} if name == "PatchEncoder" else {}), **options)


@pytest.mark.parametrize(("name", "options"), FUSION_OPTIONS)
def test_a_fusion_refuses_it_by_name(name, options):
    with pytest.raises(RecipeError, match=f"{name}.*{next(iter(options))}"):
        FUSIONS.get(name)(TOKENS, SPEC, **options)


@pytest.mark.parametrize("options", [{"dim": 0}, {"parts": ["add", "add"]}, {"parts": ["subtract"]}])
def test_tail_fusion_refuses_it_by_name(options):
    with pytest.raises(RecipeError, match=f"TailFusion.*{next(iter(options))}"):
        FUSIONS.get("TailFusion")(VECTORS, SPEC, **options)


def test_the_stain_heads_refuse_it_by_name():
    with pytest.raises(RecipeError, match=r"StainHeads\.dropout is 3\.0"):
        HEADS.get("StainHeads")(FusedSpec(8, "vector", by_modality=VECTORS), SPEC, dropout=3.0)
