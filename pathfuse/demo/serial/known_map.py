"""The map between two sections of one block, known because it is made: turned, mirrored, bent, torn and folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (N, 2) x and y in micrometres
_STEPS = 60  # of the fixed-point iteration; the bend's slope is below 0.3, so the rest is below 1e-30 of the bend


@dataclass(frozen=True)
class Wave:
    """One bend of the section: `shift` (x, y in micrometres) times the sine of `turn` (per micrometre) and `phase`."""

    shift: tuple[float, float]
    turn: tuple[float, float]
    phase: float


@dataclass(frozen=True)
class Line:
    """A line across the second slide.

    Attributes:
        angle: direction across it in radians.
        offset_um: distance of the line from the middle of the slide, along that direction.
    """

    angle: float
    offset_um: float

    def along(self, points: Points, middle: Points) -> NDArray[np.float64]:
        """(N,) place of points across the line, 0 on it."""
        at: NDArray[np.float64] = (points - middle) @ self.normal - self.offset_um
        return at

    @property
    def normal(self) -> Points:
        """(2,) the direction across."""
        return np.array([np.cos(self.angle), np.sin(self.angle)])


@dataclass(frozen=True)
class Tear(Line):
    """A crack across the section: what lies beyond the line was moved away, and glass shows between.

    Attributes:
        gap_um: how far it was moved.
    """

    gap_um: float


@dataclass(frozen=True)
class Fold(Line):
    """A fold across the section: a strip lies upside down on what is before it, and what is beyond on both.

    Attributes:
        width_um: of the strip, and so of the band where three layers lie; what is beyond moves back by twice as much.
    """

    width_um: float

    def fold(self, points: Points, middle: Points) -> Points:
        """Where points (N, 2) of the flat section come to lie."""
        at = self.along(points, middle)
        back = np.where(at > self.width_um, 2 * self.width_um, 2 * np.clip(at, 0, None))
        return points - back[:, None] * self.normal

    def single(self, points: Points, middle: Points) -> NDArray[np.bool_]:
        """(N,) whether one layer lies at points (N, 2)."""
        at = self.along(points, middle)
        return (at <= -self.width_um) | (at >= 0)

    def layers(self, points: Points, middle: Points) -> Iterator[tuple[Points, NDArray[np.bool_]]]:
        """Of every layer, the places of the flat section that lie at points (N, 2), and (N,) whether it is there."""
        at = self.along(points, middle)
        yield points, at <= 0
        yield points - 2 * at[:, None] * self.normal, (-self.width_um < at) & (at < 0)
        yield points + 2 * self.width_um * self.normal, at > -self.width_um


@dataclass(frozen=True)
class KnownMap:
    """From the first section's slide to the second's and back, in micrometres.

    Attributes:
        middle_um: the middle of both square slides, which the turn leaves in place.
        angle: turn of the second section in radians.
        mirrored: whether it lies face down.
        scale: its size against the first.
        shift_um: its displacement, x and y.
        waves: its smooth bends.
        tear: its crack, if it has one.
        lost: the line beyond which it is missing, if a piece is.
        fold: its fold, if it has one.
    """

    middle_um: float
    angle: float = 0.0
    mirrored: bool = False
    scale: float = 1.0
    shift_um: tuple[float, float] = (0.0, 0.0)
    waves: Sequence[Wave] = ()
    tear: Tear | None = None
    lost: Line | None = None
    fold: Fold | None = None

    def forward(self, points: Points) -> Points:
        """Where points (N, 2) of the first slide lie on the second."""
        flat = points.copy()
        for _ in range(_STEPS):
            flat = points - self._bend(flat)
        placed: Points = (flat - self._middle) @ self._turn.T + self._middle + self.shift_um
        if self.fold is not None:
            placed = self.fold.fold(placed, self._middle)
        if self.tear is not None:
            beyond = self.tear.along(placed, self._middle) > 0
            placed = placed + beyond[:, None] * self.tear.gap_um * self.tear.normal
        return placed

    def backward(self, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Where points (N, 2) of the second slide lie on the first, and (N,) whether there is one layer of it."""
        source, found = points, np.zeros(len(points), bool)
        for layer, there in self.layers(points):
            source, found = np.where(there[:, None], layer, source), found | there
        if self.fold is not None:
            found &= self.fold.single(self._closed(points)[0], self._middle)
        return source, found

    def layers(self, points: Points) -> Iterator[tuple[Points, NDArray[np.bool_]]]:
        """Of every layer, where points (N, 2) of the second slide lie on the first, and (N,) whether it is there.

        There is one layer but for folds.
        """
        whole, there = self._closed(points)
        unfolded = iter([(whole, there)]) if self.fold is None else self.fold.layers(whole, self._middle)
        for layer, here in unfolded:
            kept = here & there
            if self.lost is not None:
                kept &= self.lost.along(layer, self._middle) <= 0
            flat: Points = (layer - self._middle - self.shift_um) @ np.linalg.inv(self._turn).T + self._middle
            yield flat + self._bend(flat), kept

    def _closed(self, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Points (N, 2) of the slide on the section before it was torn, and (N,) whether they are not in the gap."""
        if self.tear is None:
            return points, np.ones(len(points), bool)
        at = self.tear.along(points, self._middle)
        there = (at <= 0) | (at >= self.tear.gap_um)
        return points - (at > 0)[:, None] * self.tear.gap_um * self.tear.normal, there

    @property
    def _middle(self) -> Points:
        return np.full(2, self.middle_um)

    @property
    def _turn(self) -> Points:
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        face = np.diag([-1.0 if self.mirrored else 1.0, 1.0])
        turn: Points = self.scale * np.array([[cos, -sin], [sin, cos]]) @ face
        return turn

    def _bend(self, points: Points) -> Points:
        bend = np.zeros_like(points)
        for wave in self.waves:
            bend += np.sin(points @ np.array(wave.turn) + wave.phase)[:, None] * wave.shift
        return bend


def draw_map(
    rng: np.random.Generator,
    edge_um: float,
    *,
    rotation_deg: float,
    mirrored: float,
    scale: float,
    warp_um: float,
    lost: float,
    torn: float,
    folded: float = 0.0,
) -> KnownMap:
    """A map drawn at random.

    Args:
        rng: stream of random numbers.
        edge_um: edge of the slides.
        rotation_deg: largest turn to either side.
        mirrored: share of sections that lie face down.
        scale: largest relative difference in size.
        warp_um: largest bend; each of two waves has up to half of it in x and in y.
        lost: share of sections of which a piece is missing.
        torn: share of sections with a crack.
        folded: share of sections with a fold.
    """
    angle, size = rng.uniform(-1, 1) * np.deg2rad(rotation_deg), 1 + scale * rng.uniform(-1, 1)
    face = bool(rng.uniform() < mirrored)
    shift = rng.uniform(-0.05, 0.05, 2) * edge_um
    waves = []
    for _ in range(2):
        direction, length = rng.uniform(0, 2 * np.pi), edge_um * rng.uniform(0.5, 1.2)
        turn = 2 * np.pi / length * np.array([np.cos(direction), np.sin(direction)])
        amount = rng.uniform(-0.5, 0.5, 2) * warp_um
        phase = float(rng.uniform(0, 2 * np.pi))
        waves.append(Wave((float(amount[0]), float(amount[1])), (float(turn[0]), float(turn[1])), phase))
    gone = Line(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.12, 0.25) * edge_um))
    crack = Tear(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(-0.1, 0.1) * edge_um), float(rng.uniform(20, 60)))
    has_lost, has_tear = rng.uniform() < lost, rng.uniform() < torn
    # Drawn last, so that a section is otherwise the same with and without a fold.
    ply = Fold(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(-0.1, 0.1) * edge_um), float(rng.uniform(15, 40)))
    has_fold = rng.uniform() < folded
    return KnownMap(
        edge_um / 2,
        float(angle),
        face,
        float(size),
        (float(shift[0]), float(shift[1])),
        tuple(waves),
        crack if has_tear else None,
        gone if has_lost else None,
        ply if has_fold else None,
    )
