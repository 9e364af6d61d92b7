import jax.numpy as jnp
import numpy as np
import pytest

from brenier.exact import solve_gaussian
from brenier.measures import Empirical, Gaussian
from brenier.numerics import bures_squared, gaussian_map_matrix
from brenier.problems import gaussian

RNG = np.random.default_rng(0)


def _rotation(d):
    return np.linalg.qr(RNG.normal(size=(d, d)))[0]


@pytest.mark.parametrize("dimension", [1, 2, 20])
def test_known_maps(dimension):
    known = gaussian(dimension, condition=30.0)
    solution = solve_gaussian(known.source, known.target)
    np.testing.assert_allclose(solution.map.matrix, known.map.matrix, atol=1e-12)
    np.testing.assert_allclose(solution.map.offset, known.map.offset, atol=1e-12)
    # E|x − T(x)|² for x = m + L z.
    step = (np.eye(dimension) - known.map.matrix) @ known.source.factor
    cost = np.sum(np.square(known.map.offset)) + np.sum(np.square(step))
    assert solution.stats["cost"] == pytest.approx(float(cost), rel=1e-13)


def test_moments_agree_with_the_numerics():
    S, C = (B @ B.T for B in RNG.normal(size=(2, 5, 5)))
    solution = solve_gaussian((np.zeros(5), S), [np.ones(5), C])
    assert solution.stats["cost"] == pytest.approx(5.0 + float(bures_squared(S, C)), rel=1e-12)
    np.testing.assert_allclose(solution.map.matrix, gaussian_map_matrix(S, C), atol=1e-9)


def test_near_covariances_cost_no_digits():
    Q, h = _rotation(4), 1e-6
    roots = np.array([1.0, 2.0, 3.0, 4.0])
    source, target = ((Q * r) @ Q.T for r in (roots, (1.0 + h) * roots))
    solution = solve_gaussian(
        Gaussian(np.zeros(4), source @ source), Gaussian(np.zeros(4), target @ target)
    )
    # |(1 + h) S^{1/2} − S^{1/2}|²; covariances carry rounding of 1e-16, which is 1e-10 of h.
    assert solution.stats["cost"] == pytest.approx(h**2 * 30.0, rel=1e-8)


def test_nearly_singular_gaussians_cost_no_digits():
    # A Gaussian holds its Cholesky factor: deviations of 1e-7 beside 1 keep theirs.
    scales = np.array([1.0, 1e-7])
    source = Gaussian(np.zeros(2), np.diag(scales**2))
    target = Gaussian(np.zeros(2), np.eye(2))
    expected = (1.0 - 1e-7) ** 2
    assert solve_gaussian(source, target).stats["cost"] == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(
        solve_gaussian(source, target).map.matrix, np.diag([1.0, 1e7]), rtol=1e-12
    )


def test_singular_moments():
    Q = _rotation(3)
    flat = (Q * np.array([4.0, 1.0, 0.0])) @ Q.T
    # Onto a plane from space the map is the projection, and the cost the lost variance.
    onto = solve_gaussian((np.zeros(3), np.eye(3)), (np.zeros(3), flat))
    assert onto.stats["cost"] == pytest.approx(1.0 + 0.0 + 1.0, rel=1e-14)
    image = np.asarray(onto.map.matrix)
    np.testing.assert_allclose(image @ image.T, flat, atol=1e-14)
    within = solve_gaussian((np.zeros(3), flat), (np.zeros(3), 9.0 * flat))
    assert within.stats["cost"] == pytest.approx(4.0 * 5.0, rel=1e-14)
    with pytest.raises(ValueError, match="source: got a singular covariance"):
        solve_gaussian((np.zeros(3), flat), (np.zeros(3), np.eye(3)))


def test_float32_measures_are_solved_in_float64():
    source = Gaussian(jnp.zeros(2, jnp.float32), jnp.eye(2, dtype=jnp.float32))
    assert solve_gaussian(source, Gaussian.standard(2)).map.matrix.dtype == jnp.float64


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Gaussian.standard(3), "target: got dimension 3; wants dimension 2"),
        (Empirical(np.zeros((3, 2))), "target: got Empirical; wants a Gaussian"),
        (np.zeros((2, 2)), "target: got ndarray; wants a Gaussian"),
        ((np.zeros(2), np.eye(3)), "target covariance: got dimension 3"),
        ((np.array([np.nan, 0.0]), np.eye(2)), "target mean: "),
        ((np.zeros(2), np.full((2, 2), np.inf)), "target covariance: .* NaN or infinite"),
        ((np.zeros(2), np.diag([1.0, -1.0])), "target covariance: got an eigenvalue of -1"),
        ((np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])), "target covariance: .* not symmetric"),
    ],
)
def test_bad_input(target, message):
    with pytest.raises(ValueError, match=message):
        solve_gaussian(Gaussian.standard(2), target)
