"""The spline that carries a potential between the nodes of a grid."""

import jax.numpy as jnp
import numpy as np
import pytest

from brenier.grids import Box, GridPotential
from brenier.maps import GradientMap


def test_the_spline_is_of_the_order_of_its_degree():
    errors = []
    places = np.linspace(0.1, 2.9, 40)[:, None]
    for n in (12, 24):
        grid = Box([0.0], [3.0], [n])
        T = GradientMap(GridPotential.from_grid(grid, np.sin(2.0 * grid.nodes(0))))
        errors.append(np.abs(T(places) - places - 2.0 * np.cos(2.0 * places)).max())
    # The gradient of a spline of degree 7 errs by h⁷.
    assert np.log2(errors[0] / errors[1]) > 6.5


def test_beyond_the_box_the_map_goes_on_as_a_gradient():
    grid = Box([-1.0, -1.0], [1.0, 2.0], [16, 20])
    x, y = np.moveaxis(grid.points(), -1, 0)
    T = GradientMap(GridPotential.from_grid(grid, 0.1 * np.sin(x + y)))
    jacobians = T.jacobian(np.array([[1.5, 0.0], [-2.0, 3.0], [4.0, -7.0]]))
    np.testing.assert_allclose(jacobians, np.swapaxes(jacobians, 1, 2), atol=1e-12)
    border = np.array([[1.0, 0.3], [1.0, 2.0], [-1.0, -1.0]])
    np.testing.assert_allclose(T(border), T(border * (1 + 1e-9)), atol=1e-8)


def test_values_of_another_shape_than_the_grid():
    plane = Box([-6.0, -6.0], [6.0, 6.0], [24, 24])
    with pytest.raises(ValueError, match=r"p: got shape \(3, 3\)"):
        GridPotential.from_grid(plane, np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"coefficients: got 2 axes with corner \(1,\)"):
        GridPotential(jnp.zeros((9, 9)), jnp.zeros(1), jnp.ones(1), False)
