"""What a demo cohort is made of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pathfuse.errors import RecipeError

SCORES = ("0", "1+", "2+", "3+")
"""The labels; the position is the HER2 level."""

GENERATOR_VERSION = 2
"""Raise it whenever an image of an existing cohort would change: cached cohorts are named by it."""


@dataclass(frozen=True)
class DemoOptions:
    """A generated cohort; equal options give equal files on every machine.

    Args:
        patients: number of patients; the four scores come equally often. From 12 on every part has every score.
        cases_per_patient: co-registered patches of each patient.
        size_px: edge of the square images in pixels.
        mpp: micrometres per pixel of the images.
        extra_stains: names of further stains; each is a nuclear marker such as `ki67`.
        missing: per stain, the fraction of cases that lack it; a case always keeps one stain.
        labelled: fraction of the training patients whose label is known; the other parts always have theirs.
        val_fraction: fraction of the patients in the validation part.
        test_fraction: fraction of the patients in the test part.
        shift_px: largest shift of every further stain against H&E along each axis, in pixels.
        rotation_deg: largest rotation of every further stain against H&E.
        sites: number of sites; patients are spread over them.
        site_effect: how far sites differ in colour, strength and sharpness; 0 is not at all, 1 clearly visible.
        seed: another seed makes other patients.
    """

    patients: int = 240
    cases_per_patient: int = 4
    size_px: int = 64
    mpp: float = 1.0
    extra_stains: tuple[str, ...] = ()
    missing: Mapping[str, float] = field(default_factory=dict)
    labelled: float = 1.0
    val_fraction: float = 0.15
    test_fraction: float = 0.25
    shift_px: float = 0.0
    rotation_deg: float = 0.0
    sites: int = 1
    site_effect: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least("patients", self.patients, 1)
        _at_least("cases_per_patient", self.cases_per_patient, 1)
        _at_least("size_px", self.size_px, 8)
        _at_least("sites", self.sites, 1)
        for name in ("shift_px", "rotation_deg", "site_effect", "seed"):
            _at_least(name, getattr(self, name), 0)
        if not 0.05 <= self.mpp <= 4:
            raise RecipeError(f"demo cohort: mpp is {self.mpp}; cells can be drawn from 0.05 to 4 µm per pixel.")
        for name in ("labelled", "val_fraction", "test_fraction"):
            _fraction(name, getattr(self, name))
        if self.val_fraction + self.test_fraction >= 1:
            raise RecipeError("demo cohort: val_fraction + test_fraction leave no patient to train on; lower them.")
        for name in self.extra_stains:
            if not re.fullmatch(r"[A-Za-z]\w*", name):
                raise RecipeError(f"demo cohort: {name!r} cannot name a stain; use letters, digits and underscores.")
        if len(set(self.modalities)) < len(self.modalities):
            raise RecipeError(f"demo cohort: a stain is named twice in {', '.join(self.modalities)}; rename it.")
        for name, fraction in self.missing.items():
            if name not in self.modalities:
                raise RecipeError(
                    f"demo cohort: missing names {name!r}, but the stains are {', '.join(self.modalities)}."
                )
            _fraction(f"missing.{name}", fraction)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the stains, H&E first."""
        return ("he", "ihc", *self.extra_stains)

    @property
    def cases(self) -> int:
        """Number of cases of the cohort."""
        return self.patients * self.cases_per_patient

    def to_json(self) -> str:
        """The options and the version of the generator, as written into the cohort folder."""
        return json.dumps({"generator": GENERATOR_VERSION, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    def digest(self) -> str:
        """Twelve hex digits that name the cohort."""
        return digest_of(self.to_json())


def digest_of(text: str) -> str:
    """Twelve hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _at_least(name: str, value: float, least: int) -> None:
    if not value >= least:
        raise RecipeError(f"demo cohort: {name} is {value}; give at least {least}.")


def _fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise RecipeError(f"demo cohort: {name} is {value}; give a fraction from 0 to 1.")
