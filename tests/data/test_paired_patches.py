import hashlib
import shutil

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch.testing import assert_close

from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.images.augment import Augment
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.demo import DemoCohort, PatchPictures
from pathfuse.errors import CaseTableError, ImageError, RecipeError
from pathfuse.training.lightning_data import LightningData
from tests.data.pairs import bci_names, make_flat, make_pairs, save_image, write_table


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


@pytest.fixture
def root(tmp_path):
    return str(make_pairs(tmp_path / "pairs"))


MODULE = ("modalities", "size_px", "normalise", "augment", "pictures")
LOADING = ("batch_size", "num_workers", "sampler")


def data(cases, cache, **options) -> PairedPatches:
    """Small patches; an option goes to the one of cohort, data module and loading that has it."""
    what = {name: options.pop(name) for name in MODULE if name in options}
    how = {name: options.pop(name) for name in LOADING if name in options}
    made = PairedPatches(Cohort(cases=cases, cache=cache, **options), **{"size_px": 8, **what})
    made.loading = Loading(**{"batch_size": 4, "num_workers": 0, **how})
    return made


def flat(batches) -> Batch:
    return Batch.cat(list(batches))


def digest(batch: Batch) -> tuple[list[int], str]:
    pixels = torch.cat([batch.image(modality) for modality in batch.modalities])
    return batch.index.tolist(), hashlib.sha256(pixels.numpy().tobytes()).hexdigest()


def test_the_spec_tells_stains_classes_and_training_counts(root, cache):
    spec = data(root, cache, mpp=0.5).spec()
    assert spec.names == ("he", "ihc")
    assert spec.classes == ("0", "1+", "2+", "3+")
    assert sum(spec.class_counts) == 8  # 12 for training, 4 of them drawn for validation
    assert spec["he"].size_px == 8
    assert spec["he"].mpp == 1.5  # 24 px at 0.5 became 8 px


def test_batches_hold_the_prepared_pixels_in_table_order(root, cache):
    patches = data(root, cache, normalise=[])
    batch = flat(patches.predict_dataloader())
    assert batch.index.tolist() == list(range(16))
    for row, case in enumerate(patches.cohort):
        for modality in ("he", "ihc"):
            image = Image.open(case.files[modality][0].path).resize((8, 8), Image.Resampling.BOX)
            expected = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
            assert_close(batch.image(modality)[row], expected, rtol=0, atol=1e-6)
        assert batch.case_ids[row] == case.case_id
        assert patches.spec().classes[batch.target[row]] == case.label


def test_the_parts_of_the_folder_are_the_loaders(root, cache):
    patches = data(root, cache)
    rows = patches.split_table()
    for part, loader in (
        ("train", patches.train_dataloader()),
        ("val", patches.val_dataloader()),
        ("test", patches.test_dataloader()),
    ):
        assert sorted(flat(loader).case_ids) == sorted(row.case_id for row in rows if row.split == part)
    assert len(flat(patches.predict_dataloader())) == 16


def test_the_label_in_the_file_name_changes_nothing_that_a_model_sees(tmp_path, cache):
    one = make_flat(tmp_path / "one", ["00000_train_0.png", "00001_train_1+.png"])
    two = tmp_path / "two"
    shutil.copytree(one, two)
    for stain in ("HE", "IHC"):
        (two / stain / "00000_train_0.png").rename(two / stain / "00000_train_3+.png")
    seen = [flat(data(str(root), cache).predict_dataloader()) for root in (one, two)]
    assert seen[0].case_ids == seen[1].case_ids
    assert_close(seen[0].x, seen[1].x, rtol=0, atol=0)
    assert seen[0].target.tolist() != seen[1].target.tolist()


