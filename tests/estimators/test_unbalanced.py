"""Maps between clouds that do not hold the same things in the same shares."""

import functools
import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest

import brenier
from brenier import MongeMap, audit
from brenier.estimators.growth import check_unbalanced, entropic_growth
from brenier.exact import solve_unbalanced_gaussian
from brenier.io import load_growth
from brenier.maps import AffineMap
from brenier.measures import Gaussian

RNG = np.random.default_rng(0)
# Two types of points, far apart, which both move by (1, 0); the second is rare in the target.
STEP = np.array([1.0, 0.0])
FAR = np.array([0.0, 12.0])


def _clouds(n, share, rng=RNG):
    one, two = rng.normal(size=(n, 2)), FAR + rng.normal(size=(n, 2))
    few = round(share * n)
    target = np.concatenate([rng.normal(size=(n, 2)), FAR + rng.normal(size=(few, 2))]) + STEP
    return np.concatenate([one, two]), target


def _fit(x, y, unbalanced, **settings):
    return MongeMap(
        random_state=0, candidates=["gaussian", "entropic"], unbalanced=unbalanced, **settings
    ).fit(x, y)


X, Y = _clouds(300, 0.0)


@functools.cache
def balanced():
    return _fit(X, Y, None)


@functools.cache
def unbalanced():
    return _fit(X, Y, 4.0)


def test_the_growth_finds_the_type_that_is_gone():
    growth = unbalanced().source_growth_
    assert growth.shape == (600,)
    assert growth[300:].max() < 0.05
    # The others send their mass and, at the price of a move by 1, hardly less.
    assert np.median(growth[:300]) == pytest.approx(1.0, abs=0.4)
    np.testing.assert_allclose(unbalanced().growth(X), growth)
    np.testing.assert_allclose(unbalanced().growth(Y, side="target"), unbalanced().target_growth_)
    assert balanced().source_growth_ is None
    assert (balanced().growth(X) == 1.0).all()


def test_the_others_are_not_distorted():
    kept = X[:300]
    off = [
        np.linalg.norm(est.transform(kept) - kept - STEP, axis=1).mean()
        for est in (balanced(), unbalanced())
    ]
    # The balanced map stretches the first type over all of the target.
    assert off[0] > 3.0 * off[1]
    assert off[1] < 0.35
    x, y = _clouds(300, 0.0)
    assert unbalanced().score(x, y) < 1.0 < balanced().score(x, y)


def test_an_audit_is_of_the_points_that_are_left():
    x, y = _clouds(300, 0.0)
    growth = unbalanced().growth(x)
    # All of the type that is gone counts for nothing.
    assert growth[x[:, 1] > 8.0].max() < 0.01 * growth.max()
    own = unbalanced().audit(x, y, budget=2.0)
    with pytest.raises(ValueError, match="growth: got growth beside Gaussian, a measure"):
        audit(unbalanced().map_, Gaussian.standard(2), growth=unbalanced().growth_)
    given = audit(
        unbalanced().map_,
        x,
        y,
        source_weights=growth,
        target_weights=unbalanced().growth(y, side="target"),
        key=jax.random.key(0),
        budget=2.0,
    )
    assert own.cost.value == pytest.approx(given.cost.value, rel=1e-9)
    assert own.weighting is not None


def test_units_change_nothing():
    unit = 2.0**20
    moved = _fit(unit * X, unit * Y, 4.0 * unit**2)
    np.testing.assert_allclose(moved.source_growth_, unbalanced().source_growth_, rtol=1e-6)
    np.testing.assert_allclose(
        moved.transform(unit * X) / unit, unbalanced().transform(X), atol=1e-4
    )


def test_a_large_penalty_is_none():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, 2)), 3.0 + 2.0 * rng.normal(size=(200, 2))
    balanced, far = _fit(x, y, None), _fit(x, y, 1e7)
    np.testing.assert_allclose(far.source_growth_, 1.0, atol=1e-4)
    np.testing.assert_allclose(far.transform(x), balanced.transform(x), atol=1e-3)


