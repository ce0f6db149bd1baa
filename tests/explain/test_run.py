import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from pathfuse.core import Explainer, Model, Prediction
from pathfuse.errors import RecipeError, RunError
from pathfuse.explain import Masking, Wanted, drop_in_accuracy, explain_cases
from pathfuse.explain.faith.drop import masked
from pathfuse.explain.faith.truth import auc_of, random_map
from pathfuse_captum.gradcam import GradCAM
from tests.explain.small import CLASSES, LinearHead, make_batch, make_model, make_spec


def explain(out, model=None, batches=None, explainer=None, **options):
    console = options.pop("console", None)
    named = {type(explainer).__name__ if explainer else "GradCAM": explainer or GradCAM()}
    batches, wanted = batches or [make_batch()], Wanted(**options)
    return explain_cases(model or make_model(), batches, named, out, classes=CLASSES, wanted=wanted, console=console)


class Corner(Explainer):
    """The same map for every stain: the upper left quarter."""

    def explain(self, model, batch, target=None):
        cam = torch.zeros(len(batch), 32, 32)
        cam[:, :16, :16] = 1
        return {modality: cam for modality in model.reads}


def test_there_is_a_picture_per_case_and_stain(tmp_path):
    batch = make_batch({"ihc": [True, False, True]})
    summary = explain(tmp_path, make_model("each"), [batch])
    stains = {"case0": ["he", "ihc", "ki67"], "case1": ["he", "ki67"], "case2": ["he", "ihc", "ki67"]}
    assert {case["case_id"]: case["stains"] for case in summary["cases"]} == stains
    files = {f"{case}_{stain}.png" for case, names in stains.items() for stain in names}
    assert {path.name for path in (tmp_path / "GradCAM").iterdir()} == files
    assert {path.name for path in tmp_path.iterdir()} == {"GradCAM", "raw", "explain.json", "explain.html"}
    with Image.open(tmp_path / "GradCAM" / "case0_he.png") as picture:
        assert picture.mode == "RGB"


def test_the_file_holds_what_is_returned(tmp_path):
    summary = explain(tmp_path, truth=lambda case, stain: np.eye(32, dtype=bool))
    assert json.loads((tmp_path / "explain.json").read_text()) == summary
    assert list(summary["explainers"]) == ["GradCAM"]


def test_only_the_asked_for_cases_are_drawn_but_all_are_in_the_figures(tmp_path):
    summary = explain(tmp_path, pictures={"case1"})
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["case1_he.png"]
    assert summary["explainers"]["GradCAM"]["drop_in_accuracy"]["soft"]["cases"] == 3


def test_the_drop_is_that_of_the_whole_cohort_however_it_is_batched(tmp_path):
    model, batch = make_model(), make_batch(cases=7)
    maskings = (Masking(), Masking("hard"), Masking("top"))
    whole = explain(tmp_path / "a", model, [batch], maskings=maskings)
    parts = [batch.select(torch.tensor(rows)) for rows in ([0, 1, 2], [3, 4], [5, 6])]
    split = explain(tmp_path / "b", model, parts, maskings=maskings)
    assert list(whole["explainers"]["GradCAM"]["drop_in_accuracy"]) == ["soft", "hard@0.5", "top@0.25"]
    for name, figures in whole["explainers"]["GradCAM"]["drop_in_accuracy"].items():
        assert split["explainers"]["GradCAM"]["drop_in_accuracy"][name] == pytest.approx(figures, rel=1e-4, abs=1e-4)
    with torch.no_grad():
        hidden = model(masked(batch, GradCAM().explain(model, batch), Masking())).logits
        expected = drop_in_accuracy(model(batch).logits.double(), hidden.double(), batch.target)
    assert whole["explainers"]["GradCAM"]["drop_in_accuracy"]["soft"]["average_drop"] == pytest.approx(
        expected.average_drop, rel=1e-5
    )


def test_a_case_without_any_stain_is_not_in_the_drop(tmp_path):
    summary = explain(tmp_path, batches=[make_batch({"he": [True, False, True]})])
    assert summary["explainers"]["GradCAM"]["drop_in_accuracy"]["soft"]["cases"] == 2
    assert summary["cases"][1]["stains"] == [] and summary["cases"][1]["pictures"] == {}


def test_the_map_is_scored_where_the_truth_is_known(tmp_path):
    mask = np.zeros((64, 64), dtype=bool)
    mask[:32, :32] = True
    summary = explain(tmp_path, explainer=Corner(), truth=lambda case, stain: mask if case != "case1" else None, seed=3)
    score = summary["explainers"]["Corner"]["truth"]["he"]
    assert score["cases"] == 2 and score["auc"] > 0.99
    expected = np.mean([auc_of(random_map(case, 3), mask) for case in ("case0", "case2")])
    assert score["random_auc"] == pytest.approx(expected)
    assert [("truth_auc" in case) for case in summary["cases"]] == [True, False, True]


def test_without_truth_there_is_no_score(tmp_path):
    assert "truth" not in explain(tmp_path)["explainers"]["GradCAM"]


def test_unlabelled_cases_are_explained_and_their_accuracy_is_null(tmp_path):
    batch = make_batch()
    batch.target.fill_(-1)
    summary = explain(tmp_path, batches=[batch])
    assert summary["explainers"]["GradCAM"]["drop_in_accuracy"]["soft"]["accuracy"] is None
    assert summary["cases"][0]["target"] is None


def test_any_case_id_gets_a_file_of_its_own(tmp_path):
    batch = make_batch()
    object.__setattr__(batch, "case_ids", ("a/b", "a:b", "../a b"))
    summary = explain(tmp_path / "out", batches=[batch])
    names = [case["pictures"]["GradCAM"]["he"] for case in summary["cases"]]
    assert names == ["GradCAM/a_b_he.png", "GradCAM/a_b_he-2.png", "GradCAM/.._a_b_he.png"]
    assert {f"GradCAM/{path.name}" for path in tmp_path.rglob("*.png")} == set(names)


def test_progress_is_shown_where_it_is_asked_for(tmp_path, capsys):
    text = io.StringIO()
    explain(tmp_path, console=Console(file=text, force_terminal=True))
    assert "explaining" in text.getvalue()
    explain(tmp_path)
    assert capsys.readouterr().out == ""


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunError, match="cannot be made"):
        explain(tmp_path / "file" / "out")


class Silent(LinearHead):
    def forward(self, fused):
        return Prediction(fused.present)


def test_a_model_that_does_not_classify_is_one_line(tmp_path):
    model = make_model()
    silent = Silent(model.fusion.out, make_spec())
    with pytest.raises(RecipeError, match="Silent does not classify"):
        explain(tmp_path, Model(model.encoder, model.fusion, silent))
