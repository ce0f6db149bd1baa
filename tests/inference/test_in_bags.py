"""A case predicted from several bags of its patches."""

import json

import pytest
import torch
from torch.testing import assert_close

from pathfuse.cli import main
from pathfuse.core import Bags, Batch, DataSpec, ModalitySpec, Model
from pathfuse.inference.in_bags import in_bags, predict_in_bags
from pathfuse_heads.softmax import SoftmaxHead
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder
from tests.conftest import PROJECT_ROOT

SPEC = DataSpec((ModalitySpec("he", "features", 3), ModalitySpec("ihc", "features", 3)), ("0", "1", "2"), (1, 1, 1))
LENGTHS = {"he": [7, 2, 0, 4], "ihc": [3, 0, 5, 4]}  # the last case lacks IHC though its payload is there


def batch_of():
    x = {
        stain: Bags(
            torch.randn(sum(sizes), 3),
            torch.tensor(sizes),
            coords=torch.arange(2 * sum(sizes)).view(-1, 2),
            slides=((),) * len(sizes),
        )
        for stain, sizes in LENGTHS.items()
    }
    present = {stain: torch.tensor(sizes) > 0 for stain, sizes in LENGTHS.items()}
    present["ihc"][3] = False
    ids = ("a", "b", "c", "d")
    return Batch(x, present, torch.tensor([0, 1, 2, -1]), ids, ids, torch.arange(4))


def model_of():
    encoder = BagEncoder(SPEC)
    fusion = AttentionFusion(encoder.out, SPEC)
    return Model(encoder, fusion, SoftmaxHead(fusion.out, SPEC), SPEC).eval()


def dealt(batch, stain, case, bags, turn):
    """The bag of one row, written out."""
    if not batch.present[stain][case]:
        return []
    start, size = int(batch.x[stain].offsets[case]), LENGTHS[stain][case]
    return list(range(start, start + size))[turn % bags :: bags]


@torch.no_grad()
def test_a_case_gets_the_mean_of_its_bags_written_out_as_a_loop():
    torch.manual_seed(0)
    batch, model = batch_of(), model_of()
    said = predict_in_bags(model, batch, 2)
    for case in range(4):
        bags = {s: -(-LENGTHS[s][case] // 2) if batch.present[s][case] else 0 for s in LENGTHS}
        prob = []
        for turn in range(max(bags.values())):
            rows = {s: dealt(batch, s, case, bags[s], turn) for s in LENGTHS}
            x = {s: Bags(batch.x[s].values[rows[s]], torch.tensor([len(rows[s])])) for s in LENGTHS}
            own = Batch(x, {s: torch.tensor([bool(rows[s])]) for s in LENGTHS}, torch.tensor([0]), ("a",), ("a",))
            prob.append(model(own).logits[0].softmax(0))
        assert_close(said.logits[case].softmax(0).float(), torch.stack(prob).mean(0))
    assert said.present.tolist() == [True] * 4


def test_every_patch_is_in_one_bag_and_no_bag_is_too_large():
    batch = batch_of().keep("he")
    cut, case = in_bags(batch, 3)
    assert case.tolist() == [0, 0, 0, 1, 2, 3, 3]
    assert cut.x["he"].lengths.tolist() == [3, 2, 2, 2, 0, 2, 2]
    assert sorted(cut.x["he"].coords[:, 0].tolist()) == batch.x["he"].coords[:, 0].tolist()
    assert cut.case_ids == ("a", "a", "a", "b", "c", "d", "d")
    assert len(cut.x["he"].slides) == len(cut) == 7
    assert not cut.present["ihc"].any() and not cut.x["ihc"].lengths.any()


def test_a_stain_with_fewer_bags_comes_round_again():
    cut, _ = in_bags(batch_of(), 2)
    first = cut.x["ihc"].lengths[:4].tolist()  # three patches in two bags beside four bags of H&E
    assert first == [2, 1, 2, 1] and cut.present["ihc"][:4].all()


@torch.no_grad()
def test_bags_that_hold_every_patch_change_nothing():
    torch.manual_seed(0)
    batch, model = batch_of(), model_of()
    said = predict_in_bags(model, batch, 7)
    assert_close(said.logits.softmax(1).float(), model(batch).logits.softmax(1))


def fit(recipe, out, *words):
    path = PROJECT_ROOT / "recipes" / f"{recipe}.yaml"
    return main(["fit", "--recipe", str(path), "--out", str(out), "--trainer.max_epochs=1", *words])


def test_a_run_is_validated_and_tested_in_bags(tmp_path):
    small = ["--cohort.demo.patients=12", "--data.pictures.grid=3"]
    assert fit("attention_mil", tmp_path / "one", *small) == 0
    assert fit("attention_mil", tmp_path / "bags", "--model.eval_bag_size=1", *small) == 0
    one, bags = (json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("one", "bags"))
    assert list(one) == list(bags)
    # The same weights: an epoch is trained on whole bags either way.
    assert all(one[subset]["test/log_loss"] != bags[subset]["test/log_loss"] for subset in one)


@pytest.mark.parametrize(
    ("recipe", "size", "says"),
    [
        ("attention_mil", "0", "model.eval_bag_size is 0; give 1 or more, or null for one bag"),
        ("lowres_convnext", "5", "model.eval_bag_size cuts bags, and these cases have none. Set it to null."),
    ],
)
def test_a_size_that_cuts_nothing_is_refused(recipe, size, says, tmp_path, capsys):
    words = ["--cohort.demo.patients=12", f"--model.eval_bag_size={size}"]
    assert fit(recipe, tmp_path / "run", *words) == 2
    assert says in capsys.readouterr().err