@pytest.mark.parametrize("penalty", [1.0, pytest.param(5.0, marks=pytest.mark.slow)])
def test_growth_and_map_between_gaussians(penalty):
    rng = np.random.default_rng(2)
    laws = (np.zeros(2), np.diag([1.2, 0.6])), (np.array([1.0, 0.5]), np.diag([0.5, 1.0]))
    exact = solve_unbalanced_gaussian(*laws, source_penalty=penalty, target_penalty=penalty)
    x, y = (rng.multivariate_normal(*law, size=1500) for law in laws)
    growth = entropic_growth(x, y, penalty)
    for found, points, name in (
        (growth.source, x, "source"), (growth.target, y, "target"),
    ):  # fmt: skip
        gaps = np.log(found(points)) - np.log(exact.stats[f"{name}_growth"](points))
        # What 1500 points leave: Sinkhorn's own, for any ε, has a spread of 0.15 at τ = 1.
        assert abs(gaps.mean()) < 0.08
        assert gaps.std() < 0.2 / penalty
    fitted = MongeMap(random_state=0, candidates=["gaussian"], unbalanced=penalty).fit(x, y)
    off = np.linalg.norm(fitted.transform(x) - np.asarray(exact.map(x)), axis=1)
    balanced = MongeMap(random_state=0, candidates=["gaussian"]).fit(x, y)
    other = np.linalg.norm(balanced.transform(x) - np.asarray(exact.map(x)), axis=1)
    assert off.mean() < 0.15
    assert off.mean() < 0.5 * other.mean()


def test_a_file_says_the_growth_of_any_point(tmp_path):
    path, fresh = tmp_path / "m.brenier", RNG.normal(size=(7, 2)).astype(np.float32)
    brenier.save(path, unbalanced().map_, growth=unbalanced().growth_)
    growth = load_growth(path)
    assert growth.penalty == 4.0
    np.testing.assert_array_equal(growth.source(fresh), unbalanced().growth(fresh))
    np.testing.assert_array_equal(growth.target(fresh), unbalanced().growth(fresh, side="target"))
    np.testing.assert_array_equal(brenier.load(path)(X), unbalanced().map_(X))
    brenier.save(path, balanced().map_, growth=balanced().growth_)
    assert load_growth(path) is None
    assert brenier.save(path, balanced().map_) is None
    assert load_growth(path) is None


def test_growth_that_is_not_of_the_map_is_refused(tmp_path):
    path, map = tmp_path / "m.brenier", AffineMap(np.eye(3), np.zeros(3))
    with pytest.raises(ValueError, match="growth: got growth of dimension 2; wants dimension 3"):
        brenier.save(path, map, growth=unbalanced().growth_)
    assert not path.exists()
    own = unbalanced().growth_
    with pytest.raises(ValueError, match=r"x: got dimension 3; wants"):
        own.source(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"epsilon: got 5\.0; wants a number from 0 to 4\.0"):
        replace(own, epsilon=5.0)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf, np.nan])
def test_a_penalty_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"unbalanced: got .*; wants a finite number above 0"):
        MongeMap(unbalanced=wrong).fit(X, Y)


@pytest.mark.parametrize("wrong", [True, False, np.True_])
def test_a_truth_value_is_no_penalty(wrong):
    # The estimator's own annotation refuses it under the tests' type checker alone.
    with pytest.raises(ValueError, match=r"unbalanced: got .*; wants a finite number above 0"):
        check_unbalanced(wrong)


def test_what_cannot_be_unbalanced_is_refused():
    with pytest.raises(ValueError, match=r"Y: got the measure Gaussian with unbalanced=1\.0"):
        MongeMap(unbalanced=1.0).fit(X, Gaussian(np.zeros(2), np.eye(2)))
    with pytest.raises(ValueError, match="unbalanced: got 1e-06, for which"):
        MongeMap(unbalanced=1e-6).fit(X, Y + 1e3)
    near = np.random.default_rng(0).normal(size=(2, 300, 2))
    with pytest.raises(ValueError, match="unbalanced: got 1e-08, for which"):
        MongeMap(unbalanced=1e-8).fit(*near)  # whose masses are too small for their squares
    with pytest.raises(ValueError, match="side: got 'both'"):
        unbalanced().growth(X, side="both")


