"""`pathfuse explain` on runs that read bags, through the command line."""

import csv
import json

import numpy as np
import pytest
import torch

import pathfuse
from pathfuse.cli import main
from pathfuse.cohort import Cohort
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.demo import BagPictures, DemoCohort, write_bags
from pathfuse.demo.descriptor import NAME
from tests.conftest import PROJECT_ROOT
from tests.recipes.bag_tables import write_bag_table

# With what makes each small.
RECIPES = {
    "attention_mil": [],
    "wsmcl": ["--model.encoder.width=16", "--model.encoder.heads=2"],
    "clam": [],
    "transmil": ["--model.fusion.dim=16", "--model.fusion.heads=2", "--model.fusion.landmarks=4"],
}
OF_TORCHMIL = ("clam", "transmil")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    who, pictures = DemoCohort(patients=12, missing={"ihc": 0.3}), BagPictures(grid=3)
    return write_bags(tmp_path_factory.mktemp("cohort") / "bags", who, pictures)


def fit(recipe, out, *words):
    file = PROJECT_ROOT / "recipes" / f"{recipe}.yaml"
    few = ["--trainer.max_epochs=1", "--loading.num_workers=0", "--cohort.missing=allow"]
    assert main(["fit", "--recipe", str(file), "--out", str(out), *few, *words]) == 0
    return out


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_on_bags_shows_its_attention(recipe, cohort, tmp_path, capsys):
    if recipe in OF_TORCHMIL:
        pytest.importorskip("torchmil", reason="needs pathfuse[torchmil]")
    run = fit(recipe, tmp_path / "run", f"--cohort.cases={cohort.parent}", *RECIPES[recipe])
    capsys.readouterr()
    one = rows_of(run / "splits.csv")[-1]["case_id"]
    words = ["--explainer", "Attention", "--part", "all", "--case_ids", one]
    assert main(["explain", str(run), *words, "--out", str(tmp_path / "maps")]) == 0
    said = capsys.readouterr().out
    assert "AUC against the truth, H&E" in said and "AUC of a random map, H&E" in said and "12 cases explained" in said
    assert "Lay them over the slides with --slides DIR." in said
    summary = json.loads((tmp_path / "maps" / "explain.json").read_text())
    assert 0 <= summary["explainers"]["Attention"]["truth"]["he"]["auc"] <= 1

    data = PairedBags(Cohort(cases=str(cohort.parent), missing="allow"))
    data.loading = Loading(num_workers=0)
    model = pathfuse.load(run)
    for batch in data.predict_dataloader():
        if one not in batch.case_ids:
            continue
        with torch.no_grad():
            attention = model.fuse(batch).attention
        row = batch.case_ids.index(one)
        for stain in summary["cases"][[case["case_id"] for case in summary["cases"]].index(one)]["tables"]["Attention"]:
            bags = batch.x[stain]
            mine = slice(int(bags.offsets[row]), int(bags.offsets[row + 1]))
            table = rows_of(tmp_path / "maps" / "Attention" / f"{one}_{stain}.csv")
            written = np.array([line["score"] for line in table], np.float32)
            assert np.allclose(written, attention[stain][mine].numpy(), atol=1e-6)
            slides = [bags.slides[row][number].slide_id for number in bags.slide[mine].tolist()]
            assert [line["slide_id"] for line in table] == slides
            assert {f"{slide}_{stain}.png" for slide in slides} == {
                path.name for path in (tmp_path / "maps" / "Attention").glob(f"{one}*_{stain}.png")
            }


@pytest.fixture(scope="module")
def trained(cohort, tmp_path_factory):
    run = fit("attention_mil", tmp_path_factory.mktemp("trained") / "run", f"--cohort.cases={cohort.parent}",
              "--data.modalities=[he, ihc]")  # fmt: skip
    assert main(["test", str(run)]) == 0
    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--explainer", "GradCAM"], "--explainer GradCAM explains single images, and this run reads bags of features"),
        (["--target", "4+"], "--target '4+' is no class of this run. Did you mean"),
        (["--explainer", "LeaveOut", "--explainer.group", "3"], "no option of LeaveOut. Did you mean groups?"),
        (["--explainer", "LeaveOut", "--explainer.groups", "0"], "groups is 0"),
        (
            ["--explainer", "IntegratedGradients", "--explainer.baseline", "sky"],
            "one of glass, mean, absent, got",
        ),
        (
            ["--layer", "x"],
            "--layer is no option of Attention. Name one that has it: --explainer GradCAM or GuidedGradCAM.",
        ),
        (["--slides", "{ich: .}"], "--slides names 'ich', and this run has he, ihc. Did you mean ihc?"),
        (["--alone"], "--alone is of the cases that --case_ids names"),
        (["--alone", "--case_ids", "nobody"], "--case_ids: no case is called 'nobody'. The first is "),
        (["--explainer", "Atention"], "Did you mean Attention"),
        (["--explainer", "LeaveOut", "--explainer", "LeaveOut"], "is given twice"),
        (["--explainer", "LeaveOut", "--explainer", "Attention", "--layer", "x"], "is an option of none of LeaveOut"),
        (["--explainer", "AttentionRollout", "--layer", "x"], "layer"),
    ],
)
def test_what_cannot_be_explained_is_one_line(words, said, trained, tmp_path, capsys):
    assert main(["explain", str(trained), *words, "--out", str(tmp_path / "maps")]) != 0
    error = capsys.readouterr().err.strip().splitlines()
    assert [line for line in error if not line.startswith("usage:")] == error[-1:] and said in error[-1]


