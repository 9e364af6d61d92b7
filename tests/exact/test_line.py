import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from brenier import SolveError
from brenier.exact import MonotoneMap, solve_line
from brenier.measures import Empirical, Gaussian, GaussianMixture, Gibbs, Uniform

RNG = np.random.default_rng(0)
SPLIT = GaussianMixture(
    np.array([0.3, 0.7]), np.array([[-10.0], [10.0]]), np.array([[[1.0]], [[0.25]]])
)


def _normal(mean, scale):
    return Gaussian(np.array([mean]), np.array([[scale**2]]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 12), m=st.integers(1, 12))
def test_weighted_samples_agree_with_pot(seed, n, m):
    import ot

    rng = np.random.default_rng(seed)
    # Few values, so that ties are common.
    x, y = rng.integers(0, 6, n).astype(float), rng.integers(0, 6, m).astype(float)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    solution = solve_line(x, y, source_weights=a, target_weights=b)
    assert solution.stats["cost"] == pytest.approx(ot.emd2_1d(x, y, a, b), abs=1e-12)
    plan = solution.stats["plan"].dense(n, m)
    np.testing.assert_allclose(plan.sum(axis=1), a, atol=1e-14)
    np.testing.assert_allclose(plan.sum(axis=0), b, atol=1e-14)
    assert (plan >= 0).all()


def test_the_map_of_weighted_samples_with_ties():
    x, y = RNG.integers(0, 6, 12).astype(float), RNG.integers(0, 6, 9).astype(float)
    solution = solve_line(x, y, source_weights=RNG.dirichlet(np.ones(12)))
    image = np.asarray(solution.map(np.linspace(-1.0, 7.0, 200)[:, None]))[:, 0]
    assert (np.diff(image) >= 0).all()
    assert np.isin(image, y).all()
    plan = solution.stats["plan"]
    sent = np.asarray(solution.map(x[:, None]))[:, 0]
    for i in range(12):
        # To the median of where all equal points go together.
        assert sent[i] in y[plan.columns[np.isin(plan.rows, np.flatnonzero(x == x[i]))]]


def test_as_many_points_on_both_sides_are_matched_in_order():
    x, y = RNG.normal(size=201), RNG.normal(size=201)
    solution = solve_line(x, y)
    plan = solution.stats["plan"]
    assert len(plan.mass) == 201
    np.testing.assert_array_equal(np.sort(x), x[plan.rows])
    np.testing.assert_array_equal(np.sort(y), y[plan.columns])
    np.testing.assert_array_equal(solution.map(x[plan.rows, None])[:, 0], y[plan.columns])
    np.testing.assert_array_equal(solution.map.inverse()(y[plan.columns, None])[:, 0], x[plan.rows])
    assert solution.stats["cost"] == pytest.approx(np.mean((np.sort(x) - np.sort(y)) ** 2))


def test_normal_laws_have_an_affine_map_and_the_known_cost():
    solution = solve_line(_normal(0.0, 1.0), _normal(3.0, 2.0))
    x = np.linspace(-60.0, 60.0, 13)[:, None]
    # From the smaller tail: exact to rounding sixty standard deviations out.
    np.testing.assert_allclose(solution.map(x), 3.0 + 2.0 * x, rtol=1e-13)
    assert solution.stats["cost"] == pytest.approx(10.0, rel=1e-12)
    near = solve_line(_normal(0.0, 1.0), _normal(0.0, 1.0001)).stats
    # The difference of the roots, known to 1e-12.
    assert near["cost"] == pytest.approx(1e-8, rel=1e-11)


