import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

import brenier
from brenier import SolveError
from brenier.exact import (
    laguerre_cells,
    solve_assignment,
    solve_gaussian,
    solve_line,
    solve_semi_discrete,
)
from brenier.exact.cells._cell_integrals import box_integrals, gaussian_integrals
from brenier.exact.cells._power_diagram import laguerre_edges
from brenier.measures import Empirical, Gaussian, GaussianMixture, Uniform

RNG = np.random.default_rng(0)
THREE = np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.5]])
MIXTURE = GaussianMixture(
    np.array([0.3, 0.7]),
    np.array([[-10.0, 0.0], [10.0, 5.0]]),
    np.array([np.eye(2), [[0.5, 0.1], [0.1, 0.7]]]),
)


def test_three_points_from_a_gaussian():
    solution = solve_semi_discrete(Gaussian.standard(2), THREE)
    # Theory, D3: computed there by polar integration.
    b = np.asarray(solution.map.potential.offsets)
    vertex = np.linalg.solve(THREE[1:] - THREE[0], b[0] - b[1:])
    np.testing.assert_allclose(vertex, [0.12334653, -0.00269788], atol=5e-9)
    assert solution.stats["cost"] == pytest.approx(1.90140012442, abs=5e-12)
    assert solution.stats["mass_error"] < 1e-14


def test_a_thousand_points_from_a_gaussian():
    points = RNG.normal(size=(1000, 2))
    weights = RNG.dirichlet(np.ones(1000))
    solution = solve_semi_discrete(Gaussian.standard(2), points, weights)
    assert solution.stats["mass_error"] < 1e-10
    # The cost between cells and points, from the barycentres: E|x|² − 2Σ w ⟨c, y⟩ + Σ w |y|².
    inner = np.sum(solution.stats["barycentres"] * points, axis=1)
    primal = 2.0 + weights @ (np.sum(points**2, axis=1) - 2.0 * inner)
    assert solution.stats["cost"] == pytest.approx(primal, abs=1e-9)
    # Each barycentre lies in its cell.
    np.testing.assert_array_equal(solution.map(solution.stats["barycentres"]), points)


def test_cells_of_a_gaussian_against_quadrature():
    factor = np.array([[1.2, 0.0], [-0.4, 0.7]])
    points, offsets = RNG.normal(size=(6, 2)), 0.1 * RNG.normal(size=6)
    edges = laguerre_edges(points, offsets)
    cells = gaussian_integrals(edges, 6, np.ones(1), np.array([[0.2, 0.1]]), factor[None])
    # In polar coordinates about the mean a cell is an interval of radii on each ray.
    angles = (np.arange(200_000) + 0.5) * 2.0 * np.pi / 200_000
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ factor.T
    slopes, heights = rays @ points.T, points @ [0.2, 0.1] + offsets
    masses = np.zeros(6)
    for j in range(6):
        rise, drop = slopes[:, [j]] - slopes, heights - heights[j]
        radius = np.divide(drop, rise, out=np.zeros_like(rise), where=rise != 0)
        low = np.max(np.where(rise > 0, radius, 0.0), axis=1)
        high = np.min(np.where(rise < 0, radius, np.inf), axis=1)
        blocked = np.any((rise == 0) & (drop > 0), axis=1) | (high < low)
        share = np.exp(-0.5 * np.maximum(low, 0.0) ** 2) - np.exp(-0.5 * high**2)
        masses[j] = np.mean(np.where(blocked, 0.0, np.maximum(share, 0.0)))
    # The rule of 200,000 rays errs by the square of their angle, at kinks.
    np.testing.assert_allclose(cells.masses, masses, atol=1e-9)
    np.testing.assert_allclose(cells.moments.sum(axis=0), [0.2, 0.1], atol=1e-14)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 30), grid=st.booleans())
