"""Pen, loose pieces and sections that are cut off are normal input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pathfuse.register.contract import Section
from pathfuse.register.method.stages import SerialSections
from pathfuse.register.quality import measure
from pathfuse.register.transform import apply
from pathfuse.slides.opening import open_slide
from pathfuse.testing.sections import EDGE_PX, MPP, known_map, points, write_sections

pytest.importorskip("SimpleITK", reason="needs pathfuse[register]")


def test_the_map_is_found_in_spite_of_pen_a_loose_piece_and_a_lost_third(tmp_path: Path) -> None:
    he, ihc = write_sections(tmp_path)
    with Image.open(he) as image:
        marked = image.convert("RGB")
    ImageDraw.Draw(marked).line([(20, 20), (40, 180), (25, 300)], fill=(40, 60, 190), width=9)
    marked.save(he)
    with Image.open(ihc) as image:
        torn = image.convert("RGB")
    piece = torn.crop((200, 130, 230, 160)).rotate(40, fillcolor=(243, 243, 245))
    ImageDraw.Draw(torn).rectangle([0, 0, EDGE_PX // 3, EDGE_PX], fill=(243, 243, 245))  # cut off
    torn.paste(piece, (270, 275))
    torn.save(ihc)
    with open_slide(he, mpp=MPP) as ours, open_slide(ihc, mpp=MPP) as theirs:
        fixed, moving = Section(ours, "he"), Section(theirs, "ihc")
        method = SerialSections()
        there = method.register(fixed, moving)
        quality = measure(fixed, moving, there, method.back(fixed, moving))
    known = apply(known_map(), points())
    kept = known[:, 0] > (EDGE_PX / 3 + 10) * MPP
    off = np.hypot(*(there.forward(points()) - known)[kept].T)
    assert np.median(off) < 2 * MPP
    assert quality.verdict != "refused", quality.problems
