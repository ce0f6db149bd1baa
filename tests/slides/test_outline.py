import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import polygon2mask

from pathfuse.slides.outline import contour_picture, geojson, outlines, write_geojson
from tests.qupath import shown_in_qupath
from tests.slides.drawing import disc

SCALE = (16.0, 16.0)


def masks() -> list[np.ndarray]:
    ring = disc(60, 80, (30, 30), 22) & ~disc(60, 80, (30, 30), 9)
    corner = np.zeros((20, 30), bool)
    corner[:8, :8] = corner[8:14, 8:14] = True  # two squares that touch at a corner
    full = np.ones((10, 12), bool)
    ragged = np.random.default_rng(0).random((40, 40)) > 0.55
    return [ring, corner, full, ragged, ring | np.roll(ring, 35, 1)]


@pytest.mark.parametrize("number", range(5))
def test_polygons_enclose_the_pixels_of_the_mask(number: int) -> None:
    mask = masks()[number]
    back = np.zeros_like(mask)
    for piece in outlines(mask, SCALE):
        points = lambda ring: ring[:, ::-1] / 16 - 0.5  # noqa: E731 - (row, column) of pixel centres
        inside = polygon2mask(mask.shape, points(piece.outer))
        for hole in piece.holes:
            inside &= ~polygon2mask(mask.shape, points(hole))
        back |= inside
    assert np.array_equal(back, mask)


@pytest.mark.parametrize("number", range(5))
def test_rings_are_closed_and_do_not_cross_themselves(number: int) -> None:
    for piece in outlines(masks()[number], SCALE):
        for ring in (piece.outer, *piece.holes):
            assert np.array_equal(ring[0], ring[-1])
            assert (
                len(np.unique(ring[:-1], axis=0)) == len(ring) - 1
            )  # marching squares: crossing needs a repeated point


def test_pieces_and_holes_are_told_apart() -> None:
    assert [len(piece.holes) for piece in outlines(masks()[0], SCALE)] == [1]
    assert len(outlines(masks()[1], SCALE)) == 2
    assert outlines(np.zeros((5, 5), bool), SCALE) == []


def test_coordinates_are_level_0_pixels() -> None:
    piece = outlines(np.ones((10, 12), bool), (16.0, 20.0))[0]
    assert piece.outer.min(0) == pytest.approx([0, 0], abs=0.01) and piece.outer.max(0) == pytest.approx([192, 200])


def test_the_file_is_read_as_annotations_by_the_rules_of_qupath(tmp_path: Path) -> None:
    pieces = outlines(masks()[4], SCALE)
    write_geojson(tmp_path / "a.geojson", pieces, slide_id="a", mpp=0.5)
    objects = shown_in_qupath((tmp_path / "a.geojson").read_text())
    assert [(one.kind, one.classification, one.locked, one.name) for one in objects] == [
        ("annotation", "Tissue", True, f"tissue {number}") for number in range(len(pieces))
    ]
    assert None not in {one.id for one in objects} and len({one.id for one in objects}) == len(pieces)
    area = sum(one.measurements["area_mm2"] for one in objects)
    assert area == pytest.approx(masks()[4].sum() * (16 * 0.5 / 1000) ** 2, rel=0.05)
    assert area == pytest.approx(sum(one.geometry.area for one in objects) * (0.5 / 1000) ** 2, rel=1e-5)
    assert geojson(pieces, slide_id="a", mpp=0.5) == geojson(pieces, slide_id="a", mpp=0.5)
    assert shown_in_qupath(json.dumps(geojson([], slide_id="a", mpp=0.5))) == []


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.bool_, st.tuples(st.integers(1, 11), st.integers(1, 11)), elements=st.sampled_from([True, True, False])),
    st.tuples(*[st.floats(0.5, 64)] * 2),
    st.tuples(*[st.integers(0, 3000)] * 2),
)
def test_any_mask_is_valid_shapes_that_hold_its_pixels_and_no_other(mask, scale, origin) -> None:
    """Pieces with holes, pieces within holes, and pixels that touch at a corner."""
    pieces = outlines(mask, scale)
    shown = shown_in_qupath(json.dumps(geojson(pieces, slide_id="a", mpp=0.5, origin=origin)))
    rows, columns = np.indices(mask.shape)
    x, y = (columns + 0.5) * scale[0] - origin[0], (rows + 0.5) * scale[1] - origin[1]
    held = [shapely.contains_xy(one.geometry, x, y) for one in shown]
    assert np.array_equal(np.sum(held, axis=0) if held else np.zeros(mask.shape), mask), "each pixel in one piece"
    assert sum(len(one.geometry.interiors) for one in shown) == sum(len(piece.holes) for piece in pieces)
    for one, other in combinations(shown, 2):
        assert one.geometry.intersection(other.geometry).area <= 1e-2


def test_the_picture_shows_the_contours() -> None:
    mask = masks()[0]
    picture = np.asarray(contour_picture(np.full((60, 80, 3), 240, np.uint8), outlines(mask, SCALE), SCALE))
    assert max(picture.shape) == 1600
    changed = (picture != 240).any(-1)
    assert changed[600 - 10 : 600 + 10, int((30.5 + 22) * 20) - 25 : int((30.5 + 22) * 20) + 25].any()  # the right edge
    assert not changed[:40].any()


def test_outlines_for_qupath_count_from_the_part_that_was_scanned():
    pieces = outlines(masks()[0], SCALE)
    whole, shown = (geojson(pieces, slide_id="s", mpp=0.5, origin=origin) for origin in ((0, 0), (100, 40)))
    for one, other in zip(whole["features"], shown["features"], strict=True):
        for ring, moved in zip(one["geometry"]["coordinates"], other["geometry"]["coordinates"], strict=True):
            np.testing.assert_allclose(np.array(ring) - [100, 40], moved, atol=0.011)


def test_the_grid_of_patches_is_drawn_on_the_contours():
    overview = np.full((60, 80, 3), 255, np.uint8)
    corners = np.array([[320, 320], [640, 480]])
    plain = np.asarray(contour_picture(overview, [], SCALE))
    drawn = np.asarray(contour_picture(overview, [], SCALE, patches=corners, edge=128))
    changed = np.argwhere((plain != drawn).any(-1))  # rows, columns at 20 px per pixel of the overview
    assert changed.min(0).tolist() == [400, 400] and changed.max(0).tolist() == [
        (480 + 128) / 16 * 20,
        (640 + 128) / 16 * 20,
    ]
