"""The true placement leads over all others, and no other one does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pathfuse.register.contract import Section
from pathfuse.register.quality import REFUSE_LEAD, REVIEW_LEAD
from pathfuse.register.rivals import lead_of
from pathfuse.register.transform import Transform
from pathfuse.slides.opening import open_slide
from pathfuse.testing.sections import EDGE_PX, MPP, known_map, write_sections

MIDDLE = EDGE_PX * MPP / 2


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Section, Section]]:
    he, ihc = write_sections(tmp_path_factory.mktemp("rivals"))
    with open_slide(he, mpp=MPP) as ours, open_slide(ihc, mpp=MPP) as theirs:
        yield Section(ours, "he"), Section(theirs, "ihc")


def about_the_middle(linear: list[list[float]]) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = MIDDLE - matrix[:2, :2] @ (MIDDLE, MIDDLE)
    return matrix


def test_the_known_map_leads(sections: tuple[Section, Section]) -> None:
    found = lead_of(*sections, Transform(known_map()))
    assert found.own > 0.5
    assert found.lead > 2 * REVIEW_LEAD


@pytest.mark.parametrize(
    "wrong", [[[-1.0, 0.0], [0.0, -1.0]], [[-1.0, 0.0], [0.0, 1.0]]], ids=["turned by half", "face down"]
)
def test_another_placement_does_not(sections: tuple[Section, Section], wrong: list[list[float]]) -> None:
    found = lead_of(*sections, Transform(known_map() @ about_the_middle(wrong)))
    assert found.lead < REFUSE_LEAD
    assert found.best_other > 0.5, "the true one is among the others"


def test_tissues_that_do_not_meet_have_no_likeness(sections: tuple[Section, Section]) -> None:
    away = np.eye(3)
    away[0, 2] = 1e5
    assert lead_of(*sections, Transform(away)).own == 0
