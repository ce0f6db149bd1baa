import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from skimage.draw import polygon2mask

from pathfuse.slides.outline import contour_picture, geojson, outlines, write_geojson
from tests.slides.drawing import disc

SCALE = (16.0, 16.0)


def masks() -> list[np.ndarray]:
    ring = disc(60, 80, (30, 30), 22) & ~disc(60, 80, (30, 30), 9)
    corner = np.zeros((20, 30), bool)
    corner[:8, :8] = corner[8:14, 8:14] = True  # two squares that touch at a corner
    full = np.ones((10, 12), bool)
    ragged = np.random.default_rng(0).random((40, 40)) > 0.55
    return [ring, corner, full, ragged, ring | np.roll(ring, 35, 1)]


def as_qupath_reads(text: str) -> list[dict]:
    """The rules of QuPath for what it reads of a GeoJSON file."""
    top = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    objects = []
    for feature in top["features"] if isinstance(top, dict) else top:
        own = feature["properties"]
        if "classification" in own and isinstance(own["classification"], dict):
            assert "name" in own["classification"] and len(own["classification"]["color"]) == 3
        assert isinstance(own.get("name", ""), str)
        assert all(isinstance(value, int | float) for value in own.get("measurements", {}).values())
        assert "type" not in own
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1] and len(ring) >= 4
        objects.append({"kind": own.get("objectType", "annotation"), "id": UUID(feature["id"]), **own})
    return objects


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
    objects = as_qupath_reads((tmp_path / "a.geojson").read_text())
    assert [one["kind"] for one in objects] == ["annotation"] * len(pieces)
    area = sum(one["measurements"]["area_mm2"] for one in objects)
    assert area == pytest.approx(masks()[4].sum() * (16 * 0.5 / 1000) ** 2, rel=0.05)
    assert geojson(pieces, slide_id="a", mpp=0.5) == geojson(pieces, slide_id="a", mpp=0.5)
    assert as_qupath_reads(json.dumps(geojson([], slide_id="a", mpp=0.5))) == []


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