def test_masses_sum_to_one_and_their_derivative_is_the_graph(seed, n, grid):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 2))
    if grid:
        # Lines, and four cells in one corner.
        points = np.unique(np.round(2.0 * points), axis=0)
        n = len(points)
        assume(n > 1)  # one cell has no edge
    offsets = -0.5 * np.sum(points**2, axis=1) + (0.0 if grid else 0.1) * rng.normal(size=n)
    lower, upper = np.array([-1.0, -2.0]), np.array([2.0, 1.0])
    factor = np.array([[0.8, 0.0], [0.3, 1.1]])

    def gaussian(b):
        return gaussian_integrals(
            laguerre_edges(points, b), n, np.ones(1), np.zeros((1, 2)), factor[None]
        )

    def box(b):
        return box_integrals(laguerre_edges(points, b), points, b, lower, upper)

    direction = rng.normal(size=n)
    for integrals, mean in ((gaussian, np.zeros(2)), (box, 0.5 * (lower + upper))):
        cells = integrals(offsets)
        assert cells.masses.sum() == pytest.approx(1.0, abs=1e-12)
        assert cells.masses.min() > -1e-12
        np.testing.assert_allclose(cells.moments.sum(axis=0), mean, atol=1e-12)
        if grid:  # an edge in a wall has a derivative on one side only
            continue
        h = 1e-6
        change = (
            integrals(offsets + h * direction).masses - integrals(offsets - h * direction).masses
        ) / (2.0 * h)
        flow = cells.conductance * (direction[cells.near] - direction[cells.far])
        exact = np.bincount(cells.near, flow, minlength=n) - np.bincount(
            cells.far, flow, minlength=n
        )
        # Central differences: h times jumps of the second derivative, and rounding over h.
        np.testing.assert_allclose(change, exact, atol=1e-4)


def test_a_lattice_under_a_uniform_measure_is_cut_in_squares():
    points = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    source = Uniform(np.full(2, -0.5), np.full(2, 3.5))
    solution = solve_semi_discrete(source, points)
    assert solution.stats["cost"] == pytest.approx(1.0 / 6.0, rel=1e-12)
    np.testing.assert_allclose(solution.stats["barycentres"], points, atol=1e-12)
    cells = laguerre_cells(solution, source.lower, source.upper)
    for cell, point in zip(cells, points, strict=True):
        assert cell.shape == (4, 2)
        np.testing.assert_allclose(np.abs(cell - point), 0.5, atol=1e-9)
    far = solve_semi_discrete(source, points + 7.0)
    assert far.stats["cost"] == pytest.approx(1.0 / 6.0 + 98.0, rel=1e-13)


def test_cells_are_polygons_of_the_right_area():
    points = RNG.random((40, 2))
    solution = solve_semi_discrete(Uniform.unit(2), points, RNG.dirichlet(np.ones(40)))
    areas = []
    for cell in laguerre_cells(solution.map, np.zeros(2), np.ones(2)):
        after = np.roll(cell, -1, axis=0)
        areas.append(0.5 * np.sum(cell[:, 0] * after[:, 1] - cell[:, 1] * after[:, 0]))
    np.testing.assert_allclose(areas, solution.stats["masses"], atol=1e-12)


def test_a_mixture_with_a_gap():
    points = RNG.normal(size=(20, 2))
    solution = solve_semi_discrete(MIXTURE, points)
    np.testing.assert_allclose(solution.stats["masses"], 0.05, atol=1e-10)
    x = np.asarray(MIXTURE.sample(jax.random.key(0), 20_000))
    square = np.sum(np.square(np.asarray(solution.map(x)) - x), axis=1)
    assert abs(square.mean() - solution.stats["cost"]) < 5.0 * square.std() / np.sqrt(20_000)


