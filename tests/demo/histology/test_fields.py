import numpy as np
import pytest

from pathfuse.demo.histology.fields import Window, normal, smooth, smooth_at, uniform


def test_a_lattice_point_has_its_number_whatever_is_asked_with_it():
    i, j = np.meshgrid(np.arange(-5, 6), np.arange(-4, 5))
    together = uniform(3, 1, i, j)
    alone = uniform(3, 1, np.array([[-2]]), np.array([[4]]))
    assert together[8, 3] == alone[0, 0]


def test_numbers_are_uniform_and_differ_between_keys_channels_and_points():
    i, j = np.meshgrid(np.arange(200), np.arange(200))
    first = uniform(3, 1, i, j)
    assert np.abs(np.histogram(first, 10, (0, 1))[0] / first.size - 0.1).max() < 0.01
    for other in (uniform(4, 1, i, j), uniform(3, 2, i, j), uniform(3, 1, i + 1, j), uniform(3, 1, j, i)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("scale_um", [0.8, 3.0, 40.0])
def test_a_window_that_is_turned_by_nothing_sees_the_same_field(scale_um):
    # Windows along the axes take another way through the code than turned ones.
    straight = smooth(7, 2, Window(1234.5, 876.1, 48, 0.7), scale_um)
    turned = smooth(7, 2, Window(1234.5, 876.1, 48, 0.7, 1e-9), scale_um)
    np.testing.assert_allclose(straight, turned, atol=1e-4)


def test_a_quarter_turn_turns_the_image():
    straight = smooth(7, 2, Window(500.0, 300.0, 40, 1.0), 6.0)
    turned = smooth(7, 2, Window(500.0, 300.0, 40, 1.0, np.pi / 2), 6.0)
    np.testing.assert_allclose(np.rot90(straight), turned, atol=1e-4)


def test_overlapping_windows_agree_where_they_overlap():
    left = smooth(7, 2, Window(500.0, 300.0, 40, 0.5), 6.0, stretch=3.0, angle=0.4)
    right = smooth(7, 2, Window(505.0, 300.0, 40, 0.5), 6.0, stretch=3.0, angle=0.4)
    np.testing.assert_allclose(left[:, 10:], right[:, :30], atol=1e-4)


def test_another_magnification_shows_the_same_structures():
    near = smooth(7, 2, Window(500.0, 300.0, 64, 0.5), 8.0)
    far = smooth(7, 2, Window(500.0, 300.0, 32, 1.0), 8.0)
    np.testing.assert_allclose(near.reshape(32, 2, 32, 2).mean(axis=(1, 3)), far, atol=0.05)


def test_structures_are_longer_along_the_stretch():
    field = smooth(7, 2, Window(500.0, 300.0, 200, 1.0), 3.0, stretch=6.0, angle=0.0)
    along, across = np.abs(np.diff(field, axis=1)).mean(), np.abs(np.diff(field, axis=0)).mean()
    assert along < across / 3


def test_fields_at_points_have_mean_0_and_deviation_1():
    x, y = np.random.default_rng(0).uniform(0, 20_000, (2, 20_000)).astype(np.float32)
    value = smooth_at(7, 2, x, y, 30.0)
    assert abs(value.mean()) < 0.05
    assert abs(value.std() - 1) < 0.1


def test_normal_quantiles_are_those_of_the_normal_distribution():
    known = {0.5: 0.0, 0.8413: 1.0, 0.1587: -1.0, 0.9772: 2.0}
    got = normal(np.array(list(known), np.float32))
    np.testing.assert_allclose(got, list(known.values()), atol=0.015)
    assert np.isfinite(normal(np.array([0.0, 1.0], np.float32))).all()