@pytest.mark.parametrize("augment", [None, Augment()], ids=["plain", "augmented"])
def test_the_number_of_workers_changes_nothing(root, cache, augment):
    seen = []
    for workers in (0, 2):
        loader = data(root, cache, num_workers=workers, augment=augment).train_dataloader()
        epochs = []
        for epoch in range(3):
            loader.sampler.set_epoch(epoch)
            epochs.append([digest(batch) for batch in loader])
        seen.append(epochs)
    assert seen[0] == seen[1]
    assert len({str(epoch) for epoch in seen[0]}) == 3


def test_loading_leaves_the_global_generator_alone(root, cache):
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    list(data(root, cache).train_dataloader())
    assert_close(torch.rand(2), expected, rtol=0, atol=0)


def test_only_training_cases_are_augmented(root, cache):
    plain, augmented = data(root, cache, augment=None), data(root, cache)
    for name in ("val_dataloader", "test_dataloader", "predict_dataloader"):
        assert_close(flat(getattr(plain, name)()).x, flat(getattr(augmented, name)()).x, rtol=0, atol=0)
    one, two = next(iter(plain.train_dataloader())), next(iter(augmented.train_dataloader()))
    assert one.case_ids == two.case_ids
    assert not torch.equal(one.image("he"), two.image("he"))


def test_an_absent_stain_is_zeros_and_does_not_change_the_others(root, tmp_path, cache):
    gone = tmp_path / "gone"
    shutil.copytree(root, gone, copy_function=shutil.copy2)
    (gone / "IHC" / "train" / "00003_train_3+.png").unlink()
    options = {"missing": "allow", "val_fraction": 0.0, "augment": Augment()}
    whole, part = (flat(data(str(path), cache, **options).train_dataloader()) for path in (root, gone))
    absent = ~part.present["ihc"]
    assert [case for case, no in zip(part.case_ids, absent, strict=True) if no] == ["00003_train"]
    assert part.present["he"].all()
    assert not part.image("ihc")[absent].any()
    assert_close(part.image("he"), whole.image("he"), rtol=0, atol=0)
    assert_close(part.image("ihc")[~absent], whole.image("ihc")[~absent], rtol=0, atol=0)


def test_prediction_needs_neither_labels_nor_ihc(tmp_path, cache):
    root = make_flat(tmp_path / "new", ["a.png", "b.png", "c.png"], stains=["HE"])
    patches = data(str(root), cache, missing="allow", test_on="all", classes=["0", "1+"])
    batch = flat(patches.predict_dataloader())
    assert batch.target.tolist() == [-1, -1, -1]
    assert not batch.present["ihc"].any()
    assert batch.image("ihc").shape == (3, 3, 8, 8)
    assert patches.spec().classes == ("0", "1+")


def test_a_cohort_that_the_model_never_saw_is_tested_as_a_whole(root, cache):
    patches = data(root, cache, test_on="all")
    assert len(flat(patches.test_dataloader())) == 16
    assert {row.split for row in patches.split_table()} == {"test"}


def test_groups_keep_a_slide_in_one_part(tmp_path, cache):
    names = bci_names(24)
    root = make_flat(tmp_path / "pairs", names)
    lines = [f"{name},slide{(number // 4) % 6}" for number, name in enumerate(names)]
    groups = write_table(tmp_path / "groups.csv", "file,group", *lines)
    parts = {}
    for row in data(str(root), cache, groups=str(groups)).split_table():
        assert parts.setdefault(row.patient_id, row.split) == row.split
    assert len(parts) == 6


def test_a_slide_in_two_given_parts_is_refused_and_can_be_drawn_anew(tmp_path, cache):
    root = make_pairs(tmp_path / "pairs", train=8, test=4)
    names = [*bci_names(8), *bci_names(4, "test")]
    lines = [f"{name},s{number % 4}" for number, name in enumerate(names)]
    groups = str(write_table(tmp_path / "groups.csv", "file,group", *lines))
    with pytest.raises(CaseTableError, match="split: drawn"):
        data(str(root), cache, groups=groups).split_table()
    parts = {}
    for row in data(str(root), cache, groups=groups, split="drawn").split_table():
        assert parts.setdefault(row.patient_id, row.split) == row.split


