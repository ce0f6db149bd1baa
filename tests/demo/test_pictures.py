import pytest

from pathfuse.demo import BagPictures, PatchPictures, SlidePictures
from pathfuse.errors import RecipeError


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PatchPictures, {"cases_per_patient": 0}, "demo cohort: cases_per_patient is 0"),
        (PatchPictures, {"size_px": 4}, "demo cohort: size_px is 4"),
        (PatchPictures, {"mpp": 0.0}, r"demo cohort: mpp is 0\.0"),
        (PatchPictures, {"mpp": 8.0}, r"demo cohort: mpp is 8\.0"),
        (PatchPictures, {"shift_px": -1.0}, r"demo cohort: shift_px is -1\.0"),
        (PatchPictures, {"shift_px": float("nan")}, "demo cohort: shift_px is nan"),
        (PatchPictures, {"rotation_deg": -1.0}, "demo cohort: rotation_deg"),
        (SlidePictures, {"cases_per_patient": 0}, "cases_per_patient is 0"),
        (SlidePictures, {"slide_px": 32}, "demo slides: slide_px is 32"),
        (SlidePictures, {"mpp": 1.0}, r"demo slides: mpp is 1\.0"),
        (BagPictures, {"cases_per_patient": 0}, "cases_per_patient is 0"),
        (BagPictures, {"slides": 0}, "demo bags: slides is 0"),
        (BagPictures, {"grid": 0}, "demo bags: grid is 0"),
        (BagPictures, {"patch_px": 12}, "multiple of 8"),
        (BagPictures, {"mpp": 5.0}, r"demo bags: mpp is 5\.0"),
        (BagPictures, {"tumour": 0.0}, r"demo bags: tumour is 0\.0"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_in_one_line(kind, options, message):
    with pytest.raises(RecipeError, match=message) as caught:
        kind(**options)
    assert "\n" not in str(caught.value)
