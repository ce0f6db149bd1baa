"""Labelled patches: PatchCamelyon's files, folders of classes, the demo cohort; the same batches however they load."""

import csv

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.images.augment import Augment
from pathfuse.data.labelled_patches import LabelledPatches
from pathfuse.data.loading.options import Loading
from pathfuse.demo import DemoCohort, PatchPictures
from pathfuse.errors import CaseTableError, ImageError, RecipeError, StoreError

NAME = "camelyonpatch_level_2_split"
COUNTS = {"train": 12, "valid": 5, "test": 4}


def patch(seed, edge=8):
    return np.random.default_rng(seed).integers(0, 256, (edge, edge, 3), np.uint8)


def write_pcam(root, counts=COUNTS, *, edge=8, meta=False, **layout):
    """Patches whose contents are those of `patch(number)`, numbered through all parts; labels alternate."""
    root.mkdir(exist_ok=True)
    number = 0
    for part, count in counts.items():
        pixels = np.stack([patch(number + i, edge) for i in range(count)]) if count else np.zeros((0, edge, edge, 3))
        with h5py.File(root / f"{NAME}_{part}_x.h5", "w") as file:
            file.create_dataset("x", data=pixels.astype(np.uint8), **layout)
        with h5py.File(root / f"{NAME}_{part}_y.h5", "w") as file:
            file["y"] = (np.arange(number, number + count) % 2).astype(np.uint8).reshape(-1, 1, 1, 1)
        if meta:
            rows = [[i, 0, 0, f"{part}_slide_{i // 3}"] for i in range(count)]
            with (root / f"{NAME}_{part}_meta.csv").open("w", newline="") as file:
                csv.writer(file).writerows([["", "coord_y", "coord_x", "wsi"], *rows])
        number += count
    return root


def write_folders(root, classes=("normal", "tumour"), parts=("train", "val", "test"), count=4, edge=8):
    for part in parts:
        for label in classes:
            folder = root / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                seed = len(f"{part}{label}") * 100 + number
                Image.fromarray(patch(seed, edge)).save(folder / f"{number}.png")
    return root


MODULE = ("modality", "size_px", "augment", "pictures")
LOADING = ("batch_size", "num_workers", "seed")


def data(cases, **options) -> LabelledPatches:
    """Small patches; an option goes to the one of cohort, data module and loading that has it."""
    what = {name: options.pop(name) for name in MODULE if name in options}
    how = {name: options.pop(name) for name in LOADING if name in options}
    cohort = Cohort(cases=None if cases is None else str(cases), **options)
    made = LabelledPatches(cohort, **{"size_px": 8, "augment": None, **what})
    made.loading = Loading(**{"batch_size": 4, "num_workers": 0, **how})
    return made


def batches(loader):
    return Batch.cat(list(loader))


@pytest.mark.parametrize("layout", [{}, {"chunks": (4, 8, 8, 3), "compression": "gzip"}], ids=["plain", "packed"])
@pytest.mark.parametrize("workers", [0, 2])
def test_patchcamelyon_gives_every_patch_with_its_label(tmp_path, layout, workers):
    made = data(write_pcam(tmp_path / "pcam", **layout), num_workers=workers)
    spec = made.spec()
    assert spec.classes == ("0", "1") and spec.class_counts == (6, 6)
    assert (spec["he"].kind, spec["he"].width, spec["he"].size_px) == ("image", 3, 8)
    batch = batches(made.predict_dataloader())
    for row in range(21):
        assert np.array_equal((batch.image("he")[row] * 255).round().byte().permute(1, 2, 0).numpy(), patch(row))
    assert batch.target.tolist() == [number % 2 for number in range(21)]
    assert [row.split for row in made.split_table()] == ["train"] * 12 + ["val"] * 5 + ["test"] * 4
    assert batches(made.val_dataloader()).case_ids == tuple(f"val_{row:06d}" for row in range(5))
    assert batch.present["he"].all()


def test_numbers_get_names_and_the_stain_its_own(tmp_path):
    made = data(write_pcam(tmp_path / "pcam"), classes=["normal", "tumour"], modality="ihc", mpp=0.97, size_px=32)
    assert made.spec().classes == ("normal", "tumour") and made.spec().names == ("ihc",)
    assert made.spec()["ihc"].mpp == pytest.approx(0.97 * 8 / 32)
    assert batches(made.test_dataloader()).image("ihc").shape == (4, 3, 32, 32)
    assert [row.label for row in made.split_table()[:2]] == ["normal", "tumour"]


