"""Bags of patches read from slides: at stored coordinates or on a grid, sampled, augmented, masked, refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.bags.tiles import tiles_of_grid
from pathfuse.data.images.augment import Augment
from pathfuse.data.loading.options import Loading
from pathfuse.data.slide_patches import SlidePatches
from pathfuse.demo import DemoCohort, SlidePictures
from pathfuse.errors import CaseTableError, ImageError, PathfuseError, RecipeError, StoreError
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.macenko import Macenko
from pathfuse.slides.tissue import tissue_rule
from tests.data.pairs import write_table
from tests.slides.drawing import write_ome
from tests.store import foreign

GLASS = (242, 240, 243)
MPP = 4.0
EDGE = 32  # of a patch in level-0 pixels
PICTURES = SlidePictures(slide_px=192)


def slide(path, seed, box=(64, 64, 256, 192), size=(320, 256)):
    """Tissue with a pattern of its own, so that every patch is different, on glass."""
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:] = GLASS
    left, top, right, bottom = box
    random = np.random.default_rng(seed)
    colour = np.array([200, 80, 160]) + random.integers(-45, 45, (bottom - top, right - left, 3))
    pixels[top:bottom, left:right] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


PLACES = np.array([[64, 64], [96, 64], [128, 96], [200, 150], [300, 240]], np.int64)  # the last reaches over the edge


@pytest.fixture
def cohort(tmp_path):
    """Four cases; B has no IHC. Every slide has a feature file with the places above."""
    rows = []
    for number, (case, label, part) in enumerate(
        [("A", "0", "train"), ("B", "3+", "train"), ("C", "0", "val"), ("D", "3+", "test")]
    ):
        for stain in ("he", "ihc") if case != "B" else ("he",):
            name = f"{case}_{stain}"
            slide(tmp_path / "slides" / f"{name}.png", number * 10 + len(stain))
            places = PLACES[: 5 - number] if stain == "he" else PLACES[:4]
            values = foreign.features(len(places), 3, 0)
            foreign.trident(tmp_path / stain / f"{name}.h5", values, places, patch_size_level0=EDGE)
            rows.append(f"{case},P{case},{stain},slides/{name}.png,{label},{part},{MPP}")
    write_table(tmp_path / "cases.csv", "case_id,patient_id,modality,path,label,split,mpp", *rows)
    return tmp_path


WHO = ("stores", "mpp", "missing")
LOADING = ("batch_size", "num_workers", "seed")


def data(cohort, **options) -> SlidePatches:
    """Small patches; an option goes to the one of cohort, data module and loading that has it."""
    who = {name: options.pop(name) for name in WHO if name in options}
    how = {name: options.pop(name) for name in LOADING if name in options}
    stores = {m: str(cohort / m) for m in ("he", "ihc")}
    source = Cohort(cases=str(cohort / "cases.csv"), cache=str(cohort / "cache"), **{"stores": stores, **who})
    usual = {
        "size_px": 16,
        "read_mpp": 8.0,
        "augment": None,
        "patches_per_bag": None,
        "eval_patches_per_bag": None,
    }
    made = SlidePatches(source, **{**usual, **options})
    made.loading = Loading(**{"batch_size": 4, "num_workers": 0, **how})
    return made


def everything(patches) -> Batch:
    return Batch.cat(list(patches.predict_dataloader()))


def crop(path, x, y, edge=EDGE, size_px=16):
    """A patch by hand: white beside the slide, then the mean of every 2 x 2 pixels."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(float)
    padded = np.full((pixels.shape[0] + edge, pixels.shape[1] + edge, 3), 255.0)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    part = padded[y : y + edge, x : x + edge]
    step = edge // size_px
    return part.reshape(size_px, step, size_px, step, 3).mean((1, 3)).transpose(2, 0, 1) / 255


def test_every_patch_is_the_pixels_at_its_stored_place(cohort):
    batch = everything(data(cohort))
    assert batch.case_ids == ("A", "B", "C", "D")
    assert batch.x["he"].lengths.tolist() == [5, 4, 3, 2]
    assert batch.x["ihc"].lengths.tolist() == [4, 0, 4, 4]
    assert batch.present["ihc"].tolist() == [True, False, True, True]
    for stain in ("he", "ihc"):
        bags = batch.x[stain]
        for row, case in enumerate(bags.owner.tolist()):
            x, y = bags.coords[row].tolist()
            wanted = crop(cohort / "slides" / f"{batch.case_ids[case]}_{stain}.png", x, y)
            assert np.abs(bags.values[row].numpy() - wanted).max() <= 1 / 255
        assert bags.values.dtype == torch.float32


