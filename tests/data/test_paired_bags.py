"""Paired bags: the same cohort from any store, packed, sampled, masked."""

import csv
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer

from pathfuse.cohort import Cohort
from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.bags.packed import Sampling
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.errors import CaseTableError, RecipeError, StoreError
from pathfuse.training.lightning_data import LightningData
from tests.store import foreign

DIM = {"he": 6, "ihc": 4}
# Per case: label, part, slides of each stain with their numbers of patches.
COHORT = {
    "007": ("0", "train", {"he": [5, 3], "ihc": [4]}),
    "008": ("3+", "train", {"he": [7], "ihc": []}),
    "009": ("0", "val", {"he": [2], "ihc": [6, 1]}),
    "Żółć ü": ("3+", "test", {"he": [], "ihc": [9]}),
}
FORMATS = ("trident", "clam", "clam_pt", "stamp", "eva", "wsmcl", "madeleine", "torchmil", "npy", "pt")


def slides():
    """Case, stain, slide name, features and coordinates of the cohort."""
    seed = 0
    for case, (_, _, stains) in COHORT.items():
        for stain, counts in stains.items():
            for number, count in enumerate(counts):
                seed += 1
                yield case, stain, f"{case}-{number}", foreign.features(count, DIM[stain], seed), foreign.grid(count)


def write(kind: str, root: Path, name: str, values: np.ndarray, coords: np.ndarray) -> Path:
    if kind == "trident":
        return foreign.trident(root / f"{name}.h5", values, coords)
    if kind in ("clam", "clam_pt"):
        path = foreign.clam(root, name, values, coords)
        return path if kind == "clam" else root / "pt_files" / f"{name}.pt"
    if kind == "stamp":
        return foreign.stamp(root / f"{name}.h5", values, coords * foreign.MPP)
    if kind == "eva":
        return foreign.eva(root / f"{name}.pt", values)
    if kind == "wsmcl":
        return foreign.wsmcl(root, name, values, coords)
    if kind == "madeleine":
        return foreign.madeleine(root / f"{name}.h5", values, lead=len(values) > 4)
    if kind == "torchmil":
        return foreign.torchmil(root, name, values, coords)
    path = root / f"{name}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values) if kind == "npy" else torch.save(torch.from_numpy(values), path)
    return path


def cohort(folder: Path, kind: str) -> Path:
    """The cohort as files of a format, behind a case table."""
    rows = [
        [case, case, stain, write(kind, folder / stain, name, values, coords), *COHORT[case][:2], foreign.MPP]
        for case, stain, name, values, coords in slides()
    ]
    table = folder / "cases.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["case_id", "patient_id", "modality", "path", "label", "split", "mpp"], *rows])
    return table


def bags(table: Path, *, classes=None, missing=None, batch_size=16, num_workers=0, **options) -> PairedBags:
    made = PairedBags(Cohort(cases=str(table), classes=classes, missing=missing), **options)
    made.loading = Loading(batch_size=batch_size, num_workers=num_workers)
    return made


def everything(data: PairedBags) -> Batch:
    return Batch.cat(list(data.predict_dataloader()))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("trident"), "trident")


@pytest.mark.parametrize("kind", FORMATS)
def test_one_cohort_in_any_format_gives_the_same_bags(kind, table, tmp_path):
    expected, got = everything(bags(table)), everything(bags(cohort(tmp_path, kind)))
    for stain in DIM:
        assert torch.equal(got.x[stain].values, expected.x[stain].values)
        assert torch.equal(got.x[stain].lengths, expected.x[stain].lengths)
        assert torch.equal(got.x[stain].slide, expected.x[stain].slide)
        assert torch.equal(got.present[stain], expected.present[stain])
        if kind in ("trident", "clam", "clam_pt", "stamp", "wsmcl"):
            assert torch.equal(got.x[stain].coords, expected.x[stain].coords)
        else:
            assert got.x[stain].coords is None
        if kind in ("trident", "clam", "clam_pt", "stamp"):
            assert got.x[stain].slides == expected.x[stain].slides
    assert torch.equal(got.target, expected.target)
    assert got.case_ids == expected.case_ids == tuple(COHORT)


