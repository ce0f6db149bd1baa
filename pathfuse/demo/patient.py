"""The patients: what is fixed before any image of them is drawn."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pathfuse.demo.histology.stains import COUNTERSTAIN, DAB, EOSIN, HAEMATOXYLIN, Staining, vary_vector
from pathfuse.demo.options import SCORES, DemoCohort

SEVERITY = 0.96
"""Correlation of the nuclear grade with the HER2 level over patients. The rest is the patient's own."""

_DAB_STRENGTH = (0.10, 0.50, 0.95, 1.75)
_DAB_COMPLETE = (0.05, 0.33, 0.68, 0.95)


@dataclass(frozen=True)
class Morphology:
    """The tumour's and the stroma's looks, the same on every section and at every place of the patient.

    Attributes:
        spacing_um: distance of neighbouring tumour cells.
        nucleus_um: mean radius of a tumour nucleus.
        size_cv: coefficient of variation of the nuclear radius.
        irregular: unevenness of the nuclear outline, as a fraction of the radius.
        vesicular: 0 even chromatin, 1 pale centre with a dark rim.
        nucleolus: fraction of tumour nuclei with a visible nucleolus.
        chromatin: haematoxylin of a tumour nucleus; lower where nuclei cover more, so that the mean tells nothing.
        dark_cv: coefficient of variation of the haematoxylin between nuclei.
        cytoplasm: eosin of the tumour cytoplasm; higher where nuclei leave less of it, for the same reason.
        basophilia: haematoxylin of the tumour cytoplasm.
        collagen: eosin of the stroma.
        nest_um: size of the tumour nests.
        tumour: fraction of the slide that is tumour.
        lymphocytes: fraction of stroma cells that are lymphocytes.
        fibre_angle: main direction of the stroma in radians.
    """

    spacing_um: float
    nucleus_um: float
    size_cv: float
    irregular: float
    vesicular: float
    nucleolus: float
    chromatin: float
    dark_cv: float
    cytoplasm: float
    basophilia: float
    collagen: float
    nest_um: float
    tumour: float
    lymphocytes: float
    fibre_angle: float


@dataclass(frozen=True)
class Membrane:
    """HER2 in the membranes: DAB strength where stained, and the fraction of the membrane that is stained."""

    strength: float
    complete: float


@dataclass(frozen=True, eq=False)
class DemoPatient:
    """One patient; patches, bags and thumbnails of the patient are all drawn from this.

    Attributes:
        index: position in the cohort.
        patient_id: its name.
        level: position of the score in `SCORES`.
        split: `train`, `val` or `test`.
        site: its name.
        labelled: whether the label is given out.
        key: 64-bit key of the slide's random fields.
        morphology: what H&E shows.
        membrane: what HER2 IHC shows.
        markers: per further stain, the fraction of positive tumour nuclei.
        stainings: per modality, colours and strengths.
    """

    index: int
    patient_id: str
    level: int
    split: str
    site: str
    labelled: bool
    key: int
    morphology: Morphology
    membrane: Membrane
    markers: Mapping[str, float]
    stainings: Mapping[str, Staining]

    @property
    def score(self) -> str:
        """The HER2 score."""
        return SCORES[self.level]


def make_patient(who: DemoCohort, index: int) -> DemoPatient:
    """The patient at a position of the cohort, drawn from the seed and the position alone."""
    rng = _rng(who, "patient", index)
    key = int(rng.integers(0, 2**63))
    level = _level(who, index)
    site = int(rng.integers(who.sites))
    split, labelled = _part(who, index)
    return DemoPatient(
        index=index,
        patient_id=f"P{index:04d}",
        level=level,
        split=split,
        site=f"S{site + 1}",
        labelled=labelled,
        key=key,
        morphology=_morphology(level, _rng(who, "morphology", index)),
        membrane=_membrane(level, _rng(who, "membrane", index)),
        markers={name: _marker(level, _rng(who, f"marker {name}", index)) for name in who.extra_stains},
        stainings={name: _staining(who, name, index, site) for name in who.modalities},
    )


def _rng(who: DemoCohort, purpose: str, index: int) -> np.random.Generator:
    # The purpose is part of the seed: a new draw for one thing leaves all others as they were.
    return np.random.default_rng([who.seed, zlib.crc32(purpose.encode()), index])


