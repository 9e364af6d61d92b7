"""Sinkhorn as a flow, against the closed forms of Gaussians, POT and the order of its error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier._checks import check_at_least, check_positive
from brenier._solution import SolveError
from brenier.flows import (
    annealed_sinkhorn,
    gaussian_parabolic_flow,
    gaussian_sinkhorn_flow,
    sinkhorn_flow,
)
from brenier.flows.on_grids._problem import check_grid
from brenier.grids import Box, Torus
from brenier.measures import Gaussian

NORMAL = Gaussian.standard(1)
NARROW = Gaussian(np.array([0.3]), np.array([[0.25]]))
BOX = Box([-8.0], [8.0], [161])
TURN = 2.0 * np.pi
CIRCLE = Torus([0.0], [TURN], [32])


def _wave(x):
    return 0.6 * jnp.cos(x[0] - 1.0)


def _other(x):
    return 0.8 * jnp.sin(x[0]) + 0.3 * jnp.cos(2.0 * x[0])


def test_the_natural_start_is_the_gaussian_recursion():
    solution = sinkhorn_flow(NORMAL, NARROW, BOX, 0.5, epsilon=0.1, half_shift=False)
    closed = gaussian_sinkhorn_flow(NORMAL, NARROW, 5, epsilon=0.1)
    x = np.linspace(-3, 3, 7)[:, None]
    # Sums over nodes of what is cut off at 8 deviations; the box cuts the plan near its border.
    np.testing.assert_allclose(solution.map(x), closed(x), atol=1e-9)
    np.testing.assert_allclose(solution.map.jacobian(x), closed.jacobian(x), atol=1e-8)
    assert solution.stats["masses"] == pytest.approx([1.0], abs=1e-12)
    assert solution.stats["sweeps"] == 5


def _slope(solution, p=None):
    """∇φ at the middle nodes, from x = −2 to 2.2 in steps of 0.3."""
    values = solution.stats["potentials"][-1] if p is None else p
    return (BOX.nodes(0) + BOX.derivatives(0).first @ values)[60:103:3]


def test_orders_of_both_starts():
    x = BOX.nodes(0)[60:103:3]
    flow = gaussian_parabolic_flow(NORMAL, NARROW, 0.8)
    exact = float(flow.matrix[0, 0]) * x + float(flow.offset[0])
    for half, wanted in ((False, 1.0), (True, 2.0)):
        errors = [
            np.abs(
                _slope(
                    sinkhorn_flow(
                        NORMAL, NARROW, BOX, 0.8, epsilon=eps, half_shift=half, throw=False
                    )
                )
                - exact
            ).max()
            for eps in (0.05, 0.025)
        ]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(wanted, abs=0.15)


def test_densities_are_second_order_and_times_may_be_any():
    solution = sinkhorn_flow(NORMAL, NARROW, BOX, [0.21, 0.8], epsilon=0.02)
    x, middle = BOX.nodes(0), slice(50, 111)
    for t, logs in zip(solution.stats["times"], solution.stats["log_densities"], strict=True):
        a = gaussian_parabolic_flow(NORMAL, NARROW, t)
        mean = (0.3 - a.offset[0]) / a.matrix[0, 0]
        deviation = 0.5 / a.matrix[0, 0]
        wanted = -0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation * np.sqrt(TURN))
        # ε² times second derivatives of a few units, at up to 3 deviations.
        np.testing.assert_allclose(logs[middle], wanted[middle], atol=30 * 0.02**2)
    with pytest.raises(ValueError, match="not all multiples of epsilon"):
        sinkhorn_flow(NORMAL, NARROW, BOX, [0.21, 0.8], epsilon=0.02, half_shift=False)


def test_sweeps_and_plan_are_those_of_pot():
    import ot

    log_f = np.asarray(jax.vmap(_wave)(CIRCLE.points()))
    a = np.exp(log_f) / np.exp(log_f).sum()
    b = np.exp(np.asarray(jax.vmap(_other)(CIRCLE.points())))
    b /= b.sum()
    gap = CIRCLE.nodes(0)[:, None] - CIRCLE.nodes(0)
    images = gap[..., None] + TURN * np.arange(-4, 5)
    eps = 0.2
    cost = -eps * np.log(np.exp(-0.5 * images**2 / eps).sum(axis=-1))
    solution = sinkhorn_flow(_wave, _other, CIRCLE, 8.0, epsilon=eps, half_shift=False)
    plan = solution.stats["coupling"]
    np.testing.assert_allclose(plan.matrix().sum(axis=0), b, atol=1e-14)
    np.testing.assert_allclose(plan.first_marginal(), plan.matrix().sum(axis=1), atol=1e-14)
    np.testing.assert_allclose(plan.second_marginal(), b, atol=1e-14)
    theirs = ot.sinkhorn(a, b, cost, eps, numItermax=40, stopThr=0, warn=False)
    # POT scales the rows last, ours the columns: both are within the marginal's error.
    assert np.abs(plan.matrix() - theirs).sum() < 2 * solution.stats["marginal_errors"][0] + 1e-12


def test_the_map_of_the_plan_is_its_conditional_mean():
    solution = sinkhorn_flow(_wave, _other, CIRCLE, 1.0, epsilon=0.1, half_shift=False)
    plan = np.asarray(solution.stats["coupling"].matrix())
    x = CIRCLE.nodes(0)
    # Where y ends its turn the mean is taken over the copy nearest to x.
    gap = x[None, :] - x[:, None]
    near = gap - TURN * np.round(gap / TURN)
    mean = x + (plan * near).sum(axis=1) / plan.sum(axis=1)
    np.testing.assert_allclose(solution.map(x[:, None])[:, 0], mean, atol=1e-10)
    np.testing.assert_allclose(
        solution.map(x[:, None] + TURN), solution.map(x[:, None]) + TURN, atol=1e-12
    )


def test_annealed_sinkhorn_finds_the_monge_map():
    seen = []
    solution = annealed_sinkhorn(NORMAL, NARROW, BOX, callback=seen.append)
    # The estimate of the error is of the extrapolation before the last.
    slope = _slope(solution, solution.stats["potential"])
    error = float(np.abs(slope - 0.5 * BOX.nodes(0)[60:103:3] - 0.3).max())
    assert error < max(5 * solution.stats["map_change"], 1e-5)
    assert abs(solution.stats["cost"] - 0.34) < 1e-5
    assert len(seen) == 4
    assert seen[-1].metric <= 1e-6
    short = annealed_sinkhorn(NORMAL, NARROW, BOX, max_sweeps=3, throw=False)
    assert short.result.failed
    assert short.stats["marginal_errors"][-1] > 1e-6
    with pytest.raises(SolveError, match=r"at an error of \d"):
        short.checked(throw=True)


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match=r"epsilon: got 0.001, too small .* 0.01; wants"):
        sinkhorn_flow(NORMAL, NARROW, BOX, 1.0, epsilon=0.001)
    with pytest.raises(ValueError, match="grid: got a box that cuts off"):
        sinkhorn_flow(NORMAL, NARROW, Box([-4.0], [4.0], [161]), 1.0, epsilon=0.1)
    with pytest.raises(ValueError, match="source: got values that are not all finite and above 0"):
        sinkhorn_flow(np.zeros(32), _other, CIRCLE, 1.0, epsilon=0.1)
    small = Box([-3.0], [3.0], [161])
    with pytest.raises(ValueError, match="target_grid: got the box"):
        sinkhorn_flow(NORMAL, NARROW, BOX, 1.0, epsilon=0.1, target_grid=small)
    shifted = Torus([1.0], [1.0 + TURN], [32])
    with pytest.raises(ValueError, match="target_grid: got another torus than the source's"):
        sinkhorn_flow(_other, _other, CIRCLE, 1.0, epsilon=0.1, target_grid=shifted)
    with pytest.raises(ValueError, match="times: got"):
        sinkhorn_flow(NORMAL, NARROW, BOX, [1.0, 0.5], epsilon=0.1)
    with pytest.raises(ValueError, match="times: got dtype <U4; wants real numbers"):
        sinkhorn_flow(NORMAL, NARROW, BOX, "late", epsilon=0.1)
    with pytest.raises(ValueError, match=r"grid: got NoneType; wants a grids.Box or grids"):
        check_grid("grid", None)
    for wrong in ("small", None, np.nan, 0.0):
        with pytest.raises(ValueError, match=r"epsilon: got .*; wants a finite number above 0"):
            check_positive("epsilon", wrong)
    for wrong in ("few", None, np.inf, 1.5):
        with pytest.raises(ValueError, match=r"steps: got .*; wants an integer of at least 1"):
            check_at_least("steps", wrong, 1)
    with pytest.raises(ValueError, match="initial: got shape"):
        sinkhorn_flow(NORMAL, NARROW, BOX, 1.0, epsilon=0.1, initial=np.zeros(3))


@pytest.mark.slow
def test_two_dimensions_and_another_start():
    """Against the matrix flow (4.7), from a start that is not the identity."""
    grid = Box([-5.5, -5.5], [5.5, 5.5], [56, 56])
    source = Gaussian.standard(2)
    target = Gaussian(np.array([0.2, 0.0]), np.array([[0.8, 0.2], [0.2, 0.6]]))
    start = np.array([[0.9, 0.05], [0.05, 0.8]])
    x = grid.points()
    initial = 0.5 * np.einsum("...i,ij,...j->...", x, start - np.eye(2), x)
    solution = sinkhorn_flow(source, target, grid, 0.4, epsilon=0.05, initial=initial)
    flow = gaussian_parabolic_flow(source, target, 0.4, matrix=start)
    p = solution.stats["potentials"][0]
    wanted = x @ np.asarray(flow.matrix) + np.asarray(flow.offset)
    middle = slice(18, 38)
    slope = x[..., 0] + grid.derivatives(0).first @ p
    # Second order: 0.05² times a fraction of a unit.
    np.testing.assert_allclose(slope[middle, middle], wanted[middle, middle, 0], atol=0.05**2)


def test_maps_can_be_saved(tmp_path):
    for half_shift in (False, True):
        solution = sinkhorn_flow(_wave, _other, CIRCLE, 0.2, epsilon=0.1, half_shift=half_shift)
        brenier.save(tmp_path / "map.brenier", solution.map)
        back = brenier.load(tmp_path / "map.brenier")
        x = np.array([[0.3], [4.0]])
        np.testing.assert_array_equal(back(x), solution.map(x))
