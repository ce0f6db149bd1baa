"""Checks of the options that a recipe gives to a component, for one line in place of a library's own error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pathfuse.core import DataSpec, ModalitySpec
from pathfuse.core.spec import Kind
from pathfuse.errors import RecipeError, did_you_mean

READS: dict[Kind, str] = {
    "image": "one image per case",
    "patches": "bags of patches",
    "features": "bags of features",
    "vector": "one vector per case",
}
"""What a component reads, by the kind of a modality."""
_SUITED: dict[Kind, str] = {
    "image": "an encoder for images",
    "patches": "PatchEncoder",
    "features": "BagEncoder",
    "vector": "VectorEncoder, within ByModality if there are other modalities",
}


def check_counts(asked_by: str, values: Mapping[str, int | None]) -> None:
    """Refuses a number below 1; None is an option that is not set.

    Args:
        asked_by: class name of the component.
        values: its options, by name.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise RecipeError(f"{asked_by}.{name} is {value}; give 1 or more.")


def check_shares(asked_by: str, values: Mapping[str, float]) -> None:
    """Refuses a number outside of 0 to 1.

    Args:
        asked_by: class name of the component.
        values: its options, by name.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise RecipeError(f"{asked_by}.{name} is {value}; give a share from 0 to 1.")


def check_once(asked_by: str, modalities: Sequence[str] | None) -> None:
    """Refuses a modality that is named twice; None is an option that is not set.

    Args:
        asked_by: class name of the component.
        modalities: those that it is told to read.
    """
    if modalities is not None and len(set(modalities)) < len(modalities):
        raise RecipeError(f"{asked_by}.modalities is {', '.join(modalities)}; name each modality once.")


def modality_of(spec: DataSpec, name: str, asked_by: str) -> ModalitySpec:
    """The spec of a modality, of whatever kind.

    Args:
        spec: sizes of the data.
        name: of the modality, as a recipe has it.
        asked_by: class name of the component.

    Raises:
        RecipeError: if the data has no such modality, with a guess.
    """
    if name not in spec.names:
        guess = did_you_mean(name, spec.names)
        raise RecipeError(f"{asked_by}: the data has no modality {name!r}, only {', '.join(spec.names)}.{guess}")
    return spec[name]


def modality_of_kind(spec: DataSpec, name: str, kind: Kind, asked_by: str) -> ModalitySpec:
    """The spec of a modality that comes as this kind.

    Args:
        spec: sizes of the data.
        name: of the modality, as a recipe has it.
        kind: what the component reads.
        asked_by: class name of the component.

    Raises:
        RecipeError: if the data has no such modality, with a guess, or has it in another form.
    """
    found = modality_of(spec, name, asked_by)
    if found.kind != kind:
        raise RecipeError(
            f"{asked_by}: {name} comes as {found.kind}, and this reads {READS[kind]}. Use {_SUITED[found.kind]}, "
            f"or a data module that gives {READS[kind]}."
        )
    return found
