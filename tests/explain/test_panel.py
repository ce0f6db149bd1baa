"""What the page of an explanation shows of bags beside their maps: the patches with the highest and lowest scores."""

import base64
import io

import numpy as np
from PIL import Image

from pathfuse.core import SlideInfo
from pathfuse.explain.panel import page
from pathfuse.explain.panel.page import Panels
from pathfuse.explain.places import SlideScores

EDGE = 32


def greys(sheet: str) -> list[int]:
    """The grey of every patch of a sheet, from left to right."""
    kind, _, data = sheet.partition(";base64,")
    assert kind == "data:image/jpeg"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[0] == page.PATCH_PX
    return [int(pixels[48, left + 48]) for left in range(0, pixels.shape[1], page.PATCH_PX + 4)]


def tissue(stain, slide, region, longest):
    """Every patch has a grey of its own: ten times its number."""
    left, top, wide, tall = region
    assert (stain, slide, top) == ("he", "s", 0)
    if longest != page.PATCH_PX:
        return np.full((20, 200, 3), 255, np.uint8)
    assert (wide, tall) == (EDGE, EDGE)
    return np.full((longest, longest, 3), 10 * left / EDGE, np.uint8)


def layer(score, tissue):
    places = np.stack([np.arange(len(score)) * EDGE, np.zeros(len(score))], 1).astype(np.int64)
    rank = 100 * (np.argsort(np.argsort(score)) + 0.5) / len(score)
    panels = Panels()
    one = SlideScores("a", "he", SlideInfo("s", 0.5, EDGE), np.asarray(score), rank, places)
    panels.add_bag({"case_id": "a"}, {"Attention": (one,)}, tissue)
    (shown,) = panels.shown["a"]
    return shown


def test_sheets_show_the_patches_with_the_highest_and_the_lowest_scores_in_order() -> None:
    score = np.random.default_rng(0).permutation(20).astype(float)
    shown, best = layer(score, tissue), np.argsort(-score)
    assert np.allclose(greys(shown.top), 10 * best[: page.SHEET], atol=2)
    assert np.allclose(greys(shown.bottom), 10 * best[::-1][: page.SHEET], atol=2)


def test_a_slide_of_few_patches_shows_all_of_them_and_equal_ones_stay_in_order() -> None:
    shown = layer([5.0, 5.0, 7.0], tissue)
    assert np.allclose(greys(shown.top), [20, 0, 10], atol=2) and np.allclose(greys(shown.bottom), [10, 0, 20], atol=2)


def test_without_a_slide_there_are_no_sheets() -> None:
    for nothing in (None, lambda *_: None):
        shown = layer([1.0, 2.0], nothing)
        assert shown.top == shown.bottom == shown.tissue == ""
