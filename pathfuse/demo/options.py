"""Options of the demo cohort: who its patients are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pathfuse.errors import RecipeError

SCORES = ("0", "1+", "2+", "3+")
"""The labels; the position is the HER2 level."""

GENERATOR_VERSION = 2
"""Raise it whenever an image of an existing cohort would change: cached cohorts are named by it."""


@dataclass(frozen=True)
class DemoCohort:
    """Generated patients; equal options give equal patients on every machine, whatever is drawn of them.

    Args:
        patients: number of patients; the four scores come equally often. From 12 on every part has every score.
        extra_stains: names of further stains, where patches are drawn; each is a nuclear marker such as `ki67`.
        missing: per stain, the fraction of cases that lack it; a case always keeps one stain.
        labelled_patients: how many training patients have a label, spread equally over the scores; null labels all.
            The other parts always have theirs.
        val_fraction: fraction of the patients in the validation part.
        test_fraction: fraction of the patients in the test part.
        sites: number of sites; patients are spread over them.
        site_effect: how far sites differ in colour, strength and sharpness; 0 is not at all, 1 clearly visible.
        seed: another seed makes other patients.
    """

    patients: int = 240
    extra_stains: tuple[str, ...] = ()
    missing: Mapping[str, float] = field(default_factory=dict)
    labelled_patients: int | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.25
    sites: int = 1
    site_effect: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        at_least("patients", self.patients, 1)
        at_least("sites", self.sites, 1)
        for name in ("site_effect", "seed"):
            at_least(name, getattr(self, name), 0)
        if self.labelled_patients is not None:
            at_least("labelled_patients", self.labelled_patients, 0)
        for name in ("val_fraction", "test_fraction"):
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


def at_least(name: str, value: float, least: int) -> None:
    """Refuses a number of the demo cohort below the least."""
    if not value >= least:
        raise RecipeError(f"demo cohort: {name} is {value}; give at least {least}.")


def _fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise RecipeError(f"demo cohort: {name} is {value}; give a fraction from 0 to 1.")
