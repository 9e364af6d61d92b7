"""Divergences of powers of the density ratio, against integrals and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from brenier.functionals import KL, ExactScore, Moving, PowerDivergence
from brenier.maps import AffineMap
from brenier.measures import Empirical, Gaussian, quasi_sample

KEY = jax.random.key(0)
SOURCE, TARGET = Gaussian.standard(1), Gaussian(jnp.array([0.2]), 1.21 * jnp.eye(1))
NAMES = {
    "kl": lambda r: r * np.log(r),
    "chi2": lambda r: 0.5 * (r - 1.0) ** 2,
    "reverse_kl": lambda r: -np.log(r),
    "hellinger": lambda r: 2.0 * (np.sqrt(r) - 1.0) ** 2,
}


def _moving(slope, shift, x):
    return Moving.pushed(AffineMap(slope * jnp.eye(1), shift * jnp.ones(1)), SOURCE, x)


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_between_gaussians(name):
    functional = PowerDivergence.named(name)
    # Quantiles: means over them leave out the tails beyond 4 deviations.
    x = jnp.asarray(norm.ppf((np.arange(50_000) + 0.5) / 50_000))[:, None]

    @jax.jit
    def value(slope, shift):
        return functional.value(_moving(slope, shift, x), TARGET, key=KEY)

    target, image = norm(0.2, 1.1), norm(-0.3, 1.2)
    wanted, _ = quad(
        lambda y: NAMES[name](image.pdf(y) / target.pdf(y)) * target.pdf(y), -12.0, 12.0
    )
    assert float(value(1.2, -0.3)) == pytest.approx(wanted, rel=5e-3)
    # Along x: E[∇_W F(T(x)) x] is the derivative in the slope.
    field = functional.gradient(_moving(1.2, -0.3, x), TARGET, key=KEY)
    slope = (value(1.2 + 1e-4, -0.3) - value(1.2 - 1e-4, -0.3)) / 2e-4
    assert float(jnp.mean(field * x)) == pytest.approx(float(slope), rel=5e-3)
    if name == "kl":
        same = KL(ExactScore()).gradient(_moving(1.2, -0.3, x), TARGET, key=KEY)
        np.testing.assert_allclose(field, same, rtol=1e-12)


def test_bad_input():
    x = quasi_sample(SOURCE, 8, key=jax.random.key(0))
    with pytest.raises(ValueError, match="name: got 'total_variation'; wants one of"):
        PowerDivergence.named("total_variation")
    with pytest.raises(ValueError, match="power: got nan"):
        PowerDivergence(float("nan"))
    with pytest.raises(ValueError, match="moving: got bare particles"):
        PowerDivergence().gradient(Moving(x), TARGET, key=KEY)
    with pytest.raises(ValueError, match="target: got Empirical, which has no density"):
        PowerDivergence().gradient(_moving(1.0, 0.0, x), Empirical(np.zeros((3, 1))), key=KEY)
