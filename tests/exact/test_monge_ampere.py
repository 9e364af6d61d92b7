"""The Monge-Ampere equation on a grid, against exact answers and under refinement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

import brenier
from brenier import Result, SolveError
from brenier.exact import solve_monge_ampere
from brenier.grids import Box, Torus
from brenier.measures import Empirical, Gaussian, GaussianMixture
from brenier.numerics import gaussian_map_matrix

TAU = 2.0 * np.pi
CENTRE = jnp.zeros(2)
NORMAL = Gaussian.standard(2)


def _wavy(x):
    return jnp.log(1 + 0.4 * jnp.cos(x[0]) + 0.3 * jnp.sin(x[1]) * jnp.cos(x[0] - 0.5))


def _peaked(y):
    return 0.8 * jnp.cos(y[0] - 1) + 0.6 * jnp.sin(y[0] + y[1]) + 0.4 * jnp.cos(2 * y[1])


def _torus(n, d=2):
    return Torus([0.0] * d, [TAU] * d, [n] * d)


# ---- exact answers on the plane


@pytest.mark.parametrize("shift", [0.0, 20.0])
def test_between_gaussians_the_map_is_affine(shift):
    f = Gaussian(np.array([0.0, 1.0]), np.array([[1.0, 0.8], [0.8, 1.0]]))
    g = Gaussian(np.array([shift, 0.0]), np.array([[3.0, -0.8], [-0.8, 0.7]]))
    solution = solve_monge_ampere(f, g, Box.around(f, [32, 40]))
    matrix = np.asarray(gaussian_map_matrix(f.covariance, g.covariance))
    x = np.asarray(f.sample(jax.random.key(0), 50))
    f_mean, g_mean = np.asarray(f.mean), np.asarray(g.mean)
    # Quadratics are differentiated exactly: only the tolerance is left.
    np.testing.assert_allclose(solution.map(x), g_mean + (x - f_mean) @ matrix, atol=1e-8)
    bend = matrix - np.eye(2)
    cost = np.sum((f_mean - g_mean) ** 2) + np.trace(bend @ np.asarray(f.covariance) @ bend)
    # The tails outside of six deviations hold 1e-8 of the mass.
    assert solution.stats["cost"] == pytest.approx(cost, abs=1e-6)
    assert abs(solution.stats["constant"]) < 1e-7
    assert abs(solution.stats["log_source_mass"]) < 1e-7


def test_on_the_line_it_is_the_monotone_rearrangement():
    f = Gaussian.standard(1)
    g = GaussianMixture(
        np.array([0.35, 0.65]), np.array([[-1.2], [0.8]]), np.array([[[0.36]], [[0.25]]])
    )
    solution = solve_monge_ampere(f, g, Box.around(f, [384]))

    def rearranged(x):
        return brentq(
            lambda y: 0.35 * norm.cdf(y, -1.2, 0.6) + 0.65 * norm.cdf(y, 0.8, 0.5) - norm.cdf(x),
            -20.0,
            20.0,
            xtol=1e-13,
        )

    x = np.linspace(-2.5, 2.5, 11)[:, None]
    exact = np.array([[rearranged(point)] for point in x[:, 0]])
    np.testing.assert_allclose(solution.map(x), exact, atol=1e-6)
    # Theory, P1 at t = infinity, printed to six digits.
    found = solution.map(np.array([[-1.0], [0.0], [1.0]]))[:, 0]
    np.testing.assert_allclose(found, [-1.270444, 0.434686, 1.146651], atol=6e-7)


# phi = 0.35 |x|^2 + 0.5 log cosh(<u, x> - 0.3) + 0.4 log cosh <v, x>
BEND_U, BEND_V = np.array([1.0, 0.5]), np.array([-1.0, 1.0])


def _known_map(x):
    first, second = np.tanh(x @ BEND_U - 0.3), np.tanh(x @ BEND_V)
    return 0.7 * x + 0.5 * first[..., None] * BEND_U + 0.4 * second[..., None] * BEND_V


def _pulled_back(x):
    """The density whose image under the known map is N(0, I)."""
    first, second = jnp.tanh(x @ BEND_U - 0.3), jnp.tanh(x @ BEND_V)
    y = 0.7 * x + 0.5 * first * BEND_U + 0.4 * second * BEND_V
    p, q = 0.5 * (1 - first**2), 0.4 * (1 - second**2)
    # det(0.7 I + p u u^T + q v v^T), with |u|^2 = 5/4, |v|^2 = 2 and u x v = 3/2
    determinant = 0.49 + 0.7 * (1.25 * p + 2.0 * q) + 2.25 * p * q
    return -0.5 * (y @ y) + jnp.log(determinant)


@pytest.mark.slow
def test_a_known_map_is_found_to_high_order():
    x = np.random.default_rng(1).normal(size=(200, 2))
    errors, costs, claims = [], [], []
    for n in (32, 64):
        grid = Box([-7.0, -7.0], [7.0, 7.0], [n, n])
        solution = solve_monge_ampere(_pulled_back, Gaussian.standard(2), grid)
        errors.append(np.abs(solution.map(x) - _known_map(x)).max())
        costs.append(solution.stats["cost"])
        claims.append(solution.stats["cost_error"])
    order = np.log(errors[0] / errors[1]) / np.log(2.0)
    # Tenth in the limit, and about that where the grid resolves the map.
    assert order > 7.0, errors
    assert errors[-1] < 1e-5
    points = grid.points().reshape(-1, 2)
    weights = np.asarray(jax.nn.softmax(jax.vmap(_pulled_back)(points)))
    exact_cost = weights @ np.sum((_known_map(points) - points) ** 2, axis=1)
    assert abs(costs[0] - exact_cost) <= claims[0]
    assert abs(costs[1] - exact_cost) <= claims[1]


@pytest.mark.parametrize("side", [5.0, 6.0])
def test_a_border_that_the_map_bends_across_does_no_harm(side):
    """Folds of the map run into the corners, where the source still has 1e-4 of its maximum."""
    grid = Box([-side, -side], [side, side], [32, 32])
    solution = solve_monge_ampere(_pulled_back, Gaussian.standard(2), grid)
    x = np.array([[0.0, 0.0], [1.0, -1.0], [1.5, 1.5]])
    np.testing.assert_allclose(solution.map(x), _known_map(x), atol=2e-3)


@pytest.mark.slow
def test_modes_apart_are_reached_by_way_of_easier_sources():
    means = np.array([[-2.0, -2.0], [-1.0, 2.0], [2.0, -3.0], [2.0, 2.0], [0.2, -0.7]])
    weights = np.array([0.29, 0.20, 0.30, 0.20, 0.01])
    narrow, wide = 0.1 * np.eye(2), 4.0 * np.eye(2)
    source = GaussianMixture(weights, means, np.stack([narrow] * 4 + [wide]))
    solution = solve_monge_ampere(source, NORMAL, Box([-10.0] * 2, [10.0] * 2, [96, 96]))
    # T spreads the modes out, and all but folds the plane between them.
    assert solution.stats["smallest_eigenvalue"] < 1e-2
    assert solution.result is Result.successful
    assert solution.stats["kl"] < 1e-3


def test_three_dimensions_on_a_box():
    f = Gaussian(np.zeros(3), np.array([[1.0, 0.5, 0.2], [0.5, 1.5, -0.3], [0.2, -0.3, 0.8]]))
    g = Gaussian(np.array([1.0, 0.0, -1.0]), np.diag([0.7, 0.5, 1.2]))
    solution = solve_monge_ampere(f, g, Box.around(f, [16, 16, 16], deviations=5.0))
    matrix = np.asarray(gaussian_map_matrix(f.covariance, g.covariance))
    bend = matrix - np.eye(3)
    cost = np.sum(np.asarray(g.mean) ** 2) + np.trace(bend @ np.asarray(f.covariance) @ bend)
    # Five deviations leave out 2e-6 of the mass, which moves by 5 deviations or so.
    assert solution.stats["cost"] == pytest.approx(cost, abs=1e-4)
    # Quadratics are differentiated exactly, so the image is g up to the tolerance.
    assert solution.stats["kl"] < 1e-12


# ---- the torus


@pytest.fixture(scope="module")
def torus_solution():
    return solve_monge_ampere(_wavy, _peaked, _torus(64))


def test_the_torus_reference(torus_solution):
    stats = torus_solution.stats
    # Refined to 256 nodes a side: 0.29807461876(2), (0.70779267016, 0.08235855297).
    assert stats["cost"] == pytest.approx(0.298074618762, abs=2e-9)
    found = torus_solution.map(CENTRE)
    np.testing.assert_allclose(found, [0.70779267016, 0.08235855297], atol=1e-6)
    assert torus_solution.result is Result.successful
    assert stats["residual"] < 1e-9
    assert abs(stats["constant"]) < 1e-8
    assert 0.0 <= stats["kl"] < 1e-7
    assert stats["cost_error"] > abs(stats["cost"] - 0.298074618762)


def test_the_torus_converges_exponentially(torus_solution):
    errors = []
    for n in (24, 36, 48):
        cost = solve_monge_ampere(_wavy, _peaked, _torus(n)).stats["cost"]
        errors.append(abs(cost - torus_solution.stats["cost"]))
    # Each twelve nodes more divide the error by a constant factor.
    assert errors[0] / errors[1] > 5.0
    assert errors[1] / errors[2] > 5.0


@pytest.mark.slow
def test_the_map_of_the_torus_is_periodic_and_invertible(torus_solution):
    T = torus_solution.map
    x = np.random.default_rng(0).uniform(-9.0, 9.0, (20, 2))
    np.testing.assert_allclose(T(x + TAU), T(x) + TAU, atol=1e-12)
    np.testing.assert_allclose(T.inverse()(T(x)), x, atol=1e-10)


def test_moving_both_densities_moves_the_map(torus_solution):
    shift = jnp.array([1.0, 2.5])
    moved = solve_monge_ampere(
        lambda x: _wavy(x - shift), lambda y: _peaked(y - shift), _torus(64)
    ).map
    x = np.random.default_rng(0).uniform(0.0, TAU, (20, 2))
    # Two grids whose nodes differ: each errs by 1e-5 or so.
    np.testing.assert_allclose(moved(x + shift), torus_solution.map(x) + shift, atol=5e-5)


def test_arrays_of_densities_do_as_well(torus_solution):
    grid = _torus(64)
    f, g = (np.exp(jax.vmap(jax.vmap(z))(grid.points())) for z in (_wavy, _peaked))
    solution = solve_monge_ampere(3.0 * f, 5.0 * g, grid)
    assert solution.stats["cost"] == pytest.approx(torus_solution.stats["cost"], abs=1e-10)
    gained = solution.stats["log_source_mass"] - torus_solution.stats["log_source_mass"]
    assert gained == pytest.approx(np.log(3.0), abs=1e-12)


@pytest.mark.slow
def test_products_in_three_dimensions_are_three_lines():
    amplitudes, phases = np.array([0.3, 0.5, -0.4]), np.array([0.0, 1.0, 2.0])

    def line(i):
        return (
            lambda x: jnp.log(1 + amplitudes[i] * jnp.cos(x[0] - phases[i])),
            lambda y: 0.6 * jnp.sin(y[0] + phases[i]),
        )

    cube = solve_monge_ampere(
        lambda x: jnp.sum(jnp.log(1 + amplitudes * jnp.cos(x - phases))),
        lambda y: jnp.sum(0.6 * jnp.sin(y + phases)),
        _torus(16, 3),
    )
    x = np.random.default_rng(0).uniform(0.0, TAU, (10, 3))
    lines = [solve_monge_ampere(*line(i), _torus(16, 1)) for i in range(3)]
    apart = np.concatenate([lines[i].map(x[:, i : i + 1]) for i in range(3)], axis=1)
    # The same discrete equations, solved to 1e-9 each.
    np.testing.assert_allclose(cube.map(x), apart, atol=1e-8)
    total = sum(line.stats["cost"] for line in lines)
    assert cube.stats["cost"] == pytest.approx(total, abs=1e-8)


def test_save_and_load(torus_solution, tmp_path):
    path = tmp_path / "torus.brenier"
    brenier.save(path, torus_solution.map)
    x = np.array([[0.3, 4.0]])
    np.testing.assert_array_equal(brenier.load(path)(x), torus_solution.map(x))


# ---- what can go wrong


def test_too_few_steps_are_a_failure_that_keeps_the_map():
    with pytest.raises(SolveError, match="iteration limit") as raised:
        solve_monge_ampere(_wavy, _peaked, _torus(24), max_iterations=2)
    kept = solve_monge_ampere(_wavy, _peaked, _torus(24), max_iterations=2, throw=False)
    assert kept.result is raised.value.solution.result is Result.not_converged
    assert kept.stats["residual"] > 1e-9
    assert np.isfinite(kept.map(np.zeros(2))).all()


@pytest.mark.parametrize("height", [2.0, 3.0])
def test_a_map_that_folds_between_the_nodes_is_no_success(height):
    """The equation holds at the nodes, to rounding, and the Hessian is positive there."""

    def flat(x):
        return 0.0 * x[0]

    def hilly(y):
        return height * jnp.cos(y[0] - 1.0)

    folded = solve_monge_ampere(flat, hilly, _torus(32, 1), throw=False)
    assert folded.stats["residual"] < 1e-9
    assert folded.stats["smallest_eigenvalue"] > 0.0
    assert folded.stats["kl"] == np.inf
    x = np.linspace(0.0, TAU, 5000)[:, None]
    assert folded.map.jacobian(x).min() < 0.0
    assert folded.result is Result.unresolved
    with pytest.raises(SolveError, match="Take more nodes"):
        solve_monge_ampere(flat, hilly, _torus(32, 1))


NARROW = Gaussian(np.zeros(2), 1e-3 * np.eye(2))
PLANE = Box([-6.0, -6.0], [6.0, 6.0], [24, 24])


@pytest.mark.parametrize(
    ("source", "target", "grid", "message"),
    [
        (Empirical(np.eye(2)), NORMAL, PLANE, "source: got Empirical, which has no density"),
        (NORMAL, Empirical(np.eye(2)), PLANE, "target: got Empirical, which has no density"),
        (NORMAL, Gaussian.standard(3), PLANE, "target: got dimension 3; wants that of the grid, 2"),
        (Gaussian.standard(1), NORMAL, PLANE, "source: got dimension 1; wants that of the grid, 2"),
        (np.ones((24, 23)), NORMAL, PLANE, r"source: got shape \(24, 23\)"),
        (
            np.zeros((24, 24)),
            NORMAL,
            PLANE,
            "source: got values that are not all finite and above 0",
        ),
        (NORMAL, np.ones((24, 24)), PLANE, "target: got an array of values on a Box"),
        (np.ones((24, 24)), NORMAL, PLANE, "grid: got a box at whose border along axis 0"),
        (NARROW, NORMAL, PLANE, "grid: got 24 nodes along axis 0.*so about"),
        (lambda x: jnp.log(x[0]), NORMAL, PLANE, "source: got a log-density that is not finite"),
        (NORMAL, lambda x: x, PLANE, r"target: got a function with values of shape \(2,\)"),
        (_wavy, NORMAL, _torus(24), "target: got a log-density that differs by .* a periodic one"),
        (NORMAL, _wavy, _torus(24), "source: got a log-density that differs by"),
    ],
)
def test_bad_densities(source, target, grid, message):
    with pytest.raises(ValueError, match=message):
        solve_monge_ampere(source, target, grid)


# ---- larger grids


@pytest.mark.slow
def test_the_plane_reference_and_its_refinement():
    means = np.array([[-1.2, -0.6], [1.2, -0.4], [0.1, 1.1]])
    target = GaussianMixture(np.array([0.3, 0.3, 0.4]), means, np.stack([0.65**2 * np.eye(2)] * 3))
    x = np.array([[0.0, 0.0], [1.25, -1.25]])
    # From the other side, at 160 nodes: there the map is smoother, and 10 digits stand still.
    # Theory, W2D prints .10832, .32378, 1.65217, -1.04488, .12508.
    exact = np.array([[0.1083204131, 0.3237761645], [1.6521705826, -1.0448811534]])
    errors = []
    for n in (96, 192):
        solution = solve_monge_ampere(NORMAL, target, Box.around(NORMAL, [n, n]))
        errors.append(np.abs(solution.map(x) - exact).max())
    assert errors[1] < 1e-6
    assert np.log2(errors[0] / errors[1]) > 5.0
    assert solution.stats["cost"] == pytest.approx(0.1250818384, abs=1e-6)
    assert solution.stats["cost_error"] < 2e-5
    back = solve_monge_ampere(target, NORMAL, Box.around(target, [96, 96]))
    np.testing.assert_allclose(back.map.inverse()(x), exact, atol=5e-9)
    assert back.stats["cost"] == pytest.approx(0.1250818384, abs=5e-9)


@pytest.mark.slow
def test_the_torus_to_all_digits():
    solutions = [solve_monge_ampere(_wavy, _peaked, _torus(n)) for n in (128, 192)]
    costs = [solution.stats["cost"] for solution in solutions]
    assert costs[0] == pytest.approx(costs[1], abs=1e-12)
    maps = [np.asarray(solution.map(CENTRE)) for solution in solutions]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-8)
