"""What QuPath shows of a GeoJSON file: a port of its reading rules, for tests of what we write for it.

Source: QuPath's documentation of GeoJSON exchange, and its rules for objects as they are from version 0.4 on:
everything but `geometry` and `id` is read from `properties`.
Departs: an invalid polygon is refused here; QuPath tries to mend it, and what comes out depends on its version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

KINDS = {"annotation", "detection", "tile", "cell", "tmacore", "root"}
TYPE_KEYS = ("objectType", "object_type", "type")
WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class ImportFails(Exception):
    """QuPath opens nothing of the file."""


@dataclass(frozen=True)
class Shown:
    """One object as QuPath shows it.

    Attributes:
        kind: annotation, detection, tile, cell or tmacore.
        geometry: in pixels of the whole image.
        name: empty where there is none.
        classification: its class; empty where there is none.
        measurements: numbers by name.
        id: None where the file has none that QuPath keeps.
        locked: whether it cannot be moved.
        metadata: texts by name.
    """

    kind: str
    geometry: BaseGeometry
    name: str = ""
    classification: str = ""
    measurements: Mapping[str, float] = field(default_factory=dict)
    id: UUID | None = None
    locked: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def shown_in_qupath(text: str) -> list[Shown]:
    """The objects of a file.

    Raises:
        ImportFails: where QuPath would stop.
    """
    top = json.loads(text, parse_constant=_no_json)
    if isinstance(top, dict) and top.get("type") == "FeatureCollection":
        return [_object(one) for one in top["features"]]
    return [_object(one) for one in (top if isinstance(top, list) else [top])]


def _no_json(word: str) -> float:
    raise ImportFails(f"{word} is not JSON")


def _object(feature: Mapping[str, Any]) -> Shown:
    own = feature.get("properties") or {}
    if "name" in own and not isinstance(own["name"], str):
        raise ImportFails(f"name {own['name']!r} is no text")
    return Shown(
        _kind(own),
        _geometry(feature.get("geometry")),
        own.get("name", ""),
        _classification(own.get("classification")),
        _measurements(own.get("measurements", {})),
        _id(feature.get("id")),
        bool(own.get("isLocked", False)),
        {key: str(value) for key, value in own.get("metadata", {}).items()},
    )


def _kind(own: Mapping[str, Any]) -> str:
    said = next((own[key] for key in TYPE_KEYS if key in own), "annotation")
    kind = said.lower() if isinstance(said, str) else ""
    return kind if kind in KINDS else "annotation"


def _classification(said: object) -> str:
    if said is None or isinstance(said, str):
        return said or ""
    if not isinstance(said, dict) or "color" not in said:
        raise ImportFails("a classification without a colour")
    colour = said["color"]
    if not isinstance(colour, int) and not (isinstance(colour, list) and len(colour) == 3):
        raise ImportFails(f"colour {colour!r} is neither [r, g, b] nor a packed number")
    return ": ".join(said["names"]) if "names" in said else str(said["name"])


def _measurements(said: object) -> dict[str, float]:
    if isinstance(said, list):  # before 0.4, still read
        said = {one["name"]: one["value"] for one in said}
    assert isinstance(said, dict)
    found = {}
    for name, value in said.items():
        if isinstance(value, str) and value not in WORDS:
            raise ImportFails(f"measurement {name} is {value!r}")
        if value is not None and not isinstance(value, bool):
            found[name] = WORDS[value] if isinstance(value, str) else float(value)
    return found


def _geometry(said: Mapping[str, Any] | None) -> BaseGeometry:
    if said is None:
        raise ImportFails("an object without geometry")
    rings = said["coordinates"] if said["type"] == "Polygon" else []
    rings += [ring for part in said["coordinates"] for ring in part] if said["type"] == "MultiPolygon" else []
    for ring in rings:
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise ImportFails("a ring that is not closed")
    geometry = shape(said)
    if geometry.is_empty or not geometry.is_valid:
        raise ImportFails(f"a shape that is not valid: {shapely.is_valid_reason(geometry)}")
    return geometry


def _id(said: object) -> UUID | None:
    try:
        return UUID(str(said))
    except ValueError:
        return None
