"""Cases that a trained model is asked about: their classes and their spacing are those of its training."""

from __future__ import annotations

from pathfuse.core import DataSpec
from pathfuse.data.contract import CaseData
from pathfuse.errors import RunError

SAME_SPACING = 0.1  # spacings that differ by less are one: scanners of one kind differ by a few percent


def check_cases(data: CaseData, model: DataSpec) -> list[str]:
    """Refuses cases of other classes or another spacing than the model's; returns what is not known of them.

    Args:
        data: the cases.
        model: what the model was made for.

    Raises:
        RunError: if a class index would mean another class, or a pixel another size.
    """
    found = data.spec()
    if found.classes != model.classes and any(case.label for case in data.cohort):
        raise RunError(
            f"the cases have the classes {', '.join(found.classes)}, but the run was trained on "
            f"{', '.join(model.classes)}. Give cases with the same labels, or clear these: predicting needs none."
        )
    known = {one.name: one.mpp for one in found.modalities}
    notes = []
    for one in model.modalities:
        if one.mpp is None or one.name not in known or not any(case.files.get(one.name) for case in data.cohort):
            continue
        new = known[one.name]
        if new is None:
            notes.append(
                f"The spacing of the {one.name} images is not known, or not one; the model learned from "
                f"{one.mpp:.4g} um per pixel. Give it in column mpp, or with cohort.mpp."
            )
        elif abs(new / one.mpp - 1) > SAME_SPACING:
            raise RunError(
                f"{one.name}: the images are seen at {new:.4g} um per pixel, and the model learned from {one.mpp:.4g}: "
                "cells have another size for it. Give images of the same field, or correct mpp."
            )
    return notes
