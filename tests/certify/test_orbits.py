"""Orbits under a declared symmetry: values of Theory, section 6.3, and D where it is 0."""

import jax
import numpy as np
import pytest
from scipy.stats import ortho_group

from brenier import audit
from brenier.certify._bets import mean_from_below
from brenier.certify._black_box import BlackBox
from brenier.certify._orbits import symmetric_orbits
from brenier.certify._symmetry import Elliptical
from brenier.measures import Gaussian

_Z = np.random.default_rng(0).normal(size=1_000_000)
# W₂² and 2E[Y g(Y)] a coordinate, of g(x) = x + ½ tanh 2x.
_MOVED = 0.25 * np.mean(np.tanh(2.0 * _Z) ** 2)
_BOTH = 2.0 * np.mean(_Z * (_Z + 0.5 * np.tanh(2.0 * _Z)))


def _turned(d, share, seed=0):
    """g after a turn by one angle in d/2 planes in general position; D = share · W₂²."""
    cosine = 1.0 - share * _MOVED / _BOTH
    sine = np.sqrt(1.0 - cosine**2)
    planes = np.kron(np.eye(d // 2), np.array([[cosine, -sine], [sine, cosine]]))
    frame = ortho_group.rvs(d, random_state=seed)
    turn = frame @ planes @ frame.T

    def map(x):
        y = x @ turn.T
        return y + 0.5 * np.tanh(2.0 * y)

    return map, share * _MOVED * d


def _orbits(map, source, seed=0):
    x = np.asarray(source.sample(jax.random.key(seed), 4000))
    symmetry = Elliptical(np.asarray(source.mean), np.asarray(source.covariance))
    key = jax.random.key(seed + 1)
    return symmetric_orbits(BlackBox(map), symmetry, (x, map(x)), source, key)


@pytest.mark.parametrize(
    ("d", "share", "least"), [(10, 0.05, 0.65), (10, 0.5, 0.65), (50, 0.05, 0.8)]
)
def test_there_is_no_curse_of_dimension(d, share, least):
    map, defect = _turned(d, share)
    everywhere, _ = _orbits(map, Gaussian.standard(d))
    bound = mean_from_below([everywhere.savings(0.0)], 0.025)
    assert least * defect < bound < defect


def test_a_swirl_is_seen_in_one_plane():
    """±.3 by radius: one global turn shows at most half of D = 4(1 − cos .3)."""

    def swirl(x):
        angle = np.where(np.linalg.norm(x[:, :2], axis=1) > 1.1774, 0.3, -0.3)
        y = x.copy()
        y[:, 0] = np.cos(angle) * x[:, 0] - np.sin(angle) * x[:, 1]
        y[:, 1] = np.sin(angle) * x[:, 0] + np.cos(angle) * x[:, 1]
        return y

    _, plane = _orbits(swirl, Gaussian.standard(20))
    savings = plane.savings(0.0)
    defect = 4.0 * (1.0 - np.cos(0.3))
    assert savings.mean() == pytest.approx(defect, abs=4 * savings.std() / np.sqrt(len(savings)))


@pytest.mark.parametrize("d", [1, 3])
def test_an_optimal_map_saves_nothing_along_any_orbit(d):
    covariance = np.diag(np.linspace(0.5, 2.0, d)) + 0.2
    source = Gaussian(np.ones(d), covariance)
    matrix = np.linalg.inv(covariance) + np.eye(d)
    for orbits in _orbits(lambda x: np.exp(0.1 * (x @ matrix)) @ matrix, source):
        assert not orbits.savings(0.0).any()
        # They go through points of the source: each is one.
        spread = orbits.points.reshape(-1, d) - 1.0
        np.testing.assert_allclose(
            spread.T @ spread / len(spread), covariance, atol=0.5 * covariance.max()
        )


def test_what_is_reversed_is_seen_on_the_line():
    source = Gaussian(np.array([3.0]), np.array([[4.0]]))
    (orbits,) = _orbits(lambda x: -x, source)
    # E V = D = 4 Var X.
    savings = orbits.savings(0.0)
    assert savings.mean() == pytest.approx(16.0, abs=4 * savings.std() / np.sqrt(len(savings)))


def test_an_audit_of_a_declared_gaussian_says_so():
    map, defect = _turned(20, 0.3)
    found = audit(map, Gaussian.standard(20), samples=1500, budget=0.1)
    assert found.verdict.optimality == "not optimal"
    assert 0.7 * defect < found.defect.lower < defect < found.defect.upper
    assert found.defect.bounds[0].level == "declared: the source is Gaussian"
    x = np.random.default_rng(0).normal(size=(1500, 20))
    assert audit(map, x, budget=0.1).verdict.optimality in ("no bound", "not exactly optimal")
