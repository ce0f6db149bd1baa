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
from pathfuse.cohort import Cohort
from pathfuse.cohort.sources.columns import Columns, roles_of
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.errors import ImageError, PluginError, RunError
from pathfuse.inference.asked.arrays import images_of
from pathfuse.inference.asked.new_cases import check_cases
from pathfuse.store import open_slide
from tests.cohort.natural import NAMES
from tests.conftest import CLASSES, write_cases


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


class Frame:
    """What is used of a data frame of pandas: columns, cells by column, a named index."""

    def __init__(self, columns: dict[str, list[object]], index: str | None = None) -> None:
        self.columns = [name for name in columns if name != index]
        self._cells = columns
        if index is not None:
            self.index = Index(columns[index], index)

    def __getitem__(self, name: str) -> list[object]:
        return self._cells[name]


class Index(list[object]):
    def __init__(self, values: list[object], name: str) -> None:
        super().__init__(values)
        self.name = name


def test_a_data_frame_is_a_table_of_cases(model: TrainedModel, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)  # files in a frame are meant from here
    wanted = model.predict(trained / "he").probabilities[:3]
    columns: dict[str, list[object]] = {
        "case_id": [*NAMES[:3]], "patient_id": [1, 2, 3], "modality": ["he"] * 3,
        "path": [f"he/{NAMES[0]}.h5", trained / "he" / f"{NAMES[1]}.h5", f"he/{NAMES[2]}.h5"],
        "label": ["a", float("nan"), None],
    }  # fmt: skip
    for frame in (Frame(columns), Frame(columns, index="case_id")):
        table = model.predict(frame)
        np.testing.assert_allclose(table.probabilities, wanted, rtol=1e-5)
        assert table.case_ids == tuple(NAMES[:3])
    by_store = Frame({"Case ID": [*NAMES[:3]], "Diagnosis": ["a", "b", "NA"]})
    table = model.predict(by_store, stores={"he": trained / "he"})
    np.testing.assert_allclose(table.probabilities, wanted, rtol=1e-5)
    assert "note: the data frame: case is Case ID, label is Diagnosis." in str(table)
    for wrong, said in (
        (Frame({"case_id": []}), "the data frame has no rows"),
        (
            Frame({"patient_id": ["a"], "modality": ["he"], "path": ["no.h5"], "case_id": ["a"]}),
            "^the data frame line 2:",
        ),
        (Frame({"case_id": ["a"], "he": [{"x": 1}]}), "column he of the data frame holds dict"),
        (table, "PredictionTable is no table of cases"),
        (3, "he: int is no file, image or bag"),
    ):
        with pytest.raises(PathfuseError, match=said):
            model.predict(wrong)


def write_labels(folder: Path, head: str, labels: str) -> Path:
    path = folder / "new.csv"
    path.write_text("\n".join([head, *(f"{name},{label}" for name, label in zip(NAMES, labels, strict=False))]))
    return path


def test_labels_that_the_run_does_not_know_are_refused_and_no_index_means_another_class(
    model: TrainedModel, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write_labels(tmp_path, "case_id,label", "abc")
    said = r"new.csv line 4: label 'c' is none of a, b\. Correct it, clear it"
    with pytest.raises(PathfuseError, match=said):
        model.predict(new, stores={"he": trained / "he"})
    line = ["predict", str(trained / "run"), "--cases", str(new), "--stores", f"{{he: {trained / 'he'}}}"]
    assert main([*line, "--out", str(tmp_path / "out")]) == 2
    assert "label 'c' is none of a, b" in capsys.readouterr().err
    # Clearing it is enough; saying the classes anew is not, in whichever order.
    for classes in ("[a, b, c]", "[c, b, a]"):
        assert main([*line, "--out", str(tmp_path / "out"), "--cohort.classes", classes]) == 2
        assert "but the run was trained on a, b." in capsys.readouterr().err
    with pytest.raises(PathfuseError, match="the cases have the classes b, a, but the run was trained on a, b"):
        model.predict(trained / "labels.csv", stores={"he": trained / "he"}, cohort__classes=["b", "a"])
    write_labels(tmp_path, "case_id,label", ["a", "b", ""])
    assert main([*line, "--out", str(tmp_path / "out")]) == 0


def test_another_column_is_no_label_where_the_training_named_one() -> None:
    columns = Columns({"label": "HER2"}, lenient=True)
    assert roles_of("t.csv", ["case_id", "ER"], columns) == {"case": "case_id"}
    assert roles_of("t.csv", ["case_id", "ER", "her2"], columns)["label"] == "her2"
    assert roles_of("t.csv", ["case_id", "ER"], Columns(lenient=True))["label"] == "ER"


@pytest.mark.parametrize("mpp", [0.25, None])
def test_images_of_another_spacing_are_refused_and_of_none_it_is_said(tmp_path: Path, mpp: float | None) -> None:
    """Images of 64 px at 0.5 um are shown at 32 px to a model of 1 um per pixel."""
    write_cases(tmp_path, patients=4, stains=("he",), size_px=64)

    def data(spacing: float | None) -> PairedPatches:
        cohort = Cohort(cases=str(tmp_path / "cases.csv"), mpp=spacing, classes=list(CLASSES))
        return PairedPatches(cohort, modalities=["he"], size_px=32, normalise=[])

    trained = data(0.5).spec()
    assert trained["he"].mpp == 1.0 and check_cases(data(0.52), trained) == []
    if mpp is None:
        (note,) = check_cases(data(None), trained)
        assert "The spacing of the he images is not known, or not one; the model learned from 1 um per pixel" in note
    else:
        with pytest.raises(RunError, match=r"the images are seen at 0\.5 um per pixel, and the model learned from 1"):
            check_cases(data(mpp), trained)


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
