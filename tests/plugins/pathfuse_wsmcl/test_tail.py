import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import (
    Tokens,
    TokenSpec,
)
from pathfuse_wsmcl.tail import TailFusion
from tests.plugins.pathfuse_wsmcl.models import spec_of


@pytest.mark.parametrize("parts", [["add"], ["multiply"], ["concatenate"], None])
def test_tail_fusion_leaves_an_absent_stain_out(parts):
    spec = {"he": TokenSpec(8, "vector"), "ihc": TokenSpec(8, "vector")}
    tail = TailFusion(spec, spec_of(he=8), parts=parts)
    he, here, gone = torch.randn(3, 8), torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    fused = tail({"he": Tokens(he, here), "ihc": Tokens(torch.full((3, 8), torch.nan), gone)})
    made = {"add": he, "multiply": he}
    if tail.side_by_side is not None:
        made["concatenate"] = tail.side_by_side(torch.cat([he, torch.zeros_like(he)], 1))
    expected = torch.nn.functional.gelu(tail.mix(torch.cat([made[part] for part in tail.parts], 1)))
    assert_close(fused.embedding, expected)