def test_a_bag_is_the_slides_of_a_case_one_after_another(table):
    batch = everything(bags(table))
    he = batch.x["he"]
    stored = {(case, stain, name): (values, coords) for case, stain, name, values, coords in slides()}
    assert he.lengths.tolist() == [8, 7, 2, 0]
    assert batch.present["he"].tolist() == [True, True, True, False]
    assert batch.x["ihc"].lengths.tolist() == [4, 0, 7, 9]
    assert he.slide.tolist() == [0] * 5 + [1] * 3 + [0] * 7 + [0] * 2
    for number, rows in ((0, slice(0, 5)), (1, slice(5, 8))):
        values, coords = stored["007", "he", f"007-{number}"]
        assert torch.equal(he.values[rows], torch.from_numpy(values).float())
        assert torch.equal(he.coords[rows], torch.from_numpy(coords))
    assert [info.slide_id for info in he.slides[0]] == ["007-0", "007-1"]
    assert he.slides[0][0].mpp == foreign.MPP and he.slides[0][0].patch_size_level0 == foreign.LEVEL0
    assert he.slides[3] == ()


def test_the_spec_has_the_width_of_every_stain(table):
    spec = bags(table).spec()
    assert [(m.name, m.kind, m.width) for m in spec.modalities] == [("he", "features", 6), ("ihc", "features", 4)]
    assert spec.classes == ("0", "1+", "2+", "3+") and spec.class_counts == (1, 0, 0, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_draw_depends_on_seed_epoch_and_case_alone(table, workers):
    def draws(epoch, **options):
        data = bags(table, patches_per_bag=3, num_workers=workers, **options)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        cases = Batch.cat(list(loader))
        return {case: cases.select(torch.tensor([row])) for row, case in enumerate(cases.case_ids)}

    one, again, other = draws(0), draws(0, batch_size=1), draws(1)
    assert set(one) == set(again) == {"007", "008"}
    assert all(torch.equal(one[case].x["he"].values, again[case].x["he"].values) for case in one)
    assert any(not torch.equal(one[case].x["he"].values, other[case].x["he"].values) for case in one)


def test_few_patches_are_all_taken_and_none_twice(table):
    loader = bags(table, patches_per_bag=4, batch_size=1).train_dataloader()
    for batch in loader:
        he = batch.x["he"]
        assert he.lengths.tolist() == [4]
        places = torch.cat([he.slide[:, None], he.coords], 1)
        assert len(torch.unique(places, dim=0)) == 4
        if batch.case_ids == ("007",):
            assert batch.x["ihc"].lengths.tolist() == [4]


def test_a_drawn_row_is_a_row_of_its_slide_with_its_own_coordinates(table):
    stored = {(case, name): (values, coords) for case, stain, name, values, coords in slides() if stain == "he"}
    for batch in bags(table, patches_per_bag=3, batch_size=1).train_dataloader():
        he = batch.x["he"]
        for value, slide, place in zip(he.values, he.slide.tolist(), he.coords, strict=True):
            values, coords = stored[batch.case_ids[0], he.slides[0][slide].slide_id]
            row = int(np.flatnonzero((coords == place.numpy()).all(1))[0])
            assert torch.equal(value, torch.from_numpy(values[row]).float())


def test_evaluation_draws_once_for_all_epochs(table):
    loader = bags(table, eval_patches_per_bag=2).val_dataloader()
    first = next(iter(loader))
    loader.sampler.set_epoch(5)
    assert torch.equal(first.x["ihc"].values, next(iter(loader)).x["ihc"].values)
    assert first.x["ihc"].lengths.tolist() == [2]


@settings(max_examples=60)
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), patches=st.integers(1, 20), epoch=st.integers(0, 3))
def test_a_draw_has_the_asked_number_of_different_rows(lengths, patches, epoch):
    plan = Sampling(patches, seed=3).rows(lengths, epoch, 1, 0)
    counts = [length if rows is None else len(rows) for rows, length in zip(plan, lengths, strict=True)]
    assert sum(counts) == min(patches, sum(lengths))
    for rows, length in zip(plan, lengths, strict=True):
        if rows is not None:
            assert len(set(rows.tolist())) == len(rows) and all(0 <= row < length for row in rows)


