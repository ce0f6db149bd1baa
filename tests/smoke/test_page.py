"""The page on reliability names tests that are there."""

from __future__ import annotations

import re

from tests.conftest import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_kind_of_fault_on_the_page_has_its_test() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`: ([a-z ]+) \|", PAGE)
    assert len(named) >= 20
    for file, sentence in named:
        name = f"test_{sentence.replace(' ', '_')}"
        assert re.search(rf"def {name}\(", (PROJECT_ROOT / file).read_text(encoding="utf-8")), f"{file}: {name}"
