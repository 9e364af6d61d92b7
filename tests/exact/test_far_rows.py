"""Rows far outside of all others are named, can be left out, and do not spoil the rest (K4)."""

import warnings

import jax
import numpy as np
import pytest

from brenier import Generator, MongeMap, audit, audit_pairs
from brenier.exact import solve_assignment
from brenier.maps import EntropicMap
from brenier.numerics import gross_outliers

N = 200
R = np.random.default_rng(0)
X, Y, FRESH = R.normal(size=(N, 2)), R.normal(size=(N, 2)) + 1.0, R.normal(size=(50, 2))
CODES = (3, 50)


def spoilt(z, value=-9999.0, rows=CODES):
    z = z.copy()
    z[list(rows), 0] = value
    return z


def of_monge_map(x, y, **how):
    return MongeMap(random_state=0, candidates=["gaussian"], **how).fit(x, y).transform(FRESH)


def of_entropic(x, y, **how):
    return EntropicMap.from_samples(x, y, **how)(FRESH)


def of_assignment(x, y, **how):
    return solve_assignment(x, y, **how).map(FRESH)


def of_generator(x, y, **how):
    how = {"random_state": 0, "source": "isotropic", **how}
    return np.sort(Generator(**how).fit(y).sample(400, random_state=1), axis=0)[[20, 200, 380]]


ALL = [
    *(of_monge_map, of_entropic, of_assignment),
    pytest.param(of_generator, marks=pytest.mark.slow),
]


@pytest.mark.filterwarnings("ignore:Sinkhorn stopped")
@pytest.mark.parametrize("value", [-9999.0, pytest.param(1e4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("answer", ALL, ids=lambda f: f.__name__)
def test_rows_are_named_and_left_out(answer, value):
    x, y = spoilt(X, value), spoilt(Y, value)
    with pytest.warns(
        UserWarning, match=r"2 of 200 rows lie far outside .*row 3, column 0"
    ) as seen:
        answer(x, y)
    named = [str(warning.message) for warning in seen]
    assert any("first: row 3, column 0 is" in text for text in named)
    left = np.delete(np.arange(N), CODES)
    np.testing.assert_allclose(
        answer(x, y, outliers="drop"), answer(X[left], Y[left]), atol=1e-6 * Y.std()
    )
    answer(x, y, outliers="keep")  # in silence
    with pytest.raises(ValueError, match="outliers: got 'no'; wants one of"):
        answer(x, y, outliers="no")


@pytest.mark.parametrize("answer", [of_entropic, of_assignment], ids=lambda f: f.__name__)
def test_good_rows_are_no_worse_for_those_that_stay(answer):
    there = answer(spoilt(X), spoilt(Y), outliers="keep")
    np.testing.assert_allclose(there, answer(X, Y), atol=0.5 * Y.std())
    # By some mates only.
    assert np.mean(np.abs(there - answer(X, Y))) < 0.05 * Y.std()


def test_moments_do_not_see_them():
    """The affine map is that of the other rows."""
    left = np.delete(np.arange(N), CODES)
    with pytest.warns(UserWarning, match="far outside"):
        there = of_monge_map(spoilt(X), spoilt(Y))
    np.testing.assert_allclose(there, of_monge_map(X[left], Y[left]), atol=1e-9)


def test_points_without_weight_are_not_looked_at():
    weights = np.ones(N)
    weights[list(CODES)] = 0.0
    solve_assignment(spoilt(X), spoilt(Y), weights, weights)
    weights[50] = 1.0
    with pytest.warns(UserWarning, match="1 of 200 rows lies .*row 50") as seen:
        solve_assignment(spoilt(X), spoilt(Y), weights, weights)
    assert [str(warning.message)[:6] for warning in seen] == ["source", "target"]


def test_an_audit_names_them_and_bounds_by_the_others():
    rows = spoilt(R.normal(size=(1000, 2)))

    def shift(z):
        return z + 0.5 * np.tanh(z)

    with pytest.warns(UserWarning, match="source: 2 of 1000 rows .* widen all bounds"):
        spoilt_bound = audit(shift, rows, key=jax.random.key(0), budget=0.5).defect.upper
    with pytest.warns(UserWarning, match="x: 2 of 1000 rows"):
        audit_pairs(rows, shift(rows), key=jax.random.key(0), budget=0.2)
    good = np.delete(rows, CODES, axis=0)
    bound = audit(shift, good, key=jax.random.key(0), budget=0.5).defect.upper
    assert spoilt_bound < 3.0 * bound + 0.05


@pytest.mark.parametrize("law", ["t2", "cauchy", "lognormal"])
def test_heavy_tails_raise_no_alarm(law):
    r = np.random.default_rng(1)
    draw = {
        "t2": lambda n: r.standard_t(2, size=n),
        "cauchy": lambda n: r.standard_cauchy(size=n),
        "lognormal": lambda n: np.exp(1.5 * r.normal(size=n)),
    }[law]
    assert sum(len(gross_outliers(draw((300, 2)))) > 0 for _ in range(300)) <= 2


@pytest.mark.parametrize("value", [1e20, 1e100, 1e150])
def test_an_audit_says_nothing_but_that(value):
    rows = R.normal(size=(200, 2))
    rows[3, 0] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = audit(lambda z: 2.0 * z, rows, rows + 1.0, key=jax.random.key(0), budget=0.2)
    # The target has one as well.
    assert [str(one.message)[:6] for one in caught] == ["source", "target"]
    assert found.defect.lower <= 1e-9 * value**2
