"""Slides to thumbnails: area means, the tissue box, the slide's own glass, and the cache."""

import numpy as np
import pytest
import torch
from PIL import Image

from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.images.thumbnail import Thumbnail
from pathfuse.data.images.thumbnail_augment import ThumbnailAugment, ThumbnailAugmenter
from pathfuse.data.loading.options import Loading
from pathfuse.data.slide_thumbnails import SlideThumbnails
from pathfuse.demo import DemoCohort, SlidePictures
from pathfuse.errors import ImageError, RecipeError
from pathfuse.slides.tissue import tissue_rule

GLASS, TISSUE = (240, 238, 242), (190, 90, 160)


def slide(path, box=(100, 60, 220, 140), size=(320, 256), tissue=TISSUE):
    """A rectangle of tissue on glass."""
    pixels = np.full((size[1], size[0], 3), GLASS, np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = tissue
    Image.fromarray(pixels).save(path)
    return path


def thumbnail(path, **options):
    return Thumbnail(**{"size_px": 64, "slide_mpp": {str(path): 8.0}, **options})(path)


def test_the_tissue_box_fills_the_longer_edge_and_the_rest_is_the_slides_glass(tmp_path):
    made = thumbnail(slide(tmp_path / "s.png"), margin=0.0)
    assert made.shape == (3, 64, 64)
    tissue = np.abs(made.transpose(1, 2, 0).astype(int) - TISSUE).max(-1) < 12
    rows, columns = np.flatnonzero(tissue.mean(1) > 0.5), np.flatnonzero(tissue.mean(0) > 0.5)
    assert len(columns) >= 60  # 120 px wide, and 80 high: two thirds of the square
    assert 38 <= len(rows) <= 44 and abs((rows[0] + rows[-1]) / 2 - 31.5) < 1.5
    assert made[:, 0, 0].tolist() == list(GLASS) and made[:, -1, -1].tolist() == list(GLASS)


def test_the_margin_is_a_fraction_of_the_box(tmp_path):
    path = slide(tmp_path / "s.png")
    narrow, wide = (thumbnail(path, margin=margin) for margin in (0.0, 0.25))
    share = [np.mean(np.abs(made[1].astype(int) - TISSUE[1]) < 30) for made in (narrow, wide)]
    assert share[1] == pytest.approx(share[0] / 1.5**2, rel=0.1)


def test_without_the_crop_the_whole_slide_is_padded(tmp_path):
    made = thumbnail(slide(tmp_path / "s.png"), crop=False)
    assert made[:, :6].reshape(3, -1).T.tolist() == [list(GLASS)] * (6 * 64)
    assert np.mean(np.abs(made[1].astype(int) - TISSUE[1]) < 30) == pytest.approx(120 * 80 / 320**2, rel=0.1)


def test_a_finer_slide_is_read_by_area_means(tmp_path):
    coarse = slide(tmp_path / "coarse.png")
    noise = np.random.default_rng(0).integers(-20, 21, (256, 320, 4, 4, 1))
    noise -= noise.mean((2, 3), keepdims=True).round().astype(int)
    pixels = np.asarray(Image.open(coarse)).astype(int)[:, :, None, None] + noise
    fine = tmp_path / "fine.png"
    Image.fromarray(np.clip(pixels, 0, 255).transpose(0, 2, 1, 3, 4).reshape(1024, 1280, 3).astype(np.uint8)).save(fine)
    one, two = thumbnail(coarse, crop=False), Thumbnail(64, crop=False, slide_mpp={str(fine): 2.0})(fine)
    assert np.abs(one.astype(int) - two).max() <= 4  # a nearest pixel would be off by up to 20


def test_unknown_mpp_and_a_blank_slide_are_one_line(tmp_path):
    path = slide(tmp_path / "s.png")
    with pytest.raises(ImageError, match=r"s\.png has no usable mpp"):
        Thumbnail(64)(path)
    blank = slide(tmp_path / "blank.png", tissue=GLASS)
    with pytest.raises(ImageError, match=r"blank\.png shows no tissue.*data.crop: false"):
        thumbnail(blank)


def test_settings_name_what_the_pixels_depend_on(tmp_path):
    base = Thumbnail(64, slide_mpp={"a": 2.0})
    assert base.settings() == Thumbnail(64, slide_mpp={"a": 2.0, "b": 2.0}).settings()
    others = [
        Thumbnail(64, slide_mpp={"a": 4.0}),
        Thumbnail(64, mpp=4.0, slide_mpp={"a": 2.0}),
        Thumbnail(64, crop=False, slide_mpp={"a": 2.0}),
        Thumbnail(64, rule=tissue_rule("ihc"), slide_mpp={"a": 2.0}),
        Thumbnail(64, slide_mpp={"a": 2.0, "b": 4.0}),
        Thumbnail(64, slide_mpp={"a": 4.0, "b": 2.0}),
    ]
    assert len({base.settings(), *(other.settings() for other in others)}) == 7


def demo(tmp_path, *, label_map=None, **how) -> SlideThumbnails:
    who = DemoCohort(patients=12, missing={"ihc": 0.3})
    cohort = Cohort(demo=who, label_map=label_map, cache=str(tmp_path))
    made = SlideThumbnails(cohort, pictures=SlidePictures(slide_px=96, mpp=8.0), size_px=32)
    made.loading = Loading(**{"batch_size": 4, "num_workers": 0, **how})
    return made


def test_the_demo_cohort_comes_as_thumbnails_with_absent_stains(tmp_path):
    data = demo(tmp_path, label_map="zero_low_high")
    spec = data.spec()
    assert [(m.name, m.kind, m.width, m.size_px) for m in spec.modalities] == [
        ("he", "image", 3, 32),
        ("ihc", "image", 3, 32),
    ]
    assert spec.classes == ("0", "low", "high")
    batch = Batch.cat(list(data.predict_dataloader()))
    assert batch.present["he"].all() and 0 < batch.present["ihc"].sum() < 12
    here = batch.image("ihc")[batch.present["ihc"]]
    assert here.shape[1:] == (3, 32, 32) and (here[:, :, 16, 16].mean(1) < here[:, :, 0, 0].mean(1)).all()


def test_a_second_look_reads_the_cache(tmp_path, monkeypatch):
    first = Batch.cat(list(demo(tmp_path).predict_dataloader()))
    monkeypatch.setattr(Thumbnail, "__call__", lambda *args: pytest.fail("a slide was read again"))
    again = Batch.cat(list(demo(tmp_path).predict_dataloader()))
    assert torch.equal(first.image("he"), again.image("he"))


def test_augmentation_depends_on_epoch_and_case_and_leaves_the_hue(tmp_path):
    images = torch.zeros(2, 3, 32, 32) + torch.tensor([0.9, 0.8, 0.95]).view(1, 3, 1, 1)
    images[:, :, 8:24, 10:20] = torch.tensor([0.5, 0.3, 0.2]).view(3, 1, 1)
    change = ThumbnailAugmenter(ThumbnailAugment(intensity=0.0, contrast=0.0), 32, seed=1)
    one, again, other = change(images.clone(), 0, 5), change(images.clone(), 0, 5), change(images.clone(), 1, 5)
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(one[0], one[1])  # one draw for all stains
    # Every pixel is a mixture of glass and tissue: nothing black or white turned in.
    for channel, (low, high) in enumerate(((0.5, 0.9), (0.3, 0.8), (0.2, 0.95))):
        assert one[:, channel].min() >= low - 1e-4 and one[:, channel].max() <= high + 1e-4


def test_nothing_to_change_changes_nothing():
    off = ThumbnailAugment(rotation=0.0, flips=False, intensity=0.0, contrast=0.0, quarter_turns=False, zoom=0.0)
    images = torch.rand(1, 3, 16, 16)
    assert torch.equal(ThumbnailAugmenter(off, 16, 0)(images.clone(), 3, 4), images)
    with pytest.raises(RecipeError, match=r"zoom is 1\.0"):
        ThumbnailAugment(zoom=1.0)


def test_the_balanced_sampler_is_an_option(tmp_path):
    data = demo(tmp_path, sampler="balanced", label_map="zero_low_high", batch_size=100)
    target = next(iter(data.train_dataloader())).target
    counts = torch.bincount(target, minlength=3)
    assert counts.max() - counts.min() <= 1
    assert data.spec().class_counts[1] > data.spec().class_counts[0]


@pytest.mark.parametrize("options", [{"read_mpp": 0.0}, {"margin": 1.0}, {"size_px": 0}])
def test_a_wrong_option_is_refused(options):
    with pytest.raises(RecipeError, match=next(iter(options))):
        SlideThumbnails(Cohort(), **options)
