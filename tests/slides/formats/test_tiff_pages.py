"""Pages, transparency, orientation and spacing of TIFF slides."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from pathfuse.errors import ImageError
from pathfuse.slides.opening import open_slide
from pathfuse.slides.spacing import given_spacing, stated_spacing

APERIO = "Aperio Leica Biosystems v1.0\r\n512x512 [0,0 512x512] (256x256) |AppMag = 20|MPP = {mpp}"


@pytest.fixture
def glass():
    image = np.full((512, 512, 3), 245, np.uint8)
    image[100:300, 60:400] = (200, 120, 170)
    return image


def whole(path):
    with open_slide(path) as slide:
        return slide.size, slide.spacing.mpp, slide.read_level(0, 0, 0, *slide.size)


@pytest.mark.parametrize(("mpp", "read"), [("0.4990", 0.499), ("4.99e-1", 0.499), ("0,25", 0.25)])
def test_a_thumbnail_in_front_is_not_the_slide(tmp_path, glass, mpp, read):
    path = tmp_path / "s.svs"
    with tifffile.TiffWriter(path) as file:
        text = APERIO.format(mpp=mpp)
        file.write(glass[::4, ::4].copy(), photometric="rgb", description=text, metadata=None, rowsperstrip=16)
        file.write(glass, photometric="rgb", tile=(256, 256), description=text, metadata=None)
    size, spacing, pixels = whole(path)
    assert size == (512, 512) and spacing == pytest.approx(read) and np.array_equal(pixels, glass)


def test_a_large_label_in_strips_is_not_the_slide(tmp_path, glass):
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.full((700, 900, 3), 90, np.uint8), photometric="rgb", metadata=None)
        file.write(glass, photometric="rgb", tile=(256, 256), metadata=None)
    assert whole(path)[0] == (512, 512)


def test_what_is_transparent_is_glass(tmp_path, glass):
    alpha = np.where(glass.sum(2, keepdims=True) > 700, 0, 255).astype(np.uint8)
    colours = np.where(alpha == 0, 0, glass).astype(np.uint8)
    white = np.where(alpha == 0, 255, glass).astype(np.uint8)
    for kind in ("unassalpha", "assocalpha"):
        path = tmp_path / f"{kind}.tif"
        tifffile.imwrite(path, np.dstack([colours, alpha]), photometric="rgb", extrasamples=[kind], tile=(256, 256))
        assert np.array_equal(whole(path)[2], white)


def test_half_transparent_colours_are_mixed_with_white(tmp_path):
    pixels = np.full((64, 64, 4), (100, 0, 200, 128), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"], tile=(64, 64))
    mixed = whole(tmp_path / "a.tif")[2][0, 0].astype(float)
    assert mixed == pytest.approx(np.array([100, 0, 200]) * 128 / 255 + 127, abs=1)


def test_strips_that_pillow_decodes_keep_the_spacing_of_their_tags(tmp_path, glass):
    Image.fromarray(glass).save(tmp_path / "s.tif", compression="tiff_lzw", dpi=(50800, 50800))
    assert whole(tmp_path / "s.tif")[1] == pytest.approx(0.5)


def test_a_turned_photograph_is_turned_back_and_a_turned_slide_refused(tmp_path, glass):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(glass[:256]).save(tmp_path / "a.jpg", exif=exif)
    assert whole(tmp_path / "a.jpg")[0] == (256, 512)
    tifffile.imwrite(tmp_path / "a.tif", glass, photometric="rgb", tile=(256, 256), extratags=[(274, "H", 1, 3, True)])
    with pytest.raises(ImageError, match="tag Orientation is 3"):
        whole(tmp_path / "a.tif")


@pytest.mark.parametrize("mpp", [0.02, 50.0, float("nan"), -1.0])
def test_a_spacing_that_no_scanner_has_is_refused(tmp_path, mpp):
    assert stated_spacing(mpp, mpp).mpp is None
    with pytest.raises(ImageError, match="is no spacing"):
        given_spacing(tmp_path / "a.tif", mpp)