def test_in_components_what_is_gone_moves_nothing_across_them(tmp_path):
    anndata = pytest.importorskip("anndata")
    rng = np.random.default_rng(3)
    kind = np.repeat([0, 1], 100)
    # The second type lies far off, in a column that the map keeps but for the mean's change.
    genes = rng.normal(size=(200, 6)) * [3.0, 3.0, 0.1, 0.1, 0.1, 0.1]
    genes[kind == 1] += [30.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    after = rng.normal(size=(100, 6)) * [3.0, 3.0, 0.1, 0.1, 0.1, 0.1] + [0, 1.0, 0, 0, 0, 0]
    x, y = anndata.AnnData(genes), anndata.AnnData(after)
    est = MongeMap(random_state=0, candidates=["gaussian"], components=2, unbalanced=20.0)
    est.fit(x, y)
    assert est.source_growth_[kind == 1].max() < 0.1
    path = tmp_path / "m.brenier"
    brenier.save(path, est.map_, growth=est.growth_)
    own = load_growth(path).source(brenier.load(path).coordinates(genes))
    np.testing.assert_allclose(own, est.source_growth_, rtol=1e-9)
    moved = est.transform(genes) - genes
    # Across the components the first type stays where it is.
    assert abs(moved[kind == 0, 5].mean()) < 0.1


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("penalty", [1e-3, 1e-2, 0.1, 0.3, 1.0, 100.0])
def test_the_map_is_the_exact_one_at_every_penalty(penalty, dimension):
    rng = np.random.default_rng(dimension)
    n, first = 500, np.eye(dimension)[0]
    laws = (np.zeros(dimension), np.eye(dimension)), (first, 2.0 * np.eye(dimension))
    x, y = (rng.multivariate_normal(*law, size=n) for law in laws)
    exact, free = (
        np.asarray(solve_unbalanced_gaussian(*laws, source_penalty=t, target_penalty=t).map(x)) - x
        for t in (penalty, None)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the sample tells little of the growth
        est = MongeMap(random_state=0, candidates=["gaussian"], unbalanced=penalty).fit(x, y)
    moved = est.transform(x) - x
    # The noise of two means (1 and 2 over n) and two spreads (2 over n) shrinks as the step does;
    # what is left of it is where points have no partner, of a move by √τ at most.
    shorter = np.linalg.norm(exact) / np.linalg.norm(free)
    noise = np.sqrt(5.0 * dimension / n) * shorter + np.sqrt(penalty / n) * (penalty < 1.0)
    assert np.sqrt(((moved - exact) ** 2).sum(axis=1).mean()) < 3.0 * noise
    assert est.source_growth_.mean() < 1.0 + 3.0 / np.sqrt(n)


@pytest.mark.slow
def test_two_types_at_a_small_penalty_each_have_their_own_exact_map_and_growth():
    rng = np.random.default_rng(5)
    n, penalty, eye = 500, 0.3, np.eye(2)
    x, y = _clouds(n, 0.2, rng)
    growth = entropic_growth(x, y, penalty)
    shares = (0.5, 0.5), (n / len(y), 1.0 - n / len(y))
    for kind, centre in enumerate((np.zeros(2), FAR)):
        exact = solve_unbalanced_gaussian(
            (centre, eye),
            (centre + STEP, eye),
            source_penalty=penalty,
            target_penalty=penalty,
            source_mass=shares[0][kind],
            target_mass=shares[1][kind],
        )
        own = growth.source(x[kind * n : (kind + 1) * n])
        true = exact.stats["source_growth"](x[kind * n : (kind + 1) * n])
        assert own.mean() == pytest.approx(float(true.mean()), rel=0.15)


@pytest.mark.parametrize(("dimension", "penalty"), [(2, 3e-3), (10, 1.0)])
def test_a_penalty_below_the_spacing_of_points_says_from_where_on(dimension, penalty):
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(300, dimension)), rng.normal(size=(300, dimension)) + 0.5
    settings = {"random_state": 0, "candidates": ["gaussian"]}
    with pytest.warns(UserWarning, match="unbalanced: got .* growth below about") as seen:
        MongeMap(unbalanced=penalty, **settings).fit(x, y)
    told = float(str(seen[0].message).partition("below about ")[2].split(":")[0])
    # Towards another draw of the same law nothing is lost in truth.
    kept = entropic_growth(x, rng.normal(size=x.shape), told).source(x).mean()
    assert kept == pytest.approx(1.0, abs=0.25)
    lost = entropic_growth(x, rng.normal(size=x.shape), 0.3 * told).source(x).mean()
    assert lost < 0.75
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MongeMap(unbalanced=1.1 * told, **settings).fit(x, y)


@pytest.mark.slow
def test_whole_weights_are_repeated_rows_of_growth_too():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(80, 2)), rng.normal(size=(90, 2)) + 1.0
    w = rng.integers(1, 4, 80)
    settings = {"random_state": 0, "candidates": ["gaussian"], "unbalanced": 2.0}
    weighted = MongeMap(**settings).fit(x, y, source_weights=w)
    repeated = MongeMap(**settings).fit(np.repeat(x, w, axis=0), y)
    # ε is of the rows as they are, the median of whose distances differs a little.
    np.testing.assert_allclose(weighted.n_effective_, repeated.n_effective_, rtol=0.01)
    g = weighted.source_growth_
    assert weighted.n_effective_[0] == pytest.approx((w @ g) ** 2 / (w @ g**2))
    np.testing.assert_allclose(weighted.transform(x), repeated.transform(x), atol=0.02)
    seen = weighted.audit(x, y, source_weights=w, budget=0.1).weighting
    assert (seen.source.counted, seen.target.counted) == pytest.approx(weighted.n_effective_)
    assert seen.source.effective == pytest.approx((w @ g) ** 2 / ((w * g) @ (w * g)))