def test_every_patch_is_drawn_equally_often():
    seen = np.zeros(12)
    for epoch in range(600):
        for start, rows in zip((0, 5), Sampling(4, seed=1).rows([5, 7], epoch, 0, 0), strict=True):
            seen[start + rows] += 1
    # 200 expected, standard deviation 11.5
    assert seen.sum() == 2400 and np.abs(seen - 200).max() < 60


def rewrite(table: Path, name: str, values: np.ndarray, coords: np.ndarray | None = None, **attributes) -> None:
    found = table.parent / "he" / name
    foreign.trident(found, values, foreign.grid(len(values)) if coords is None else coords, **attributes)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_one_line_that_names_file_and_row(tmp_path, bad, workers):
    table = cohort(tmp_path, "trident")
    values = foreign.features(5, 6)
    values[3, 2] = bad
    rewrite(table, "007-0.h5", values)
    with pytest.raises(StoreError, match=r"007-0\.h5 row 3 holds 1 values that are not finite") as caught:
        everything(bags(table, num_workers=workers))
    assert "\n" not in str(caught.value)


def test_slides_of_one_stain_must_have_one_width(tmp_path):
    table = cohort(tmp_path, "trident")
    rewrite(table, "007-1.h5", foreign.features(3, 7))
    with pytest.raises(StoreError, match=r"he: .*007-0\.h5 has features of width 6, .*007-1\.h5 of width 7"):
        bags(table).spec()


def test_slides_of_one_stain_must_have_one_encoder(tmp_path):
    table = cohort(tmp_path, "trident")
    rewrite(table, "007-1.h5", foreign.features(3, 6), encoder="conch_v1")
    with pytest.raises(StoreError, match=r"was made with uni_v1, .*007-1\.h5 with conch_v1"):
        bags(table).spec()


@pytest.mark.parametrize("shape", [(0, 6), (0,)])
def test_an_empty_slide_counts_as_absent_and_is_named(tmp_path, shape):
    table = cohort(tmp_path, "trident")
    path = next(table.parent.rglob("he/008-0.h5"))

    with h5py.File(path, "w") as file:
        file["features"] = np.empty(shape, np.float16)
        file["coords"] = np.empty((0, 2), np.int64)
    data = bags(table)
    batch = everything(data)
    assert batch.case_ids == ("007", "009", "Żółć ü")
    assert any("008-0.h5" in note for note in data.notes()) and any("left out: 008" in note for note in data.notes())
    with pytest.raises(CaseTableError, match="case 008 has no patch of any stain"):
        bags(table, missing="error").spec()


def test_a_stain_that_no_case_has_is_an_error_unless_allowed(table):
    with pytest.raises(
        CaseTableError, match=r"no case has patches of 'her2', only of .*--stores '\{he: DIR, her2: DIR\}'"
    ):
        bags(table, modalities=["he", "her2"]).spec()
    data = bags(table, modalities=["he", "her2"], missing="allow")
    assert data.spec()["her2"].width == 0
    assert not everything(data).present["her2"].any()


def test_a_table_of_slides_alone_says_where_features_come_from(tmp_path):
    rows = [f"c{number},c{number},he,c{number}.svs,0,train" for number in range(2)]
    for number in range(2):
        (tmp_path / f"c{number}.svs").write_bytes(b"slide")
    (tmp_path / "cases.csv").write_text("\n".join(["case_id,patient_id,modality,path,label,split", *rows]))
    with pytest.raises(RecipeError, match=r"names slides, such as c0\.svs, .* name them with --stores '\{he: DIR\}'"):
        bags(tmp_path / "cases.csv", modalities=["he"]).spec()


def test_a_label_outside_the_classes_is_named(table):
    with pytest.raises(CaseTableError, match=r"label '3\+' is none of 0, 1\+"):
        bags(table, classes=["0", "1+"]).spec()


