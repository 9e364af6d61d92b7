"""The gallery of audited maps: its pieces against exact answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.experiments.audit import _gallery_maps as gallery_maps
from brenier.experiments.audit._gallery_table import gallery_figure, markdown
from brenier.experiments.audit._knothe import knothe
from brenier.measures import Gaussian
from brenier.potentials import Quadratic
from brenier.problems import problem
from brenier.velocities import FlowMap, MatchingVelocity


@pytest.mark.slow
def test_the_rearrangement_onto_a_gaussian_is_its_cholesky_factor():
    matrix = jnp.array([[2.0, 0.9], [0.9, 1.0]])
    map = knothe(Quadratic.from_matrix(matrix, jnp.zeros(2)))
    z = np.random.default_rng(0).normal(size=(2000, 2))
    # Trapezia of 1600 steps over 14 standard deviations: 1e-5 of a spread.
    factor = np.linalg.cholesky(np.asarray(matrix @ matrix.T))
    assert np.abs(map(z) - z @ factor.T).max() < 1e-4


@pytest.mark.slow
def test_the_rearrangement_reaches_the_image_and_is_triangular():
    own = problem("convex-2")
    map = knothe(own.map.potential)
    z, x = np.random.default_rng(1).normal(size=(2, 40_000, 2))
    images, wanted = map(z), np.asarray(own.map(x))
    for direction in ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]):
        first, second = np.sort(images @ direction), np.sort(wanted @ direction)
        # Two samples of one law: Kolmogorov's distance is above 2/√n once in 5000.
        levels = np.searchsorted(second, first) / len(second)
        assert np.abs(levels - (np.arange(len(first)) + 0.5) / len(first)).max() < 0.012
    moved = map(z[:100] + np.array([0.0, 0.5])) - images[:100]
    assert np.abs(moved[:, 0]).max() < 1e-12
    assert (moved[:, 1] > 0).all()


def test_the_affine_map_of_a_metric():
    own = problem("gaussian-10")
    metric = np.linalg.inv(np.asarray(own.source.covariance))
    map = gallery_maps.affine_of_metric(own.source, own.target, metric)
    matrix, covariance = np.asarray(map.matrix), np.asarray(own.source.covariance)
    assert np.allclose(matrix @ covariance @ matrix.T, np.asarray(own.target.covariance))
    # Optimal for ⟨x − y, A(x − y)⟩: A M is symmetric and positive definite.
    product = metric @ matrix
    assert np.allclose(product, product.T)
    assert np.linalg.eigvalsh(product).min() > 0
    same = gallery_maps.affine_of_metric(own.source, own.target, np.eye(10))
    assert np.allclose(same.matrix, own.map.matrix)


def test_a_defect_in_closed_form_is_that_of_points():
    own = problem("gaussian-2")
    matrix = own.target.factor @ jnp.linalg.inv(own.source.factor)
    map = gallery_maps.AffineMap(matrix, own.target.mean - matrix @ own.source.mean)
    exact, share = gallery_maps._of_gaussians(map, own)
    found, found_share = gallery_maps._known(map, own, 0)
    # Means of 131,072 points of a Sobol sequence.
    assert found == pytest.approx(exact, rel=1e-3)
    assert found_share == pytest.approx(share, rel=1e-3)


@pytest.mark.slow
def test_straightness():
    x = np.random.default_rng(2).normal(size=(500, 2))
    start = Gaussian.standard(2)
    shift = FlowMap(MatchingVelocity(start, Gaussian(jnp.ones(2), jnp.eye(2))), 0.0, 1.0)
    # Of independent N(0, 1) and N(b, 1) a point goes along z√((1−s)² + s²) + s b: not straight.
    s = np.linspace(0.0, 1.0, 100_001)
    rates = np.gradient(np.sqrt((1.0 - s) ** 2 + s**2), s)
    expected = np.mean(rates**2) * np.mean(np.sum(x**2, axis=1))
    assert gallery_maps.straightness(shift, x) == pytest.approx(expected, rel=1e-4)
    # A constant velocity goes straight.
    narrow = Gaussian(jnp.zeros(2), 1e-12 * jnp.eye(2))
    straight = FlowMap(
        MatchingVelocity(narrow, Gaussian(jnp.ones(2), 1e-12 * jnp.eye(2))), 0.0, 1.0
    )
    assert gallery_maps.straightness(straight, 1e-6 * x) < 1e-10


@pytest.mark.slow
def test_reflow_straightens():
    own = problem("convex-mixture-2")
    x, y = gallery_maps.learning_points(gallery_maps.MODES, 0, 1024)
    flow = gallery_maps.fit_velocity(
        x, y, key=jax.random.key(0), coupling="independent",
        method=gallery_maps.FlowMatching(steps=500),
    ).map  # fmt: skip
    again = gallery_maps.reflowed(flow, x, 0, steps=500)
    fresh = np.asarray(own.source.sample(jax.random.key(1), 200))
    assert gallery_maps.straightness(again, fresh) < 0.5 * gallery_maps.straightness(flow, fresh)


def _row(**settings):
    row = {
        "map": "a turn", "problem": "plane, d = 2", "dimension": 2, "n": 100, "cost": 1.0,
        "lower": 0.1, "upper": None, "outside": 0.01, "wasted_lower": 0.05, "wasted_upper": 1.0,
        "verdict": "not optimal", "target": None, "seconds": 1.2, "seconds_of_making": 0.0,
        "known": 0.2, "known_share": 0.1, "lower_holds": True, "l2_uvp": None,
        "straightness": None, "saved_by_assignment": 0.08,
    }  # fmt: skip
    return row | settings


def test_the_table_and_the_picture():
    rows = [_row(), _row(map="a flow", problem="noise, d = 2", straightness=0.25, known_share=None)]
    text = markdown(rows)
    assert "### noise, d = 2" in text
    assert "| a turn | 100 | 5 to 100 | 10 | 1 | 0.1 to ∞ | 0.2 | **not optimal** |" in text
    unbounded = markdown([_row(verdict="no bound", wasted_lower=0.0)])
    assert "| at most 100 | 10 | 1 | at most ∞ | 0.2 | **no bound** |" in unbounded
    assert gallery_figure(rows, 0.01)[1:4] == b"PNG"