def test_the_slides_of_patchcamelyon_are_its_patients(tmp_path):
    known, unknown = data(write_pcam(tmp_path / "a", meta=True)), data(write_pcam(tmp_path / "b"))
    assert {row.patient_id for row in known.split_table() if row.split == "val"} == {"valid_slide_0", "valid_slide_1"}
    assert not any("No patient or slide" in note for note in known.notes())
    assert any("No patient or slide" in note and "train_meta.csv" in note for note in unknown.notes())
    drawn = data(tmp_path / "a", split="drawn", val_fraction=0.3, test_fraction=0.3)
    parts = {}
    for row in drawn.split_table():
        assert parts.setdefault(row.patient_id, row.split) == row.split
    assert set(parts.values()) == {"train", "val", "test"}


def test_one_slide_in_two_parts_is_refused(tmp_path):
    root = write_pcam(tmp_path / "pcam", meta=True)
    meta = root / f"{NAME}_test_meta.csv"
    meta.write_text(meta.read_text().replace("test_slide_0", "train_slide_0"))
    with pytest.raises(CaseTableError, match=r"train_slide_0 is in .*split: drawn"):
        data(root).spec()


def broken_pcam(root, what):
    x, y = root / f"{NAME}_train_x.h5", root / f"{NAME}_train_y.h5"
    if what == "packed":
        (root / f"{NAME}_train_x.h5.gz").write_bytes(b"\x1f\x8b")
        x.unlink()
    elif what == "labels lack":
        y.unlink()
    elif what == "cut off":
        x.write_bytes(x.read_bytes()[:600])
    elif what == "meta":
        (root / f"{NAME}_train_meta.csv").write_text("wsi\na\n")
    elif what == "twice":
        (root / "other_train_x.h5").write_bytes(x.read_bytes())
        (root / "other_train_y.h5").write_bytes(y.read_bytes())
    else:
        file, key, values = {
            "other key": (x, "images", np.zeros((12, 8, 8, 3), np.uint8)),
            "floats": (x, "x", np.zeros((12, 8, 8, 3), np.float32)),
            "grey": (x, "x", np.zeros((12, 8, 8), np.uint8)),
            "too few": (y, "y", np.zeros(11, np.uint8)),
            "not whole": (y, "y", np.full(12, 0.5)),
            "label 7": (y, "y", np.arange(12) % 8),
        }[what]
        with h5py.File(file, "w") as target:
            target[key] = values


@pytest.mark.parametrize(
    ("what", "error", "reason"),
    [
        ("packed", CaseTableError, "gunzip"),
        ("labels lack", CaseTableError, r"no labels beside it\. Add .*train_y\.h5"),
        ("cut off", StoreError, "train_x.h5 cannot be read"),
        ("meta", CaseTableError, "1 slides in column wsi for 12 patches"),
        ("twice", CaseTableError, "are both the part train"),
        ("other key", StoreError, "no dataset 'x'; it has images"),
        ("floats", StoreError, "float32, not bytes"),
        ("grey", StoreError, "not bytes"),
        ("too few", CaseTableError, r"\(11,\) of uint8 for the 12 patches"),
        ("not whole", CaseTableError, "float64 for the 12 patches"),
        ("label 7", CaseTableError, r"train_y.h5 row \d+ has label 7, but the classes are normal, tumour"),
    ],
)
def test_damaged_or_strange_hdf5_is_refused_in_one_line(tmp_path, what, error, reason):
    root = write_pcam(tmp_path / "pcam")
    broken_pcam(root, what)
    with pytest.raises(error, match=reason) as caught:
        data(root, classes=["normal", "tumour"]).spec()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_cut_off_while_it_is_read_stops_in_one_line(tmp_path, workers):
    made = data(write_pcam(tmp_path / "pcam"), num_workers=workers)
    made.spec()
    path = tmp_path / "pcam" / f"{NAME}_train_x.h5"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="changed since") as caught:
        batches(made.train_dataloader())
    assert "\n" not in str(caught.value)


