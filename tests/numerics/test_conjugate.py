"""Convex conjugates, batched."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier.numerics import _blocks, conjugate, conjugate_upper_bound
from brenier.potentials import LogSumExp

RNG = np.random.default_rng(0)


class Quadratic(eqx.Module):
    """½⟨x, Ax⟩ with eigenvalues of A from 0.1 to 10."""

    matrix: jax.Array

    @classmethod
    def random(cls, d):
        turn = np.linalg.qr(RNG.standard_normal((d, d)))[0]
        return cls(jnp.asarray(turn * np.logspace(-1, 1, d) @ turn.T))

    def value(self, x):
        return 0.5 * x @ self.matrix @ x


def _cosh(x):
    return jnp.sum(jnp.cosh(x))


@pytest.mark.parametrize(("d", "method"), [(1, "newton"), (2, "lbfgs"), (50, None)])
def test_quadratic_in_closed_form(d, method):
    phi, y = Quadratic.random(d), RNG.standard_normal((20, d))
    result = conjugate(phi.value, y, tolerance=1e-12, method=method)
    exact = np.linalg.solve(phi.matrix, y.T).T
    # A residual of 1e-12 (1 + ‖y‖) moves the point by that over the least eigenvalue.
    np.testing.assert_allclose(result.point, exact, atol=1e-10)
    np.testing.assert_allclose(result.value, 0.5 * np.sum(exact * y, axis=1), rtol=1e-12)
    if method == "newton":
        assert int(result.iterations.max()) == 1


def test_newton_converges_from_afar_in_single_precision():
    # φ = Σ √(1 + x²) is flat far out: undamped Newton diverges from |x| > 1.
    y = RNG.uniform(-0.9, 0.9, (50, 3)).astype(np.float32)
    result = conjugate(lambda x: jnp.sum(jnp.sqrt(1.0 + x * x)), y, np.full_like(y, 30.0))
    assert result.point.dtype == np.float32
    # Residuals of 32 units of rounding, over a second derivative of 0.08 at least.
    np.testing.assert_allclose(result.point, y / np.sqrt(1 - y**2), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_sharp_log_sum_exp():
    phi = LogSumExp.identity(jax.random.key(0), 2, 30, temperature=0.02, strong_convexity=0.05)
    x = 2.0 * RNG.standard_normal((100, 2))
    y = phi.gradient(x)
    result = conjugate(phi.value, y, tolerance=1e-11)
    # Fenchel's equality φ(x) + φ*(∇φ(x)) = ⟨x, ∇φ(x)⟩; an error of the point counts squared.
    np.testing.assert_allclose(
        result.value, jnp.sum(x * y, axis=1) - phi(x), rtol=1e-12, atol=1e-12
    )
    assert float(result.residual.max()) < 1e-10


def test_blocks_and_their_remainder(monkeypatch):
    # Read when compiled, at a new shape.
    monkeypatch.setitem(_blocks._BLOCK_FLOATS, "cpu", 10_000)
    y = RNG.standard_normal((101, 2))
    result = conjugate(_cosh, y)
    np.testing.assert_allclose(result.point, np.arcsinh(y), atol=1e-9)
    assert result.point.shape == (101, 2)


def test_high_dimension_by_default_without_hessians():
    d = 500
    scale = jnp.logspace(-0.5, 0.5, d)
    y = RNG.standard_normal((3, d))
    result = conjugate(lambda x: _cosh(scale * x), y, tolerance=1e-9)
    # A residual of 1e-9 (1 + √d), over the least second derivative, 0.1.
    np.testing.assert_allclose(result.point, jnp.arcsinh(y / scale) / scale, atol=3e-7)


@pytest.mark.parametrize(
    ("value", "method"),
    [
        (lambda x: jnp.sum(jnp.abs(x)), "newton"),
        (lambda x: jnp.sum(jnp.abs(x)), "lbfgs"),
        (lambda x: jax.nn.logsumexp(3.0 * x), "newton"),
        (lambda x: jnp.sum(x) * 0.0, "newton"),
        (lambda x: jnp.sum(jnp.exp(100.0 * x)), "lbfgs"),
        (lambda x: jnp.sum(jnp.where(x > 0, -jnp.log(x), jnp.inf)), "newton"),
    ],
    ids=["kink", "kink by L-BFGS", "out of reach", "flat", "overflow", "outside the domain"],
)
def test_what_has_no_maximiser_stays_finite_and_says_so(value, method):
    y = jnp.array([[2.0, -3.0], [0.5, 4.0]])
    result = conjugate(value, y, 10.0 * y, max_iterations=30, method=method)
    assert np.isfinite(result.point).all()
    assert not np.isnan(result.value).any()
    assert (result.residual > 1e-3).all()


def test_unknown_method():
    with pytest.raises(ValueError, match="method: got 'bfgs'; wants 'newton', 'lbfgs' or None"):
        conjugate(lambda x: x @ x, jnp.ones((1, 2)), method="bfgs")


ROUGH = eqx.filter_jit(lambda y, init: conjugate(_cosh, y, init, max_iterations=0))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-20.0, 20.0), min_size=4, max_size=4))
def test_bounds_hold_wherever_the_search_stops(numbers):
    y, init = np.array(numbers).reshape(2, 1, 2)
    rough = ROUGH(y, init)
    exact = np.sum(y * np.arcsinh(y) - np.sqrt(1.0 + y**2))
    rounding = 1e-14 * (1.0 + np.abs(rough.value[0]))
    assert float(rough.value[0]) <= exact + rounding
    # cosh'' ≥ 1: strongly convex with m = 1.
    assert exact - rounding <= float(conjugate_upper_bound(rough, 1.0)[0])


def test_upper_bound_without_strong_convexity():
    result = conjugate(lambda x: x @ x, jnp.array([[4.0], [0.0]]), max_iterations=0)
    np.testing.assert_array_equal(conjugate_upper_bound(result, 0.0), [np.inf, 0.0])


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 40])
def test_a_function_with_few_digits_ends_the_iterations_at_its_own_floor(d):
    """As products in TF32 leave it: no tolerance of float32's is ever met."""
    r = np.random.default_rng(0)
    weights = jnp.asarray(3.0 * r.normal(size=(64, d)) / np.sqrt(d), jnp.float32)

    def rounded(x):
        return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=10)

    def of(products):
        def phi(x):
            slopes = products(weights) @ products(x)
            return 0.25 * x @ x + jnp.mean(jax.nn.softplus(slopes))

        return phi

    y = jnp.asarray(r.normal(size=(20, d)), jnp.float32)
    exact, rough = conjugate(of(lambda x: x), y), conjugate(of(rounded), y)
    assert int(exact.iterations.max()) < 20
    assert int(rough.iterations.max()) < 200
    np.testing.assert_allclose(rough.point, exact.point, atol=2e-2)
