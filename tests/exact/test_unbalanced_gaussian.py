"""Unbalanced transport between Gaussians, beside plans on grids and samples."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from brenier.exact import solve_gaussian, solve_unbalanced_gaussian
from brenier.measures import Gaussian
from brenier.numerics import sinkhorn

PENALTIES = [(1.0, 1.0), (0.3, 2.0), (None, 0.7), (0.7, None), (None, None), (1e4, 1e4)]
ONE = (np.array([0.2]), np.array([[0.8]])), (np.array([1.1]), np.array([[0.3]]))
TWO = (
    (np.array([0.2, 0.0]), np.array([[0.5, 0.1], [0.1, 0.3]])),
    (np.array([0.9, -0.3]), np.array([[0.4, -0.15], [-0.15, 0.5]])),
)


def _on_grid(law, nodes, reach):
    """Nodes and weights of the trapezoidal rule, which is exact to rounding for Gaussians."""
    mean, covariance = law
    axes = [
        mean[k] + np.linspace(-reach, reach, nodes) * np.sqrt(covariance[k, k])
        for k in range(len(mean))
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(mean))
    weights = multivariate_normal(mean, covariance).pdf(points)
    return points, weights / weights.sum()


def _beside_a_grid(laws, nodes, reach, penalties, epsilon, masses):
    (x, a), (y, b) = (_on_grid(law, nodes, reach) for law in laws)
    plan = sinkhorn(
        x, y, masses[0] * a, masses[1] * b, epsilon=epsilon, source_penalty=penalties[0],
        target_penalty=penalties[1], tolerance=1e-10, max_iterations=3000,
    )  # fmt: skip
    assert bool(plan.converged)
    solution = solve_unbalanced_gaussian(
        *laws, source_penalty=penalties[0], target_penalty=penalties[1], source_mass=masses[0],
        target_mass=masses[1], epsilon=epsilon,
    )  # fmt: skip
    return x, y, masses[0] * a, masses[1] * b, plan, solution


@pytest.mark.parametrize("epsilon", [0.05, 0.5])
@pytest.mark.parametrize("penalties", PENALTIES)
def test_on_the_line_as_a_plan_on_a_grid(penalties, epsilon):
    masses = (1.3, 0.4) if None not in penalties and penalties[0] < 1e3 else (1.3, 1.3)
    if penalties == (None, None):
        masses = (1.0, 1.0)  # where Sinkhorn's weights are shares
    x, y, a, b, plan, solution = _beside_a_grid(ONE, 161, 7.0, penalties, epsilon, masses)
    stats = solution.stats
    rows, columns = a * plan.source_growth, b * plan.target_growth
    np.testing.assert_allclose(rows.sum(), stats["mass"], rtol=1e-8)
    for points, marginal, name in ((x, rows, "source"), (y, columns, "target")):
        marginal = marginal / marginal.sum()
        mean = marginal @ points
        np.testing.assert_allclose(stats[name].mean, mean, atol=1e-8)
        spread = (marginal * (points - mean)[:, 0] ** 2).sum()
        np.testing.assert_allclose(stats[name].factor[0, 0] ** 2, spread, rtol=1e-7)
    inner = slice(55, 106)  # beyond, the ends of the grids are felt
    for points, name, growth in (
        (x, "source_growth", plan.source_growth), (y, "target_growth", plan.target_growth),
    ):  # fmt: skip
        np.testing.assert_allclose(stats[name](points)[inner], growth[inner], rtol=1e-5)
    cost = 0.5 * (x - y.T) ** 2
    matrix = a[:, None] * b * np.exp((plan.f[:, None] + plan.g - cost) / epsilon)
    np.testing.assert_allclose(
        solution.map(x)[inner], (matrix @ y / matrix.sum(1)[:, None])[inner], atol=1e-6
    )
    mass = matrix.sum()
    np.testing.assert_allclose(stats["cost"], 2.0 * (matrix * cost).sum() / mass, rtol=1e-7)
    dual = epsilon * (masses[0] * masses[1] - mass)
    for penalty, weights, potential in zip(penalties, (a, b), (plan.f, plan.g), strict=True):
        dual += float(
            weights @ potential
            if penalty is None
            else -penalty * (weights @ np.expm1(-potential / penalty))
        )
    np.testing.assert_allclose(stats["objective"], dual, rtol=1e-7)


@pytest.mark.slow
def test_in_the_plane_as_a_plan_on_a_grid():
    x, y, a, b, plan, solution = _beside_a_grid(TWO, 41, 6.0, (0.5, 1.5), 0.1, (1.0, 1.0))
    stats = solution.stats
    np.testing.assert_allclose((a * plan.source_growth).sum(), stats["mass"], rtol=1e-5)
    for points, weights, growth, name in (
        (x, a, plan.source_growth, "source"), (y, b, plan.target_growth, "target"),
    ):  # fmt: skip
        marginal = weights * growth / stats["mass"]
        mean = marginal @ points
        np.testing.assert_allclose(stats[name].mean, mean, atol=1e-5)
        z = points - mean
        factor = np.asarray(stats[name].factor)
        np.testing.assert_allclose(factor @ factor.T, (z.T * marginal) @ z, atol=1e-5)
        heavy = weights > 1e-3 * weights.max()
        np.testing.assert_allclose(stats[f"{name}_growth"](points)[heavy], growth[heavy], rtol=1e-4)


@pytest.mark.parametrize("epsilon", [0.0, 0.2])
@pytest.mark.parametrize("penalties", PENALTIES)
def test_the_growth_carries_each_law_to_its_marginal(penalties, epsilon):
    solution = solve_unbalanced_gaussian(
        *TWO, source_penalty=penalties[0], target_penalty=penalties[1], epsilon=epsilon
    )
    stats = solution.stats
    x = np.random.default_rng(0).normal(size=(20, 2))
    for law, name in zip(TWO, ("source", "target"), strict=True):
        grown = stats[f"{name}_growth"](x) * multivariate_normal(*law).pdf(x)
        marginal = stats["mass"] * np.exp(stats[name].log_density(x))
        np.testing.assert_allclose(grown, marginal, rtol=1e-9)
    if epsilon == 0.0:
        # The Monge map between the reweighted laws, at the price that the growth tells.
        between = solve_gaussian(stats["source"], stats["target"])
        np.testing.assert_allclose(solution.map(x), between.map(x), atol=1e-8)
        assert stats["cost"] == pytest.approx(between.stats["cost"], rel=1e-9)


def test_the_limits():
    balanced, laws = solve_gaussian(*TWO), [Gaussian(*law) for law in TWO]
    none = solve_unbalanced_gaussian(*laws, source_penalty=None, target_penalty=None)
    far = solve_unbalanced_gaussian(*laws, source_penalty=1e9, target_penalty=1e9)
    near = solve_unbalanced_gaussian(*laws, source_penalty=1e-9, target_penalty=1e-9)
    small = solve_unbalanced_gaussian(*laws, source_penalty=1.0, target_penalty=2.0, epsilon=1e-9)
    zero = solve_unbalanced_gaussian(*laws, source_penalty=1.0, target_penalty=2.0)
    for found, atol in ((none, 1e-12), (far, 1e-7)):
        np.testing.assert_allclose(found.map.matrix, balanced.map.matrix, atol=atol)
        np.testing.assert_allclose(found.map.offset, balanced.map.offset, atol=atol)
        # A mass is known to 1e-16, and τ of it counts.
        assert 2.0 * found.stats["objective"] == pytest.approx(balanced.stats["cost"], rel=1e-6)
    # Nothing is moved: what both laws have is kept, √(p q) of each.
    np.testing.assert_allclose(near.map.matrix, np.eye(2), atol=1e-6)
    np.testing.assert_allclose(small.map.matrix, zero.map.matrix, atol=1e-7)
    assert small.stats["mass"] == pytest.approx(zero.stats["mass"], rel=1e-7)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"source_penalty": 0.0}, "source_penalty: got 0.0; wants"),
        ({"target_penalty": -1.0}, "target_penalty: got -1.0; wants"),
        ({"source_mass": 0.0}, "source_mass: got 0.0; wants"),
        ({"epsilon": -1.0}, "epsilon: got -1.0; wants"),
        ({"source_penalty": None, "target_penalty": None, "target_mass": 2.0}, "target_mass: got"),
    ],
)
def test_what_is_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        solve_unbalanced_gaussian(*ONE, **{"source_penalty": 1.0, "target_penalty": 1.0, **wrong})


def test_a_singular_law_and_another_dimension_are_refused():
    flat = (np.zeros(2), np.diag([1.0, 0.0]))
    with pytest.raises(ValueError, match="source: got a singular covariance"):
        solve_unbalanced_gaussian(flat, TWO[1], source_penalty=1.0, target_penalty=1.0)
    with pytest.raises(ValueError, match="target: got dimension 1; wants dimension 2"):
        solve_unbalanced_gaussian(TWO[0], ONE[0], source_penalty=1.0, target_penalty=1.0)
