"""The bag and thumbnail recipes on a tiny demo cohort: train, report every availability, predict from one stain."""

import csv
import json

import pytest
import torch

import pathfuse
from pathfuse.cli import main
from pathfuse.cohort import Cohort
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.demo import BagPictures, DemoCohort, write_bags
from tests.conftest import PROJECT_ROOT
from tests.store import foreign

TINY = ["--cohort.demo.patients=12", "--trainer.max_epochs=1"]
# What makes each recipe's demo cohort smaller still.
RECIPES = {
    "wsmcl": ["--data.pictures.grid=3"],
    "wsmcl_released": [
        "--data.pictures.grid=3",
        "--model.fusion.k=4",
        "--cohort.demo.patients=32",
    ],  # all classes have IHC
    "attention_mil": ["--data.pictures.grid=3"],
    "highres_mil": ["--data.pictures.grid=3"],
    "lowres_convnext": ["--data.size_px=32", "--data.pictures.slide_px=128"],
    "attention_mil_end_to_end": ["--data.size_px=32", "--data.pictures.slide_px=128", "--data.patches_per_bag=2"],
}
SUBSETS = ["he", "ihc", "he+ihc"]


def fit(name, out, *words):
    recipe = PROJECT_ROOT / "recipes" / f"{name}.yaml"
    assert main(["fit", "--recipe", str(recipe), "--out", str(out), *TINY, *RECIPES[name], *words]) == 0
    return out


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_and_reports_every_availability(name, tmp_path):
    run = fit(name, tmp_path / "run", "--cohort.demo.missing={ihc: 0.4}")
    metrics = json.loads((run / "metrics.json").read_text())
    assert list(metrics) == SUBSETS
    cases = [row for row in read(run / "predictions.csv") if row["split"] == "test"]
    for subset in SUBSETS:
        own = [row for row in cases if row["subset"] == subset]
        assert metrics[subset]["n_cases"] == len(own) > 0
        assert 0 <= metrics[subset]["test/balanced_accuracy"] <= 1
    assert metrics["he"]["n_cases"] > metrics["he+ihc"]["n_cases"]
    classes = [column for column in cases[0] if column.startswith("p_")]
    merged = name in ("highres_mil", "lowres_convnext")
    assert classes == (["p_0", "p_low", "p_high"] if merged else ["p_0", "p_1+", "p_2+", "p_3+"])


def test_a_run_predicts_new_cases_that_have_one_stain_only(tmp_path):
    run = fit("wsmcl", tmp_path / "run")
    table = write_bags(tmp_path / "new", DemoCohort(patients=4, seed=5, missing={"ihc": 1.0}), BagPictures(grid=2))
    assert main(["predict", str(run), "--cohort.cases", str(table), "--out", str(tmp_path / "out")]) == 0
    rows = read(tmp_path / "out" / "predictions.csv")
    assert len(rows) == 4 and {row["subset"] for row in rows} == {"he"}


def test_one_model_says_the_same_of_a_case_alone_and_among_others(tmp_path):
    model = pathfuse.load(fit("wsmcl", tmp_path / "run", "--trainer.max_epochs=2"))
    cohort = Cohort(demo=DemoCohort(patients=6, missing={"ihc": 0.3}), cache=str(tmp_path))
    data = PairedBags(cohort, pictures=BagPictures(grid=3))
    data.loading = Loading(num_workers=0)
    batch = next(iter(data.predict_dataloader()))
    together = model(batch).logits
    for row in range(len(batch)):
        alone = model(batch.select(torch.tensor([row]))).logits[0]
        assert torch.allclose(alone, together[row], atol=1e-5)


def test_wsmcl_on_different_patients_of_one_class_trains(tmp_path):
    run = fit("wsmcl", tmp_path / "run", "--layer", "same_class", "--layer", "demo", "--cohort.demo.missing={}")
    assert "pairing: class" in (run / "config.yaml").read_text()


def test_a_run_on_stored_features_says_whose_they_are_and_under_which_licence(page, tmp_path):
    store, rows = tmp_path / "uni", []
    for number in range(24):
        case = f"A{number}"
        foreign.trident(store / f"{case}.h5", foreign.features(6, 8, number), foreign.grid(6), encoder="uni_v1")
        rows.append(f"{case},{case},{number % 2}")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["case_id,slide_id,label", *rows]))
    out, recipe = tmp_path / "run", PROJECT_ROOT / "recipes" / "attention_mil.yaml"
    source = ["--cases", str(labels), "--stores", f"{{he: {store}}}", "--trainer.max_epochs=1"]
    assert main(["fit", "--recipe", str(recipe), "--out", str(out), *source]) == 0
    weights = json.loads((out / "weights.json").read_text())["weights"]
    assert weights[-1] == {
        "stage": "features", "component": "PairedBags", "network": "uni", "weights": "he features",
        "licence": "CC-BY-NC-ND-4.0", "commercial": "no",
    }  # fmt: skip
    warning = "NOT FOR COMMERCIAL USE: the run builds on weights whose licence does not allow it (uni)."
    assert warning in (out / "report.html").read_text()
    methods = (out / "methods.md").read_text()
    assert warning in methods
    assert "The he features that PairedBags reads are those of uni, licence: CC-BY-NC-ND-4.0." in methods
