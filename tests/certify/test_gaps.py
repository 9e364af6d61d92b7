"""Gaps of potentials: never too small, and small at optimal maps."""

import tracemalloc

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from brenier.certify import audit_pairs
from brenier.certify._gaps import QuadraticGap, SeparableGap, SoftGap, SpanGap, fitted_gaps
from brenier.certify._steps import StepPotential
from brenier.exact import solve_assignment

_RANDOM = np.random.default_rng(0)
_X = _RANDOM.normal(size=(1200, 2))
# Of work: enough for each kind of potential, and for the smallest number of soft pieces.
_SECONDS = 1.0
_CENTRES = 2.0 * _RANDOM.normal(size=(9, 2))


def _steps(x, multiple):
    return multiple * x + _CENTRES[np.argmax(x @ _CENTRES.T - 0.3 * np.sum(_CENTRES**2, 1), 1)]


MAPS = {
    "affine": (lambda x: x @ np.array([[2.0, 0.5], [0.5, 1.0]]) + 3.0, "quadratic"),
    "columns": (lambda x: np.exp(0.5 * x), "separable, along the coordinates"),
    "steps": (lambda x: _steps(x, 0.0), "max-affine"),
    "steps and a slope": (lambda x: _steps(x, 0.4), "max-affine"),
    "hinges": (lambda x: x + np.tanh(x @ np.array([[1.5, 1.0], [1.0, 0.7]])) @ np.eye(2), "soft"),
}


@pytest.mark.parametrize("name", MAPS)
def test_an_optimal_map_has_almost_no_gap_under_what_is_made_for_it(name):
    map, kind = MAPS[name]
    y = map(_X)
    gaps = {
        gap.name: gap(_X[500:], y[500:])
        for gap in fitted_gaps(_X[:500], y[:500], np.random.default_rng(0), seconds=_SECONDS)
    }
    assert all((own >= -1e-12).all() for own in gaps.values())
    best = min(
        np.mean(np.minimum(own, 1e3)) for label, own in gaps.items() if label.startswith(kind)
    )
    assert best < 2e-3 * np.mean(np.sum((y - y.mean(axis=0)) ** 2, axis=1))


@pytest.mark.parametrize("name", MAPS)
def test_gaps_are_above_what_any_permutation_saves(name):
    """(6.2): Σ c_i − Σ‖x_i − Tx_σ(i)‖² ≤ Σ G(x_i), at a map that is far from optimal."""
    y = -MAPS[name][0](_X)
    x, y_held = _X[500:700], y[500:700]
    rows, mates = linear_sum_assignment(x @ y_held.T, maximize=True)
    saved = 2.0 * np.sum(x * (y_held[mates] - y_held[rows]))
    for gap in fitted_gaps(_X[:500], y[:500], np.random.default_rng(0), seconds=_SECONDS):
        assert gap(x, y_held).sum() >= saved - 1e-9


def test_of_more_dimensions_than_pairs_the_gap_is_that_of_one_convex_function():
    """On fresh pairs, off the span of those that it is fitted to; no matrix is (d, d)."""
    x = _RANDOM.normal(size=(60, 80)) * np.linspace(1.0, 3.0, 80) + 5.0
    y = -2.0 * x + _RANDOM.normal(size=(60, 80))
    gaps = list(fitted_gaps(x[:20], y[:20], np.random.default_rng(0), seconds=_SECONDS))
    assert [gap.name for gap in gaps[:2]] == [
        "quadratic, of shrunk covariances", "separable, along the axes of the Gaussian map"
    ]  # fmt: skip
    fresh, images = x[20:], y[20:]
    _, mates = linear_sum_assignment(fresh @ images.T, maximize=True)
    saved = 2.0 * np.sum(fresh * (images[mates] - images))
    assert all(gap(fresh, images).sum() >= saved - 1e-9 for gap in gaps)
    quadratic = gaps[0]
    assert isinstance(quadratic, SpanGap)
    assert isinstance(quadratic.inner, QuadraticGap)
    axes, inner = quadratic.axes, quadratic.inner
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-13)
    beyond = quadratic.slope * (np.eye(80) - axes.T @ axes)
    whole = QuadraticGap(
        axes.T @ inner.matrix @ axes + beyond,
        quadratic.source + inner.source @ axes,
        quadratic.target + inner.target @ axes,
        "",
    )
    np.testing.assert_allclose(quadratic(fresh, images), whole(fresh, images), rtol=1e-9)


