"""What every map keeps to."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.exact import MonotoneMap
from brenier.images import ScheduledDDIM
from brenier.maps import (
    AbstractMap,
    AffineMap,
    Composition,
    ConjugateMap,
    DebiasedMap,
    EntropicMap,
    GradientMap,
    ResidualNetwork,
    SubspaceMap,
)
from brenier.measures import Gaussian, GaussianMixture
from brenier.potentials import ICNN, LogSumExp, Preconditioned
from brenier.velocities import BDIA, DDIM, AtomsDecoder, ExactNoise, FlowMap, MixtureVelocity

KEY = jax.random.key(0)
PHI = LogSumExp.identity(KEY, 2, 8, temperature=0.3)
TURN = AffineMap(np.array([[0.5, -1.0], [2.0, 0.1]]), np.array([1.0, 0.0]))
NETWORK = ResidualNetwork(
    (jax.random.normal(KEY, (5, 2)), 0.1 * jax.random.normal(KEY, (2, 5))),
    (jnp.ones(5), jnp.ones(2)),
    "gelu",
)
TILTED = MixtureVelocity(Gaussian(np.array([0.5, -0.5]), np.array([[1.0, 0.4], [0.4, 0.6]])))
MAPS = {
    "affine": TURN,
    "gradient": GradientMap(PHI),
    "icnn": GradientMap(ICNN.identity(KEY, 2, (6, 4))),
    "preconditioned": GradientMap(
        Preconditioned(PHI, TURN.matrix, jnp.ones(2), -jnp.ones(2), jnp.array(2.0))
    ),
    "conjugate": ConjugateMap(PHI),
    "composition": Composition((TURN, GradientMap(PHI))),
    "subspace": SubspaceMap(
        AffineMap(2.0 * np.eye(1), np.ones(1)),
        np.array([[0.6], [0.8]]),
        np.ones(2),
        np.array([0.8, -0.6]),
    ),
    "entropic": EntropicMap(PHI.slopes, np.zeros(8), 0.5),
    "debiased": DebiasedMap(
        GradientMap(PHI),
        GaussianMixture(
            np.full(2, 0.5), np.array([[-1.0, 0.0], [1.0, 0.5]]), np.tile(np.eye(2), (2, 1, 1))
        ),
        jnp.array(0.2),
    ),
    "network": NETWORK,
    "flow": FlowMap(TILTED, 1.0, 0.0, tolerance=1e-11),
    "bdia": BDIA(
        ExactNoise(MixtureVelocity(Gaussian.standard(1))), jnp.array([0.9, 0.7, 0.5, 0.3]), 1, 0.8
    ),
    "ddim": DDIM(ExactNoise(TILTED), jnp.array([1.0, 0.7, 0.3]), 2),
    "monotone": MonotoneMap(
        Gaussian(np.array([0.3]), np.array([[1.5]])),
        GaussianMixture(
            np.array([1.0, 2.0]) / 3.0, np.array([[-2.0], [1.0]]), np.array([[[0.5]], [[2.0]]])
        ),
    ),
}
# One of each kind, because solvers compile long: others are tested in their rooms.
INVERTIBLE = ["affine", "conjugate"]
X = jax.random.normal(jax.random.key(1), (6, 2))


def _points(T):
    return X[:, : T.dimension]


@eqx.filter_jit
def _look(T, x):
    return T(x), T.jacobian(x), T.log_det(x)


def test_every_map_is_here():
    shown = {type(map) for map in MAPS.values()}
    final = {cls for cls in AbstractMap.__subclasses__() if cls.__module__.startswith("brenier.")}
    # One sends cells to points, without inverse or determinant (tests/velocities); the other is of
    # images (tests/io/test_diffusers.py).
    assert final <= shown | {AtomsDecoder, ScheduledDDIM}


@pytest.mark.parametrize("name", INVERTIBLE)
def test_inverse_round_trip(name):
    T = MAPS[name]
    forth, back = (lambda x: _look(T, x)[0]), (lambda y: _look(T.inverse(), y)[0])
    # An inverse solved to a residual of 1e-12 (1 + ‖y‖) errs by that over m, 0.1 at least here.
    x = _points(T)
    np.testing.assert_allclose(back(forth(x)), x, atol=1e-10)
    np.testing.assert_allclose(forth(back(x)), x, atol=1e-10)


@pytest.mark.daily(*(set(MAPS) - {"flow", "monotone"}))  # seconds of compilation each
@pytest.mark.parametrize("name", MAPS)
def test_jacobian_and_determinant(name):
    T = MAPS[name]
    x, h = _points(T), 1e-5
    # Central differences err by h² (third derivatives below 1e2 here) and by rounding over h.
    steps = h * np.eye(T.dimension)
    columns = [(_look(T, x + step)[0] - _look(T, x - step)[0]) / (2 * h) for step in steps]
    _, jacobian, log_det = map(np.asarray, _look(T, x))
    np.testing.assert_allclose(jacobian, np.stack(columns, axis=-1), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], rtol=1e-10, atol=1e-12)
    if T.symmetric:
        np.testing.assert_allclose(jacobian, np.swapaxes(jacobian, 1, 2), rtol=1e-12, atol=1e-12)
        assert np.linalg.eigvalsh(jacobian).min() > 0


@pytest.mark.daily(*(set(MAPS) - {"flow", "monotone"}))
@pytest.mark.parametrize("name", MAPS)
def test_a_batch_is_a_loop(name):
    T = MAPS[name]
    loop = np.stack([T(x) for x in _points(T)])
    np.testing.assert_allclose(_look(T, _points(T))[0], loop, rtol=1e-12, atol=1e-13)


def test_any_leading_axes_and_vmap():
    T = MAPS["gradient"]
    batch = T(X)
    np.testing.assert_allclose(T(np.asarray(X)), batch, rtol=1e-14)
    np.testing.assert_allclose(T(X.reshape(3, 1, 2, 2)).reshape(6, 2), batch, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(T)(X), batch, rtol=1e-12)
    assert T(X[:0]).shape == (0, 2)
    assert T.jacobian(X[:0]).shape == (0, 2, 2)


@pytest.mark.parametrize("name", MAPS)
def test_wrong_dimension_and_repr(name):
    T = MAPS[name]
    for method in (T, T.jacobian, T.log_det):
        wanted = rf"x: got shape \(4, 3\); wants \(\.\.\., {T.dimension}\)"
        with pytest.raises(ValueError, match=wanted):
            method(np.zeros((4, 3)))
    assert repr(T).startswith(type(T).__name__)


class Counted(AbstractMap):
    """A map that counts how often it is traced."""

    map: AbstractMap
    counts: list = eqx.field(static=True)

    @property
    def dimension(self):
        return self.map.dimension

    def apply(self, x):
        self.counts[0] += 1
        return self.map.apply(x)

    def inverse(self):
        raise ValueError("map: only counts.")


def test_one_trace_whatever_the_parameters_and_about_the_shape():
    counts = Counts([0])
    for scale in (1.0, 2.0, 3.0):
        T = Counted(AffineMap(scale * np.eye(2), np.zeros(2)), counts)
        np.testing.assert_allclose(T(X), scale * X)
        T(np.asarray(X))
    assert counts == [1]
    # So few points are filled up to the same number.
    T(X[:3])
    assert counts == [1]
    # In a program of the user's own there are as many as there are.
    jax.jit(lambda x: T(x))(X)
    assert counts == [2]


class Counts(list):
    """A list that counts as equal to itself only, so that it can be static."""

    __hash__ = object.__hash__