def test_folders_of_classes_inside_folders_of_parts(tmp_path):
    made = data(write_folders(tmp_path / "patches", parts=("train", "valid", "test")))
    assert made.spec().classes == ("normal", "tumour") and made.spec().class_counts == (4, 4)
    rows = made.split_table()
    assert {row.split for row in rows} == {"train", "val", "test"}
    assert {row.case_id for row in rows if row.split == "val"} >= {"valid/normal/0.png", "valid/tumour/3.png"}
    assert any("No patient or slide" in note for note in made.notes())
    batch = batches(made.test_dataloader())
    for row, name in enumerate(batch.case_ids):
        stored = np.asarray(Image.open(tmp_path / "patches" / name))
        assert np.array_equal((batch.image("he")[row] * 255).round().byte().permute(1, 2, 0).numpy(), stored)
        assert made.spec().classes[batch.target[row]] == name.split("/")[1]


def test_folders_of_classes_alone_are_divided_by_group(tmp_path):
    root = write_folders(tmp_path / "all", parts=("",), count=10)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    table = tmp_path / "groups.csv"
    table.write_text("\n".join(["file,group", *(f"{name},p{number % 5}" for number, name in enumerate(files))]))
    made = data(root, groups=str(table), val_fraction=0.3, test_fraction=0.3)
    parts = {}
    for row in made.split_table():
        assert parts.setdefault(row.patient_id, row.split) == row.split
    assert set(parts) == {f"p{number}" for number in range(5)} and set(parts.values()) == {"train", "val", "test"}
    assert not any("No patient or slide" in note for note in made.notes())


def test_files_of_one_name_need_their_path_in_the_groups(tmp_path):
    root = write_folders(tmp_path / "all", parts=("",), count=1)
    for text, reason in [
        ("file,group\n0.png,p1\n", "no row for normal/0.png"),
        ("file,group\nnormal/0.png,p1\nnormal/0.png,p2\n", "line 3"),
        ("file\nnormal/0.png\n", "column group is missing"),
    ]:
        (tmp_path / "groups.csv").write_text(text)
        with pytest.raises(CaseTableError, match=reason):
            data(root, groups=str(tmp_path / "groups.csv")).spec()
    Image.fromarray(patch(0)).save(root / "normal" / "only.png")
    (tmp_path / "groups.csv").write_text("file,group\nnormal/0.png,a\ntumour/0.png,b\nonly.png,c\n")
    made = data(root, groups=str(tmp_path / "groups.csv"))
    assert {row.case_id: row.patient_id for row in made.split_table()}["normal/only.png"] == "c"


def strange_folder(root, what):
    if what == "empty":
        root.mkdir()
    elif what == "no class":
        write_folders(root, parts=("train",))
        Image.fromarray(patch(0)).save(root / "train" / "loose.png")
    elif what == "no images":
        write_folders(root, parts=("",))
        (root / "stroma").mkdir()
    elif what == "mixed":
        write_folders(root, parts=("train",))
        (root / "normal").mkdir()
    elif what == "two parts":
        write_folders(root, parts=("train", "val", "valid"))
    elif what == "part without classes":
        write_folders(root, parts=("train",))
        (root / "test").mkdir()
    elif what == "unknown class":
        write_folders(root, classes=("normal", "tumor"), parts=("",))


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("absent", "does not exist"),
        ("empty", "neither a folder per class nor PatchCamelyon"),
        ("no class", "images without a class, first loose.png"),
        ("no images", "stroma is the folder of a class and holds no image"),
        ("mixed", "normal beside folders of parts"),
        ("two parts", "two folders for the part val"),
        ("part without classes", "holds no folder of a class"),
        ("unknown class", "Did you mean tumour"),
    ],
)
def test_folders_that_are_laid_out_otherwise_are_refused(tmp_path, what, reason):
    strange_folder(tmp_path / "root", what)
    with pytest.raises(CaseTableError, match=reason):
        data(tmp_path / "root", classes=["normal", "tumour"] if what == "unknown class" else None).spec()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_is_named_in_one_line(tmp_path, workers):
    made = data(write_folders(tmp_path / "patches"), num_workers=workers)
    (tmp_path / "patches" / "train" / "tumour" / "2.png").write_bytes(b"not an image")
    with pytest.raises(ImageError, match=r"tumour/2\.png is no image") as caught:
        batches(made.train_dataloader())
    assert "\n" not in str(caught.value)


def test_order_and_augmentation_are_those_of_seed_epoch_and_patch_alone(tmp_path):
    root = write_pcam(tmp_path / "pcam")
    options = {"augment": Augment(rotation=0, quarter_turns=True)}
    first, second = (batches(data(root, num_workers=n, **options).train_dataloader()) for n in (0, 2))
    assert first.case_ids == second.case_ids != tuple(sorted(first.case_ids))
    assert torch.equal(first.image("he"), second.image("he"))
    plain = batches(data(root).train_dataloader())
    assert plain.case_ids == first.case_ids and not torch.equal(plain.image("he"), first.image("he"))
    assert batches(data(root, seed=1, **options).train_dataloader()).case_ids != first.case_ids


