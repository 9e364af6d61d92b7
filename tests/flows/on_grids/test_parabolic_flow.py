"""The parabolic Monge-Ampère flow on grids against closed forms, its limit and its rate."""

import jax.numpy as jnp
import numpy as np
import pytest

from brenier.exact import solve_monge_ampere
from brenier.flows import exponential_rate, flow_measure, gaussian_parabolic_flow, parabolic_flow
from brenier.grids import Box, Torus
from brenier.measures import Gaussian

NORMAL = Gaussian.standard(1)
NARROW = Gaussian(np.array([0.3]), np.array([[0.25]]))


def test_on_the_line_to_eight_digits_and_at_its_rate():
    seen = []
    times = [0.5, 2.5, 3.0, 3.5]
    grid = Box([-8.0], [8.0], [161])
    stats = parabolic_flow(NORMAL, NARROW, grid, times, tolerance=1e-11, callback=seen.append).stats
    x = grid.nodes(0)
    middle, gaps = np.abs(x) < 4.0, []
    for t, p, logs in zip(times, stats["potentials"], stats["log_densities"], strict=True):
        flow = gaussian_parabolic_flow(NORMAL, NARROW, t)
        slope = x + grid.derivatives(0).first @ p
        exact = float(flow.matrix[0, 0]) * x + float(flow.offset[0])
        np.testing.assert_allclose(slope[middle], exact[middle], atol=1e-8)
        wanted = flow_measure(flow, NARROW).log_density(x[:, None])
        np.testing.assert_allclose(logs[middle], wanted[middle], atol=1e-7)
        gaps.append(abs(slope[80] - 0.3))
    # The mean decays at κ = √(FG) = 2 (4.7).
    rate, error = exponential_rate(times[1:], gaps[1:])
    assert rate == pytest.approx(2.0, abs=0.02)
    assert error < 0.01
    assert len(seen) == len(times)


def test_on_the_torus_it_ends_at_the_monge_map():
    turn = 2.0 * np.pi
    grid = Torus([0.0, 0.0], [turn, turn], [24, 24])

    def source(x):
        return 0.3 * jnp.cos(x[0]) + 0.2 * jnp.sin(x[1])

    def target(y):
        return 0.4 * jnp.sin(y[0] + y[1])

    solution = parabolic_flow(source, target, grid, [0.5, 9.0])
    monge = solve_monge_ampere(source, target, grid)
    x = grid.points()
    p = solution.stats["potentials"][-1]
    move = grid.derivatives(0).first @ p
    # e^{−gap·9}, and what the extrapolation estimates of itself.
    wanted = np.asarray(monge.map(x))[..., 0] - x[..., 0]
    np.testing.assert_allclose(move, wanted, atol=5e-4)
    assert solution.stats["kl"][1] < 1e-6 < solution.stats["kl"][0]
    assert max(solution.stats["map_errors"]) < 2e-4


def test_bad_input():
    grid = Box([-8.0], [8.0], [161])
    with pytest.raises(ValueError, match="target_grid, epsilon: got one on the line"):
        parabolic_flow(NORMAL, NARROW, grid, 1.0, epsilon=0.1)
    with pytest.raises(ValueError, match="values: got values that are not all finite and above"):
        exponential_rate([1.0, 2.0, 3.0], [1.0, 0.0, 0.1])