def test_labels_are_of_the_mass_that_arrives():
    kinds = np.repeat(["stay", "gone"], 300)
    with pytest.warns(UserWarning, match=r"X: 300 of 600 rows, the first 300, keep less than a"):
        found = unbalanced().transfer_labels(X, np.repeat("stay", len(Y)))
    np.testing.assert_array_equal(found.growth, unbalanced().source_growth_)
    assert list(found.columns("kind")) == ["kind", "kind_probability", "kind_growth"]
    with pytest.warns(UserWarning, match="keep less than a tenth"):
        table = unbalanced().transition_table(kinds, np.repeat("stay", len(Y)))
    kept = dict(zip(table.sources, table.kept, strict=True))
    assert kept["gone"] < 0.05 < 0.5 < kept["stay"]
    assert f"of the {kept['gone']:.2f} kept of 300" in str(table)
    assert balanced().transition_table(kinds, np.repeat("stay", len(Y))).kept is None
    # A kind of which every tenth row keeps its mass goes where these go.
    mixed = np.where(np.arange(600) % 10 == 0, "mixed", kinds)
    with pytest.warns(UserWarning, match="keep less than a tenth"):
        one = unbalanced().transition_table(mixed, np.where(Y[:, 0] > 1.0, "right", "left"))
    g, m = unbalanced().source_growth_, mixed == "mixed"
    with pytest.warns(UserWarning, match="keep less than a tenth"):
        votes = unbalanced().transfer_labels(X, np.where(Y[:, 0] > 1.0, "right", "left"))
    expected = np.average(votes.probabilities[m], axis=0, weights=g[m])
    row = list(one.sources).index("mixed")
    np.testing.assert_allclose(one.shares[row], expected, rtol=1e-9)
