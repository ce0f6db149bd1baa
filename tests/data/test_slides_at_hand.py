"""The picture of a region is that of the slide, whatever is read at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pathfuse.cohort.table import Case, CaseFile
from pathfuse.core import SlideInfo
from pathfuse.data import slides_at_hand
from pathfuse.data.slides_at_hand import SlidesAtHand
from pathfuse.errors import RecipeError
from pathfuse.explain.heat_map import write_heat_map
from pathfuse.explain.places import SlideScores


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A slide of 512 px whose left half is dark, in a folder below."""
    pixels = np.full((512, 512, 3), 250, np.uint8)
    pixels[:, :256] = 40
    (tmp_path / "slides" / "more").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "slides" / "more" / "a.b.tif", pixels, tile=(128, 128), photometric="rgb",
                     resolution=(20000, 20000), resolutionunit="CENTIMETER")  # fmt: skip
    return tmp_path / "slides"


def test_slides_that_the_cases_name_are_at_hand_without_a_folder(folder: Path) -> None:
    slide = next(folder.rglob("*.tif"))
    cases = [Case("c", "c", files={"he": (CaseFile(slide),), "ihc": (CaseFile(folder / "a.h5"),)})]
    at_hand = SlidesAtHand.of_cases(cases, {})
    assert at_hand is not None and at_hand.known == {("he", "a.b"): slide}
    region = at_hand("he", "a.b", (0.0, 0.0, 256.0, 256.0), 64)
    assert region is not None and (region == 40).all() and at_hand("ihc", "a", (0.0, 0.0, 9.0, 9.0), 9) is None
    assert SlidesAtHand.of_cases([Case("c", "c", files={"ihc": (CaseFile(folder / "a.h5"),)})], {}) is None


def test_a_region_is_read_in_parts_and_reduced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand = SlidesAtHand({"he": folder})
    whole = at_hand("he", "a.b", (0.0, 0.0, 512.0, 256.0), 128)
    assert whole is not None and whole.shape == (64, 128, 3)
    assert (whole[:, :64] == 40).all() and (whole[:, 64:] == 250).all()
    monkeypatch.setattr(slides_at_hand, "PART_PX", 100)
    np.testing.assert_array_equal(at_hand("he", "a.b", (0.0, 0.0, 512.0, 256.0), 128), whole)
    right = at_hand("he", "a.b", (256.0, 0.0, 256.0, 256.0), 1000)
    assert right is not None and right.shape == (256, 256, 3) and (right == 250).all()


def test_a_slide_that_is_not_there_has_no_picture_and_a_folder_that_is_not_is_refused(folder: Path) -> None:
    assert SlidesAtHand({"he": folder})("he", "other", (0.0, 0.0, 1.0, 1.0), 10) is None
    assert SlidesAtHand({"he": folder})("ihc", "a.b", (0.0, 0.0, 1.0, 1.0), 10) is None
    with pytest.raises(RecipeError, match="is no folder"):
        SlidesAtHand({"he": folder / "nowhere"})


def test_two_slides_of_one_name_are_told_apart_by_the_folder_of_their_stain_or_refused(folder: Path) -> None:
    first = next(folder.rglob("*.tif"))
    for name in ("HE", "ihc"):
        (folder / name).mkdir()
    other = np.full((64, 64, 3), 90, np.uint8)
    tifffile.imwrite(folder / "ihc" / "a.b.tif", other, photometric="rgb")
    first.rename(folder / "HE" / first.name)
    box = (0.0, 0.0, 32.0, 32.0)
    at_hand = SlidesAtHand({"he": folder, "ihc": folder})
    dark, grey = at_hand("he", "a.b", box, 8), at_hand("ihc", "a.b", box, 8)
    assert dark is not None and (dark == 40).all() and grey is not None and (grey == 90).all()
    (folder / "HE").rename(folder / "more2")
    with pytest.raises(RecipeError, match=r"both called a\.b\. Name the folder of each stain: --slides '\{he: DIR\}'"):
        SlidesAtHand({"he": folder})("he", "a.b", box, 8)


def test_attention_lies_over_tissue_where_the_slide_is_at_hand(folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    places = np.array([[0, 0], [384, 384]])
    one = SlideScores("case", "he", SlideInfo("a.b", 0.5, 128.0), np.array([0.1, 0.9]), np.array([25.0, 75.0]), places)
    dark = {}
    for name, tissue in (("without", None), ("with", SlidesAtHand({"he": folder}))):
        write_heat_map(tmp_path / f"{name}.png", one, "predicted 2+ (0.83), true 3+", tissue)
        with Image.open(tmp_path / f"{name}.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        dark[name] = int((np.abs(pixels - 40).max(2) < 4).sum())
    assert dark["with"] > 20 * (dark["without"] + 1)


def test_capitals_of_a_stain_and_a_folder_of_thumbnails_do_not_matter(folder: Path) -> None:
    first = next(folder.rglob("*.tif"))
    for place in ("Ki67", "HE"):
        (folder / place).mkdir()
        shutil.copy(first, folder / place / "s.tif")
    assert SlidesAtHand({"Ki67": folder})._path("Ki67", "s") == folder / "Ki67" / "s.tif"
    (folder / "thumbs").mkdir()
    for place in (folder, folder / "thumbs"):
        shutil.copy(first, place / "t.tif")
    assert SlidesAtHand({"he": folder})._path("he", "t") == folder / "t.tif"
    assert (
        SlidesAtHand({"he": folder}, {("he", "s"): folder / "HE" / "s.tif"})._path("he", "s") == folder / "HE" / "s.tif"
    )