def _level(who: DemoCohort, index: int) -> int:
    order = _rng(who, "level", index // 4).permutation(4)
    return int(order[index % 4])


def _part(who: DemoCohort, index: int) -> tuple[str, bool]:
    """The part a patient belongs to, and whether the label is known.

    Four patients, one per score, stay together: every part has all scores. Three such blocks make three parts.
    """
    blocks = -(-who.patients // 4)
    place = int(_rng(who, "split", 0).permutation(blocks)[index // 4])
    test = max(1, round(who.test_fraction * blocks)) if who.test_fraction and blocks > 1 else 0
    val = max(1, round(who.val_fraction * blocks)) if who.val_fraction and blocks > 2 else 0
    if place < test:
        return "test", True
    if place < test + val:
        return "val", True
    rank = 4 * (place - test - val) + index % 4  # among the training patients
    return "train", who.labelled_patients is None or rank < who.labelled_patients


def _morphology(level: int, rng: np.random.Generator) -> Morphology:
    own = float(rng.normal())
    grade = SEVERITY * (level - 1.5) / 1.118 + (1 - SEVERITY**2) ** 0.5 * own
    cue = grade + rng.normal(0, 0.35, 6)  # every property follows the grade in its own way
    spacing = 11.3 * np.exp(0.12 * cue[0] + rng.normal(0, 0.02))
    nucleus = 3.55 * np.exp(0.14 * cue[0])
    covered = (nucleus / 3.55) ** 2 / (spacing / 11.3) ** 2
    return Morphology(
        spacing_um=float(spacing),
        nucleus_um=float(nucleus),
        size_cv=float(0.14 * np.exp(0.25 * cue[1])),
        irregular=float(np.clip(0.07 * np.exp(0.3 * cue[2]), 0.02, 0.16)),
        vesicular=float(1 / (1 + np.exp(-0.9 * cue[3]))),
        nucleolus=float(1 / (1 + np.exp(-1.1 * cue[4]))),
        chromatin=float(covered**-0.7 * np.exp(rng.normal(0, 0.10))),
        dark_cv=float(0.18 * np.exp(0.2 * cue[5])),
        cytoplasm=float(0.75 / (1 - 0.25 * covered) * np.exp(rng.normal(0, 0.06))),
        basophilia=float(0.13 * np.exp(rng.normal(0, 0.4))),
        collagen=float(0.5 * np.exp(rng.normal(0, 0.25))),
        nest_um=float(rng.uniform(45, 80)),
        tumour=float(rng.uniform(0.5, 0.72)),
        lymphocytes=float(rng.uniform(0.05, 0.4)),
        fibre_angle=float(rng.uniform(0, np.pi)),
    )


def _membrane(level: int, rng: np.random.Generator) -> Membrane:
    strength = _DAB_STRENGTH[level] * np.exp(rng.normal(0, 0.18))
    odds = np.log(_DAB_COMPLETE[level] / (1 - _DAB_COMPLETE[level])) + rng.normal(0, 0.35)
    return Membrane(float(strength), float(1 / (1 + np.exp(-odds))))


def _marker(level: int, rng: np.random.Generator) -> float:
    odds = -1.2 + 0.3 * (level - 1.5) + rng.normal(0, 0.7)
    return float(1 / (1 + np.exp(-odds)))


def _staining(who: DemoCohort, modality: str, index: int, site: int) -> Staining:
    names = (HAEMATOXYLIN, EOSIN) if modality == "he" else (COUNTERSTAIN, DAB)
    strengths = np.array([1.25, 1.0] if modality == "he" else [0.9, 1.0])
    shift = _rng(who, f"site {modality}", site)
    own = _rng(who, f"staining {modality}", index)
    effect = who.site_effect
    vectors = np.stack([vary_vector(vector, 0.06 * effect, shift) for vector in names])
    vectors = np.stack([vary_vector(tuple(vector), 0.03 if modality == "he" else 0.018, own) for vector in vectors])
    strengths = strengths * np.exp(shift.normal(0, 0.25 * effect, 2)) * np.exp(own.normal(0, 0.16, 2))
    white = np.array([242.0, 241.0, 243.0]) + shift.uniform(-14, 4, 3) * effect + own.uniform(-5, 5, 3)
    blur = 0.35 * float(np.exp(shift.normal(0, 0.5 * effect) + own.normal(0, 0.12)))
    return Staining(vectors, strengths, np.minimum(white, 254.0), blur)
