"""JSON of strangers, and files that nobody waits for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.system.reading import open_regular, parse_json, read_json
from tests.irregular import irregular


@pytest.mark.parametrize(
    "text", ["1" + "0" * 400, "9" * 5000, '"\\ud800"', '{"\\uDFFF": 1}', "[" * 100_000, "", "{", "[1,]"]
)
def test_what_cannot_be_written_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_json(text)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(), st.lists))
@settings(max_examples=100)
def test_what_can_be_written_is_read_as_it_was(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = irregular(kind, tmp_path / "x.json")
    for read in (read_json, open_regular):
        with pytest.raises(OSError, match=r"x\.json"):
            read(path)
