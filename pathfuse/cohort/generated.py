"""Cases of the demo cohort: its patients alone, or with pictures drawn into the cache."""

from __future__ import annotations

from pathlib import Path

from pathfuse.cohort.labels import HER2
from pathfuse.cohort.table import Case, CaseTable
from pathfuse.demo.bags import write_bags
from pathfuse.demo.cohort import Pictures, Progress, demo_folder, write_patches
from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import make_patient
from pathfuse.demo.pictures import BagPictures, PatchPictures
from pathfuse.demo.slides import write_slides
from pathfuse.system.progress import progress_bar

GENERATED = "The cohort is generated (demo cohort): no number here says anything about patients."


def patients_of(who: DemoCohort) -> CaseTable:
    """A case per patient, without any file."""
    patients = [make_patient(who, index) for index in range(who.patients)]
    cases = tuple(Case(p.patient_id, p.patient_id, p.score if p.labelled else "", p.split, p.site) for p in patients)
    return CaseTable(Path("demo cohort"), cases, (), HER2, (GENERATED,))


def draw(who: DemoCohort, pictures: Pictures, cache: Path) -> Path:
    """The case table of a demo cohort, with a bar while it is drawn.

    Args:
        who: the patients.
        pictures: what is drawn of them.
        cache: folder of all cohorts.
    """
    folder = demo_folder(who, pictures, cache)
    with progress_bar() as bar:
        task = bar.add_task("Drawing the demo cohort", total=None)
        return _write(folder, who, pictures, lambda done, total: bar.update(task, completed=done, total=total))


def _write(folder: Path, who: DemoCohort, pictures: Pictures, progress: Progress) -> Path:
    if isinstance(pictures, PatchPictures):
        return write_patches(folder, who, pictures, progress)
    if isinstance(pictures, BagPictures):
        return write_bags(folder, who, pictures, progress)
    return write_slides(folder, who, pictures, progress)
