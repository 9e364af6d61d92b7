import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from brenier.measures import Gaussian, Gibbs

# A Kolmogorov-Smirnov test that a right sampler fails once in 10,000 keys; the keys are fixed.
LEVEL = 1e-4


def test_quartic_well():
    nu = Gibbs(lambda x: 0.25 * jnp.sum(x**4), dimension=2)
    x = np.asarray(nu.sample(jax.random.key(0), 2000))
    exact = stats.gennorm(4, scale=4**0.25).cdf
    assert stats.kstest(x[:, 0], exact).pvalue > LEVEL
    assert stats.kstest(x[:, 1], exact).pvalue > LEVEL


@pytest.mark.slow
def test_scales_apart_by_a_million_and_a_far_mean():
    scales = np.array([1e-3, 1.0, 1e3])
    nu = Gibbs(lambda x: 0.5 * jnp.sum(((x - 100.0) / scales) ** 2), dimension=3)
    x = np.asarray(nu.sample(jax.random.key(1), 1000))
    for column, scale in zip(x.T, scales, strict=True):
        assert stats.kstest((column - 100.0) / scale, "norm").pvalue > LEVEL


@pytest.mark.slow
def test_few_chains_start_where_they_are_told():
    # Two wells 40 apart: no chain crosses, so all stay in the well of the start.
    nu = Gibbs(
        lambda x: -jnp.logaddexp(-0.5 * jnp.sum((x - 20.0) ** 2), -0.5 * jnp.sum((x + 20.0) ** 2)),
        dimension=1,
        start=Gaussian(jnp.array([20.0]), jnp.eye(1)),
    )
    x = np.concatenate([nu.sample(jax.random.key(seed), 20) for seed in range(20)])
    assert stats.kstest(x[:, 0] - 20.0, "norm").pvalue > LEVEL
    assert len(np.unique(x)) == len(x)


def test_log_density_is_minus_the_potential():
    nu = Gibbs(lambda x: jnp.sum(x**4), dimension=2)
    assert float(nu.log_density(jnp.array([1.0, 2.0]))) == -17.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"potential": jnp.sum, "dimension": 0}, "dimension: got 0"),
        ({"potential": jnp.square, "dimension": 2}, r"potential: got values of shape \(2,\)"),
        ({"potential": jnp.sum, "dimension": 2, "start": Gaussian.standard(3)}, "start: got dim"),
        ({"potential": jnp.sum, "dimension": 2, "warmup": 1}, "warmup: got 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Gibbs(**arguments)