def test_the_demo_cohort_is_one_stain_of_its_patients(tmp_path):
    pictures = PatchPictures(cases_per_patient=2, size_px=16)
    made = data(None, demo=DemoCohort(patients=12), pictures=pictures, cache=str(tmp_path), size_px=16, modality="ihc")
    assert made.spec().classes == ("0", "1+", "2+", "3+") and made.spec()["ihc"].mpp == 1.0
    assert any("generated" in note for note in made.notes())
    batch = batches(made.predict_dataloader())
    assert len(batch) == 24 and batch.modalities == ("ihc",)
    again = data(made.cohort.origin.parent, size_px=16, modality="ihc")
    assert again.fingerprint() == made.fingerprint()
    assert torch.equal(batches(again.predict_dataloader()).image("ihc"), batch.image("ihc"))


def test_merged_labels_leave_patches_out_and_keep_the_others_on_their_pixels(tmp_path):
    root = write_folders(tmp_path / "scores", classes=("0", "2+", "3+"), parts=("",), count=4)
    made = data(root, label_map={"0": "low", "2+": "", "3+": "high"}, val_fraction=0.0, test_fraction=0.0)
    assert made.spec().classes == ("low", "high") and len(made.split_table()) == 8
    batch = batches(made.predict_dataloader())
    shown = {name: batch.image("he")[row] for row, name in enumerate(batch.case_ids)}
    stored = np.asarray(Image.open(root / "3+" / "1.png"))
    assert np.array_equal((shown["3+/1.png"] * 255).round().byte().permute(1, 2, 0).numpy(), stored)
    assert np.array_equal(made.picture("3+/1.png")["he"], stored)


def test_test_on_all_makes_every_patch_a_test_patch(tmp_path):
    made = data(write_pcam(tmp_path / "pcam"), test_on="all")
    assert len(batches(made.test_dataloader())) == 21
    with pytest.raises(CaseTableError, match="no training"):
        made.train_dataloader()


def test_the_fingerprint_changes_with_labels_parts_and_files(tmp_path):
    prints = {data(write_pcam(tmp_path / "a")).fingerprint(), data(write_pcam(tmp_path / "b")).fingerprint()}
    assert len(prints) == 1
    prints.add(data(tmp_path / "a", classes=["normal", "tumour"]).fingerprint())
    prints.add(data(tmp_path / "a", split="drawn").fingerprint())
    prints.add(data(write_pcam(tmp_path / "c", {**COUNTS, "train": 13})).fingerprint())
    assert len(prints) == 4


@pytest.mark.parametrize(
    "options", [{"size_px": 0}, {"batch_size": 0}, {"num_workers": -1}, {"mpp": 0.0}, {"val_fraction": 1.0}]
)
def test_options_out_of_range_are_refused(options, tmp_path):
    with pytest.raises(RecipeError, match=next(iter(options))):
        data(write_pcam(tmp_path / "pcam"), **options)


def test_groups_beside_hdf5_are_refused(tmp_path):
    with pytest.raises(CaseTableError, match=r"meta\.csv"):
        data(write_pcam(tmp_path / "pcam"), groups="groups.csv").spec()


def test_a_large_cohort_shares_what_its_patches_have_in_common(tmp_path):
    cases = data(write_pcam(tmp_path / "pcam", {"train": 300, "test": 40})).cohort.table.cases
    assert [case.row for case in cases] == [*range(300), *range(40)]
    # PatchCamelyon has a third of a million patches: a mapping of files for each would be large.
    assert len({id(case.files) for case in cases}) == 2


def test_drawn_parts_and_merged_labels_leave_every_patch_its_row(tmp_path):
    made = data(write_pcam(tmp_path / "pcam", meta=True), split="drawn", val_fraction=0.3, test_fraction=0.3, seed=3)
    batch = batches(made.predict_dataloader())
    rows = {case.case_id: case.row for case in made.cohort}
    start = {"train": 0, "val": 12, "test": 17}
    for place, name in enumerate(batch.case_ids):
        stored = patch(start[name.split("_")[0]] + rows[name])
        assert np.array_equal((batch.image("he")[place] * 255).round().byte().permute(1, 2, 0).numpy(), stored)