def test_the_spec_tells_patches_of_a_size_and_spacing(cohort):
    spec = data(cohort).spec()
    assert [(s.name, s.kind, s.width, s.size_px, s.mpp) for s in spec.modalities] == [
        ("he", "patches", 3, 16, 8.0),
        ("ihc", "patches", 3, 16, 8.0),
    ]
    assert spec.classes == ("0", "1+", "2+", "3+")
    assert spec.class_counts == (1, 0, 0, 1)


def test_a_batch_says_which_slide_and_where_a_patch_is(cohort):
    bags = everything(data(cohort)).x["he"]
    assert [info.slide_id for case in bags.slides for info in case] == ["A_he", "B_he", "C_he", "D_he"]
    assert {(info.mpp, info.patch_size_level0) for case in bags.slides for info in case} == {(MPP, EDGE)}
    assert bags.slide.tolist() == [0] * 14
    assert bags.coords[:5].tolist() == PLACES.tolist()


def test_on_a_grid_patches_have_tissue_and_do_not_overlap(cohort):
    batch = everything(data(cohort, stores=None, min_tissue=0.9))
    coords = batch.x["he"].coords[: batch.x["he"].lengths[0]]
    assert len(coords) >= 12  # 6 x 4 in the box, and its edge may be smoothed away
    assert (coords % EDGE == 0).all()
    assert len({tuple(place) for place in coords.tolist()}) == len(coords)
    assert ((coords >= 64) & (coords + EDGE <= torch.tensor([256, 192]))).all()


def test_one_stain_may_have_stored_places_and_the_other_a_grid(cohort):
    batch = everything(data(cohort, stores={"he": str(cohort / "he")}))
    assert batch.x["he"].lengths.tolist() == [5, 4, 3, 2]
    assert (batch.x["ihc"].coords % EDGE == 0).all() and len(batch.x["ihc"].values) > 12


def test_places_on_a_grid_are_found_once_and_found_again_when_the_cache_is_damaged(cohort, monkeypatch):
    first = everything(data(cohort, stores=None))
    files = sorted((cohort / "cache" / "places").iterdir())
    assert len(files) == 7
    files[0].write_bytes(b"half")
    assert everything(data(cohort, stores=None)).x["he"].coords.equal(first.x["he"].coords)
    monkeypatch.setattr("pathfuse.data.bags.tiles.tissue_mask", None)  # would be called if anything were looked for
    assert everything(data(cohort, stores=None)).x["he"].coords.equal(first.x["he"].coords)


def test_a_drawn_bag_depends_on_seed_and_epoch_alone(cohort):
    def drawn(**options):
        patches = data(cohort, patches_per_bag=2, eval_patches_per_bag=2, **options)
        return Batch.cat(list(patches.train_dataloader())), everything(patches)

    train, test = drawn()
    assert train.x["he"].lengths.tolist() == [2, 2]
    assert test.x["he"].lengths.tolist() == [2, 2, 2, 2]
    again, test_again = drawn(num_workers=2)
    assert again.case_ids == train.case_ids
    assert again.x["he"].values.equal(train.x["he"].values)
    assert test_again.x["he"].values.equal(test.x["he"].values)
    seeds = [drawn(seed=seed)[1].x["he"].coords for seed in range(4)]
    assert any(not other.equal(seeds[0]) for other in seeds[1:])


def test_each_epoch_draws_anew_and_evaluation_does_not(cohort):
    patches = data(cohort, patches_per_bag=2, eval_patches_per_bag=2)
    train, test = patches.train_dataloader(), patches.predict_dataloader()
    seen = []
    for epoch in range(6):
        train.sampler.set_epoch(epoch)
        test.sampler.set_epoch(epoch)
        batch = Batch.cat(list(train))
        row = batch.case_ids.index("A")
        seen.append((tuple(batch.x["he"].coords[batch.x["he"].owner == row].flatten().tolist()), everything(patches)))
    assert len({places for places, _ in seen}) > 1
    assert all(batch.x["he"].coords.equal(seen[0][1].x["he"].coords) for _, batch in seen)


