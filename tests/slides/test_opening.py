import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pathfuse.errors import ImageError
from pathfuse.slides.formats.tiff import TiffSlide
from pathfuse.slides.opening import open_slide
from pathfuse.slides.spacing import Spacing
from tests.conftest import DATA, needs_data
from tests.slides.drawing import section, write_ome, write_pyramid


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return section(700)[:600]


def flat(path: Path, image: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(
        path, image, photometric="rgb", resolution=(20000, 20000), resolutionunit=3, metadata=None, **options
    )
    return path


def forms(folder: Path, image: np.ndarray) -> dict[str, Path]:
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    alpha = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    Image.fromarray(image).save(folder / "plain.png")
    Image.fromarray(alpha).save(folder / "alpha.png")
    return {
        "pyramid": write_pyramid(folder / "pyramid.tiff", image),
        "ome": write_ome(folder / "ome.ome.tif", image),
        "strips": flat(folder / "strips.tif", image, rowsperstrip=64),
        "one strip": flat(folder / "strip.tif", image, rowsperstrip=600),
        "deflate": flat(folder / "deflate.tif", image, compression="zlib", rowsperstrip=50),
        "planes": flat(folder / "planes.tif", planes, planarconfig="separate"),
        "tiled": flat(folder / "tiled.tif", image, tile=(128, 128)),
        "png": folder / "plain.png",
        "alpha": folder / "alpha.png",
        "non-ascii": write_pyramid(folder / "Präparat 😐.tiff", image),
    }


def test_every_form_gives_the_same_pixels(tmp_path: Path, image: np.ndarray) -> None:
    for name, path in forms(tmp_path, image).items():
        with open_slide(path, mpp=0.5) as slide:
            assert slide.size == (700, 600), name
            assert np.array_equal(slide.read(130, 70, 256, 256), image[70:326, 130:386]), name
            half = slide.read(100, 50, 400, 200).astype(int)
            means = image[50:450, 100:500].reshape(200, 2, 200, 2, 3).mean((1, 3))
            assert np.abs(half - means).max() <= 1, name


def test_what_lies_outside_is_white(tmp_path: Path, image: np.ndarray) -> None:
    for name, path in forms(tmp_path, image).items():
        with open_slide(path, mpp=0.5) as slide:
            patch = slide.read_level(0, 650, 560, 100, 100)
        assert np.array_equal(patch[:40, :50], image[560:, 650:]), name
        assert (patch[40:] == 255).all() and (patch[:, 50:] == 255).all(), name


def test_spacing_comes_from_the_file_or_from_the_user(tmp_path: Path, image: np.ndarray) -> None:
    for name, path in forms(tmp_path, image).items():
        with open_slide(path) as slide:
            if path.suffix == ".png":
                with pytest.raises(ImageError, match="no usable mpp"):
                    _ = slide.mpp
            else:
                assert slide.mpp == pytest.approx(0.5, rel=1e-4), name
        with open_slide(path, mpp=0.25) as slide:
            assert slide.mpp == 0.25


def test_the_level_is_the_nearest_that_is_fine_enough(tmp_path: Path, image: np.ndarray) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tiff", image, levels=3)) as slide:
        found = [slide.level_for(ratio) for ratio in (0.5, 1, 1.9, 1.995, 2, 3.9, 4, 100)]
    assert found == [0, 0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_a_print_resolution_is_no_spacing(tmp_path: Path, image: np.ndarray, dpi: int) -> None:
    path = tmp_path / "dpi.tif"
    tifffile.imwrite(path, image, photometric="rgb", resolution=(dpi, dpi), resolutionunit=2, metadata=None)
    with open_slide(path) as slide, pytest.raises(ImageError, match=f"{25400 / dpi:.4g} um per pixel.*--slide-mpp"):
        _ = slide.mpp


def test_oblong_pixels_and_missing_units_are_refused(tmp_path: Path, image: np.ndarray) -> None:
    for number, (resolution, unit, why) in enumerate(
        [((20000, 10000), 3, "across"), ((20000, 20000), 1, "states none")]
    ):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, image, photometric="rgb", resolution=resolution, resolutionunit=unit, metadata=None)
        with open_slide(path) as slide, pytest.raises(ImageError, match=why):
            _ = slide.mpp


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), 352.8])
def test_an_absurd_spacing_of_the_user_is_refused(tmp_path: Path, image: np.ndarray, mpp: float) -> None:
    with pytest.raises(ImageError, match="mpp"):
        open_slide(write_pyramid(tmp_path / "a.tiff", image), mpp=mpp)


