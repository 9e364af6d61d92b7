"""What every measure keeps to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.maps import GradientMap, Pushforward
from brenier.measures import (
    AbstractMeasure,
    Empirical,
    Gaussian,
    GaussianMixture,
    Gibbs,
    require_density,
)
from brenier.potentials import LogSumExp

KEY = jax.random.key(0)
GAUSSIAN = Gaussian(np.array([0.5, -0.5]), np.array([[1.0, 0.4], [0.4, 0.6]]))
MEASURES = {
    "gaussian": GAUSSIAN,
    "mixture": GaussianMixture(np.array([1.0, 3.0]), np.array([[1.0, 1.0], [-1.0, 0.0]]),
                               np.stack([0.3 * np.eye(2), np.eye(2)])),
    "gibbs": Gibbs(lambda x: 0.25 * jnp.sum(x**4) + 0.5 * x[0] * x[1], dimension=2),
    "pushforward": Pushforward(GAUSSIAN, GradientMap(LogSumExp.identity(KEY, 2, 6))),
    "empirical": Empirical(np.array([[0.0, 1.0], [2.0, 3.0]])),
}
DENSE = [name for name, measure in MEASURES.items() if measure.has_density]
X = jax.random.normal(jax.random.key(1), (6, 2))


def test_every_measure_is_here():
    shown = {type(measure) for measure in MEASURES.values()}
    final = {cls for cls in AbstractMeasure.__subclasses__() if cls.__module__[:8] == "brenier."}
    assert final <= shown


@pytest.mark.parametrize("name", DENSE)
def test_samples_follow_the_density(name):
    measure = MEASURES[name]
    n = 4000
    x = measure.sample(KEY, n)
    assert x.shape == (n, 2)
    # Moments by the midpoint rule on a smooth density that vanishes at the border, normalised.
    side = jnp.linspace(-7.0, 7.0, 71)
    grid = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)
    weights = jax.nn.softmax(measure.log_density(grid))

    def moments(x):
        return jnp.stack([x[:, 0], x[:, 1], x[:, 0] ** 2, x[:, 1] ** 2, x[:, 0] * x[:, 1]], axis=1)

    exact = weights @ moments(grid)
    seen = moments(x)
    error = jnp.abs(jnp.mean(seen, axis=0) - exact)
    # Five standard errors.
    assert (error < 5.0 * jnp.std(seen, axis=0) / np.sqrt(n)).all()


@pytest.mark.parametrize("name", DENSE)
def test_score_is_the_gradient_of_the_log_density(name):
    measure = MEASURES[name]
    x = measure.sample(KEY, 6)
    steps = 1e-5 * np.eye(2)
    above, below = (measure.log_density(x[:, None] + s * steps) for s in (1.0, -1.0))
    # Central differences: h² times third derivatives, and rounding over h.
    np.testing.assert_allclose(measure.score(x), (above - below) / 2e-5, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MEASURES)
def test_shapes_keys_and_repr(name):
    measure = MEASURES[name]
    assert measure.dimension == 2
    x = measure.sample(KEY, 3)
    np.testing.assert_array_equal(x, measure.sample(KEY, 3))
    assert float(jnp.abs(x - measure.sample(jax.random.key(5), 3)).max()) > 0
    assert repr(measure).startswith(type(measure).__name__)
    if measure.has_density:
        values, scores = measure.log_density(X.reshape(3, 2, 2)), measure.score(np.asarray(X))
        np.testing.assert_allclose(values.ravel(), [measure.log_density(x) for x in X], rtol=1e-10)
        np.testing.assert_allclose(scores, np.stack([measure.score(x) for x in X]), rtol=1e-9)
        with pytest.raises(ValueError, match=r"x: got shape \(1, 3\); wants \(\.\.\., 2\)"):
            measure.log_density(np.zeros((1, 3)))


def test_without_a_density_it_says_so():
    cloud = MEASURES["empirical"]
    for ask in (cloud.log_density, cloud.score):
        with pytest.raises(ValueError, match="Empirical, which has no density"):
            ask(X)
    with pytest.raises(ValueError, match="target: got Empirical, which has no density"):
        require_density("target", cloud)