def test_a_case_of_another_part_says_of_which(trained, tmp_path, capsys):
    other = next(row["case_id"] for row in rows_of(trained / "splits.csv") if row["split"] == "train")
    assert main(["explain", str(trained), "--case_ids", other, "--out", str(tmp_path / "maps")]) != 0
    assert f"{other} is not in the part 'test' of the data; its part is train. Choose" in capsys.readouterr().err


def test_a_case_alone_is_the_only_one_that_is_read(trained, tmp_path, monkeypatch):
    one = next(row["case_id"] for row in rows_of(trained / "splits.csv") if row["split"] == "test")
    read = []
    whole = PairedBags.dataset

    def dataset(self, index, part):
        read.extend(self.cohort.table.cases[position].case_id for position in index)
        return whole(self, index, part)

    monkeypatch.setattr(PairedBags, "dataset", dataset)
    assert main(["explain", str(trained), "--case_ids", one, "--alone", "--out", str(tmp_path / "maps")]) == 0
    summary = json.loads((tmp_path / "maps" / "explain.json").read_text())
    assert read == [one] == [case["case_id"] for case in summary["cases"]]


def test_several_explainers_share_one_page_and_agree_with_the_evaluation(trained, tmp_path, capsys):
    names = ["Attention", "LeaveOut", "IntegratedGradients"]
    words = [word for name in names for word in ("--explainer", name)]
    words += ["--explainer.steps", "4", "--explainer.groups", "3", "--target", "3+"]
    out = tmp_path / "maps"
    one = next(row["case_id"] for row in rows_of(trained / "splits.csv") if row["split"] == "test")
    assert main(["explain", str(trained), *words, "--faithfulness", "--case_ids", one, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    summary = json.loads((out / "explain.json").read_text())
    assert list(summary["explainers"]) == names
    assert summary["agreement"]["cases"] > 0 and summary["agreement"]["largest"] <= 1e-5 and summary["notes"] == []
    assert {case["explained"] for case in summary["cases"]} == {"3+"}
    for case in summary["cases"]:
        if len(case["stains"]) == 2:
            assert sum(case["shares"].values()) == pytest.approx(1)
    measures = {line["measure"] for line in summary["faithfulness"]["table"]}
    assert {"insertion", "deletion", "sparsity", "untrained", "infidelity", "sensitivity", "pointing game",
            "IoU with the truth", "AUC against the truth", "agreement with LeaveOut"} <= measures  # fmt: skip
    assert len(summary["faithfulness"]["sentences"]) == 2 * len(names)
    assert "a random map" in printed.out and "share of each stain (StainShapley)" in printed.out
    page = (out / "explain.html").read_text()
    assert "Can the maps be believed?" in page and "http" not in page.replace("http-equiv", "")
    drawn = next(case for case in summary["cases"] if case["pictures"])
    assert set(drawn["pictures"]) == set(names)
    tiles = json.loads((out / drawn["qupath"][0]).read_text())["features"]
    assert {f"{name}, 3+" for name in names} <= set(tiles[0]["properties"]["measurements"])


def test_a_run_tested_in_bags_shows_whole_slides_and_what_it_predicts(cohort, tmp_path):
    run = fit("attention_mil", tmp_path / "run", f"--cohort.cases={cohort.parent}", "--model.eval_bag_size=4")
    assert main(["explain", str(run), "--part", "all", "--out", str(tmp_path / "maps")]) == 0
    assert main(["predict", str(run), "--out", str(tmp_path / "scores")]) == 0
    cases = {case["case_id"]: case for case in json.loads((tmp_path / "maps" / "explain.json").read_text())["cases"]}
    found = 0
    for row in rows_of(tmp_path / "scores" / "predictions.csv"):
        if row["subset"].split("+") == cases[row["case_id"]]["stains"]:
            best = max(float(value) for key, value in row.items() if key.startswith("p_"))
            assert cases[row["case_id"]]["probability"] == pytest.approx(best, abs=1e-5)
            found += 1
    assert found
    assert any(
        len(rows_of(tmp_path / "maps" / table)) > 4
        for case in cases.values()
        for table in case["tables"]["Attention"].values()
    )


def test_other_cases_are_explained_too(cohort, tmp_path):
    run = fit("attention_mil", tmp_path / "run", f"--cohort.cases={cohort.parent}", "--data.modalities=[he, ihc]")
    table = write_bag_table(tmp_path / "other", widths=(32, 32), slides=2, encoder=NAME, patch_um=32)
    words = ["--cohort.cases", str(table), "--case_ids", "c00", "--out", str(tmp_path / "maps")]
    assert main(["explain", str(run), *words]) == 0
    assert {path.name for path in (tmp_path / "maps").rglob("*.png")} == {
        f"c00-{slide}_{stain}.png" for slide in range(2) for stain in ("he", "ihc")
    }
    assert "truth" not in json.loads((tmp_path / "maps" / "explain.json").read_text())["explainers"]["Attention"]
