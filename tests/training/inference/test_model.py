"""A trained run as an object: what it takes, what it gives, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pathfuse import Batch, PathfuseError, PredictionTable, TrainedModel, load
from pathfuse.cli import main
from pathfuse.errors import ImageError, PluginError
from pathfuse.store import open_slide
from pathfuse.training.inference.arrays import images_of
from tests.cohort.natural import NAMES


@pytest.fixture(scope="module")
def model(trained: Path) -> TrainedModel:
    return load(trained / "run")


@pytest.fixture
def bags() -> list[np.ndarray]:
    return [np.random.default_rng(k).normal(size=(4 + k, 8)).astype(np.float32) for k in range(3)]


def test_arrays_files_folders_tables_and_batches_give_the_same(model: TrainedModel, trained: Path) -> None:
    files = [trained / "he" / f"{name}.h5" for name in NAMES]
    by_files = model.predict({"he": files})
    by_table = model.predict(trained / "labels.csv", stores={"he": trained / "he"})
    by_folder = model.predict(trained / "he")
    values = [torch.from_numpy(open_slide(file).features.read().numpy()).float() for file in files]
    by_arrays = model.predict({"he": values})
    by_batch = model.predict(Batch.of_bags(model.spec, {"he": values}))
    for other in (by_table, by_folder, by_arrays, by_batch):
        np.testing.assert_allclose(other.probabilities, by_files.probabilities, rtol=1e-5)
    assert by_files.case_ids == by_table.case_ids == by_folder.case_ids == tuple(NAMES)


def test_the_command_says_the_same_of_a_plain_folder(model: TrainedModel, trained: Path, tmp_path: Path) -> None:
    assert main(["predict", str(trained / "run"), "--cases", str(trained / "he"), "--out", str(tmp_path / "new")]) == 0
    text = (tmp_path / "new" / "predictions.csv").read_text().splitlines()
    assert len(text) == 1 + len(NAMES)
    wanted = dict(zip(NAMES, model.predict(trained / "he").predicted, strict=True))
    header = text[0].split(",")
    place, case = header.index("predicted"), header.index("case_id")
    assert {line.split(",")[case]: line.split(",")[place] for line in text[1:]} == wanted


def test_the_table_holds_together(model: TrainedModel, bags: list[np.ndarray], tmp_path: Path) -> None:
    table = model.predict({"he": bags})
    assert isinstance(table, PredictionTable) and len(table) == 3 and table.given == ("he",) * 3
    assert table.probabilities.sum(1) == pytest.approx(np.ones(3)) and table.abstain.dtype == bool
    assert [row["predicted"] for row in table] == list(table.predicted) and table["1"]["case_id"] == "1"
    with pytest.raises(KeyError, match="no case is called 'x'"):
        table["x"]
    table.to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[0].startswith("case_id,given,predicted,p_a,p_b,confidence")
    assert "predicted" in str(table) and "<th>predicted</th>" in table._repr_html_()


def test_features_are_what_the_head_predicts_from(model: TrainedModel, bags: list[np.ndarray]) -> None:
    found = torch.stack(list(model.features({"he": bags}).values()))
    assert found.shape == (3, model.fusion.out.dim)
    batch = Batch.of_bags(model.spec, {"he": [torch.from_numpy(bag) for bag in bags]})
    torch.testing.assert_close(found, model.fuse(batch).embedding)


def test_explaining_writes_a_table_per_case(model: TrainedModel, trained: Path, tmp_path: Path) -> None:
    said = model.explain({"he": [trained / "he" / "S00.h5"]}, tmp_path / "maps")
    assert said["cases"][0]["case_id"] == "S00" and list((tmp_path / "maps" / "Attention").glob("*.csv"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"he": [np.zeros((3, 7), np.float32)]}, "width 7, but the model was made for 8"),
        ({"he": [np.full((3, 8), np.nan, np.float32)]}, "patch 0 has NaN or infinite features"),
        ({"he": [np.zeros((3, 8), int)]}, "of floats; this is int64"),
        ({"ki67": [np.zeros((3, 8), np.float32)]}, "this model reads he, and is given ki67"),
        ({}, "is given nothing"),
        ("nowhere.h5", "nowhere.h5 does not exist"),
    ],
)
def test_what_cannot_be_used_is_one_line(model: TrainedModel, given: object, said: str) -> None:
    with pytest.raises(PathfuseError, match=said) as caught:
        model.predict(given)
    assert "\n" not in str(caught.value)


def test_images_are_taken_by_their_range_and_shape() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), dtype=np.uint8)
    notes: list[str] = []
    for value in (whole, list(whole), torch.from_numpy(whole), whole / 255, np.moveaxis(whole, -1, 1)):
        assert np.array_equal(images_of(value, "he", notes), whole)
    assert np.array_equal(images_of(whole.astype(np.uint16) << 8, "he", notes), whole)
    assert notes == [
        "he: floats from 0 to 1 are taken as 256 grey levels.",
        "he: 16 bits per channel keep the upper 8.",
    ]
    for bad, said in (
        (whole.astype(float), "values from 0 to 2"),
        (whole.astype(int), "values of type int64 have no range"),
        (whole[..., :2], "this is"),
        (np.full((4, 4, 3), np.nan), "NaN or infinity"),
    ):
        with pytest.raises(ImageError, match=said):
            images_of(bad, "he", notes)


def test_a_batch_of_bags_marks_what_is_not_given(model: TrainedModel) -> None:
    batch = Batch.of_bags(model.spec, {"he": [torch.rand(3, 8), torch.rand(0, 8)]})
    assert batch.present["he"].tolist() == [True, False]
    for bad in ({}, {"he": []}, {"x": [torch.rand(3, 8)]}, {"he": [torch.rand(3, 9)]}):
        with pytest.raises(ValueError, match="bag"):
            Batch.of_bags(model.spec, bad)


def test_a_run_of_a_package_that_is_not_installed_names_it(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    said = json.loads((tmp_path / "run" / "versions.json").read_text())
    said |= {"components": {"lab-parts": ["LabFusion"]}, "plugins": {**said["plugins"], "lab-parts": "2.1"}}
    (tmp_path / "run" / "versions.json").write_text(json.dumps(said))
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("pathfuse_mil.attention.AttentionFusion", "lab_parts.LabFusion"))
    with pytest.raises(PluginError, match=r"uses LabFusion of the package lab-parts 2\.1, which is not installed"):
        load(tmp_path / "run")
