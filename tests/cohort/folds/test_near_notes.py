"""Nearly equal images on two sides, said in a line for parts and for folds."""

from pathlib import Path

import numpy as np
from PIL import Image

from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.folds.near_notes import near_notes
from pathfuse.cohort.table import Case, CaseFile


def cohort(folder: Path) -> list[Case]:
    """Four cases, of which the first and the last have nearly the same image."""
    random = np.random.default_rng(0)
    images = [np.kron(random.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))) for _ in range(3)]
    cases = []
    for number, pixels in enumerate([*images, images[0] * 0.97]):
        path = folder / f"{number}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        part = "test" if number == 3 else "train"
        cases.append(Case(f"c{number}", f"p{number}", "a", part, files={"he": (CaseFile(path),)}))
    return cases


def test_two_parts_and_two_sides_of_a_fold_are_named(tmp_path):
    cases = cohort(tmp_path)
    (note,) = near_notes(cases, tmp_path / "cache")
    assert "c0 (train) and c3 (test): he images 0.png and 3.png" in note and note.startswith("WARNING")
    together = [FoldRow(0, 0, case.case_id, case.patient_id, "train") for case in cases]
    assert near_notes(cases, tmp_path / "cache", together) == []
    apart = [row._replace(part="val" if row.case_id == "c0" else "train") for row in together]
    assert "c0 (val) and c3 (train)" in near_notes(cases, tmp_path / "cache", apart)[0]


def test_images_are_read_once_and_again_when_they_change(tmp_path):
    cases = cohort(tmp_path)
    near_notes(cases, tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "near").iterdir()
    kept.write_text("[]")
    assert near_notes(cases, tmp_path / "cache") == [], "what was found before is taken"
    Image.open(tmp_path / "1.png").resize((40, 40)).save(tmp_path / "1.png")
    assert len(near_notes(cases, tmp_path / "cache")) == 1


def test_features_cost_nothing(tmp_path):
    case = Case("a", "a", files={"he": (CaseFile(tmp_path / "a.h5"),)})
    assert near_notes([case], tmp_path / "cache") == [] and not (tmp_path / "cache").exists()