def test_sixteen_bits_and_many_channels_are_refused(tmp_path: Path, image: np.ndarray) -> None:
    deep, many = tmp_path / "deep.tif", tmp_path / "many.ome.tif"
    tifffile.imwrite(deep, image.astype(np.uint16) * 256, photometric="rgb", tile=(128, 128))
    tifffile.imwrite(
        many, np.zeros((5, 64, 64), np.uint8), photometric="minisblack", metadata={"axes": "CYX"}, ome=True
    )
    with pytest.raises(ImageError, match="16 bits"):
        open_slide(deep)
    with pytest.raises(ImageError, match="axes CYX"):
        open_slide(many)


@pytest.mark.parametrize("form", ["pyramid", "strips", "deflate", "png"])
def test_a_file_cut_short_is_an_error_and_never_garbage(tmp_path: Path, image: np.ndarray, form: str) -> None:
    path = forms(tmp_path, image)[form]
    whole = path.read_bytes()
    for share in (0.999, 0.7, 0.3, 0.01):
        cut = tmp_path / f"cut{path.suffix}"
        cut.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match=r"cut\.(tiff?|png)"), open_slide(cut, mpp=0.5) as slide:
            for level, size in enumerate(slide.levels):
                slide.read_level(level, 0, 0, size.width, size.height)


def test_what_is_no_slide_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").touch()
    (tmp_path / "text.svs").write_text("no slide")
    (tmp_path / "folder.svs").mkdir()
    for name in ("empty.svs", "text.svs", "folder.svs", "absent.svs"):
        with pytest.raises(ImageError, match=name):
            open_slide(tmp_path / name)


def test_an_overview_is_the_same_however_it_is_cut(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tiff", image, levels=1)) as slide:
        whole = slide.overview(3.3)
        monkeypatch.setattr("pathfuse.slides.slide.READ_PX", 64)
        parts = slide.overview(3.3)
    assert whole.shape == (91, 106, 3)
    assert np.abs(whole.astype(int) - parts).max() <= 1


def test_without_the_extra_the_error_names_it(tmp_path: Path, image: np.ndarray) -> None:
    (tmp_path / "a.ndpi").write_bytes(write_pyramid(tmp_path / "a.tiff", image).read_bytes())
    write_ome(tmp_path / "a.ome.tif", image)
    script = (
        "import sys; sys.modules['openslide'] = None\n"
        "from pathfuse.slides.opening import open_slide\n"
        f"print(open_slide({str(tmp_path / 'a.ome.tif')!r}).mpp, open_slide({str(tmp_path / 'a.tiff')!r}).mpp)\n"
        f"open_slide({str(tmp_path / 'a.ndpi')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0.5", "0.5"]
    assert "pip install 'pathfuse[wsi]'" in done.stderr.splitlines()[-1]


@needs_data
def test_real_slides_open_or_say_why() -> None:
    pytest.importorskip("openslide")
    with open_slide(DATA / "wsi" / "cmu-1-small-region.svs") as slide:
        assert slide.size == (2220, 2967) and slide.mpp == pytest.approx(0.499)
        assert slide.read(1000, 1000, 256, 256).std() > 10
    folder = DATA / "wsi" / "openslide-python"
    with open_slide(folder / "boxes_0.dcm") as slide:
        assert slide.mpp == pytest.approx(0.499) and slide.read(0, 0, 16, 16).shape == (16, 16, 3)
    with open_slide(folder / "boxes.tiff") as slide, pytest.raises(ImageError, match=r"352\.8"):
        _ = slide.mpp
    with open_slide(folder / "\N{NEUTRAL FACE}.svs") as slide:
        assert slide.size == (16, 16)
    with pytest.raises(ImageError, match="unopenable"):
        open_slide(folder / "unopenable.tiff")
    with open_slide(folder / "unreadable.svs") as slide:
        for _ in range(2):
            with pytest.raises(ImageError, match="unreadable"):
                slide.read(0, 0, 16, 16)


@needs_data
def test_our_reader_and_openslide_see_the_same_pixels() -> None:
    pytest.importorskip("openslide")
    from pathfuse.slides.formats.vendor import VendorSlide

    path = DATA / "wsi" / "cmu-1-small-region.svs"
    with open_slide(path) as ours, VendorSlide(path, Spacing(None)) as theirs:
        assert isinstance(ours, TiffSlide) and ours.levels == theirs.levels and ours.mpp == pytest.approx(theirs.mpp)
        for box in [(0, 0, 500, 400), (701, 1303, 333, 222), (2000, 2800, 400, 300)]:
            one, other = ours.read_level(0, *box), theirs.read_level(0, *box)
            assert np.abs(one.astype(int) - other).max() <= 1


@needs_data
def test_a_truncated_svs_is_an_error(tmp_path: Path) -> None:
    whole = (DATA / "wsi" / "cmu-1-small-region.svs").read_bytes()
    for share in (0.9, 0.5, 0.05):
        path = tmp_path / "cut.svs"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match=r"cut\.svs"), open_slide(path) as slide:
            slide.overview(8)
