"""The McKean-Vlasov diffusion that follows a mirror flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.flows import gaussian_parabolic_flow, mckean_vlasov, potential_path
from brenier.grids import Box
from brenier.measures import Gaussian

KEY = jax.random.key(0)


@pytest.mark.parametrize("counts", [(5,), pytest.param((5, 10), marks=pytest.mark.slow)])
@pytest.mark.slow
def test_the_diffusion_has_the_flow_as_its_law_at_weak_order_one(counts):
    f, g = Gaussian.standard(1), Gaussian(np.zeros(1), np.array([[0.25]]))
    grid, n = Box([-6.0], [6.0], [24]), 50_000
    x2 = 0.5 * grid.nodes(0) ** 2
    errors = []
    for steps in counts:
        times = np.linspace(0.0, 1.0, steps + 1)
        slopes = [float(gaussian_parabolic_flow(f, g, t).matrix[0, 0]) for t in times]
        path = potential_path(grid, np.stack([(a - 1.0) * x2 for a in slopes]))
        z = mckean_vlasov(g.sample(KEY, n), path, jnp.asarray(times[1:]), f, g, key=KEY)
        deviation = 0.5 / slopes[-1]
        errors.append(float(jnp.mean(z**2)) - deviation**2)
        # Euler's recursion for the variance, exactly.
        variance, tau = 0.25, 1.0 / steps
        for a in slopes[:-1]:
            variance = (1.0 - tau / a) ** 2 * variance + 2.0 * tau / a
        assert abs(errors[-1] - (variance - deviation**2)) < 5 * np.sqrt(2.0 / n) * variance
    if len(errors) == 2:
        assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.6)
