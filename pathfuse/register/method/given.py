"""Transforms that were made elsewhere: an affine as numbers, or landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pathfuse.errors import RecipeError, RegistrationError
from pathfuse.register.contract import Registration, Section
from pathfuse.register.files.record import check_matrix
from pathfuse.register.landmarks import landmarks_of
from pathfuse.register.transform import Matrix, Transform
from pathfuse.system.reading import read_json

_MAX_BYTES = 1 << 20
IDENTITY = "identity"


class GivenTransform(Registration):
    """Takes a transform from a file instead of looking for one; it is measured like any other.

    Args:
        file: `.npy` or `.json` with an affine, 3 x 3, from level-0 pixels of the fixed slide to those of the moving one
            (a JSON may be `{"affine": [[...]], "fixed_size": [w, h], "moving_size": [w, h]}`, whose sizes are checked),
            or a CSV of landmarks (fixed_x, fixed_y, moving_x, moving_y), to which an affine is fitted. `{fixed}` and
            `{moving}` in the path stand for the names of the slides. `identity` says that both slides lie in one frame
            already: a place has the same distance in micrometres from the upper left corner of both.
    """

    example_options: ClassVar[Mapping[str, object]] = {"file": IDENTITY}
    known_failures: ClassVar[Mapping[str, str]] = {"a_known_move_is_found": "it takes a transform and looks for none"}

    def __init__(self, *, file: str = "") -> None:
        if not file:
            raise RecipeError(
                "GivenTransform: file is empty; name an affine (.npy, .json) or landmarks (.csv), or identity."
            )
        self.file = file

    def register(self, fixed: Section, moving: Section) -> Transform:
        """The transform of the file.

        Raises:
            RegistrationError: if it cannot be read, or belongs to other slides.
        """
        names = {"fixed": fixed.slide.path.stem, "moving": moving.slide.path.stem}
        if self.file == IDENTITY:
            return Transform(np.eye(3))
        path = Path(self.file.replace("{fixed}", names["fixed"]).replace("{moving}", names["moving"]))
        read = _of_landmarks if path.suffix.lower() == ".csv" else _of_numbers
        matrix = read(path, fixed, moving)
        check_matrix(path, matrix)
        ours, theirs = np.diag([fixed.slide.mpp] * 2 + [1.0]), np.diag([moving.slide.mpp] * 2 + [1.0])
        found = Transform(theirs @ matrix @ np.linalg.inv(ours))
        width, height = fixed.size_um
        corners = found.forward(np.array([[0, 0], [width, 0], [0, height], [width, height]], float))
        low, high = corners.min(axis=0), corners.max(axis=0)
        if (high <= 0).any() or (low >= moving.size_um).any():
            raise RegistrationError(
                f"{path} puts {fixed.slide.path.name} beside {moving.slide.path.name}: other slides?"
            )
        return found

    def back(self, fixed: Section, moving: Section) -> None:
        """None: the way back is the same file, and says nothing new."""


def _of_landmarks(path: Path, ours: Section, theirs: Section) -> Matrix:
    fixed, moving = landmarks_of(str(path), ours.slide, theirs.slide)
    if len(fixed) < 3:
        raise RegistrationError(f"{path} has {len(fixed)} landmarks, and an affine needs three. Add some.")
    best, _, rank, _ = np.linalg.lstsq(np.hstack([fixed, np.ones((len(fixed), 1))]), moving, rcond=None)
    if rank < 3:
        raise RegistrationError(
            f"{path}: the landmarks lie on a line, and an affine needs three that do not. Add some."
        )
    matrix = np.eye(3)
    matrix[:2] = best.T
    return matrix


def _of_numbers(path: Path, fixed: Section, moving: Section) -> Matrix:
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".json"):
        raise RegistrationError(f"{path}: a transform is an affine (.npy, .json) or landmarks (.csv). Convert it.")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RegistrationError(f"{path} is too large for an affine of nine numbers. Name another file.")
        content: Any = np.load(path, allow_pickle=False) if suffix == ".npy" else read_json(path)
        if isinstance(content, dict):
            _check_sizes(path, content, fixed, moving)
            content = content["affine"]
        return np.array(content, dtype=np.float64)
    except OSError as error:
        raise RegistrationError(f"{path} cannot be read ({error.strerror or error}). Name a transform.") from error
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise RegistrationError(f"{path} holds no affine of 3 x 3 numbers ({error}). Write it again.") from error


def _check_sizes(path: Path, content: dict[str, Any], fixed: Section, moving: Section) -> None:
    for key, section in (("fixed_size", fixed), ("moving_size", moving)):
        said = content.get(key)
        if said is not None and list(said) != list(section.slide.size):
            raise RegistrationError(
                f"{path} is for a slide of {said} px, but {section.slide.path.name} has {list(section.slide.size)}. "
                "Name the transform of this slide."
            )
