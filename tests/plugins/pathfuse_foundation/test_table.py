import csv
import re
from functools import cache
from pathlib import Path

import pytest
import torch

from pathfuse.registry import BACKBONES, cards
from pathfuse_foundation.table import CARDS, rows
from tests.conftest import DATA

SHARED = DATA.parent / "encoders.csv"
# Where the stated count is not that of the network, and by how much it is off.
STATED_OTHERWISE = {"lunit_vits16": "21.7M", "midnight_12k": "1.13B"}
BUILT = list(rows())
COUNTED = [name for name in BUILT if cards()[name].facts.get("parameters")]


def test_every_encoder_that_can_be_built_is_a_backbone_and_no_other_is():
    registered = {name for name, entry in BACKBONES.table().items() if "pathfuse_foundation" in entry.target}
    assert registered == set(rows()) == {card.name for card in cards().values() if not card.missing}
    assert len(registered) == 25


def test_every_encoder_of_the_table_is_built_or_named_with_reason_and_way_out():
    kinds = [card.kind for card in cards().values()]
    assert (kinds.count("tile encoder"), kinds.count("slide encoder"), kinds.count("patient encoder")) == (41, 7, 1)
    for card in cards().values():
        assert bool(card.missing) == bool(card.instead) == (card.name not in rows())
        assert (card.facts.get("tried", "").startswith("no")) == (card.name in rows())


def test_the_names_are_those_that_were_collected():
    if not SHARED.is_file():
        pytest.skip(f"{SHARED.name} is not at hand")
    with SHARED.open(encoding="utf-8", newline="") as file:
        collected = {line["name"].partition(" (")[0]: line for line in csv.DictReader(file)}
    assert set(cards()) == set(collected)
    for name, row in rows().items():
        said = collected[name]
        assert str(row.out_dim) == said["embed_dim"]
        if "|" in said["mean_std"]:
            mean, std = re.sub(r" \(.*", "", said["mean_std"]).split("|")
            assert (row.mean, row.std) == (tuple(map(float, mean.split())), tuple(map(float, std.split())))
        if said["params_built_with_timm_1.0.31"]:
            built = re.match(r"([\d.]+)M", said["params_built_with_timm_1.0.31"])
            assert built and f"{_count(name) / 1e6:.1f}" == built[1]


@cache
def _built(name):
    """The network without numbers: sizes are all that is asked of it."""
    with torch.device("meta"):
        return BACKBONES.get(name)(3)


def _count(name):
    return sum(parameter.numel() for parameter in _built(name).parameters())


def _rounded(count, like):
    """A count in the unit and with the decimals of another."""
    number, unit = like[:-1], like[-1]
    decimals = len(number.partition(".")[2])
    return f"{count / {'M': 1e6, 'B': 1e9}[unit]:.{decimals}f}{unit}"


@pytest.mark.parametrize("name", COUNTED)
def test_a_network_has_as_many_parameters_as_its_authors_say(name):
    stated = cards()[name].facts["parameters"]
    stated_or_known = STATED_OTHERWISE.get(name, stated)
    assert _rounded(_count(name), stated_or_known) == stated_or_known
    if name in STATED_OTHERWISE:
        assert stated != stated_or_known and "count" in rows()[name].remark


@pytest.mark.parametrize("name", BUILT)
def test_the_vectors_are_as_wide_as_the_table_says_and_the_maps_have_a_place_per_patch(name):
    row, net = rows()[name], _built(name)
    with torch.device("meta"):
        assert net(torch.rand(2, 3, 256, 256)).shape == (2, row.out_dim) == (2, net.out_dim)
        tokens = net.network(torch.rand(2, 3, row.input_px, row.input_px))
    side = row.input_px // net.network.patch_px
    assert tokens.shape == (2, net.network.prefix + side * side, net.network.width)


def test_a_pinned_revision_is_a_whole_commit():
    pinned = {name: row.revision for name, row in rows().items() if row.revision}
    assert len(pinned) >= 18
    assert all(re.fullmatch(r"[0-9a-f]{40}", revision) for revision in pinned.values())


def test_the_table_is_read_as_it_is_written():
    row = rows()["uni2_h"]
    assert row.arguments["no_embed_class"] is True
    assert row.arguments["reg_tokens"] == 8 and isinstance(row.arguments["reg_tokens"], int)
    assert row.arguments["init_values"] == pytest.approx(1e-5)
    assert row.arguments["mlp_layer"] == "SwiGLUPacked"
    assert rows()["virchow2"].mpp == (0.25, 0.5, 1.0, 2.0)
    assert Path(CARDS).name == "cards.csv"
