import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics._determinants import spd_log_det, spd_solve


# Written out up to d = 3, by Cholesky above.
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_log_det_solve_and_their_derivatives_agree_with_numpy(d):
    rng = np.random.default_rng(d)
    root, tangent, right = rng.normal(size=(d, d)), rng.normal(size=(d, d)), rng.normal(size=d)
    matrix, tangent = root @ root.T + np.eye(d), tangent + tangent.T
    inverse = np.linalg.inv(matrix)

    @jax.jit
    def look(matrix):
        slope = jax.grad(spd_log_det)
        return (
            spd_log_det(matrix),
            slope(matrix),
            jax.jvp(slope, (matrix,), (tangent,))[1],
            (spd_solve(matrix, jnp.asarray(right))),
        )

    value, slope, curvature, solution = look(jnp.asarray(matrix))
    np.testing.assert_allclose(value, np.linalg.slogdet(matrix)[1], rtol=1e-12, atol=1e-14)
    # The written-out form reads one triangle only: compare on symmetric directions.
    np.testing.assert_allclose(slope + slope.T, 2.0 * inverse, rtol=1e-11, atol=1e-12)
    exact = -inverse @ tangent @ inverse
    np.testing.assert_allclose(curvature + curvature.T, 2.0 * exact, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(solution, inverse @ right, rtol=1e-11)


def test_not_positive_definite_is_nan():
    for matrix in (-np.eye(2), np.diag([1.0, 1.0, 1.0, 1.0, -1.0])):
        assert np.isnan(spd_log_det(jnp.asarray(matrix)))