def test_training_cases_without_a_label_are_left_out_where_labels_are_needed_and_counted(tmp_path):
    table = cohort(tmp_path, "trident")
    table.write_text(table.read_text(encoding="utf-8").replace(",3+,", ",,"), encoding="utf-8")
    assert everything(bags(table)).target.tolist() == [0, -1, 0, -1]
    labelled = PairedBags(Cohort(cases=str(table)).with_labels())
    labelled.loading = Loading(num_workers=0)
    assert everything(labelled).case_ids == ("007", "009", "Żółć ü")  # the test case stays
    assert "1 of 2 training cases have no label and are left out, first 008." in labelled.notes()


def test_a_required_fact_that_no_file_states_is_refused(tmp_path):
    table = cohort(tmp_path, "eva")
    with pytest.raises(StoreError, match=r"007-0\.pt has no coords"):
        bags(table, require=["coords"]).spec()


@pytest.mark.parametrize(("kind", "why"), [("eva", "coordinate table"), ("stamp", "mpp is unknown")])
def test_slides_without_coordinates_are_counted_in_a_note(kind, why, tmp_path):
    table = cohort(tmp_path, kind)
    table.write_text(table.read_text(encoding="utf-8").replace(",0.25", ","), encoding="utf-8")
    (note,) = [note for note in bags(table).notes() if "4 of 4 he slides have no coordinates" in note]
    assert why in note
    assert not any("no coordinates" in note for note in bags(cohort(tmp_path / "b", "trident")).notes())


def test_a_file_that_changes_after_the_start_is_refused(tmp_path):
    table = cohort(tmp_path, "npy")
    data = bags(table)
    data.spec()
    np.save(next(tmp_path.rglob("he/008-0.npy")), foreign.features(8, 6))
    with pytest.raises(StoreError, match="changed since its header was read"):
        everything(data)


def test_the_fingerprint_follows_cases_and_files_but_not_folders(table, tmp_path):
    one = bags(table).fingerprint()
    moved = cohort(tmp_path / "elsewhere", "trident")
    assert bags(moved).fingerprint() == one
    moved.write_text(moved.read_text(encoding="utf-8").replace("val", "train"), encoding="utf-8")
    assert bags(moved).fingerprint() != one


class Seen(LightningModule):
    """Notes what it is given."""

    def __init__(self):
        super().__init__()
        self.epochs = {}
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch):
        key = (self.current_epoch, batch.case_ids)
        self.epochs[key] = batch.x["he"].values
        return self.weight * batch.x["he"].values.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


# What Lightning says of its own code and of small data.
quiet = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore:.*does not have many workers", "ignore::UserWarning"
)


def trainer(**options):
    silent = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(accelerator="cpu", limit_val_batches=0, **silent, **options)


@quiet
def test_under_a_trainer_every_epoch_draws_anew_and_a_second_run_draws_the_same(table):
    runs = []
    for workers in (0, 1):
        module = Seen()
        data = bags(table, patches_per_bag=3, batch_size=1, num_workers=workers)
        trainer(max_epochs=3).fit(module, datamodule=LightningData(data))
        runs.append(module.epochs)
    assert runs[0].keys() == runs[1].keys() and len(runs[0]) == 6
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    drawn = [runs[0][epoch, ("007",)] for epoch in range(3)]
    assert not torch.equal(drawn[0], drawn[1]) or not torch.equal(drawn[1], drawn[2])


@quiet
def test_features_of_another_encoder_than_the_models_are_refused(table):
    spec = DataSpec((ModalitySpec("he", "features", 1024),), ("0", "1"), (1, 1))
    data = bags(table)
    data.made_for = spec
    with pytest.raises(StoreError, match="he features have width 6, but the model was made for 1024"):
        trainer(max_epochs=1).fit(Seen(), datamodule=LightningData(data))


