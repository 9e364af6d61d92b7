"""Mirror flows of other divergences on grids."""

import jax.numpy as jnp
import numpy as np
import pytest

from brenier._solution import Result
from brenier.flows import divergence_flow, sinkhorn_flow
from brenier.grids import Box, Torus
from brenier.measures import Gaussian


@pytest.mark.slow
def test_other_divergences_arrive_where_kl_does():
    grid = Torus([0.0], [2.0 * np.pi], [32])

    def source(x):
        return 0.5 * jnp.cos(x[0])

    def target(y):
        return 0.6 * jnp.sin(y[0])

    natural = sinkhorn_flow(source, target, grid, 8.0, epsilon=0.1, half_shift=False)
    limit = natural.stats["potentials"][0]
    for divergence in ("kl", "chi2", "reverse_kl", "hellinger"):
        end = divergence_flow(source, target, grid, 80, divergence=divergence, epsilon=0.1)
        p = end.stats["potential"]
        # One fixed point for all, up to a constant: KL with τ = ε is Sinkhorn to rounding.
        gap = (p - p.mean()) - (limit - limit.mean())
        assert np.abs(gap).max() < (1e-12 if divergence == "kl" else 1e-3)
    wild = divergence_flow(
        source, target, grid, 200, divergence="kl", epsilon=0.1, step_size=0.4, throw=False
    )
    assert wild.result is Result.diverged
    # Nine deviations apart: χ² throws the potential out at once; no word of grids.
    far = Gaussian(np.array([9.0]), np.eye(1))
    lost = divergence_flow(
        Gaussian(np.zeros(1), 0.25 * np.eye(1)),
        far,
        Box([-4.0], [4.0], [161]),
        3,
        divergence="chi2",
        epsilon=0.1,
        throw=False,
    )
    assert lost.result is Result.diverged
    with pytest.raises(ValueError, match="divergence: got 'total_variation'"):
        divergence_flow(source, target, grid, 1, divergence="total_variation", epsilon=0.1)
