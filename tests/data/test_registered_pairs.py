"""Pairs read straight from registered slides: the same pixels as those that are cut into files, and none written."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from pathfuse.cli import main
from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.demo import DemoCohort, SerialPictures, write_serial
from pathfuse.errors import RecipeError, RegistrationError
from pathfuse.pairs.options import PairCut

CUT = PairCut(patch_px=96, mpp=1.0, max_error_um=15.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cases of slides, registered by their known maps."""
    root = tmp_path_factory.mktemp("registered_pairs")
    pictures = SerialPictures(slide_px=480, lost=0.0, torn=0.0, warp_um=0.0)
    table = write_serial(root / "serial", DemoCohort(patients=3, seed=3), pictures)
    lines = table.read_text().splitlines()
    for case in ("P0000-01", "P0001-01", "P0002-01"):
        part, truth = table.with_name(f"{case}.csv"), table.parent / "truth" / "points" / f"{case}.csv"
        part.write_text("\n".join([lines[0], *(line for line in lines if line.startswith(case))]))
        assert main(["register", str(part), "--out", str(root / "reg"), "--transform", str(truth)]) == 0
    return root


def read(root: Path, cache: Path, **options: object) -> PairedPatches:
    cohort = Cohort(cases=str(root / "serial" / "cases.csv"), cache=str(cache), split="given")
    said = {"registration": str(root / "reg"), "cut": CUT, "size_px": 48, "normalise": (), "augment": None}
    made = PairedPatches(cohort, **{**said, **options})  # type: ignore[arg-type]
    made.loading = Loading(batch_size=4, num_workers=0)
    return made


def flat(made: PairedPatches) -> Batch:
    return Batch.cat(list(made.predict_dataloader()))


def test_pixels_and_cases_are_those_that_pairs_writes(root: Path, tmp_path: Path) -> None:
    line = ["pairs", str(root / "reg"), "--out", str(tmp_path / "p"), "--patch-px", "96", "--mpp", "1"]
    assert main([*line, "--max-error-um", "15"]) == 0
    written = PairedPatches(
        Cohort(cases=str(tmp_path / "p"), cache=str(tmp_path / "cache")), size_px=48, normalise=(), augment=None
    )
    written.loading = Loading(batch_size=4, num_workers=0)
    on_disk, straight = flat(written), flat(read(root, tmp_path / "other"))
    assert [case.replace("-ihc-", "-") for case in on_disk.case_ids] == list(straight.case_ids)
    assert on_disk.patient_ids == straight.patient_ids
    for stain in ("he", "ihc"):
        np.testing.assert_array_equal(on_disk.image(stain).numpy(), straight.image(stain).numpy())
    assert not (tmp_path / "other").exists(), "nothing is cached"


def test_labels_parts_and_spacing_are_those_of_the_slides(root: Path, tmp_path: Path) -> None:
    made = read(root, tmp_path)
    with (root / "serial" / "cases.csv").open() as file:
        slides = {row["case_id"]: row for row in csv.DictReader(file)}
    assert len(made.cohort) > len(slides)
    for case in made.cohort:
        slide = slides[case.case_id.rsplit("-", 2)[0]]
        assert (case.patient_id, case.label, case.split) == (slide["patient_id"], slide["label"], slide["split"])
    assert made.spec()["he"].mpp == pytest.approx(2.0)
    assert any("read from registered slides" in note for note in made.notes())
    first = made.cohort.table.cases[0].case_id
    assert made.picture(first)["ihc"].shape == (48, 48, 3)


def test_workers_change_nothing_and_training_repeats(root: Path, tmp_path: Path) -> None:
    batches = []
    for workers in (0, 1):
        made = read(root, tmp_path)
        made.loading = Loading(batch_size=4, num_workers=workers)
        batches.append(Batch.cat(list(made.train_dataloader())))
    assert batches[0].case_ids == batches[1].case_ids
    np.testing.assert_array_equal(batches[0].image("ihc").numpy(), batches[1].image("ihc").numpy())


def test_another_registration_is_another_fingerprint(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "reg", tmp_path / "reg")
    before = read(root, tmp_path).fingerprint()
    assert read(root, tmp_path, registration=str(tmp_path / "reg")).fingerprint() == before
    path = tmp_path / "reg" / "P0000-01-ihc" / "transform.json"
    path.write_text(path.read_text().replace('"similarity"', '"similarity" '))
    assert read(root, tmp_path, registration=str(tmp_path / "reg")).fingerprint() != before


def test_what_cannot_be_read_is_one_line(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match="holds no registration"):
        read(root, tmp_path, registration=str(root / "serial"))
    with pytest.raises(RecipeError, match="needs the case table of its slides"):
        PairedPatches(Cohort(), registration=str(root / "reg"))
    with pytest.raises(RegistrationError, match="no pair is left"):
        read(root, tmp_path, cut=PairCut(patch_px=96, mpp=1.0, min_similarity=1.0, max_error_um=0.01))
    with pytest.raises(RecipeError, match="min_similarity 2"):
        PairCut(min_similarity=2)
    shutil.copytree(root / "serial", tmp_path / "moved")
    cohort = Cohort(cases=str(tmp_path / "moved" / "cases.csv"), cache=str(tmp_path / "c"))
    with pytest.raises(RegistrationError, match="Name the case table that was registered"):
        PairedPatches(cohort, registration=str(root / "reg"), cut=CUT)
