"""Generated pairs in the folder layout of BCI, for trials at its size without its data."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pathfuse.demo.case import make_case
from pathfuse.demo.cohort import Progress, save_png
from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import make_patient
from pathfuse.demo.pictures import PatchPictures
from pathfuse.demo.publish import published, taken
from pathfuse.errors import RecipeError
from pathfuse.system.progress import in_threads

BCI_MPP = 0.46
_PAIRS_PER_PATIENT = 20


def write_bci(
    folder: Path | str,
    pairs: int,
    *,
    size_px: int = 1024,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Writes `HE/{train,test}/NNNNN_<split>_<score>.png` and the same names under `IHC/`; returns the folder.

    Images cover as much tissue as BCI's (0.46 µm per pixel at 1024 pixels). They are drawn at half the size and
    enlarged, which is four times faster and no blurrier than many of the real ones.

    Args:
        folder: where; it must be absent or empty.
        pairs: number of pairs; from 20 on, about four fifths of them for training. No patient is on both sides.
        size_px: edge of the images in pixels.
        seed: another seed makes other patients.
        progress: is told the finished and the total number of pairs.

    Raises:
        CaseTableError: if the folder is not empty or cannot be written.
        RecipeError: if `pairs` or `size_px` is too small.
    """
    folder = Path(folder).absolute()
    if pairs < 1 or size_px < 16:
        raise RecipeError(f"BCI folder: {pairs} pairs of {size_px} px; give at least 1 pair of 16 px.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise taken(folder)
    # Whole blocks of four scores: two show every score in both parts, five make a test part of a fifth.
    patients = max(8, min(20, 4 * -(-pairs // 4)), 4 * -(-pairs // (4 * _PAIRS_PER_PATIENT)))
    who = DemoCohort(patients=patients, val_fraction=0.0, test_fraction=0.2, seed=seed)
    pictures = PatchPictures(-(-pairs // patients), size_px // 2, 2 * BCI_MPP)
    names = _names(who, pairs)
    with published(folder, lambda: False) as building:

        def make(pair: int) -> None:
            number, owner = divmod(pair, patients)  # pairs go round the patients: a few already show every score
            case = make_case(who, pictures, owner * pictures.cases_per_patient + number)
            for modality, top in (("he", "HE"), ("ihc", "IHC")):
                image = Image.fromarray(case.images[modality]).resize((size_px, size_px), Image.Resampling.BICUBIC)
                save_png(building / top / names[pair], image)

        for done, _ in enumerate(in_threads(make, range(pairs)), start=1):
            if progress is not None:
                progress(done, pairs)
    return folder


def _names(who: DemoCohort, pairs: int) -> list[str]:
    patients = [make_patient(who, index) for index in range(who.patients)]
    count = {"train": 0, "test": 0}
    names = []
    for pair in range(pairs):
        owner = patients[pair % who.patients]
        names.append(f"{owner.split}/{count[owner.split]:05d}_{owner.split}_{owner.score}.png")
        count[owner.split] += 1
    return names
