"""A registration: centre on centre, long axis on long axis."""

import numpy as np

from pathfuse.errors import RegistrationError
from pathfuse.register import Registration, Section, Transform


class TinyRegistration(Registration):
    """Lays the centre of one tissue on that of the other and turns its long axis the shorter way.

    Args:
        look_um: micrometres per pixel of the views.
    """

    def __init__(self, *, look_um: float = 16.0) -> None:
        self.look_um = look_um

    def register(self, fixed: Section, moving: Section) -> Transform:
        """The transform from the fixed to the moving slide."""
        ours, theirs = (section.view(self.look_um).points() for section in (fixed, moving))
        if len(ours) < 3 or len(theirs) < 3:
            raise RegistrationError("a slide shows no tissue. Leave it out.")
        before, after = (np.arctan2(*np.linalg.eigh(np.cov(points.T))[1][::-1, 1]) for points in (ours, theirs))
        turn = (after - before + np.pi / 2) % np.pi - np.pi / 2
        matrix = np.eye(3)
        matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        matrix[:2, 2] = theirs.mean(axis=0) - matrix[:2, :2] @ ours.mean(axis=0)
        return Transform(matrix)
