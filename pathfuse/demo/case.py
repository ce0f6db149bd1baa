"""One case: a place on the patient's slides, seen in every stain."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.demo.histology import sections
from pathfuse.demo.histology.fields import Window
from pathfuse.demo.histology.tissue import Tissue, tissue, tumour_at
from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import DemoPatient, make_patient
from pathfuse.demo.pictures import PatchPictures

SLIDE_UM = 20_000.0
"""Edge of the patient's slide; windows lie anywhere on it."""

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class DemoCase:
    """A patch of a patient in every stain that was made, and the truth about it.

    Attributes:
        case_id: its name.
        patient: whose it is.
        label: the score, or "" where it is not given out.
        images: per stain, (H, W, 3); stains the case lacks are not in it.
        truth: (H, W) masks. `tumour` and `nuclei` (tumour nuclei, where H&E shows the signal) lie on the H&E image;
            `membrane` (every tumour membrane) and `stained` (the part that DAB marks) lie on the IHC image.
    """

    case_id: str
    patient: DemoPatient
    label: str
    images: Mapping[str, Image8]
    truth: Mapping[str, Mask]


def make_case(who: DemoCohort, pictures: PatchPictures, index: int) -> DemoCase:
    """The case at a position of the cohort; a function of the patients, the pictures and the position alone."""
    owner, number = divmod(index, pictures.cases_per_patient)
    patient = make_patient(who, owner)
    # Every case draws from its own stream, so that making it alone or after others is the same.
    rng = np.random.default_rng([who.seed, zlib.crc32(b"case"), index])
    place = _place(patient, pictures, rng)
    images: dict[str, Image8] = {}
    truth: dict[str, Mask] = {}
    kept = kept_stains(who, rng)
    first = tissue(patient, place)
    for position, name in enumerate(who.modalities):
        noise = np.random.default_rng([who.seed, zlib.crc32(name.encode()), index])
        window = place if name == "he" else _moved(place, pictures, noise)
        seen = first if window == place else tissue(patient, window)
        stains = _stains(patient, name, window, seen, truth)
        grain = noise.standard_normal((pictures.size_px, pictures.size_px, 1), np.float32) * np.float32(1.5)
        if position in kept:
            images[name] = sections.expose(patient, name, stains, pictures.mpp, grain)
    return DemoCase(case_name(patient, number), patient, patient.score if patient.labelled else "", images, truth)


def _stains(
    patient: DemoPatient, name: str, window: Window, seen: Tissue, truth: dict[str, Mask]
) -> list[NDArray[np.float32]]:
    if name == "he":
        truth["tumour"] = seen.tumour > 0.5
        truth["nuclei"] = seen.nucleus > 0.5
        return sections.he_section(patient, window, seen)
    if name == "ihc":
        stains, truth["stained"] = sections.her2_section(patient, window, seen)
        truth["membrane"] = seen.membrane > 0.35
        return stains
    return sections.marker_section(patient, name, window, seen)


def _place(patient: DemoPatient, pictures: PatchPictures, rng: np.random.Generator) -> Window:
    """A window with about as much tumour as drawn: a pathologist would not choose one without."""
    wanted = rng.uniform(0.55, 0.85)
    spots = rng.uniform(0.05 * SLIDE_UM, 0.95 * SLIDE_UM, (12, 2)).astype(np.float32)  # (12, 2)
    reach = np.linspace(-0.5, 0.5, 9, dtype=np.float32) * np.float32(pictures.size_px * pictures.mpp)
    x = spots[:, 0, None, None] + reach[None, :, None] + 0 * reach[None, None, :]  # (12, 9, 9)
    y = spots[:, 1, None, None] + reach[None, None, :] + 0 * reach[None, :, None]  # (12, 9, 9)
    share = (tumour_at(patient, x, y) > 0).mean(axis=(1, 2))  # (12,)
    best = int(np.abs(share - wanted).argmin())
    return Window(float(spots[best, 0]), float(spots[best, 1]), pictures.size_px, pictures.mpp)


def case_name(patient: DemoPatient, number: int) -> str:
    """The name of a patient's case, counted from 0."""
    return f"{patient.patient_id}-{number + 1:02d}"


def kept_stains(who: DemoCohort, rng: np.random.Generator) -> list[int]:
    """Positions of the stains that a case has."""
    drawn = rng.uniform(size=len(who.modalities))
    kept = [m for m, name in enumerate(who.modalities) if drawn[m] >= who.missing.get(name, 0.0)]
    # A case without any stain is no case: the stain with the luckiest draw stays.
    return kept or [int(drawn.argmax())]


def _moved(place: Window, pictures: PatchPictures, rng: np.random.Generator) -> Window:
    shift = rng.uniform(-1, 1, 2) * pictures.shift_px * pictures.mpp
    turn = np.deg2rad(rng.uniform(-1, 1) * pictures.rotation_deg)
    return Window(place.x_um + float(shift[0]), place.y_um + float(shift[1]), place.size_px, place.mpp, float(turn))
