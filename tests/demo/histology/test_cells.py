import numpy as np

from pathfuse.demo.histology.cells import cells_at
from pathfuse.demo.histology.fields import Window

X, Y = Window(700.0, 400.0, 60, 0.8).points()


def test_every_pixel_belongs_to_the_nearest_cell():
    cells = cells_at(5, 100, X, Y, 9.0, 0.3)
    distance = np.hypot(X[..., None] - cells.lattice.x, Y[..., None] - cells.lattice.y)
    np.testing.assert_array_equal(cells.owner, distance.argmin(axis=-1))
    two = np.sort(distance, axis=-1)[..., :2]
    np.testing.assert_allclose(cells.edge, (two[..., 1] - two[..., 0]) / 2, atol=1e-3)
    np.testing.assert_allclose(np.hypot(cells.dx, cells.dy), two[..., 0], atol=1e-3)


def test_cells_and_their_properties_do_not_depend_on_the_window():
    first = cells_at(5, 100, X, Y, 9.0, 0.3)
    second = cells_at(5, 100, X[20:40, 10:30], Y[20:40, 10:30], 9.0, 0.3)
    assert (first.lattice.i.size, first.lattice.j[0]) != (second.lattice.i.size, second.lattice.j[0])
    np.testing.assert_array_equal(
        first.lattice.draw(3)[first.owner[20:40, 10:30]], second.lattice.draw(3)[second.owner]
    )


def test_a_larger_spacing_makes_fewer_cells():
    assert (
        np.unique(cells_at(5, 100, X, Y, 12.0, 0.3).owner).size < np.unique(cells_at(5, 100, X, Y, 8.0, 0.3).owner).size
    )


def test_no_points_have_no_cells():
    nothing = np.zeros(0, np.float32)
    assert cells_at(5, 100, nothing, nothing, 9.0, 0.3).owner.shape == (0,)
