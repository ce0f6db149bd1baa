import numpy as np
import pytest

from pathfuse.register.field import Field
from pathfuse.register.transform import Transform


def bent() -> Transform:
    y, x = np.mgrid[:40, :50] * 20.0
    values = np.stack([15 * np.sin(x / 200), 12 * np.cos(y / 150)], axis=-1).astype(np.float32)
    turn = np.deg2rad(140)
    matrix = np.array([[-np.cos(turn), np.sin(turn), 900], [np.sin(turn), np.cos(turn), 40], [0, 0, 1]]) * [[1.02]]
    matrix[2] = (0, 0, 1)
    return Transform(matrix, Field(values, (20.0, 20.0)))


def test_back_undoes_forth() -> None:
    points = np.random.default_rng(0).uniform(0, 900, (200, 2))
    there = bent().forward(points)
    assert np.abs(there - points).max() > 100
    np.testing.assert_allclose(bent().backward(there), points, atol=2e-3)


@pytest.mark.parametrize("degrees", [-170.0, -30.0, 0.0, 45.0, 160.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turn_scale_and_face_are_read_off(degrees: float, mirrored: bool) -> None:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.eye(3)
    matrix[:2, :2] = 1.05 * np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    found = Transform(matrix)
    assert found.mirrored == mirrored
    assert found.scale == pytest.approx(1.05)
    assert (found.degrees - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


def test_a_field_is_linear_between_and_constant_beyond() -> None:
    values = np.array([[[0.0], [10.0]], [[20.0], [30.0]]], np.float32)
    field = Field(values, (2.0, 4.0))
    found = field.at(np.array([[1.0, 2.0], [2.0, 2.0], [2.0, 4.0], [-50.0, 2.0], [3.0, 99.0]]))[:, 0]
    np.testing.assert_allclose(found, [0, 5, 15, 0, 30])
