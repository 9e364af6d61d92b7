"""BDIA: exactly invertible where DDIM is not, and near the flow where DDIM is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.measures import GaussianMixture
from brenier.velocities import BDIA, DDIM, ExactNoise, FlowMap, MixtureVelocity

MIXTURE = GaussianMixture(
    np.array([0.3, 0.7]), np.array([[-1.0, 0.5], [1.0, -0.2]]), np.tile(0.1 * np.eye(2), (2, 1, 1))
)
NOISE = ExactNoise(MixtureVelocity(MIXTURE))
LEVELS = jnp.cos(jnp.linspace(0.05, 1.5, 51))
X = MIXTURE.sample(jax.random.key(0), 8)


def _there_and_back(weight):
    encoder = BDIA(NOISE, LEVELS, 2, weight)
    pairs = encoder.paired(X)
    return pairs, encoder.inverse()(encoder(pairs))


@pytest.mark.parametrize("weight", [1.0, pytest.param(0.95, marks=pytest.mark.slow)])
def test_it_is_inverted_to_rounding_where_ddim_is_not(weight):
    pairs, back = _there_and_back(weight)
    # Rounding errors grow by 1/γ a step on the way back.
    assert float(jnp.abs(back - pairs).max()) < 1e-10 / weight**50
    ddim = DDIM(NOISE, LEVELS, 2)
    assert float(jnp.abs(ddim.reversed()(ddim(X)) - X).max()) > 1e-3


@pytest.mark.slow
def test_its_codes_are_those_of_the_flow_to_second_order():
    exact = FlowMap(MixtureVelocity(MIXTURE), LEVELS[0], LEVELS[-1], tolerance=1e-9)(X)
    errors = []
    for steps in (50, 200):
        levels = jnp.cos(jnp.linspace(0.05, 1.5, steps + 1))
        encoder = BDIA(NOISE, levels, 2)
        errors.append(float(jnp.abs(encoder(encoder.paired(X))[:, :2] - exact).max()))
    # The symmetric rule is of order 2 in the angle, and its first step of order 1 costs h².
    assert errors[1] < errors[0] / 10.0
    assert errors[0] < 0.1


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"levels": [0.9, 0.5]}, "levels: got 2 signal levels"),
        ({"levels": [0.9, 0.5, 0.0]}, "above 0 and at most 1"),
        ({"weight": 0.0}, "weight: got 0.0"),
        ({"dimension": 0}, "dimension: got 0"),
    ],
)
def test_what_cannot_be(change, phrase):
    arguments = {"levels": [0.9, 0.5, 0.1], "dimension": 2, "weight": 1.0, **change}
    with pytest.raises(ValueError, match=phrase):
        BDIA(NOISE, np.array(arguments["levels"]), arguments["dimension"], arguments["weight"])
