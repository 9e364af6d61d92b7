"""Grids differentiate, integrate and interpolate to their order, and refuse what is no grid."""

import numpy as np
import pytest

from brenier.grids import Box, Torus, apply_along, log_integral
from brenier.measures import Empirical, Gaussian

GRIDS = {
    "torus": (Torus([0.0, 1.0], [2 * np.pi, 1.0 + 2 * np.pi], [12, 15]), np.sin, np.cos),
    # A polynomial of degree 2: exact also next to the border, where the stencils have three nodes.
    "box": (Box([-1.0, 0.5], [2.0, 1.5], [12, 13]), np.square, lambda t: 2.0 * t),
}


@pytest.mark.parametrize("name", GRIDS)
def test_what_a_grid_resolves_is_differentiated_and_interpolated_to_rounding(name):
    grid, function, slope = GRIDS[name]
    for axis in range(2):
        nodes = grid.nodes(axis)
        values = np.broadcast_to(np.expand_dims(function(nodes), 1 - axis), grid.shape)
        wanted = np.broadcast_to(np.expand_dims(slope(nodes), 1 - axis), grid.shape)
        found = apply_along(grid.derivatives(axis).first, values, axis)
        np.testing.assert_allclose(found, wanted, atol=1e-11)
        # Second order: h²/6 of the third derivative, which is at most 1 on the torus, 0 on the box.
        error = 1e-11 + (grid.spacing[axis] ** 2 / 6.0 if grid.periodic else 0.0)
        found = apply_along(grid.low_order_derivatives(axis).first, values, axis)
        np.testing.assert_allclose(found, wanted, atol=error)
        places = np.linspace(grid.lower[axis], grid.upper[axis], 7)
        between = grid.interpolation(axis, places) @ function(nodes)
        np.testing.assert_allclose(between, function(places), atol=1e-11)
        sloped = grid.interpolation(axis, places, 1) @ function(nodes)
        np.testing.assert_allclose(sloped, slope(places), atol=1e-10)


def test_integrals_and_their_logarithms():
    normal = Gaussian.standard(2)
    box = Box.around(normal, [40, 40], deviations=8.0)
    logs = np.asarray(normal.log_density(box.points()))
    # The trapezoid rule is spectrally accurate for what vanishes at the border.
    assert box.integral(np.exp(logs)) == pytest.approx(1.0, abs=1e-10)
    # A density far below the smallest number has a logarithm all the same.
    assert log_integral(box, logs - 2000.0) == pytest.approx(-2000.0, abs=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Torus([0.0], [1.0], [4]), "shape: got 4"),
        (lambda: Torus([0.0] * 4, [1.0] * 4, [16] * 4), "shape: got 4 axes"),
        (lambda: Box([0.0, 0.0], [1.0], [16, 16]), r"upper: got \[1.0\]; wants 2 finite numbers"),
        (lambda: Box([np.nan], [1.0], [16]), r"lower: got \[nan\]; wants 1 finite numbers"),
        (lambda: Box([0.0], [-1.0], [16]), "upper: got .* wants numbers above lower"),
        (lambda: Box.around(Empirical(np.eye(2)), [16, 16]), "measure: got Empirical"),
    ],
)
def test_bad_grids(make, message):
    with pytest.raises(ValueError, match=message):
        make()
