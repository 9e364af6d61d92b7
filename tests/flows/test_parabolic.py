"""The parabolic Monge-Ampère flow against closed forms, its limit and its rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.exact import solve_monge_ampere
from brenier.flows import (
    ParabolicMongeAmpere,
    advance,
    exponential_rate,
    flow_measure,
    gaussian_parabolic_flow,
    gaussian_sinkhorn_flow,
    parabolic_flow,
    solve,
)
from brenier.grids import Box, Torus
from brenier.maps import AffineMap, GradientMap
from brenier.measures import Empirical, Gaussian, GaussianMixture, quasi_sample
from brenier.numerics import stochastic_log_det
from brenier.potentials import ICNN, LogSumExp, Quadratic

KEY = jax.random.key(0)
NORMAL = Gaussian.standard(1)
NARROW = Gaussian(np.array([0.3]), np.array([[0.25]]))
F = np.array([[1.0, 0.6], [0.6, 2.0]])
G = np.array([[3.0, -0.8], [-0.8, 0.7]])
PAIR = (
    Gaussian(np.array([0.3, -0.2]), np.linalg.inv(F)),
    Gaussian(np.array([1.0, 2.0]), np.linalg.inv(G)),
)


def test_gaussians_obey_the_matrix_equation():
    step = 1e-4
    ends = [gaussian_parabolic_flow(*PAIR, 0.7 + t) for t in (-step, 0.0, step)]
    a, b = np.asarray(ends[1].matrix), np.asarray(ends[1].offset)
    # Central differences err by step² times third derivatives of a few units.
    slope = (ends[2].matrix - ends[0].matrix) / (2 * step)
    np.testing.assert_allclose(slope, F - a @ G @ a, atol=1e-6)
    slope = (ends[2].offset - ends[0].offset) / (2 * step)
    wanted = -F @ PAIR[0].mean - a @ G @ (b - PAIR[1].mean)
    np.testing.assert_allclose(slope, wanted, atol=1e-6)
    # Reference values of MATH_4, G2; and no digits are lost at large times.
    np.testing.assert_allclose(
        gaussian_parabolic_flow(*PAIR, 1.0).matrix,
        [[0.673060909, 0.496118864], [0.496118864, 1.836602425]],
        atol=1e-9,
    )
    end = gaussian_parabolic_flow(*PAIR, 500.0)
    np.testing.assert_allclose(end.matrix @ G @ end.matrix, F, atol=1e-13)
    rho = flow_measure(end, PAIR[1])
    np.testing.assert_allclose(rho.covariance, PAIR[0].covariance, atol=1e-13)
    np.testing.assert_allclose(rho.mean, PAIR[0].mean, atol=1e-13)


def test_sinkhorn_between_gaussians_contracts_at_its_rate_towards_its_fixed_point():
    f, g, eps = 1.0, 4.0, 0.1
    source, target = NORMAL, Gaussian(np.zeros(1), np.array([[0.25]]))
    fixed = -0.5 * eps * f + np.sqrt(0.25 * eps**2 * f**2 + f / g)
    theta = 2.0 * np.arcsinh(0.5 * eps * np.sqrt(f * g))
    gaps = [
        float(gaussian_sinkhorn_flow(source, target, k, epsilon=eps).matrix[0, 0]) - fixed
        for k in (30, 31)
    ]
    assert gaps[1] / gaps[0] == pytest.approx(np.exp(-2 * theta), abs=1e-6)


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
    with pytest.raises(ValueError, match="time: got -1"):
        gaussian_parabolic_flow(*PAIR, -1.0)
    method = ParabolicMongeAmpere(steps=1)
    with pytest.raises(ValueError, match="initial: got AffineMap; wants a GradientMap"):
        method.init(*PAIR, AffineMap.identity(2), KEY)
    cloud = Empirical(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="target: got Empirical, which has no density"):
        method.init(PAIR[0], cloud, GradientMap(Quadratic.identity(2)), KEY)


@pytest.mark.slow
def test_parametrised_potentials_follow_the_flow_at_second_order():
    start = GradientMap(Quadratic.identity(2))
    exact = gaussian_parabolic_flow(*PAIR, 0.5).matrix
    errors = []
    for steps in (5, 10):
        method = ParabolicMongeAmpere(step_size=0.5 / steps, steps=steps, particles=40)
        end = solve(
            *PAIR,
            method=method,
            initial=start,
            key=KEY,
            blocks=1,
            metric=lambda map: -jnp.trace(map.potential.matrix),
        )
        errors.append(float(jnp.abs(end.map.potential.matrix - exact).max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["log-sum-exp", "network"])
def test_nonlinear_families_follow_the_flow_on_the_line(family):
    """Against the one-dimensional integrator, from the same start, towards two modes."""
    phi = (
        LogSumExp.identity(KEY, 1, 16, temperature=0.5, strong_convexity=0.2)
        if family == "log-sum-exp"
        else ICNN.identity(KEY, 1, (16, 16))
    )
    target = GaussianMixture(
        np.array([0.35, 0.65]), np.array([[-1.2], [0.8]]), np.array([[[0.36]], [[0.25]]])
    )
    grid = Box([-7.0], [7.0], [281])
    start = np.asarray(phi(grid.nodes(0)[:, None])) - 0.5 * grid.nodes(0) ** 2
    p = parabolic_flow(NORMAL, target, grid, [0.5], initial=start).stats["potentials"][-1]
    x = np.linspace(-2.0, 2.0, 9)
    before, after = (x + grid.interpolation(0, x, 1) @ q for q in (start, p))
    points = quasi_sample(NORMAL, 256, key=jax.random.key(0))
    method = ParabolicMongeAmpere(step_size=0.05, steps=10, points=points)
    state = method.init(NORMAL, target, GradientMap(phi), KEY)
    end = advance(method, state, NORMAL, target, method.steps).map
    gap = np.abs(np.asarray(end(x[:, None]))[:, 0] - after).max()
    # What so few pieces or units cannot follow: 8 % and 3 % of the way were measured.
    assert gap < 0.15 * np.abs(after - before).max()


def test_the_stochastic_log_det_and_its_derivative():
    d = 30
    factor = np.random.default_rng(0).normal(size=(d, d)) / np.sqrt(d)
    base = jnp.asarray(factor @ factor.T + np.eye(d))
    signs = jax.random.rademacher(KEY, (400, d), float)

    def value(t):
        return stochastic_log_det(lambda v: (base + t * jnp.diag(base) * jnp.eye(d)) @ v, signs)

    found, slope = jax.jit(jax.value_and_grad(value))(0.0)
    logs = np.linalg.slogdet(np.asarray(base))[1]
    values, vectors = np.linalg.eigh(np.asarray(base))
    log_matrix = (vectors * np.log(values)) @ vectors.T
    # Four standard errors of the probes.
    noise = np.sqrt(2.0 * np.sum((log_matrix - np.diag(np.diag(log_matrix))) ** 2) / 400)
    assert abs(float(found) - logs) < 4 * noise
    wanted = np.trace(np.linalg.solve(np.asarray(base), np.diag(np.diag(np.asarray(base)))))
    assert float(slope) == pytest.approx(wanted, rel=0.02)


@pytest.mark.slow
def test_beyond_twenty_dimensions_by_stochastic_determinants():
    d = 24
    deviations = np.linspace(0.7, 1.4, d)
    source, target = Gaussian.standard(d), Gaussian(np.zeros(d), np.diag(deviations**2))
    method = ParabolicMongeAmpere(step_size=0.1, steps=5, particles=700, probes=2)
    start = GradientMap(Quadratic.identity(d))
    end = brenier.solve(
        source,
        target,
        method=method,
        initial=start,
        key=KEY,
        blocks=1,
        metric=lambda map: -jnp.sum((map.potential.matrix - jnp.eye(d)) ** 2),
    )
    flow = gaussian_parabolic_flow(source, target, 0.5).matrix
    # A Hessian that is the same everywhere leaves no noise: 0.1² times a fraction of a unit.
    np.testing.assert_allclose(end.map.potential.matrix, flow, atol=0.01)
