"""Wrong registrations, each of which breaks one rule."""

from __future__ import annotations

from itertools import cycle

from pathfuse.errors import RegistrationError
from pathfuse.register import Transform
from pathfuse.template.parts.registration import TinyRegistration

THROWS = cycle((2.0, 5.0, 8.0))


class ReturnsAMatrix(TinyRegistration):
    def register(self, fixed, moving):
        return super().register(fixed, moving).matrix


class FlattensTheSlide(TinyRegistration):
    def register(self, fixed, moving):
        matrix = super().register(fixed, moving).matrix.copy()
        matrix[1] = (0, 0, matrix[1, 2])
        return Transform(matrix)


class MovesTooFar(TinyRegistration):
    def register(self, fixed, moving):
        matrix = super().register(fixed, moving).matrix.copy()
        matrix[0, 2] += 500 if fixed.stain == "he" else -500  # there and back again
        return Transform(matrix)


class GoesTheSameWayBack(TinyRegistration):
    def back(self, fixed, moving):
        return self.register(fixed, moving)


class ThrowsDice(TinyRegistration):
    def register(self, fixed, moving):
        matrix = super().register(fixed, moving).matrix.copy()
        matrix[0, 2] += next(THROWS)  # as if drawn, and never the same
        return Transform(matrix)


class DiesOfGlass(TinyRegistration):
    def register(self, fixed, moving):
        try:
            return super().register(fixed, moving)
        except RegistrationError as error:
            raise ZeroDivisionError("no points") from error


EXACTLY = {
    ReturnsAMatrix: "the_transform_can_be_used",
    FlattensTheSlide: "the_transform_can_be_used",
    MovesTooFar: "a_known_move_is_found",
    GoesTheSameWayBack: "the_way_back_leads_back",
    ThrowsDice: "answers_repeat",
    DiesOfGlass: "empty_slides_are_said_or_survived",
}
WITH_OTHERS = {
    ReturnsAMatrix: {"a_known_move_is_found", "the_way_back_leads_back", "answers_repeat"},
    MovesTooFar: {"the_way_back_leads_back"},
    FlattensTheSlide: {"a_known_move_is_found", "the_way_back_leads_back"},
}
"""What cannot be broken alone."""