def test_case_tables_give_one_image_per_case_and_stain(tmp_path, cache):
    for name in ("a", "b", "c"):
        save_image(tmp_path / f"{name}.png")
    head = "case_id,patient_id,modality,path,label"
    good = write_table(tmp_path / "good.csv", head, "1,p1,he,a.png,low", "1,p1,ihc,b.png,low", "2,p2,he,c.png,high")
    patches = data(str(good), cache, test_on="all")
    batch = flat(patches.test_dataloader())
    assert patches.spec().classes == ("high", "low")
    assert batch.target.tolist() == [1, 0]
    assert batch.present["ihc"].tolist() == [True, False]
    several = write_table(tmp_path / "several.csv", head, "1,p1,he,a.png,low", "1,p1,he,b.png,low")
    with pytest.raises(CaseTableError, match="case 1 has 2 he images"):
        data(str(several), cache, modalities=["he"])
    unlabelled = write_table(tmp_path / "unlabelled.csv", head, "1,p1,he,a.png,")
    assert flat(data(str(unlabelled), cache, modalities=["he"]).predict_dataloader()).target.tolist() == [-1]
    with pytest.raises(CaseTableError, match="no training case has a label"):
        Cohort(cases=str(unlabelled)).with_labels().table  # noqa: B018
    with pytest.raises(CaseTableError, match="no case with 'ihc'"):
        data(str(unlabelled), cache)


def test_cases_without_a_wanted_stain_are_left_out_and_that_is_said(tmp_path, cache):
    save_image(tmp_path / "a.png")
    rows = ["1,p1,he,a.png,0", "2,p2,ihc,a.png,1+"]
    path = write_table(tmp_path / "cases.csv", "case_id,patient_id,modality,path,label", *rows)
    patches = data(str(tmp_path), cache, modalities=["he"], test_on="all")
    assert [row.case_id for row in patches.split_table()] == ["1"]
    assert "1 of 2 cases have no he image: left out." in patches.notes()
    assert path.exists()


def test_the_fingerprint_follows_cases_labels_and_parts_but_not_the_place(root, tmp_path, cache):
    first = data(root, cache).fingerprint()
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    assert data(str(moved), cache).fingerprint() == first
    assert data(root, cache, seed=1).fingerprint() != first
    for stain in ("HE", "IHC"):
        (moved / stain / "train" / "00000_train_0.png").rename(moved / stain / "train" / "00000_train_3+.png")
    assert data(str(moved), cache).fingerprint() != first


def test_a_pair_of_different_sizes_is_named_and_nothing_is_cached(root, cache, tmp_path):
    save_image(tmp_path / "pairs" / "IHC" / "train" / "00004_train_0.png", size=30)
    with pytest.raises(ImageError, match=r"IHC/train/00004_train_0\.png is 30 x 30 px"):
        data(root, cache).prepare_data()
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_a_folder_without_training_cases_cannot_train_but_can_test(tmp_path, cache):
    patches = data(str(make_pairs(tmp_path / "pairs", train=0, test=4)), cache)
    assert "There is no train part." in patches.notes()
    assert len(flat(patches.test_dataloader())) == 4
    with pytest.raises(CaseTableError, match="no training case"):
        patches.train_dataloader()


def test_a_last_batch_of_one_is_left_out_of_training_only(tmp_path, cache):
    patches = data(str(make_pairs(tmp_path / "pairs", train=9, test=5)), cache, val_fraction=0.0)
    assert [len(batch) for batch in patches.train_dataloader()] == [4, 4]
    assert [len(batch) for batch in patches.test_dataloader()] == [4, 1]


