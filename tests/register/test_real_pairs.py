"""Real serial sections with landmarks, which are read to score and for nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.register.contract import Section
from pathfuse.register.files.points import read_landmarks
from pathfuse.register.job import mean_of_both_ways
from pathfuse.register.landmarks import target_errors
from pathfuse.register.method.stages import SerialSections
from pathfuse.register.quality import measure
from pathfuse.slides.opening import open_slide
from tests.conftest import DATA, needs_data

pytest.importorskip("SimpleITK", reason="needs pathfuse[register]")
BIRL = DATA / "birl"
# H&E, IHC, and micrometres per pixel at 5 % of the full size.
PAIRS = {
    "kidney": ("rat-kidney_/scale-5pc/Rat-Kidney_HE", "rat-kidney_/scale-5pc/Rat-Kidney_PanCytokeratin", 4.54),
    "lesion": ("lesions_/scale-5pc/Izd2-29-041-w35_HE", "lesions_/scale-5pc/Izd2-29-041-w35_proSPC", 3.48),
}


@needs_data
@pytest.mark.parametrize("name", PAIRS)
def test_landmarks_are_met_almost_as_by_the_best_affine_of_their_own(name: str) -> None:
    he, ihc, mpp = PAIRS[name]
    with ExitStack() as stack:
        slides = [stack.enter_context(open_slide(BIRL / f"{file}.jpg", mpp=mpp)) for file in (he, ihc)]
        sections = [Section(slide, stain) for slide, stain in zip(slides, ("he", "ihc"), strict=True)]
        method = SerialSections()
        ways = method.register(*sections), method.back(*sections)
        # The other direction is the same two ways, and is judged by itself.
        for fixed, moving in ((0, 1), (1, 0)):
            there, back = ways[fixed], ways[moving]
            assert back is not None
            quality = measure(sections[fixed], sections[moving], there, back)
            assert quality.verdict != "refused", quality.problems
            mean = mean_of_both_ways(sections[fixed], there, back)
            marks = read_landmarks(f"{BIRL / (he, ihc)[fixed]}.csv,{BIRL / (he, ihc)[moving]}.csv")
            found = target_errors(mean, *marks, (mpp, mpp), slides[moving].size)
            assert found["median_px"] <= 1.25 * found["affine_median_px"], found


@needs_data
def test_tissue_of_another_organ_is_refused(tmp_path: Path) -> None:
    slides = f"{BIRL / PAIRS['kidney'][0]}.jpg", f"{BIRL / PAIRS['lesion'][1]}.jpg"
    assert main(["register", *slides, "--slide-mpp", "4", "--out", str(tmp_path / "o")]) == 1
    assert ",refused," in (tmp_path / "o" / "status.csv").read_text()
