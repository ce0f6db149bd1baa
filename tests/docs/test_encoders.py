"""The tables of the page on encoders are those of the plug-in."""

from __future__ import annotations

import re

from pathfuse.registry import Card, cards
from pathfuse_foundation.table import rows
from tests.conftest import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "encoders.md"


def cells(heading: str) -> dict[str, list[str]]:
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {line[0].strip(" `"): [cell.strip() for cell in line[1:]] for line in lines}


def built(card: Card) -> list[str]:
    row = rows()[card.name]
    spacing = " ".join(f"{mpp:g}" for mpp in row.mpp)
    said = [row.published, str(row.out_dim), row.pooling, spacing, card.licence, card.commercial, card.gated]
    return [value or ("not known" if place == 4 else "?") for place, value in enumerate(said)]


def test_the_page_lists_what_is_built_with_its_terms() -> None:
    assert cells("Encoders that are built") == {card.name: built(card) for card in cards().values() if not card.missing}


def test_the_page_lists_what_is_not_with_its_reason() -> None:
    missing = [card for card in cards().values() if card.missing]
    assert cells("Encoders that are not") == {
        card.name: [card.kind.split()[0], card.facts["out_dim"], card.missing] for card in missing
    }


def test_every_encoder_of_the_table_is_built_or_named_with_its_reason() -> None:
    assert len(cards()) == 49  # 41 of tiles, 8 of slides or patients: a list that peers name, of November 2026
    assert set(rows()) == {card.name for card in cards().values() if not card.missing}
    assert all(card.instead for card in cards().values() if card.missing)


def test_the_page_counts_right() -> None:
    more = re.search(r"`phikon_v2` and (\d+) more", PAGE.read_text(encoding="utf-8"))
    assert more and int(more[1]) + 4 == len(rows())
