"""The port of QuPath's reading rules, against the traps that are known of it."""

import json
from math import isnan

import pytest

from tests.qupath import ImportFails, shown_in_qupath

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}
HOLE = [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]


def shown(geometry=SQUARE, beside=None, **properties):
    feature = {"type": "Feature", "geometry": geometry, "properties": properties, **(beside or {})}
    (one,) = shown_in_qupath(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return one


def test_everything_but_geometry_and_id_is_read_from_properties() -> None:
    trap = shown(beside={"objectType": "tile", "measurements": {"score": 1.0}}, score=2.0)
    assert (trap.kind, trap.measurements) == ("annotation", {})
    one = shown(objectType="tile", name="patch 0", measurements={"score": 0.5}, isLocked=True, metadata={"a": "b"})
    assert (one.kind, one.name, one.measurements) == ("tile", "patch 0", {"score": 0.5})
    assert one.locked and one.metadata == {"a": "b"} and one.geometry.area == 16


@pytest.mark.parametrize(("said", "kind"), [("cell", "cell"), ("tmaCore", "tmacore"), ("patch", "annotation")])
def test_a_key_type_within_properties_is_the_kind(said: str, kind: str) -> None:
    assert shown(type=said).kind == shown(object_type=said).kind == kind


def test_a_class_is_a_text_or_has_a_colour() -> None:
    assert shown(classification="Tumor").classification == "Tumor"
    assert shown(classification={"name": "Tumor", "color": [200, 0, 0]}).classification == "Tumor"
    assert shown(classification={"names": ["Tumor", "3+"], "color": -3670016}).classification == "Tumor: 3+"
    for wrong in ({"name": "Tumor"}, {"name": "Tumor", "color": [1, 2]}):
        with pytest.raises(ImportFails, match="colour"):
            shown(classification=wrong)


def test_measurements_are_numbers_or_three_words_and_others_are_dropped_or_fail() -> None:
    found = shown(measurements={"a": 1, "b": "NaN", "c": "-Infinity", "d": None, "e": True}).measurements
    assert found["a"] == 1 and isnan(found["b"]) and found["c"] == float("-inf") and set(found) == {"a", "b", "c"}
    assert shown(measurements=[{"name": "a", "value": 2}]).measurements == {"a": 2}
    with pytest.raises(ImportFails, match="high"):
        shown(measurements={"a": "high"})
    with pytest.raises(ImportFails, match="NaN is not JSON"):
        shown(measurements={"a": float("nan")})


def test_shapes_are_closed_and_valid_and_may_have_holes_and_parts() -> None:
    ring = SQUARE["coordinates"][0]
    assert shown({"type": "Polygon", "coordinates": [ring, HOLE]}).geometry.area == 15
    apart = [[x + 10, y] for x, y in ring]
    assert shown({"type": "MultiPolygon", "coordinates": [[ring, HOLE], [apart]]}).geometry.area == 31
    for wrong in (ring[:-1], [[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]):
        with pytest.raises(ImportFails, match=r"not closed|not valid"):
            shown({"type": "Polygon", "coordinates": [wrong]})
    with pytest.raises(ImportFails, match="without geometry"):
        shown(None)


def test_an_id_that_is_no_uuid_is_dropped_and_a_name_is_a_text() -> None:
    assert shown(beside={"id": "7"}).id is None
    own = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
    assert str(shown(beside={"id": own}).id) == own
    with pytest.raises(ImportFails, match="name None"):
        shown(name=None)


def test_a_bare_array_and_a_single_feature_are_read_too() -> None:
    feature = {"type": "Feature", "geometry": SQUARE, "properties": {}}
    assert len(shown_in_qupath(json.dumps([feature, feature]))) == 2 and len(shown_in_qupath(json.dumps(feature))) == 1