def test_the_demo_cohort_is_drawn_when_there_is_no_source(cache):
    who = Cohort(demo=DemoCohort(patients=8, extra_stains=("ki67",), missing={"ihc": 0.5}), cache=cache)
    options = {
        "pictures": PatchPictures(cases_per_patient=1, size_px=16),
        "size_px": 8,
        "modalities": ["he", "ihc", "ki67"],
    }
    patches = PairedPatches(who, **options)
    batch = flat(patches.predict_dataloader())
    assert len(batch) == 8
    assert batch.present["he"].all()
    assert not batch.present["ihc"].all()
    assert any("generated" in note for note in patches.notes())
    assert PairedPatches(who, **options).fingerprint() == patches.fingerprint()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"modalities": []}, "at least one"),
        ({"modalities": ["he", "he"]}, "once"),
        ({"size_px": 0}, "data.size_px"),
        ({"batch_size": 0}, "loading.batch_size"),
        ({"num_workers": -1}, "loading.num_workers"),
        ({"val_fraction": 1.0}, "cohort.val_fraction"),
        ({"mpp": 0.0}, "cohort.mpp"),
        ({"stores": {"he": "x"}}, "cohort.stores names features, and PairedPatches reads none"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(root, cache, options, told):
    with pytest.raises(RecipeError, match=told):
        data(root, cache, **options)


def test_a_pair_without_its_partner_is_an_error_unless_that_is_allowed(root, cache, tmp_path):
    (tmp_path / "pairs" / "IHC" / "train" / "00003_train_3+.png").unlink()
    with pytest.raises(CaseTableError, match=r"1 cases have no ihc image, first 00003_train\..*missing: allow"):
        data(root, cache)
    assert len(data(root, cache, missing="allow").cohort) == 16


def test_nothing_is_decoded_before_a_batch_or_a_picture_is_wanted(root, cache, tmp_path, monkeypatch):
    patches = data(root, cache)
    patches.spec(), patches.split_table(), patches.flow(), patches.notes(), patches.fingerprint()
    assert not (tmp_path / "cache").exists()
    patches.picture(patches.split_table()[0].case_id)
    assert list((tmp_path / "cache").rglob("*.npy"))


def test_a_balanced_epoch_of_pairs_shows_every_class_equally_often(tmp_path, cache):
    scores = ["0"] * 9 + ["3+"] * 3
    root = make_flat(tmp_path / "pairs", [f"{number:05d}_train_{score}.png" for number, score in enumerate(scores)])
    options = {"val_fraction": 0.0, "test_fraction": 0.0, "classes": ["0", "3+"], "batch_size": 12}
    balanced = data(str(root), cache, sampler="balanced", **options)
    assert torch.bincount(flat(balanced.train_dataloader()).target).tolist() == [6, 6]
    plain = data(str(root), cache, **options)
    assert torch.bincount(flat(plain.train_dataloader()).target).tolist() == [9, 3]
    assert torch.bincount(flat(balanced.predict_dataloader()).target).tolist() == [9, 3]


class Recorder(LightningModule):
    """Writes down what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[int, list] = {}

    def training_step(self, batch, batch_idx):
        self.seen.setdefault(self.current_epoch, []).append(digest(batch))
        return self.weight.sum()

    def on_train_epoch_start(self):
        torch.manual_seed(self.current_epoch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(patches: PairedPatches, epochs: int, folder, resume=None) -> Recorder:
    module = Recorder()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
    )
    trainer.fit(module, datamodule=LightningData(patches), ckpt_path=resume)
    trainer.save_checkpoint(folder / f"{epochs}.ckpt")
    return module


# Advice that does not apply to sixteen pictures; and torch 2.15 deprecates what Lightning 2.6 calls.
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`", "ignore:.*LeafSpec.*deprecated:FutureWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_sees_the_epochs_of_an_uninterrupted_one(root, cache, tmp_path, workers):
    whole = train(data(root, cache, num_workers=workers), 3, tmp_path)
    train(data(root, cache, num_workers=workers), 1, tmp_path)
    rest = train(data(root, cache, num_workers=workers), 3, tmp_path, tmp_path / "1.ckpt")
    assert sorted(whole.seen) == [0, 1, 2]
    assert rest.seen == {epoch: whole.seen[epoch] for epoch in (1, 2)}
    assert len({str(epoch) for epoch in whole.seen.values()}) == 3
