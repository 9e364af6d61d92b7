"""What every velocity keeps to, for those of flow matching and of grids."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.grids import Box, Torus
from brenier.maps import GradientMap
from brenier.measures import Empirical, Gaussian, GaussianMixture
from brenier.potentials import Quadratic
from brenier.velocities import (
    DacorognaMoserVelocity,
    FlowMap,
    FokkerPlanckVelocity,
    MatchingVelocity,
    McCannVelocity,
    MixtureVelocity,
    NetworkVelocity,
    RatioVelocity,
    RescaledDiffusionVelocity,
)

NORMAL = Gaussian.standard(2)
MIXTURE = GaussianMixture(
    np.array([0.3, 0.7]),
    np.array([[-1.0, 0.5], [1.5, 0.0]]),
    np.array([[[0.5, 0.2], [0.2, 0.3]], [[1.0, -0.6], [-0.6, 0.5]]]),
)
BOX = Box([-4.0] * 2, [4.0] * 2, [20, 20])
# Made by the tests that want them: most compile something.
VELOCITIES = {
    "matching": lambda: MatchingVelocity(NORMAL, MIXTURE),
    "matching-atoms": lambda: MatchingVelocity(
        MIXTURE, Empirical(np.array([[0.0, 1.0], [2.0, 3.0]]))
    ),
    "rescaled": lambda: RescaledDiffusionVelocity(MixtureVelocity(MIXTURE)),
    "mccann": lambda: McCannVelocity(
        GradientMap(Quadratic.from_matrix(jnp.array([[2.0, 0.5], [0.5, 1.0]]), jnp.ones(2)))
    ),
    "network": lambda: NetworkVelocity(
        eqx.nn.MLP(5, 2, 6, 1, jax.nn.silu, key=jax.random.key(0)), jnp.zeros(2), jnp.ones(())
    ),
    "ratio": lambda: RatioVelocity.from_ratio(
        lambda x: 1.0 + x[0] * jnp.exp(-(x @ x)), Torus([-8.0] * 2, [8.0] * 2, [48, 48])
    ),
    "moser": lambda: DacorognaMoserVelocity.between(
        lambda x: jnp.cos(x[0]),
        lambda x: jnp.sin(x[1]),
        Torus([0.0, 0.0], [2 * np.pi, 2 * np.pi], [16, 16]),
    ),
    "fokker-planck": lambda: FokkerPlanckVelocity.towards(
        Gaussian(np.zeros(2), 0.6 * np.eye(2)), lambda x: 0.5 * (x @ x), BOX, 0.5, moments=12
    ),
}
X = jax.random.normal(jax.random.key(1), (3, 2))
TIME = 0.4


@eqx.filter_jit
def _look(v, time, x):
    return v(time, x), jax.vmap(jax.jacfwd(lambda y: v.at(time, y)))(x)


# Their derivatives compile for seconds.
LONG = ("mccann", "fokker-planck", "moser")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in VELOCITIES],
)
def test_a_velocity_is_smooth_saved_and_takes_batches(name, tmp_path):
    v, time = VELOCITIES[name](), jnp.asarray(TIME)
    values, slopes = map(np.asarray, _look(v, time, X))
    assert values.shape == (3, 2)
    assert v.dimension == 2
    h = 1e-5
    columns = [
        (_look(v, time, X + e)[0] - _look(v, time, X - e)[0]) / (2 * h) for e in h * np.eye(2)
    ]
    # Central differences: h² times third derivatives, and rounding over h.
    np.testing.assert_allclose(slopes, np.stack(columns, axis=-1), rtol=1e-5, atol=1e-6)
    brenier.save(tmp_path / "flow.brenier", FlowMap(v, 0.0, TIME))
    loaded = brenier.load(tmp_path / "flow.brenier").velocity
    np.testing.assert_array_equal(_look(loaded, time, X)[0], values)
    assert repr(v).startswith(type(v).__name__)
    with pytest.raises(ValueError, match=r"x: got shape \(4, 3\); wants \(\.\.\., 2\)"):
        v(TIME, np.zeros((4, 3)))