def test_of_more_dimensions_than_pairs_a_shift_and_a_scale_have_no_gap():
    x = _RANDOM.normal(size=(30, 70))
    y = 0.3 * x + 7.0
    for gap in fitted_gaps(x[:20], y[:20], np.random.default_rng(0), seconds=_SECONDS):
        assert gap(x[20:], y[20:]).max() < 1e-9


def test_the_conjugate_is_held_from_above():
    """Against the supremum over a grid, at images that the fit has not seen."""
    y = MAPS["hinges"][0](_X)
    soft = [
        gap
        for gap in fitted_gaps(_X[:500], y[:500], np.random.default_rng(0), seconds=_SECONDS)
        if isinstance(gap, SoftGap)
    ]
    assert soft
    at = np.linspace(-6.0, 6.0, 241)
    grid = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    for gap in soft:
        own = gap.coordinates
        value = gap.pieces.value(grid)
        x, images = _X[500:540], 1.2 * y[500:540]
        v = own.encode_target(images)
        conjugate = np.max(grid @ v.T - value[:, None], axis=0)
        u = own.encode_source(x)
        least = gap.pieces.value(u) + conjugate - np.sum(u * v, axis=1)
        unit = 2.0 * float(own.scale) ** 2
        found = gap(x, images)
        assert (found >= unit * least - 1e-9).all()
        np.testing.assert_allclose(found, unit * least, atol=0.02)


def test_a_separable_gap_is_the_sum_over_its_axes():
    x, y = np.random.default_rng(1).normal(size=(2, 100, 3))
    gap = SeparableGap.rearranging(x, y, np.eye(3), "")
    alone = [
        SeparableGap.rearranging(x[:, [i]], y[:, [i]], np.eye(1), "")(x[:, [i]], y[:, [i]])
        for i in range(3)
    ]
    np.testing.assert_allclose(gap(x, y), np.sum(alone, axis=0))


def test_few_vectors_are_found_and_a_new_one_is_not_bounded():
    y = _steps(_X, 0.4)
    steps = StepPotential.fitted(_X, y)
    assert steps.multiple == pytest.approx(0.4)
    assert np.isinf(steps.gaps(_X[:1], y[:1] + 0.1)).all()
    assert StepPotential.fitted(_X, _X + np.sin(_X)) is None
    # Turned pieces are no optimal map: a cycle of them would rather change places.
    assert StepPotential.fitted(_X, -_steps(_X, 0.0)) is None


def test_fewer_pairs_than_dimensions_have_shrunk_covariances():
    x = np.random.default_rng(0).normal(size=(20, 30))
    names = [gap.name for gap in fitted_gaps(x, x + np.tanh(x), _RANDOM, seconds=_SECONDS)]
    assert names[0] == "quadratic, of shrunk covariances"
    assert not any("pieces" in name for name in names)


def test_no_array_of_an_audit_is_as_large_as_the_dimension_squared():
    """Images have more pixels than a matrix of them could hold."""
    n, d = 40, 12_000
    x = np.random.default_rng(0).normal(size=(n, d))
    tracemalloc.start()
    try:
        certificate = audit_pairs(x, 1.5 * x + 1.0, budget=0.1)
        plan = solve_assignment(x, 1.5 * x + 1.0)
        assert tracemalloc.get_traced_memory()[1] < 20 * 8 * n * d < 0.1 * 8 * d**2
    finally:
        tracemalloc.stop()
    assert certificate.defect.lower <= 1e-9
    assert plan.stats["cost"] == pytest.approx(certificate.cost.value)
