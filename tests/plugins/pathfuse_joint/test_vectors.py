import pytest
import torch
from torch.testing import assert_close

from pathfuse.errors import RecipeError
from pathfuse.testing import BAGS_AND_VECTOR, stains, synthetic_batch
from pathfuse_joint.vectors import VectorEncoder

SPEC = stains(2, kind="vector")


def test_the_token_is_what_two_layers_say_row_by_row():
    encoder = VectorEncoder(SPEC, dim=3, hidden=4).eval()
    batch = synthetic_batch(SPEC, absent=True)
    token = encoder(batch)["ihc"]
    first, _, _, second = encoder.layers["ihc"]
    for row in token.present.nonzero().flatten().tolist():
        hidden = torch.relu(first.weight @ batch.vector("ihc")[row] + first.bias)
        assert_close(token.values[row], second.weight @ hidden + second.bias)


def test_every_modality_has_layers_of_its_own():
    encoder = VectorEncoder(SPEC)
    before = {name: token.values for name, token in encoder(synthetic_batch(SPEC)).items()}
    with torch.no_grad():
        encoder.layers["ihc"][0].weight.add_(1)
    after = {name: token.values for name, token in encoder(synthetic_batch(SPEC)).items()}
    assert torch.equal(before["he"], after["he"]) and not torch.equal(before["ihc"], after["ihc"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ["he"]}, "he comes as features, and this reads one vector per case. Use BagEncoder"),
        ({"modalities": ["clinicl"]}, "no modality 'clinicl', only he, ihc, clinical. Did you mean clinical"),
        ({"modalities": ["clinical"], "dim": 0}, "VectorEncoder.dim is 0"),
        ({"modalities": ["clinical"], "dropout": 2.0}, "VectorEncoder.dropout is 2.0"),
        ({"modalities": ["clinical", "clinical"]}, "name each modality once"),
    ],
)
def test_what_cannot_be_built_is_one_line(options, message):
    with pytest.raises(RecipeError, match=message) as caught:
        VectorEncoder(BAGS_AND_VECTOR, **options)
    assert "\n" not in str(caught.value)
