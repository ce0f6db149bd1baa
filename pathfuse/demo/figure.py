"""A picture of demo pairs: one patient per score, H&E above IHC."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pathfuse.demo.case import make_case
from pathfuse.demo.options import SCORES, DemoCohort
from pathfuse.demo.pictures import PatchPictures

_GAP, _CAPTION, _SIDE = 6, 24, 44
_TITLES = {"he": "H&E", "ihc": "IHC"}


def pairs_figure(path: Path | str, *, size_px: int = 240, mpp: float = 0.5, seed: int = 0) -> Path:
    """Draws the first patient of each score of a cohort; at a higher magnification than the cohort's own patches.

    Args:
        path: the PNG to write.
        size_px: edge of each image in pixels.
        mpp: micrometres per pixel.
        seed: seed of the cohort.
    """
    who, pictures = DemoCohort(patients=len(SCORES), seed=seed), PatchPictures(1, size_px, mpp)
    cases = sorted(
        (make_case(who, pictures, index) for index in range(who.patients)), key=lambda case: case.patient.level
    )
    step = size_px + _GAP
    sheet = Image.new("RGB", (_SIDE + step * len(cases), _CAPTION + step * len(_TITLES)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for row, (modality, title) in enumerate(_TITLES.items()):
        top = _CAPTION + row * step
        draw.text((_SIDE // 2, top + size_px // 2), title, "black", font, "mm")
        for column, case in enumerate(cases):
            sheet.paste(Image.fromarray(case.images[modality]), (_SIDE + column * step, top))
    for column, case in enumerate(cases):
        draw.text(
            (_SIDE + column * step + size_px // 2, _CAPTION // 2), f"HER2 {case.patient.score}", "black", font, "mm"
        )
    path = Path(path)
    sheet.save(path, optimize=True)
    return path
