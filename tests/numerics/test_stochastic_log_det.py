"""The stochastic logarithm of a determinant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import stochastic_log_det

KEY = jax.random.key(0)


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
