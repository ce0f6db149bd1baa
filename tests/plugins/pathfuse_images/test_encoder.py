from functools import partial

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import DataSpec, ModalitySpec
from pathfuse.errors import RecipeError
from pathfuse_images.encoder import ImageEncoder, PerStainImageEncoder
from pathfuse_images.inputs import Single, Stack
from tests.explain.small import STAINS, ConvBackbone, MapBackbone, make_batch, make_spec

ENCODERS = {
    "single": partial(ImageEncoder, input=Single),
    "stack": partial(ImageEncoder, input=Stack),
    "each": PerStainImageEncoder,
    "shared": partial(PerStainImageEncoder, share=True),
}


@pytest.fixture(params=ENCODERS)
def encoder(request):
    torch.manual_seed(0)
    return ENCODERS[request.param](make_spec(), backbone=ConvBackbone).eval()


def test_tokens_have_the_promised_names_and_sizes(encoder):
    tokens = encoder(make_batch())
    assert tokens.keys() == encoder.out.keys()
    for name, token in tokens.items():
        assert token.values.shape == (3, encoder.out[name].dim)


def test_absent_rows_are_not_read(encoder):
    batch = make_batch({"he": [True, True, False], "ihc": [True, False, False]})
    quiet, noisy = encoder(batch), encoder(batch.fill("he", float("nan")).fill("ihc", 1e6))
    for name in quiet:
        assert_close(quiet[name].values, noisy[name].values)


def test_cases_do_not_see_each_other(encoder):
    batch = make_batch({"he": [True, True, False], "ihc": [True, False, True]})
    whole, alone = encoder(batch), encoder(batch.select(torch.tensor([1])))
    for name in whole:
        assert_close(whole[name].values[1:2], alone[name].values)


def test_the_backbone_runs_channels_last():
    seen = []

    class Spy(ConvBackbone):
        def forward(self, images):
            seen.append(images.is_contiguous(memory_format=torch.channels_last))
            return super().forward(images)

    encoder = ImageEncoder(make_spec(), backbone=Spy, input=Single)
    encoder(make_batch())
    assert seen == [True]
    assert encoder.backbone.body[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_maps_are_handed_on_as_maps():
    encoder = ImageEncoder(make_spec(), backbone=MapBackbone, input=Single)
    assert encoder.out["he"].layout == "map"
    assert encoder(make_batch())["he"].values.shape == (3, 8, 8, 8)


def test_every_stain_has_its_own_weights_unless_they_are_shared():
    own = PerStainImageEncoder(make_spec(), backbone=ConvBackbone)
    shared = PerStainImageEncoder(make_spec(), backbone=ConvBackbone, share=True)
    one = sum(weight.numel() for weight in ConvBackbone(3).parameters())
    assert sum(weight.numel() for weight in own.parameters()) == 3 * one
    assert sum(weight.numel() for weight in shared.parameters()) == one


def test_a_shared_backbone_gives_each_stain_what_it_gives_alone():
    encoder = PerStainImageEncoder(make_spec(), backbone=ConvBackbone, share=True).eval()
    batch = make_batch()
    tokens = encoder(batch)
    for name in STAINS:
        assert_close(tokens[name].values, encoder.backbones[0](batch.image(name)))


def test_some_stains_can_be_chosen():
    encoder = PerStainImageEncoder(make_spec(), backbone=ConvBackbone, modalities=["ki67", "he"])
    assert encoder.reads == ("ki67", "he")
    assert list(encoder(make_batch())) == ["ki67", "he"]


def test_sharing_needs_stains_of_one_size():
    spec = DataSpec((ModalitySpec("he", "image", 3, 32), ModalitySpec("ihc", "image", 3, 64)), ("0", "1"), (1, 1))
    with pytest.raises(RecipeError, match="Set share: false"):
        PerStainImageEncoder(spec, backbone=ConvBackbone, share=True)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_frozen_backbone_stays_as_it_was_loaded(name):
    encoder = ENCODERS[name](make_spec(), backbone=ConvBackbone, freeze=True).train()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    tokens = encoder(make_batch())
    assert encoder.training
    assert not any(token.values.requires_grad for token in tokens.values())
    for key, value in encoder.state_dict().items():
        assert_close(value, before[key], msg=key)


def test_a_map_is_laid_over_every_stain_that_is_read():
    stacked = ImageEncoder(make_spec(), backbone=ConvBackbone, input=Stack)
    assert {name: layer.reads for name, layer in stacked.cam_layers().items()} == {"he+ihc+ki67": STAINS}
    own = PerStainImageEncoder(make_spec(), backbone=ConvBackbone)
    assert {name: layer.reads for name, layer in own.cam_layers().items()} == {name: (name,) for name in STAINS}
