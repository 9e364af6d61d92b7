"""The map or its inverse: which of the two was learned nearer to the Monge map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.estimators.candidates import Request, kinds_to_try
from brenier.estimators.candidates._choice import Chooser
from brenier.estimators.candidates._direction import error_difference
from brenier.estimators.candidates._effort import Effort
from brenier.estimators.candidates._kinds import AbstractKind, ReversedKind
from brenier.estimators.candidates._nearer import NearerKind
from brenier.estimators.candidates._trial import Fold, judged
from brenier.numerics import Coordinates
from brenier.potentials.host import HostQuadratic

_STRETCH = np.array([[2.0, 0.3], [0.3, 0.5]])
_NONE = np.zeros(2)
_MIXED = jnp.array([[1.5, 0.2], [0.2, 0.7]])
_STANDARD = Coordinates(_MIXED, jnp.zeros(2), jnp.zeros(2), jnp.array(2.5)).on_host()


def _fold(coordinates=None, n=40_000):
    random = np.random.default_rng(0)
    x, z = random.normal(size=(2, n, 2))
    own = Coordinates.identity(2).on_host() if coordinates is None else coordinates
    y = z @ _STRETCH
    held = own.encode_source(x), own.encode_target(y)
    return Fold(*held, *held, own)


def _trials(there, back, fold, shifts=(_NONE, _NONE)):
    """Of x -> Ax + a there, and of y -> By + b back, all in the units of the data."""
    own = fold.coordinates
    scale, matrix = np.asarray(own.scale), np.asarray(own.matrix)
    inverse = np.linalg.inv(matrix)
    # In standard coordinates x -> Ax + a is u -> M⁻ᵀAM⁻¹u + M⁻ᵀa/s.
    phi = HostQuadratic(inverse.T @ there @ inverse, inverse.T @ shifts[0] / scale)
    psi = HostQuadratic(matrix @ back @ matrix.T, matrix @ shifts[1] / scale)
    folds = [fold]
    first = judged("there", {}, [phi], folds)
    second = judged("back", {}, [psi], [fold.reversed()]).reversed("back, reversed")
    return first, second, folds


_PLACES = pytest.mark.parametrize("coordinates", [None, _STANDARD], ids=["own", "standard"])


@_PLACES
@pytest.mark.parametrize("off", [(0.3, 0.0), (0.0, 0.3), (0.2, 0.3)])
def test_errors_as_large_in_the_tails_as_in_the_middle_are_told_exactly(off, coordinates):
    inverse, away = np.linalg.inv(_STRETCH), np.array([0.6, -0.8])
    shifts = off[0] * away, inverse @ (off[1] * away)
    found, stderr = error_difference(*_trials(_STRETCH, inverse, _fold(coordinates), shifts))
    assert abs(found - (off[0] ** 2 - off[1] ** 2)) < 4.0 * stderr
    assert stderr < 0.02


@_PLACES
@pytest.mark.parametrize("off", [(0.1, 0.0), (0.0, 0.1), (0.02, 0.15), (0.15, 0.02)])
def test_the_larger_of_errors_that_grow_outwards_is_told(off, coordinates):
    wrong = np.array([[0.6, -0.8], [-0.8, -0.6]])
    there = _STRETCH + off[0] * wrong
    back = np.linalg.inv(_STRETCH + off[1] * wrong[::-1, ::-1])
    found, stderr = error_difference(*_trials(there, back, _fold(coordinates)))
    assert np.sign(found) == np.sign(off[0] - off[1])
    assert abs(found) > 3.0 * stderr


class _Given(AbstractKind):
    name = "given"

    def __init__(self, matrix, steps=1):
        self.matrix, self.steps = matrix, steps

    def trials(self, folds, random):
        fits = [HostQuadratic(self.matrix, np.zeros(2)) for _ in folds]
        yield judged(self.name, {"steps": self.steps}, fits, folds)

    def refitted(self, trial, folds, whole):
        return trial.potentials[0]


@pytest.mark.parametrize(("there", "back"), [(0.3, 0.0), (0.0, 0.3)])
def test_the_nearer_of_both_ways_is_taken(there, back):
    fold, wrong = _fold(), np.array([[0.6, -0.8], [-0.8, -0.6]])
    kinds = [
        _Given(_STRETCH + there * wrong),
        ReversedKind(_Given(np.linalg.inv(_STRETCH + back * wrong)), "given, reversed"),
    ]
    chooser = Chooser([fold], fold, np.random.default_rng(0), lambda now: None)
    choice = chooser.choose(kinds, Effort.of("best"))
    assert choice.reverse is (there > back)
    matrix = np.asarray(choice.potential.matrix)
    exact = np.linalg.inv(_STRETCH) if choice.reverse else _STRETCH
    np.testing.assert_allclose(matrix, exact, atol=1e-6)


@pytest.mark.parametrize(("there", "back"), [(0.3, 0.0), (0.0, 0.3)])
def test_the_way_that_begins_nearer_is_gone_on_with(there, back):
    fold, wrong = _fold(), np.array([[0.6, -0.8], [-0.8, -0.6]])
    asked = []

    def begun(reverse, steps):
        asked.append(steps)
        if reverse:
            return ReversedKind(_Given(np.linalg.inv(_STRETCH + back * wrong)), "given, reversed")
        return _Given(_STRETCH + there * wrong, steps=17)

    ways = (_Given(_STRETCH), ReversedKind(_Given(np.linalg.inv(_STRETCH)), "given, reversed"))
    kind = NearerKind("given", begun, ways)
    (trial,) = kind.trials([fold], np.random.default_rng(0))
    assert trial.reverse is (there > back)
    exact = np.linalg.inv(_STRETCH) if trial.reverse else _STRETCH
    np.testing.assert_allclose(trial.potentials[0].matrix, exact)
    assert kind.refitted(trial, [fold], fold) is trial.potentials[0]
    assert asked == [None, 17]


@pytest.mark.parametrize(
    ("effort", "both"), [("auto", False), ("best", True), (600.0, True), (100.0, False)]
)
def test_with_patience_networks_of_both_ways_are_begun(effort, both):
    request = Request(None, Effort.of(effort), ("network",), None, None)
    keys = tuple(jax.random.split(jax.random.key(0), 2))
    own = Coordinates.identity(2).on_host()
    (kind,) = kinds_to_try(own, request, 5000, keys=keys, callback=lambda now: None)
    assert kind.name == "network"
    assert isinstance(kind, NearerKind) is both


def test_seconds_for_many_points_are_the_networks():
    request = Request(None, Effort.of(600.0), None, None, None)
    keys = tuple(jax.random.split(jax.random.key(0), 2))
    own = Coordinates.identity(2).on_host()

    def names(points):
        kinds = kinds_to_try(own, request, points, keys=keys, callback=lambda now: None)
        return [kind.name for kind in kinds]

    quick = ["gaussian", "separable", "entropic"]
    assert names(5000) == [*quick, "network"]
    assert set(names(500)) > {"log-sum-exp", "ridges, reversed", *names(5000)}
