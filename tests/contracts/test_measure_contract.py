"""What every measure keeps to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.images import StreamedImages
from brenier.maps import GradientMap, Pushforward
from brenier.measures import (
    AbstractMeasure,
    Empirical,
    Gaussian,
    GaussianMixture,
    Gibbs,
    StandardNormal,
    TensorTrain,
    Uniform,
    require_density,
)
from brenier.potentials import LogSumExp

KEY = jax.random.key(0)
GAUSSIAN = Gaussian(np.array([0.5, -0.5]), np.array([[1.0, 0.4], [0.4, 0.6]]))
MEASURES = {
    "gaussian": GAUSSIAN,
    "mixture": GaussianMixture(
        np.array([0.25, 0.75]),
        np.array([[1.0, 1.0], [-1.0, 0.0]]),
        np.stack([0.3 * np.eye(2), np.eye(2)]),
    ),
    "gibbs": Gibbs(lambda x: 0.25 * jnp.sum(x**4) + 0.5 * x[0] * x[1], dimension=2),
    "pushforward": Pushforward(GAUSSIAN, GradientMap(LogSumExp.identity(KEY, 2, 6))),
    # Its walls lie half way between the nodes of the grid below, whose rule is then exact but for
    # h²/12 in the second moments, far below the standard errors.
    "uniform": Uniform(np.array([-1.1, -0.5]), np.array([1.1, 2.5])),
    "standard": StandardNormal(2),
    "tensor-train": TensorTrain.from_log_density(
        lambda x: -0.5 * x @ x - 0.1 * jnp.square(x[0] * x[1]), [-8.0] * 2, [8.0] * 2, [80] * 2
    ),
    "empirical": Empirical(np.array([[0.0, 1.0], [2.0, 3.0]])),
    "streamed": StreamedImages(np.array([[0.0, 0.5], [1.0, 0.2]]).reshape(2, 1, 2, 1)),
}
N = 4000
DENSE = [name for name, measure in MEASURES.items() if measure.has_density]


def test_every_measure_is_here():
    shown = {type(measure) for measure in MEASURES.values()}
    final = {cls for cls in AbstractMeasure.__subclasses__() if cls.__module__[:8] == "brenier."}
    assert final <= shown


@pytest.mark.parametrize("name", DENSE)
def test_samples_follow_the_density(name):
    measure = MEASURES[name]
    x = measure.sample(KEY, N)
    assert x.shape == (N, 2)
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
    assert (error < 5.0 * jnp.std(seen, axis=0) / np.sqrt(N)).all()


@pytest.mark.daily("gaussian", "mixture", "tensor-train")
@pytest.mark.parametrize("name", DENSE)
def test_score_is_the_gradient_of_the_log_density(name):
    measure = MEASURES[name]
    x = measure.sample(KEY, N)[:3]
    h = 1e-5
    slopes = [
        (measure.log_density(x + step) - measure.log_density(x - step)) / (2 * h)
        for step in h * np.eye(2)
    ]
    # Central differences: h² times third derivatives, and rounding over h.
    np.testing.assert_allclose(measure.score(x), np.stack(slopes, axis=1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MEASURES)
def test_shapes_keys_and_repr(name):
    measure = MEASURES[name]
    assert measure.dimension == 2
    x = np.asarray(measure.sample(KEY, N))
    np.testing.assert_array_equal(x, measure.sample(KEY, N))
    assert (x != measure.sample(jax.random.key(5), N)).any()
    assert repr(measure).startswith(type(measure).__name__)
    if measure.has_density:
        with pytest.raises(ValueError, match=r"x: got shape \(1, 3\); wants \(\.\.\., 2\)"):
            measure.log_density(np.zeros((1, 3)))


def test_any_leading_axes():
    x = jax.random.normal(KEY, (6, 2))
    np.testing.assert_allclose(
        GAUSSIAN.log_density(x.reshape(3, 2, 2)).ravel(), GAUSSIAN.log_density(x), rtol=1e-12
    )
    assert GAUSSIAN.score(x.reshape(3, 2, 2)).shape == (3, 2, 2)
    np.testing.assert_allclose(
        GAUSSIAN.log_density(np.asarray(x)),
        [GAUSSIAN.log_density(point) for point in x],
        rtol=1e-12,
    )


def test_without_a_density_it_says_so():
    cloud = MEASURES["empirical"]
    for ask in (cloud.log_density, cloud.score):
        with pytest.raises(ValueError, match="Empirical, which has no density"):
            ask(jnp.zeros(2))
    with pytest.raises(ValueError, match="target: got Empirical, which has no density"):
        require_density("target", cloud)