@pytest.mark.slow
def test_a_gap_in_the_target():
    solution = solve_line(stats.norm(), SPLIT)
    # Nodes about the two modes, where the density of the target is smooth.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    ends = [(-19.0, -1.0), (5.0, 15.0)]
    y = np.concatenate([0.5 * (a + b + (b - a) * nodes) for a, b in ends])[:, None]
    w = np.concatenate([0.5 * (b - a) * weights for a, b in ends])
    w *= np.exp(np.asarray(SPLIT.log_density(y)))
    x = np.asarray(solution.map.inverse()(y))
    image = np.asarray(solution.map(x))
    np.testing.assert_allclose(
        0.3 * stats.norm.cdf(image, -10.0, 1.0) + 0.7 * stats.norm.cdf(image, 10.0, 0.5),
        stats.norm.cdf(x),
        rtol=1e-12,
    )
    cost = w @ np.square(x - y)[:, 0]
    assert solution.stats["cost"] == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize(
    ("source", "target", "cost"),
    [
        # E(X − 2X)² = E X² = 3 + 9.
        (stats.gamma(3.0), stats.gamma(3.0, scale=2.0), 12.0),
        # E X² + 1/3 − 2 E[X (1 − e^{−X})].
        (stats.expon(), Uniform.unit(1), 2.0 + 1.0 / 3.0 - 1.5),
        (
            Uniform(np.array([-1.0]), np.array([1.0])),
            Uniform(np.array([1.0]), np.array([7.0])),
            16.0 + 4.0 / 3.0,
        ),
    ],
)
def test_known_costs(source, target, cost):
    solution = solve_line(source, target)
    assert solution.stats["cost"] == pytest.approx(cost, rel=1e-12)
    assert abs(solution.stats["cost"] - cost) <= max(solution.stats["cost_error"], 1e-14)


@pytest.mark.parametrize(
    ("law", "same"), [(_normal(1.0, 2.0), stats.norm(1.0, 2.0)), (Uniform.unit(1), stats.uniform())]
)
def test_samples_against_a_law_in_closed_form_and_by_quadrature(law, same):
    x, a = RNG.normal(size=40), RNG.dirichlet(np.ones(40))
    closed = solve_line(Empirical(x[:, None], a), law).stats["cost"]
    numeric = solve_line(same, x, target_weights=a).stats["cost"]
    assert closed == pytest.approx(numeric, rel=1e-12)


def test_narrow_shares_keep_their_digits():
    # Atoms at the centres of equal cells of [0, 1]: W₂² = 1/12n².
    x = (np.arange(1000) + 0.5) / 1000
    assert solve_line(x, Uniform.unit(1)).stats["cost"] == pytest.approx(1e-6 / 12.0, rel=1e-10)


def test_derivatives_follow_the_densities():
    T = solve_line(stats.norm(), stats.gamma(3.0)).map
    x = np.array([-1.0])
    y = float(T(x)[0])
    assert float(T.jacobian(x)[0, 0]) == pytest.approx(
        stats.norm.pdf(-1.0) / stats.gamma(3.0).pdf(y), rel=1e-12
    )
    assert isinstance(T, MonotoneMap)


def test_a_law_without_variance_fails_as_a_value():
    with pytest.raises(SolveError):
        solve_line(stats.cauchy(), stats.norm())
    assert solve_line(stats.t(2.0), stats.norm(), throw=False).result.failed


def test_a_monotone_map_wants_atoms_in_order():
    with pytest.raises(ValueError, match="target: got atoms that are not in order"):
        MonotoneMap(Gaussian.standard(1), Empirical(np.array([[1.0], [0.0]])))
    with pytest.raises(ValueError, match="source: got dimension 2"):
        MonotoneMap(Gaussian.standard(2), Gaussian.standard(1))


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (np.array([0.0, np.nan]), {}, "source: .* NaN or infinite"),
        (np.zeros((3, 2)), {}, "source: got dimension 2; wants dimension 1"),
        (np.zeros(0), {}, r"source: got shape \(0, 1\)"),
        (np.zeros(2), {"source_weights": np.array([1.0, -1.0])}, "source_weights: "),
        (np.zeros(2), {"source_weights": np.ones(3)}, r"source_weights: got shape \(3,\)"),
        (Gaussian.standard(2), {}, "source: got dimension 2"),
        (
            Gaussian.standard(1),
            {"source_weights": np.ones(1)},
            "source_weights: got weights beside",
        ),
        (
            Empirical(np.zeros((1, 1))),
            {"source_weights": np.ones(1)},
            "source_weights: got weights",
        ),
        (Gibbs(lambda x: jnp.sum(x**2), 1), {}, "source: got Gibbs, whose distribution function"),
        ("normal", {}, "source: "),
    ],
)
def test_bad_input(source, arguments, message):
    with pytest.raises(ValueError, match=message):
        solve_line(source, np.array([0.0, 1.0]), **arguments)
