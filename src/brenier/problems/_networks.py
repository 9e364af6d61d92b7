"""Random convex networks, as the Wasserstein-2 benchmark is made of."""

import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier.maps import GradientMap
from brenier.measures import GaussianMixture
from brenier.potentials import ICNN, Mixture
from brenier.problems._convex import known
from brenier.problems._problem import Problem

# Slopes of the layers, and their quadratic parts: the map bends over a tenth of a spread.
_SLOPE, _CURVATURE = 10.0, 0.3
# Weights are exponential variables to this power: a few units outweigh all others, so that the
# map has few pieces, as one onto many modes has.
_UNEQUAL = 12.0
# The least share of ½‖·‖², and the points that the image's size is measured on.
_MODULUS, _DRAWN = 0.05, 20_000


def convex_networks(dimension: int, *, seed: int = 0) -> Problem:
    """Three Gaussians, and their image under the mean gradient of two random convex networks.

    T* = ∇(φ_1 + φ_2)/2, both ``ICNN`` of three quadratic layers; a source of mean 0 and total
    variance d, an image of about the same. As hard as the Wasserstein-2 benchmark's own pairs: the
    best affine map leaves about 13 and 39 per cent of the variance in d = 2 and 16 (14 and 42
    there), and that of the way back about 20 and 37 (16 and 31).

    Args:
        dimension: d.
        seed: of the networks and the source.

    >>> problem = convex_networks(4)
    >>> problem.name, problem.map(jnp.zeros((10, 4))).shape
    ('networks-4', (10, 4))

    Korotin et al. (2021), Do neural optimal transport solvers work?, section 4.1.
    """
    check_at_least("dimension", dimension, 1)
    random = np.random.default_rng(seed)
    source = _three_gaussians(random, dimension)
    networks = [_network(random, dimension) for _ in range(2)]
    x = source.sample(jax.random.key(seed), _DRAWN)
    spread = np.std(np.asarray(GradientMap(Mixture(networks, [0.5, 0.5]))(x)), axis=0)
    share = 0.5 / float(np.sqrt(np.mean(spread**2)))
    return known(
        f"networks-{dimension}",
        source,
        Mixture(networks, [share, share]),
        "after Korotin et al. (2021), Do neural optimal transport solvers work?",
    )


def _three_gaussians(random: np.random.Generator, dimension: int) -> GaussianMixture:
    means = random.normal(size=(3, dimension))
    means -= means.mean(axis=0)
    roots = random.normal(size=(3, dimension, dimension)) / np.sqrt(dimension)
    covariances = roots @ np.swapaxes(roots, 1, 2) + 0.05 * np.eye(dimension)
    total = np.sum(means**2) / 3.0 + np.trace(covariances.mean(axis=0))
    unit = np.sqrt(dimension / total)
    return GaussianMixture(np.full(3, 1.0 / 3.0), unit * means, unit**2 * covariances)


def _network(random: np.random.Generator, dimension: int) -> ICNN:
    widths = (max(2 * dimension, 64), max(2 * dimension, 64), max(dimension, 32))
    inputs, biases, quadratic, hidden = [], [], [], []
    for k, width in enumerate(widths):
        slopes, bends = random.normal(size=(2, width, dimension)) / np.sqrt(dimension)
        inputs.append(jnp.asarray(_SLOPE * slopes))
        quadratic.append(jnp.asarray(_CURVATURE * bends))
        biases.append(jnp.asarray(_SLOPE * random.normal(size=width)))
        if k:
            hidden.append(_weights(random, (width, widths[k - 1])))
    return ICNN(
        tuple(inputs),
        tuple(biases),
        tuple(hidden),
        _weights(random, (widths[-1],)),
        jnp.zeros(dimension),
        jnp.zeros((1, dimension)),
        jnp.asarray(np.log(_MODULUS)),
        activation="celu",
        quadratic=tuple(quadratic),
    )


def _weights(random: np.random.Generator, shape: tuple[int, ...]) -> jnp.ndarray:
    """Positive weights whose rows add up to 1, as the network holds them: softplus gives them."""
    weights = random.exponential(size=shape) ** _UNEQUAL
    return jnp.asarray(np.log(np.expm1(weights / weights.sum(axis=-1, keepdims=True))))
