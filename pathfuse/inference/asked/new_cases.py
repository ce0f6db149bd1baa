"""Cases that a trained model is asked about: their classes, spacing, patches and encoders are those of its training."""

from __future__ import annotations

from pathfuse.core import DataSpec, ModalitySpec
from pathfuse.data.contract import CaseData
from pathfuse.errors import RunError
from pathfuse.system.spacing import alike


def check_cases(data: CaseData, model: DataSpec) -> list[str]:
    """Refuses cases of other classes, spacing, patches or encoders than the model's; returns what is not known.

    Args:
        data: the cases.
        model: what the model was made for.

    Raises:
        RunError: if a class index would mean another class, a pixel or a patch another size, or a feature another
            thing.
    """
    found = data.spec()
    if found.classes != model.classes and any(case.label for case in data.cohort):
        raise RunError(
            f"the cases have the classes {', '.join(found.classes)}, but the run was trained on "
            f"{', '.join(model.classes)}. Give cases with the same labels, or clear these: predicting needs none."
        )
    new = {one.name: one for one in found.modalities}
    shared = [(one, new[one.name]) for one in model.modalities if one.name in new and _shown(data, one.name)]
    for own, other in shared:
        _refuse_other_features(own, other)
    return [note for own, other in shared if (note := _spacing_note(own, other))]


def _shown(data: CaseData, modality: str) -> bool:
    return any(case.files.get(modality) for case in data.cohort)


def _refuse_other_features(model: ModalitySpec, new: ModalitySpec) -> None:
    if model.encoder and new.encoder and model.encoder != new.encoder:
        raise RunError(
            f"{new.name}: the features are of {new.encoder}, and the model learned from those of {model.encoder}. "
            "Extract the new slides with the encoder of the training cohort."
        )
    if model.patch_um and new.patch_um and not alike(new.patch_um, model.patch_um):
        raise RunError(
            f"{new.name}: the patches are {new.patch_um:.4g} um wide, and the model learned from {model.patch_um:.4g}: "
            "cells have another size for it. Extract the new slides as those of the training cohort."
        )


def _spacing_note(model: ModalitySpec, new: ModalitySpec) -> str:
    """What is not known of the spacing of images; refuses another one."""
    if model.mpp is None:
        return ""
    if new.mpp is None:
        return (
            f"The spacing of the {new.name} images is not known, or not one; the model learned from "
            f"{model.mpp:.4g} um per pixel. Give it in column mpp, or with cohort.mpp."
        )
    if not alike(new.mpp, model.mpp):
        raise RunError(
            f"{new.name}: the images are seen at {new.mpp:.4g} um per pixel, and the model learned from "
            f"{model.mpp:.4g}: cells have another size for it. Give images of the same field, or correct mpp."
        )
    return ""