@quiet
def test_a_stain_that_no_case_has_gets_the_width_of_the_model(table):
    stains = (ModalitySpec("he", "features", 6), ModalitySpec("her2", "features", 9))
    data = bags(table, modalities=["he", "her2"], missing="allow")
    data.made_for = DataSpec(stains, ("0", "1"), (1, 1))

    (batch,) = data.predict_dataloader()
    assert batch.x["her2"].values.shape == (0, 9) and not batch.present["her2"].any()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_data_set_travels_to_a_spawned_worker(kind, tmp_path):
    data = bags(cohort(tmp_path, kind)).predict_dataloader().dataset
    here, there = data[0, 0], pickle.loads(pickle.dumps(data))[0, 0]
    assert torch.equal(here.x["he"].values, there.x["he"].values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patches_per_bag": 0}, "data.patches_per_bag is 0"),
        ({"eval_patches_per_bag": 0}, "data.eval_patches_per_bag is 0; give at least 1, or null for all"),
        ({"patch_size_level0": 0.0}, "data.patch_size_level0"),
        ({"modalities": ["he", "he"]}, "each stain once"),
        ({"modalities": []}, "at least one"),
    ],
)
def test_a_wrong_option_is_refused_at_once(options, message):
    with pytest.raises(RecipeError, match=message):
        PairedBags(Cohort(), **options)


def test_a_store_that_nobody_would_read_is_refused(table, tmp_path):
    stores = {"he": str(table.parent / "he"), "ki67": str(tmp_path)}
    (tmp_path / "l.csv").write_text("case_id,slide_id,label\n007,007-0,0\n")
    with pytest.raises(
        RecipeError, match=r"cohort.stores names 'ki67', but data.modalities is he\. Read it with --data.modalities"
    ):
        PairedBags(Cohort(cases=str(tmp_path / "l.csv"), stores=stores), modalities=["he"])
    with pytest.raises(RecipeError, match=r"cohort.stores is not read beside cases\.csv"):
        PairedBags(Cohort(cases=str(table), stores={"he": stores["he"]}))


def test_the_stains_of_the_stores_are_those_that_are_read(table, tmp_path):
    (tmp_path / "l.csv").write_text("case_id,slide_id,label\n007,007-0,0\n008,008-0,3+\n", encoding="utf-8")
    data = PairedBags(Cohort(cases=str(tmp_path / "l.csv"), stores={"he": str(table.parent / "he")}))
    assert data.modalities == ("he",) and data.spec().names == ("he",)
    assert data.cohort.table.kind == "label table"


def test_a_balanced_epoch_of_bags_shows_every_class_equally_often(tmp_path):
    lines = ["case_id,patient_id,modality,path,label,split"]
    for number, label in enumerate("aaaaaab"):
        foreign.trident(tmp_path / f"{number}.h5", foreign.features(3, 4, number), foreign.grid(3))
        lines.append(f"c{number},p{number},he,{number}.h5,{label},train")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    data = PairedBags(Cohort(cases=str(tmp_path / "cases.csv"), val_fraction=0.0), modalities=["he"])
    data.loading = Loading(sampler="balanced", num_workers=0, batch_size=7)
    loader = data.train_dataloader()
    shares = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        shares.append(torch.bincount(next(iter(loader)).target).tolist())
    assert sorted(map(tuple, shares)) == [(3, 4), (4, 3)]  # the classes take turns at the odd one
    assert sorted(everything(data).case_ids) == [f"c{number}" for number in range(7)]  # only training is balanced


def test_a_table_of_slides_finds_its_features_in_the_stores(tmp_path):
    rows = ["case_id,patient_id,modality,path,label,split"]
    for number in range(4):
        for slide in ("a", "b") if number == 0 else ("a",):
            name = f"s{number}{slide}"
            (tmp_path / f"{name}.svs").write_bytes(b"slide")
            rows.append(f"c{number},p{number},he,{name}.svs,{number % 2},train")
            if number < 3:
                foreign.trident(tmp_path / "features" / f"{name}.h5", foreign.features(3, 4, number), foreign.grid(3))
    (tmp_path / "slides.csv").write_text("\n".join(rows) + "\n")
    cohort = Cohort(cases=str(tmp_path / "slides.csv"), stores={"he": str(tmp_path / "features")})
    data = PairedBags(cohort)
    assert [case.case_id for case in data.cohort] == ["c0", "c1", "c2"]
    batch = next(iter(data.predict_dataloader()))
    assert batch.x["he"].lengths.tolist() == [6, 3, 3]
    assert any("1 slides of slides.csv have no features: s3a.svs (he)" in note for note in data.notes())