def test_points_in_a_subspace_are_a_problem_there():
    frame = np.linalg.qr(RNG.normal(size=(60, 2)))[0]
    high = solve_semi_discrete(Gaussian.standard(60), THREE @ frame.T + 1.0)
    flat = solve_semi_discrete(Gaussian(-frame.T @ np.ones(60), np.eye(2)), THREE).stats["cost"]
    # What is left of the shift by (1, …, 1), and 58 variances.
    rest = 58.0 + 60.0 - float(np.sum((frame.T @ np.ones(60)) ** 2))
    assert high.stats["cost"] == pytest.approx(flat + rest, rel=1e-13)
    two = solve_semi_discrete(Gaussian.standard(3), np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
    assert two.stats["cost"] == pytest.approx(4.0 - 2.0 * np.sqrt(2.0 / np.pi), rel=1e-14)
    np.testing.assert_allclose(
        np.abs(two.stats["barycentres"]), [[np.sqrt(2.0 / np.pi), 0, 0]] * 2, atol=1e-14
    )


@pytest.mark.parametrize(
    "source",
    [
        Uniform.unit(1),
        GaussianMixture(
            np.array([0.3, 0.7]), np.array([[-10.0], [10.0]]), np.array([[[1.0]], [[0.25]]])
        ),
    ],
)
def test_on_the_line_it_agrees_with_the_line(source):
    y, w = RNG.normal(size=(30, 1)), RNG.dirichlet(np.ones(30))
    solution = solve_semi_discrete(source, y, w)
    line = solve_line(source, Empirical(y, w))
    assert solution.stats["cost"] == pytest.approx(line.stats["cost"], rel=1e-12)
    low, high = (0.0, 1.0) if isinstance(source, Uniform) else (-12.0, 12.0)
    x = np.linspace(low, high, 50)[1:-1, None]
    np.testing.assert_array_equal(solution.map(x), line.map(x))


def test_it_approaches_the_gaussian_limit():
    target = Gaussian(np.array([1.0, 0.0]), np.array([[2.0, 0.6], [0.6, 0.5]]))
    source = Gaussian.standard(2)
    limit = np.sqrt(solve_gaussian(source, target).stats["cost"])
    for n in (64, 1024):
        points = np.asarray(brenier.measures.quasi_sample(target, n, key=jax.random.key(0)))
        distance = np.sqrt(solve_semi_discrete(source, points).stats["cost"])
        quantisation = np.sqrt(solve_semi_discrete(target, points).stats["cost"])
        # The triangle inequality, in both directions.
        assert abs(distance - limit) < quantisation
        # Of order 1/√n for this many even cells.
        assert quantisation < 4.0 / np.sqrt(n)


def test_it_approaches_the_assignment_of_a_sample():
    points = RNG.normal(size=(4, 2))
    x = np.asarray(brenier.measures.quasi_sample(Gaussian.standard(2), 1024, key=jax.random.key(0)))
    exact = solve_semi_discrete(Gaussian.standard(2), points).stats["cost"]
    assert solve_assignment(x, points).stats["cost"] == pytest.approx(exact, abs=0.02)


def test_the_octahedron_in_space():
    points = np.concatenate([np.eye(3), -np.eye(3)])
    solution = solve_semi_discrete(Gaussian.standard(3), points)
    # By symmetry cells are where ±x_i is the largest coordinate.
    largest = quad(lambda t: 1.0 - (2.0 * stats.norm.cdf(t) - 1.0) ** 3, 0.0, np.inf)[0]
    error = abs(solution.stats["cost"] - (4.0 - 2.0 * largest))
    assert error < solution.stats["cost_error"] < 1e-3
    assert solution.stats["mass_error"] < 1e-2
    assert solution.stats["method"] == "quasi-random points"


def test_a_uniform_measure_in_space():
    points = np.array([[0.25, 0.5, 0.5], [0.75, 0.5, 0.5], [0.75, 0.4, 0.5], [0.2, 0.3, 0.9]])
    solution = solve_semi_discrete(Uniform.unit(3), points, samples=2**12)
    x = RNG.random((20_000, 3))
    image = np.asarray(solution.map(x))
    square = np.sum((image - x) ** 2, axis=1)
    tolerance = solution.stats["cost_error"] + 5.0 * square.std() / np.sqrt(20_000)
    assert abs(square.mean() - solution.stats["cost"]) < tolerance + solution.stats["mass_error"]


def test_points_without_weight_take_no_part():
    points = np.concatenate([THREE, [[0.7, 0.5]]])
    solution = solve_semi_discrete(Gaussian.standard(2), points, np.array([1.0, 1.0, 1.0, 0.0]))
    assert solution.stats["cost"] == pytest.approx(1.90140012442, abs=5e-12)
    assert solution.stats["masses"][3] == 0.0
    assert np.isnan(solution.stats["barycentres"][3]).all()


def test_one_point():
    solution = solve_semi_discrete(Gaussian.standard(2), np.array([[3.0, 4.0]]))
    assert solution.stats["cost"] == pytest.approx(27.0, rel=1e-14)
    np.testing.assert_allclose(solution.map(np.zeros((5, 2))), [[3.0, 4.0]] * 5)


def test_too_few_iterations_fail_as_a_value():
    points = RNG.normal(size=(50, 2))
    solution = solve_semi_discrete(Gaussian.standard(2), points, max_iterations=1, throw=False)
    assert solution.result.failed
    with pytest.raises(SolveError):
        solve_semi_discrete(MIXTURE, points, max_iterations=2)


def test_saving_the_map(tmp_path):
    solution = solve_semi_discrete(Gaussian.standard(2), THREE)
    brenier.save(tmp_path / "cells.brenier", solution.map)
    x = RNG.normal(size=(20, 2))
    np.testing.assert_array_equal(brenier.load(tmp_path / "cells.brenier")(x), solution.map(x))


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (Gaussian.standard(2), {"points": np.array([[0.0, np.nan]])}, "points: .* NaN or infinite"),
        (Gaussian.standard(3), {"points": THREE}, "points: got dimension 2; wants dimension 3"),
        (Gaussian.standard(2), {"points": np.zeros((0, 2))}, r"points: got shape \(0, 2\)"),
        (Gaussian.standard(2), {"points": THREE[[0, 1, 0]]}, "points: got row 2 equal to row 0"),
        (Gaussian.standard(2), {"points": THREE, "weights": -np.ones(3)}, "weights: got negative"),
        (
            Gaussian.standard(2),
            {"points": THREE, "weights": np.ones(2)},
            r"weights: got shape \(2,\)",
        ),
        (Gaussian.standard(2), {"points": THREE, "tolerance": 0.0}, "tolerance: got 0"),
        (Gaussian.standard(2), {"points": THREE, "max_iterations": 0}, "max_iterations: got 0"),
        (Empirical(THREE), {"points": THREE}, "source: got Empirical; wants a Gaussian"),
        (Gaussian.standard(3), {"points": RNG.normal(size=(4001, 3))}, "points: got 4,001 points"),
    ],
)
def test_bad_input(source, arguments, message):
    with pytest.raises(ValueError, match=message):
        solve_semi_discrete(source, **arguments)


def test_bad_cells():
    solution = solve_gaussian(Gaussian.standard(2), Gaussian.standard(2))
    with pytest.raises(ValueError, match="transport: got AffineMap; wants a MaxAffine"):
        laguerre_cells(solution, np.zeros(2), np.ones(2))
    cells = solve_semi_discrete(Gaussian.standard(2), THREE)
    with pytest.raises(ValueError, match="upper: got a corner that is not above"):
        laguerre_cells(cells, np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("n", [2, 3, 7])
def test_points_on_a_line_have_parallel_edges_between_neighbours(n):
    line = np.outer(np.arange(n), [3.0, 4.0])
    edges = laguerre_edges(line, -0.5 * np.sum(line**2, axis=1))
    np.testing.assert_array_equal(np.sort(np.minimum(edges.near, edges.far)), np.arange(n - 1))
    np.testing.assert_allclose(np.abs(edges.normal), np.tile([0.6, 0.8], (n - 1, 1)), rtol=1e-15)