@pytest.mark.parametrize("workers", [0, 2])
def test_only_training_patches_are_changed_each_by_its_own_draw(cohort, workers):
    augment = Augment(rotation=0, quarter_turns=True, intensity=0.3)
    plain = data(cohort)
    changed = data(cohort, augment=augment, num_workers=workers)
    assert everything(changed).x["he"].values.equal(everything(plain).x["he"].values)
    before, after = (Batch.cat(list(d.train_dataloader())).x["he"] for d in (plain, changed))
    assert after.coords.equal(before.coords)
    factors = after.values.mean((1, 2, 3)) / before.values.mean((1, 2, 3))
    assert len({round(float(factor), 3) for factor in factors}) > len(factors) // 2
    again = Batch.cat(list(data(cohort, augment=augment).train_dataloader())).x["he"]
    assert again.values.equal(after.values)


def test_normalised_patches_are_painted_one_by_one(cohort):
    painted = everything(data(cohort, normalise=["he"]))
    plain = everything(data(cohort))
    assert painted.x["ihc"].values.equal(plain.x["ihc"].values)
    for image, before in zip(painted.x["he"].values, plain.x["he"].values, strict=True):
        pixels = (before * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.abs(image.permute(1, 2, 0).numpy() * 255 - Macenko()(pixels)).max() < 0.01


def test_the_parts_flow_and_pictures_are_those_of_the_cohort(cohort):
    patches = data(cohort)
    assert [(row.case_id, row.split) for row in patches.split_table()] == [
        ("A", "train"),
        ("B", "train"),
        ("C", "val"),
        ("D", "test"),
    ]
    assert [(step.step, step.cases) for step in patches.flow()] == [
        ("in the table", 4), ("in use", 4), ("train", 2), ("val", 1), ("test", 1),
    ]  # fmt: skip
    pictures = patches.picture("A")
    assert {stain: picture.shape for stain, picture in pictures.items()} == {"he": (32, 32, 3), "ihc": (32, 32, 3)}
    assert (
        np.abs(pictures["he"][:16, :16] / 255 - crop(cohort / "slides" / "A_he.png", 64, 64).transpose(1, 2, 0)).max()
        < 0.01
    )
    assert set(patches.picture("B")) == {"he"}


def test_a_slide_without_tissue_is_absent_and_a_case_without_any_is_left_out(cohort):
    for name in ("A_ihc", "B_he"):
        slide(cohort / "slides" / f"{name}.png", 0, box=(0, 0, 0, 0))
    patches = data(cohort, stores=None)
    batch = everything(patches)
    assert batch.case_ids == ("A", "C", "D")
    assert batch.present["ihc"].tolist() == [False, True, True]
    assert any("1 cases have no patch of any stain and are left out: B" in note for note in patches.notes())
    assert ("left out: no he or ihc patch", 1) in [(step.step, step.cases) for step in patches.flow()]


def test_a_slide_without_a_feature_file_is_left_out_and_named(cohort):
    (cohort / "ihc" / "A_ihc.h5").unlink()
    patches = data(cohort)
    assert everything(patches).present["ihc"].tolist() == [False, False, True, True]
    assert "1 slides have no file in cohort.stores and are left out: A_ihc.png (ihc)." in patches.notes()


@pytest.mark.parametrize("features", ["A_he.h5", "A_he.ome.h5"])
def test_the_features_of_an_ome_tiff_are_found_with_and_without_its_second_suffix(cohort, features):
    before = everything(data(cohort))
    pixels = np.asarray(Image.open(cohort / "slides" / "A_he.png").convert("RGB"))
    write_ome(cohort / "slides" / "A_he.ome.tif", pixels, mpp=MPP)
    (cohort / "he" / "A_he.h5").rename(cohort / "he" / features)
    table = (cohort / "cases.csv").read_text().replace("A_he.png", "A_he.ome.tif")
    (cohort / "cases.csv").write_text(table)
    assert torch.equal(everything(data(cohort)).x["he"].values, before.x["he"].values)


def test_stored_patches_need_no_spacing(cohort):
    table = (cohort / "cases.csv").read_text().replace(f",{MPP}", ",")
    (cohort / "cases.csv").write_text(table)
    spec = data(cohort).spec()
    assert spec["he"].mpp is None
    assert len(everything(data(cohort)).x["he"].values) == 14


def refused(kind, told, make):
    with pytest.raises(kind, match=told) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_grid_without_a_spacing_is_refused(cohort):
    (cohort / "cases.csv").write_text((cohort / "cases.csv").read_text().replace(f",{MPP}", ","))
    refused(
        ImageError, "A_he.png has no usable mpp .* or for all slides with cohort.mpp", lambda: data(cohort, stores=None)
    )
    assert data(cohort, stores=None, mpp=4.0).spec()["he"].mpp == 8.0


def test_a_slide_coarser_than_asked_is_refused(cohort):
    refused(
        ImageError,
        "4 um per pixel, which is coarser than data.read_mpp 0.5",
        lambda: data(cohort, stores=None, read_mpp=0.5),
    )


@pytest.mark.parametrize("place", [(320, 0), (0, 256), (-EDGE, 0), (90_000, 40)])
def test_a_place_beside_the_slide_is_refused(cohort, place):
    foreign.trident(
        cohort / "he" / "A_he.h5",
        foreign.features(2, 3),
        np.array([[64, 64], place], np.int64),
        patch_size_level0=EDGE,
    )
    x, y = place
    refused(
        StoreError,
        rf"A_he.h5 row 1: the patch at \({x}, {y}\) lies outside A_he.png, .* 320 x 256 px",
        lambda: data(cohort),
    )


def test_a_feature_file_without_places_is_refused(cohort):
    (cohort / "he" / "A_he.h5").unlink()
    np.save(cohort / "he" / "A_he.npy", foreign.features(3, 3))
    refused(StoreError, "A_he.npy has no coords", lambda: data(cohort))


def test_folders_that_hold_other_slides_are_refused(cohort, tmp_path):
    foreign.trident(tmp_path / "else" / "Z.h5", foreign.features(2, 3), PLACES[:2], patch_size_level0=EDGE)
    stores = {m: str(tmp_path / "else") for m in ("he", "ihc")}
    refused(CaseTableError, "no slide has a file in cohort.stores, first A_he.png", lambda: data(cohort, stores=stores))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_slide_that_vanishes_is_one_line_from_any_process(cohort, workers):
    patches = data(cohort, num_workers=workers)
    patches.spec()
    loader = patches.predict_dataloader()
    gone = cohort / "slides" / "C_he.png"
    gone.unlink()
    refused(ImageError, f"{gone} does not exist or cannot be read", lambda: list(loader))


def test_a_slide_that_is_none_is_refused_before_training(cohort):
    (cohort / "slides" / "A_he.png").write_bytes(b"")
    refused(PathfuseError, "A_he.png", lambda: data(cohort))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"modalities": ["he", "he"]}, "each stain once"),
        ({"size_px": 0}, "data.size_px is 0"),
        ({"patches_per_bag": 0}, "data.patches_per_bag is 0; give at least 1, or null for all"),
        ({"read_mpp": -1.0}, "data.read_mpp is -1.0"),
        ({"overlap_px": 16}, "data.overlap_px is 16"),
        ({"min_tissue": 0.0}, "data.min_tissue 0.0"),
        ({"stores": {"ki67": "x"}}, "cohort.stores names 'ki67'"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(cohort, options, told):
    refused(RecipeError, told, lambda: data(cohort, **options))


def test_the_demo_slides_are_drawn_when_there_is_no_source(tmp_path):
    who = Cohort(demo=DemoCohort(patients=12), cache=str(tmp_path))
    patches = SlidePatches(who, pictures=PICTURES, size_px=32, patches_per_bag=3)
    patches.loading = Loading(num_workers=0)
    spec = patches.spec()
    assert spec["he"].mpp == PICTURES.mpp
    assert spec.class_counts == (1, 1, 1, 1)
    assert patches.notes()[0].startswith("The cohort is generated")
    batch = next(iter(patches.train_dataloader()))
    assert batch.x["he"].values.shape[1:] == (3, 32, 32)
    assert 0 <= batch.x["he"].values.min() and batch.x["he"].values.max() <= 1


def test_equal_slides_have_equal_places_and_the_cache_knows_grids_apart(tmp_path):
    path = slide(tmp_path / "s.png", 0)
    grid, rule = PatchGrid(16, 8.0), tissue_rule("he")
    made = [tiles_of_grid(path, mpp=MPP, grid=grid, rule=rule, cache=tmp_path / str(n)) for n in range(2)]
    assert np.array_equal(made[0].coords, made[1].coords) and len(made[0]) > 0
    other = tiles_of_grid(path, mpp=MPP, grid=PatchGrid(16, 8.0, overlap_px=8), rule=rule, cache=tmp_path / "0")
    assert len(other) > 2 * len(made[0])
