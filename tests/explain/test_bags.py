"""Attention on disk: the weights of the right patch, at the right place, of the right slide."""

import csv
import io
import json

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from pathfuse.core import Batch, Fused, FusedSpec, Fusion, Model, Prediction, SlideInfo
from pathfuse.errors import CaseTableError, RecipeError
from pathfuse.explain import Wanted, explain_cases, patch_truth_beside, qupath
from pathfuse.explain import bags as bags_module
from pathfuse.explain.heat_map import raster
from pathfuse.explain.places import SlideScores, by_slide
from pathfuse_captum.attending import Attention
from tests.explain.small import CLASSES, LinearHead
from tests.explain.small_bags import CASES, DIM, EDGE, SPEC, make_batch, make_model


def explain(out, model=None, batch=None, batches=None, **options):
    console = options.pop("console", None)
    model, batches = model or make_model(), batches or [batch or make_batch()]
    named = {"Attention": Attention()}
    return explain_cases(model, batches, named, out, classes=CLASSES, wanted=Wanted(**options), console=console)


def _touch(path, one, caption, tissue, *, what):
    path.parent.mkdir(exist_ok=True)
    path.touch()


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures take most of the time; these tests are about the other files."""
    monkeypatch.setattr(bags_module, "write_heat_map", _touch)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_hold_the_attention_of_the_model_at_the_place_of_each_patch(tmp_path, undrawn):
    model, batch = make_model(), make_batch()
    summary = explain(tmp_path, model, batch)
    with torch.no_grad():
        attention = model.fuse(batch).attention
    for stain in SPEC.names:
        bags = batch.x[stain]
        for row, (case, own) in enumerate(CASES.items()):
            slides = [f"{case}{number}" for number, count in enumerate(own[stain]) for _ in range(count)]
            if not slides:
                assert stain not in summary["cases"][row].get("tables", {}).get("Attention", {})
                continue
            table = rows_of(tmp_path / summary["cases"][row]["tables"]["Attention"][stain])
            mine = slice(int(bags.offsets[row]), int(bags.offsets[row + 1]))
            assert [line["slide_id"] for line in table] == slides
            assert [(int(line["x"]), int(line["y"])) for line in table] == [
                tuple(p) for p in bags.coords[mine].tolist()
            ]
            assert np.array_equal(np.array([line["score"] for line in table], np.float32), attention[stain][mine])
            assert {line["patch_size_level0"] for line in table} == {str(EDGE)}


def test_every_slide_has_a_picture_and_squares_and_an_absent_stain_has_neither(tmp_path):
    summary = explain(tmp_path)
    slides = {f"{case}{n}_{stain}" for case, own in CASES.items() for stain in own for n in range(len(own[stain]))}
    pictures, tiles = (tmp_path / "Attention").glob("*.png"), (tmp_path / "qupath").glob("*.geojson")
    assert {path.stem for path in pictures} == slides == {path.stem for path in tiles}
    assert {path.name for path in (tmp_path / "Attention").glob("*.csv")} == {
        "a_he.csv",
        "a_ihc.csv",
        "b_he.csv",
        "c_ihc.csv",
    }
    assert [case["stains"] for case in summary["cases"]] == [["he", "ihc"], ["he"], ["ihc"]]
    assert json.loads((tmp_path / "explain.json").read_text()) == summary
    assert summary["fusion"] == "AttentionFusion" and summary["notes"] == []
    with Image.open(tmp_path / "Attention" / "a1_he.png") as picture:
        assert min(picture.size) > 100


def test_what_is_hidden_from_the_model_is_not_shown(tmp_path, undrawn):
    noisy = make_batch().drop("ihc").fill("ihc", float("nan"))
    assert [case["stains"] for case in explain(tmp_path, batch=noisy)["cases"]] == [["he"], ["he"], []]
    assert not list(tmp_path.rglob("*_ihc.*"))


def test_the_squares_of_a_slide_are_its_patches_with_their_attention(tmp_path, undrawn):
    said = explain(tmp_path)["cases"][0]["explained"]
    squares = json.loads((tmp_path / "qupath" / "a1_he.geojson").read_text())["features"]
    table = [line for line in rows_of(tmp_path / "Attention" / "a_he.csv") if line["slide_id"] == "a1"]
    assert len(squares) == len(table) == 3
    for square, line in zip(squares, table, strict=True):
        ring = square["geometry"]["coordinates"][0]
        x, y = int(line["x"]), int(line["y"])
        assert ring == [[x, y], [x + EDGE, y], [x + EDGE, y + EDGE], [x, y + EDGE], [x, y]]
        assert square["properties"]["objectType"] == "tile"
        assert square["properties"]["measurements"][f"Attention, {said}"] == pytest.approx(float(line["score"]))


def test_percentiles_are_over_all_slides_of_the_case():
    batch = make_batch()
    weight = torch.arange(len(batch.x["he"].values)).float().flip(0)
    first, second = next(by_slide(batch, "he", weight))
    both = np.concatenate([first.percentile, second.percentile])
    assert np.allclose(both, 100 * (np.arange(7)[::-1] + 0.5) / 7)
    flat = next(by_slide(batch, "he", torch.ones(len(weight))))
    assert {value for one in flat for value in one.percentile} == {50}


def test_cases_batched_apart_get_what_they_get_together(tmp_path, undrawn):
    model, batch = make_model(), make_batch()
    explain(tmp_path / "together", model, batch)
    apart = [batch.select(torch.tensor([row])) for row in (2, 0, 1)]
    explain(tmp_path / "apart", model, batches=apart)
    for table in (tmp_path / "together" / "Attention").glob("*.csv"):
        ours, theirs = rows_of(table), rows_of(tmp_path / "apart" / "Attention" / table.name)
        assert [line["slide_id"] for line in ours] == [line["slide_id"] for line in theirs]
        assert np.allclose(*([float(line["score"]) for line in lines] for lines in (ours, theirs)), atol=1e-6)


def test_only_the_asked_for_cases_get_files(tmp_path, undrawn):
    assert len(explain(tmp_path, pictures={"b"})["cases"]) == 3
    assert {path.name for path in tmp_path.rglob("*.*")} == {
        "b0_he.png",
        "b0_he.geojson",
        "b_he.csv",
        "b_he.h5",
        "explain.json",
        "explain.html",
    }


def test_features_without_places_have_a_table_and_one_line_says_why_there_is_no_picture(tmp_path):
    (note,) = explain(tmp_path, batch=make_batch(coords=False))["notes"]
    assert note.startswith("6 slides (first a0, he) say not where their patches lie") and "\n" not in note
    assert not list(tmp_path.rglob("*.png")) and not list(tmp_path.rglob("*.geojson"))
    table = rows_of(tmp_path / "Attention" / "a_he.csv")
    assert len(table) == 7 and {line["x"] for line in table} == {""}
    assert [line["patch"] for line in table] == ["0", "1", "2", "3", "0", "1", "2"]


def test_without_a_patch_size_the_step_between_patches_is_drawn_and_there_are_no_squares(tmp_path, undrawn):
    (note,) = explain(tmp_path, batch=make_batch(edge=None))["notes"]
    assert "how large a patch is" in note and "data.patch_size_level0" in note
    assert len(list(tmp_path.rglob("*.png"))) == 6 and not list(tmp_path.rglob("*.geojson"))
    assert next(by_slide(make_batch(edge=None), "he", torch.ones(9)))[0].edge == EDGE


def test_a_slide_of_very_many_patches_has_its_tiles_in_pieces(tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(qupath, "MOST_TILES", 4)
    case = explain(tmp_path)["cases"][0]
    pieces = [name for name in case["qupath"] if "a0_ihc" in name]
    assert pieces == ["qupath/a0_ihc.1of2.geojson", "qupath/a0_ihc.2of2.geojson"]
    tiles = [json.loads((tmp_path / name).read_text())["features"] for name in pieces]
    assert [len(own) for own in tiles] == [4, 1]
    corners = [tile["geometry"]["coordinates"][0][0] for own in tiles for tile in own]
    assert corners == make_batch().x["ihc"].select(torch.tensor([0])).coords.tolist()


def test_raw_scores_have_their_places_beside_them(tmp_path, undrawn):
    batch = make_batch()
    case = explain(tmp_path, batch=batch)["cases"][0]
    with h5py.File(tmp_path / case["raw"]["he"]) as file:
        assert file.attrs["case_id"] == "a" and list(file.attrs["slides"]) == ["a0", "a1"]
        assert file["coords"][:].tolist() == batch.x["he"].coords[:7].tolist()
        assert file["slide"][:].tolist() == batch.x["he"].slide[:7].tolist()
        table = rows_of(tmp_path / "Attention" / "a_he.csv")
        assert np.allclose(file["scores/Attention"], [float(line["score"]) for line in table])


def test_slides_that_are_not_told_apart_have_no_picture(tmp_path, undrawn):
    batch = make_batch()
    for bags in batch.x.values():
        object.__setattr__(bags, "slide", None)
    explain(tmp_path, batch=batch)
    assert {path.stem for path in tmp_path.rglob("*.png")} == {"a0_ihc", "b0_he"}
    assert len(rows_of(tmp_path / "Attention" / "a_he.csv")) == 7


def test_a_raster_has_each_patch_at_its_place_and_the_higher_one_on_top():
    places = np.array([[100, 50], [164, 50], [132, 50]])
    one = SlideScores("a", "he", SlideInfo("s", None, 64.0), np.arange(3.0), np.array([10.0, 20.0, 90.0]), places)
    painted, borders = raster(one)
    assert borders == (100, 50, 228, 114)
    width = painted.shape[1]
    assert painted[0, [0, width // 4 - 1, width // 4, 3 * width // 4 - 1, -1]].tolist() == [10, 10, 90, 90, 20]
    apart = SlideScores("a", "he", SlideInfo("s", None, 32.0), np.arange(3.0), np.array([10.0, 20.0, 90.0]), places * 2)
    assert np.isnan(raster(apart)[0]).any()


def write_truth(folder, lines):
    (folder / "truth").mkdir()
    header = ["case_id,modality,slide_id,patch,x,y,tumour,signal"]
    (folder / "truth" / "patches.csv").write_text("\n".join([*header, *lines]))
    return patch_truth_beside(folder / "cases.csv")


def test_attention_is_scored_by_place_where_the_truth_is_known(tmp_path, undrawn):
    model, batch = make_model(), make_batch()
    with torch.no_grad():
        weight = model.fuse(batch).attention["he"][:7]
    own = [(f"a{0 if place < 4 else 1}", *batch.x["he"].coords[place].tolist(), place) for place in range(7)]
    best = set(weight.topk(3).indices.tolist())
    # Not in the order of the bag: patches are found by slide and place.
    lines = [f"a,he,{slide},0,{x},{y},0.5,{int(place in best)}" for slide, x, y, place in reversed(own)]
    truth = write_truth(tmp_path, [*lines, "b,he,b0,0,10000,7,1,1", "b,he,b0,1,10064,7,1,1"])
    summary = explain(tmp_path / "out", model, batch, patch_truth=truth)
    assert (
        summary["explainers"]["Attention"]["truth"]["he"]["auc"] == 1
        and summary["explainers"]["Attention"]["truth"]["he"]["cases"] == 1
    )
    assert summary["cases"][0]["truth_auc"] == {"Attention": {"he": 1}} and "truth_auc" not in summary["cases"][1]
    assert "ihc" not in summary["explainers"]["Attention"]["truth"]


def test_a_truth_of_other_columns_is_one_line_and_none_is_none(tmp_path):
    assert patch_truth_beside(tmp_path / "cases.csv") is None
    with pytest.raises(CaseTableError, match=r"patches.csv line 2: x, y and signal are whole numbers"):
        write_truth(tmp_path, ["a,he,a0,0,left,7,1,1"])


class Unsaying(Fusion):
    """A mean that says of no patch what it weighs, and of features only."""

    def __init__(self, tokens, spec):
        super().__init__()
        self.out = FusedSpec(DIM, "vector")

    def forward(self, tokens):
        present = torch.stack([token.present for token in tokens.values()]).any(0)
        gate = torch.ones(len(present), DIM)
        return Fused(torch.zeros(len(present), DIM), present, attention=dict.fromkeys(tokens, gate))


class Silent(LinearHead):
    def forward(self, fused: Fused) -> Prediction:
        return Prediction(fused.present)


def test_a_model_without_attention_over_patches_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match="Unsaying gives no weight to single patches") as error:
        explain(tmp_path, make_model(Unsaying))
    assert "\n" not in str(error.value)


def test_a_model_that_does_not_classify_is_one_line(tmp_path):
    model = make_model()
    with pytest.raises(RecipeError, match="Silent does not classify"):
        explain(tmp_path, Model(model.encoder, model.fusion, Silent(model.fusion.out, SPEC)))


def test_the_prediction_is_that_of_whoever_predicts(tmp_path, undrawn):
    def predict(batch: Batch) -> Prediction:
        logits: Tensor = torch.tensor([[0.0, 0.0, 9.0, 0.0]]).expand(len(batch), 4)
        return Prediction(torch.ones(len(batch), dtype=torch.bool), logits)

    assert {case["explained"] for case in explain(tmp_path, predict=predict)["cases"]} == {"2+"}


def test_weights_of_anything_but_patches_are_left_out():
    batch, model = make_batch(), make_model()
    weight = torch.rand(len(batch.x["he"].values))
    model.fuse = lambda _: Fused(weight, weight, attention={"he": weight, "ihc": torch.rand(3, 2), "joint": weight})
    assert list(Attention().explain(model, batch)) == ["he"]


def test_progress_is_shown_where_it_is_asked_for(tmp_path, capsys):
    text = io.StringIO()
    explain(tmp_path, pictures=(), console=Console(file=text, force_terminal=True))
    assert "explaining" in text.getvalue() and capsys.readouterr().out == ""


def test_tiles_count_from_the_part_that_qupath_shows(tmp_path):
    weight = np.array([10.0])
    one = SlideScores("a", "he", SlideInfo("s", 0.5, 64.0, (40, 30)), np.ones(1), weight, np.array([[100, 50]]))
    (path,) = qupath.write_tiles(tmp_path, "s", {"Attention, 2+": one})
    (square,) = json.loads(path.read_text())["features"]
    assert square["geometry"]["coordinates"][0][0] == [60, 20]
