"""Registrations of slides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pathfuse.errors import PathfuseError
from pathfuse.register.contract import Registration, Section
from pathfuse.register.field import Points
from pathfuse.register.transform import Transform, apply
from pathfuse.slides.opening import open_slide
from pathfuse.testing.sections import MPP, known_map, points, write_glass, write_sections
from pathfuse.testing.trial import Trial

CLOSE_UM = 60.0  # three per cent of the drawn slide; our method ends at a tenth of it
SAME_UM = 0.5


def the_transform_can_be_used(trial: Trial) -> None:
    """The affine is 3 x 3, can be undone and ends in 0 0 1; displacements are numbers that cover the fixed slide."""
    with _sections(trial) as (method, fixed, moving):
        found = method.register(fixed, moving)
        width, height = fixed.size_um
    assert isinstance(found, Transform), f"register returns {type(found).__name__} instead of a Transform"
    matrix = found.matrix
    assert matrix.shape == (3, 3) and np.isfinite(matrix).all(), f"the affine is {matrix.shape}, or holds no numbers"
    assert np.allclose(matrix[2], (0, 0, 1)), "the last row of the affine is not 0 0 1"
    assert abs(np.linalg.det(matrix[:2, :2])) > 1e-6, "the affine cannot be undone"
    if found.field is None:
        return
    rows, columns, channels = found.field.values.shape
    assert channels == 2 and np.isfinite(found.field.values).all(), "the field is not x and y of numbers, (H, W, 2)"
    covered = columns * found.field.pitch[0], rows * found.field.pitch[1]
    assert np.allclose(covered, (width, height), rtol=0.1), f"the field covers {covered}, the slide {width, height} um"


def a_known_move_is_found(trial: Trial) -> None:
    """One block on two slides, turned and moved by known amounts: half of the tissue ends within 60 micrometres."""
    with _sections(trial) as (method, fixed, moving):
        found = method.register(fixed, moving).forward(points())
    off = _median(found, apply(known_map(), points()))
    assert off <= CLOSE_UM, f"the median error is {off:.0f} um on a drawn pair; fixed to moving, in micrometres?"


def the_way_back_leads_back(trial: Trial) -> None:
    """The way back is None, or the tissue ends within 60 micrometres of where it began."""
    with _sections(trial) as (method, fixed, moving):
        there, back = method.register(fixed, moving), method.back(fixed, moving)
    if back is not None:
        off = _median(back.forward(there.forward(points())), points())
        assert off <= CLOSE_UM, f"there and back, the median place is off by {off:.0f} um"


def answers_repeat(trial: Trial) -> None:
    """The same slides get the same transform again."""
    found = []
    for _ in range(2):
        with _sections(trial) as (method, fixed, moving):
            found.append(method.register(fixed, moving).forward(points()))
    off = float(np.abs(found[0] - found[1]).max())
    assert off <= SAME_UM, f"asked twice, places differ by {off:.1f} um: runs would not repeat"


def empty_slides_are_said_or_survived(trial: Trial) -> None:
    """A slide without tissue raises an error that a user can read, or gives a transform, whatever a library raises."""
    with _sections(trial, blank=True) as (method, fixed, moving):
        asked: tuple[Callable[[], object], ...] = (
            lambda: method.register(fixed, moving),
            lambda: method.register(moving, fixed),
        )
        for ask in asked:
            try:
                ask()
            except PathfuseError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"an empty slide raises {type(error).__name__} instead of RegistrationError"
                ) from error


@contextmanager
def _sections(trial: Trial, *, blank: bool = False) -> Iterator[tuple[Registration, Section, Section]]:
    """The method, and both sections; the moving slide is empty with `blank`."""
    method = trial.example.build()
    assert isinstance(method, Registration)
    with TemporaryDirectory() as folder:
        he, ihc = write_sections(Path(folder))
        if blank:
            write_glass(ihc)
        with open_slide(he, mpp=MPP) as ours, open_slide(ihc, mpp=MPP) as theirs:
            yield method, Section(ours, "he"), Section(theirs, "ihc")


def _median(one: Points, other: Points) -> float:
    return float(np.median(np.hypot(*(one - other).T)))
